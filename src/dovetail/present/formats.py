"""The output formats: names, aliases, file extensions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from dovetail.errors import UsageError


@dataclass(frozen=True)
class Format:
    """One output format. ``binary`` formats are refused on a terminal.

    ``several`` says whether one file or stream can hold more than one result, ``for_eyes`` whether
    the layout is meant for people and not for programs.
    """

    name: str
    aliases: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    binary: bool = False
    several: bool = False
    for_eyes: bool = False


FORMATS = (
    Format("table", extensions=(".txt",), several=True, for_eyes=True),
    Format("markdown", ("md",), (".md",), several=True, for_eyes=True),
    Format("vertical", ("line",), several=True, for_eyes=True),
    Format("csv", extensions=(".csv",)),
    Format("tsv", extensions=(".tsv",)),
    Format("json", extensions=(".json",)),
    Format("jsonl", ("ndjson",), (".jsonl", ".ndjson"), several=True),
    Format("parquet", extensions=(".parquet",), binary=True),
    # The stream form of Arrow IPC can be read from a pipe; files get the form with a footer.
    Format("arrow", binary=True),
    Format("feather", extensions=(".arrow", ".feather"), binary=True),
    Format("xlsx", ("excel",), (".xlsx",), binary=True, several=True),
    Format("html", extensions=(".html",)),
    Format("insert", ("sql-insert",), (".sql",)),
    Format("none", several=True),
)

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}

_BY_NAME = {name: f for f in FORMATS for name in (f.name, *f.aliases)}
_BY_EXTENSION = {extension: f for f in FORMATS for extension in f.extensions}


def format_names() -> list[str]:
    """The names and aliases that :func:`format_named` takes."""
    return list(_BY_NAME)


def format_named(name: str) -> Format:
    """The format of that name or alias, ignoring case.

    Raises :class:`UsageError` that lists the formats.
    """
    found = _BY_NAME.get(name.lower())
    if found is None:
        names = ", ".join(f.name for f in FORMATS)
        raise UsageError(f'no format "{name}"; the formats are {names}', suggestions=_near(name))
    return found


def format_of_path(path: str | PurePath) -> Format:
    """The format that the extension of ``path`` stands for, looking through ``.gz``, ``.zst``.

    Raises :class:`UsageError` that lists the extensions.
    """
    pure = PurePath(path)
    suffix = pure.suffix.lower()
    compressed = suffix in COMPRESSIONS
    if compressed:
        suffix = PurePath(pure.stem).suffix.lower()
    found = _BY_EXTENSION.get(suffix)
    if found is None or (compressed and found.binary):
        extensions = " ".join(_BY_EXTENSION)
        what = f'no format has the extension "{pure.suffix}"' if pure.suffix else "no extension"
        if compressed and found is not None:
            what = f"{found.name} is compressed inside; {pure.suffix} is for text formats"
        raise UsageError(
            f"{pure.name}: {what}; known are {extensions}, text formats also with "
            f"{' or '.join(COMPRESSIONS)}; or name one with --format"
        )
    return found


def compression_of_path(path: str | PurePath) -> str | None:
    """``gzip`` or ``zstd`` when the name of the file asks for it, else None."""
    return COMPRESSIONS.get(PurePath(path).suffix.lower())


def _near(name: str) -> list[str]:
    import difflib

    return difflib.get_close_matches(name.lower(), list(_BY_NAME), n=3)
