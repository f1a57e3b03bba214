"""``docs/pushdown.md`` and ``docs/types.md``, written from the tables that the code runs by.

``python -m dovetail.connectors.capabilities.document pushdown`` (or ``types``) prints a page.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping, Sequence

from dovetail.connectors.capabilities import Capabilities, Entry

_KINDS = (
    ("postgres", "PostgreSQL"),
    ("mysql", "MySQL and MariaDB"),
    ("sqlite", "SQLite"),
    ("duckdb", "DuckDB files"),
)
# Where the connectors keep what becomes of each type; found by name, since no connector may
# import another.
_TYPES = (
    ("PostgreSQL", "dovetail.connectors.postgres_types"),
    ("MySQL and MariaDB", "dovetail.connectors.mysql_types"),
    ("SQLite", "dovetail.connectors.sqlite_types"),
    ("DuckDB files", "dovetail.connectors.duckdb"),
    ("Files", "dovetail.connectors.files"),
)

_PUSHDOWN = """\
# What is pushed down

This page is made from the capability tables (`make regen` writes it). DuckDB's meaning is the
product's meaning: an operator goes to a source only if the source gives the same answer, and every
entry below is tested on a real server over hostile values (`tests/capabilities`). What is not
listed runs here.

| word | meaning |
|---|---|
| same | the source computes it under the same name |
| rewritten | the source gets another text that computes it exactly |
| looser | a filter that keeps every wanted row and perhaps more; the exact filter stays here |
| delivered | a DOUBLE whose last bits may differ: sent back as a value, never compared |

Operands are named by class: `char` is a blank-padded `char(n)`; `text loose` and `char loose` are
columns whose collation may find different texts equal. Numbers without a class (`real`,
PostgreSQL's `money` and `oid`), enums, JSON, times, intervals, UUIDs, blobs and lists are no
operands: predicates over them run here, except `IS NULL`.
"""

_ALWAYS = """\
Besides, wherever their operands are offered: `AND`, `OR`, `NOT` (not over a looser filter),
`IS NULL`, `BETWEEN`, `IN` (a list or a subquery of the same source), `EXISTS`, `CASE`, `coalesce`.
A DOUBLE is compared with a decimal only up to 15 digits.
"""

_TYPES_INTRO = """\
# Types

What the columns of every kind of source become, and how they travel. This page is made from the
connectors' own tables (`make regen` writes it); every line is tested against what the source's own
driver returns. A value that a type cannot hold exactly is an error that names table and column,
never a silent change; what is converted is said here.

Results reach programs as Arrow, which has no form for some types of DuckDB: `HUGEINT` travels as
`DECIMAL(38,0)`, `BIT` and `TIME WITH TIME ZONE` as text (`101`, `12:00:00+02`), also inside of
lists, structs and maps.
"""


def pushdown() -> str:
    """The page of what each kind of source computes."""
    parts = [_PUSHDOWN]
    for name, title in _KINDS:
        table: Capabilities = importlib.import_module(
            f"dovetail.connectors.capabilities.{name}"
        ).CAPABILITIES
        parts.append(f"## {title}\n")
        if table.engine_reads:
            parts.append(
                "The embedded engine reads these itself: columns and filters are applied while "
                "it scans, and there is nothing to translate.\n"
            )
            continue
        parts.append(_nodes(table))
        parts.append(_entries("operator or function", table, table.entries))
        aggregates = {("count(*)", ()): Entry("integer"), **table.aggregates}
        parts.append(_entries("aggregate", table, aggregates))
        parts.append(_ALWAYS)
        parts.append(_notes(table))
    parts.append("## Files\n\nThe embedded engine reads these itself, as DuckDB files.\n")
    return "\n".join(part for part in parts if part)


def _nodes(table: Capabilities) -> str:
    words = {"grouping_sets": "grouping sets", "filter": "aggregates with FILTER"}
    words |= {"SetOperation": "set operations", "WithScan": ""}
    offered = sorted(words.get(n, n.lower()) for n in table.nodes if n != "Scan")
    offered = [word for word in offered if word]
    joins = ", ".join(sorted(table.joins))
    return f"Operations: {', '.join(offered)}.\nJoins: {joins}.\n"


def _entries(
    title: str, table: Capabilities, entries: Mapping[tuple[str, tuple[str, ...]], Entry]
) -> str:
    rows: dict[tuple[str, str], list[str]] = {}
    for (name, classes), entry in entries.items():
        listed = " and ".join(classes) or "—"
        rows.setdefault((name, _how(table, classes, entry)), []).append(listed)
    # Operators with the same operands share a line.
    merged: dict[tuple[str, str], list[str]] = {}
    for (name, how), operands in rows.items():
        merged.setdefault((how, "; ".join(operands)), []).append(name)
    lines = [
        (", ".join(f"`{_escaped(name)}`" for name in names), operands, how)
        for (how, operands), names in merged.items()
    ]
    return _table((title, "operands", "how"), lines)


def _how(table: Capabilities, classes: tuple[str, ...], entry: Entry) -> str:
    if not is_exact(table, classes, entry):
        return "looser"
    how = "same" if entry.rewrite is None else "rewritten"
    return f"{how}, delivered" if entry.output_only else how


def is_exact(table: Capabilities, classes: tuple[str, ...], entry: Entry) -> bool:
    """Whether the entry is more than a looser filter."""
    dates = {"date", "timestamp", "timestamptz"}
    readable = table.dates_are_exact or table.date_is_real is not None
    return entry.exact and (readable or dates.isdisjoint(classes))


def _notes(table: Capabilities) -> str:
    notes = []
    if table.order_text is None:
        notes.append("Text is not sorted there.")
    if table.text_bytes is not None:
        notes.append("Text is compared and grouped by its bytes, whatever its collation.")
    if not table.dates_are_exact:
        notes.append(
            "Zero and partial dates are read as NULL, and count as NULL there too; dates are not "
            "sorted there. With `zero_dates: error` only looser filters over dates go down."
        )
    return "\n".join(notes) + "\n" if notes else ""


def types() -> str:
    """The page of what becomes of each source's types."""
    parts = [_TYPES_INTRO]
    for title, module in _TYPES:
        rows: Sequence[Sequence[str]] = importlib.import_module(module).TYPE_TABLE
        lines = [(row[0], row[1], row[2], row[3] if len(row) > 3 else "") for row in rows]
        header = ("declared", "becomes", "travels as", "notes")
        parts.append(f"## {title}\n\n{_table(header, lines)}")
    return "\n".join(parts)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    lines += [f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|") if "\\|" not in text else text


PAGES = {"pushdown": pushdown, "types": types}


def main(arguments: Sequence[str]) -> int:
    """Print the page named on the command line."""
    if len(arguments) != 1 or arguments[0] not in PAGES:
        print(f"say which page: {' or '.join(PAGES)}", file=sys.stderr)
        return 2
    print(PAGES[arguments[0]](), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
