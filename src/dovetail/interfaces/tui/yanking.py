"""Texts to copy out of a result."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dovetail.interfaces.tui.analyst import Analyst
from dovetail.present.formats import format_named
from dovetail.present.layout import Layout
from dovetail.present.write import write
from dovetail.quoting import quote, sql_string

if TYPE_CHECKING:
    import pyarrow as pa

_BARE = frozenset(
    ("tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger",
     "ubigint", "uhugeint", "decimal", "bignum", "boolean")
)  # fmt: skip
_TYPED = {"date": "date", "timestamp": "timestamp", "time": "time"}


def literal(text: str | None, kind: str, type_name: str) -> str:
    """A value, given as its exact text, as SQL that stands for it."""
    if text is None:
        return "null"
    if kind in _BARE:
        return text
    if kind in ("float", "double"):
        finite = text.lower().lstrip("-") not in ("nan", "inf", "infinity")
        return text if finite else f"{sql_string(text)}::{type_name}"
    if kind in _TYPED:
        return f"{_TYPED[kind]} {sql_string(text)}"
    if type_name == "VARCHAR":
        return sql_string(text)
    return f"CAST({sql_string(text)} AS {type_name})"


def as_lines(table: pa.Table, analyst: Analyst, columns: Sequence[int]) -> str:
    """Tab-separated values without a header; NULL is nothing, breaks and tabs are escapes."""
    texts = analyst.texts(table, columns)
    rows = zip(*texts, strict=True) if texts else iter(())
    return "\n".join("\t".join(_one_line(text) for text in row) for row in rows)


def _one_line(text: str | None) -> str:
    if text is None:
        return ""
    return (
        text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
        if ("\t" in text or "\n" in text)
        else text
    )


def as_format(table: pa.Table, analyst: Analyst, columns: Sequence[int], name: str) -> str:
    """The rows in one of the output formats, with its header."""
    stream = io.BytesIO()
    chosen = [analyst.columns[c] for c in columns]
    write(table.to_batches(), table.schema, chosen, format_named(name), stream, Layout())
    return stream.getvalue().decode("utf-8").rstrip("\n")


def as_inserts(table: pa.Table, analyst: Analyst, columns: Sequence[int]) -> str:
    """INSERT statements; the table is called ``t``."""
    names = ", ".join(quote(analyst.columns[c].name) for c in columns)
    texts = analyst.texts(table, columns)
    kinds = [(analyst.kinds[c].id, analyst.columns[c].type) for c in columns]
    lines = [
        "  (" + ", ".join(literal(t, *kind) for t, kind in zip(row, kinds, strict=True)) + ")"
        for row in zip(*texts, strict=True)
    ]
    return f'INSERT INTO "t" ({names}) VALUES\n' + ",\n".join(lines) + ";"


def as_in_list(texts: Sequence[str | None], kind: str, type_name: str) -> str:
    """Distinct values as a SQL IN list, in the order they come; NULL is left out."""
    distinct = dict.fromkeys(text for text in texts if text is not None)
    return "(" + ", ".join(literal(text, kind, type_name) for text in distinct) + ")"


def as_conditions(texts: Sequence[str | None], analyst: Analyst, columns: Sequence[int]) -> str:
    """A row as conditions that find it."""
    from dovetail.editing.tokens import quote_name

    parts = []
    for text, column in zip(texts, columns, strict=True):
        this = analyst.columns[column]
        name = quote_name(this.name)
        if text is None:
            parts.append(f"{name} is null")
        else:
            parts.append(f"{name} = {literal(text, analyst.kinds[column].id, this.type)}")
    return " and ".join(parts)
