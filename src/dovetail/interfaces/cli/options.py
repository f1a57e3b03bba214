"""The flags that several commands share, as groups; a flag means the same in every command.

A command asks for a group by a parameter of that type (see :mod:`dovetail.interfaces.cli.declare`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Annotated, ClassVar, get_type_hints

from dovetail.interfaces.cli.declare import Option


@dataclass(frozen=True)
class ConfigFlags:
    """Which configuration."""

    TITLE: ClassVar = "Sources"

    config: Annotated[
        str | None,
        Option("--config", metavar="PATH", help="Configuration file (see `config path`)."),
    ] = None
    profile: Annotated[
        str | None,
        Option(
            "--profile",
            "-P",
            metavar="NAME",
            complete="profiles",
            help="A profile of the configuration file.",
        ),
    ] = None


@dataclass(frozen=True)
class SourceFlags(ConfigFlags):
    """Where the data is."""

    source: Annotated[
        list[str],
        Option(
            "--source",
            metavar="NAME=URL",
            help="Add a source for this run: postgres://user@host/db, mysql://…, or a path.",
        ),
    ] = field(default_factory=list)
    allow_http: Annotated[
        bool, Option("--allow-http", help="Read http:// addresses too, which nothing protects.")
    ] = False


@dataclass(frozen=True)
class MessageFlags:
    """What is said on stderr, and how."""

    TITLE: ClassVar = "Messages"

    quiet: Annotated[bool, Option("--quiet", "-q", help="Print errors only.")] = False
    errors: Annotated[
        str, Option("--errors", metavar="text|json", help="Errors as text or one JSON object.")
    ] = "text"
    color: Annotated[
        str,
        Option("--color", metavar="WHEN", help="Colour: auto, always or never."),
    ] = "auto"
    debug: Annotated[bool, Option("--debug", help="Show the trace of an error.")] = False
    no_input: Annotated[
        bool, Option("--no-input", help="Never ask for anything; what is missing is an error.")
    ] = False


@dataclass(frozen=True)
class OutputFlags:
    """The format of the data, and where it goes."""

    TITLE: ClassVar = "Output"

    format: Annotated[
        str | None,
        Option(
            "--format",
            metavar="NAME",
            envvar="DOVETAIL_FORMAT",
            complete="formats",
            help="table, markdown, vertical, csv, tsv, json, jsonl, parquet, arrow, xlsx, html, "
            "insert or none.",
        ),
    ] = None
    csv: Annotated[bool, Option("--csv", help="Short for --format csv.")] = False
    tsv: Annotated[bool, Option("--tsv", help="Short for --format tsv.")] = False
    json: Annotated[bool, Option("--json", help="Short for --format json.")] = False
    jsonl: Annotated[bool, Option("--jsonl", help="Short for --format jsonl.")] = False
    md: Annotated[bool, Option("--md", help="Short for --format markdown.")] = False
    vertical: Annotated[bool, Option("--vertical", help="Short for --format vertical.")] = False
    output: Annotated[
        str | None,
        Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Write a file; its extension gives the format (.gz and .zst compress text).",
        ),
    ] = None
    no_clobber: Annotated[bool, Option("--no-clobber", help="Do not replace a file.")] = False
    null: Annotated[str | None, Option("--null", metavar="TEXT", help="Text for NULL.")] = None
    no_header: Annotated[bool, Option("--no-header", help="Leave the header out.")] = False
    numbers: Annotated[
        str,
        Option(
            "--numbers",
            metavar="safe|exact",
            help="JSON: numbers that most readers would round as strings, or as numbers.",
        ),
    ] = "safe"
    bom: Annotated[bool, Option("--bom", help="CSV, TSV: begin with a byte order mark.")] = False
    escape_formulas: Annotated[
        bool,
        Option("--escape-formulas", help="CSV, TSV: keep spreadsheets from running cells."),
    ] = False
    max_width: Annotated[
        int, Option("--max-width", min=0, help="Cut cells on a terminal; 0 is never.")
    ] = 80
    rows: Annotated[
        int, Option("--rows", min=0, help="Most rows printed on a terminal; 0 is all.")
    ] = 1000
    pager: Annotated[
        str,
        Option("--pager", metavar="WHEN", help="What does not fit the screen: auto or never."),
    ] = "auto"
    table: Annotated[
        str, Option("--table", metavar="NAME", help="INSERT: the table to insert into.")
    ] = "t"
    insert_dialect: Annotated[
        str,
        Option("--insert-dialect", metavar="NAME", help="INSERT: postgres, mysql, sqlite, …"),
    ] = "duckdb"
    compression: Annotated[
        str, Option("--compression", metavar="NAME", help="Parquet: zstd, snappy, gzip or none.")
    ] = "zstd"
    row_group_size: Annotated[
        int, Option("--row-group-size", min=1, help="Parquet: rows per row group.")
    ] = 122_880


_GROUPS = (SourceFlags, OutputFlags, MessageFlags)


def value_flags() -> set[str]:
    """The shared flags that take a value, by every spelling."""
    found: set[str] = set()
    for group in _GROUPS:
        hints = get_type_hints(group, include_extras=True)
        for item in fields(group):
            base, option = hints[item.name].__origin__, hints[item.name].__metadata__[0]
            if base is not bool:
                found.update(option.names)
    return found
