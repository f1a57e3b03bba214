"""Results whose types Arrow has no exact form for travel as text.

DuckDB hands a ``BIT`` to Arrow as the bytes it keeps it in, and a ``TIME WITH TIME ZONE`` without
its zone. Both are cast to text in the engine instead, also inside of lists, structs, maps and
unions; the declared type of the column stays what it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from dovetail.quoting import quote

_AS_TEXT = ("bit", "time with time zone")
_PERHAPS = re.compile(r"\b(BIT|TIME WITH TIME ZONE)\b")


def carried(statement: str, columns: Sequence[tuple[str, str]]) -> str:
    """``statement`` with those of its columns, ``(name, DuckDB type)``, cast that need it."""
    if not any(_PERHAPS.search(type_) for _, type_ in columns):
        return statement
    import duckdb

    places = [f"c{number}" for number in range(len(columns))]
    items = []
    with closing(duckdb.connect()) as database:
        for place, (name, type_) in zip(places, columns, strict=True):
            given = database.type(type_)
            travels = _carried(given)
            value = place if travels == str(given) else f"CAST({place} AS {travels})"
            items.append(f"{value} AS {quote(name)}")
    return f"SELECT {', '.join(items)} FROM ({statement}\n) AS result({', '.join(places)})"


def _carried(kind: Any) -> str:
    """The type, as SQL, that a value of DuckDB type ``kind`` travels in."""
    if kind.id in _AS_TEXT:
        return "VARCHAR"
    if kind.id in ("list", "array"):
        parts = dict(kind.children)
        return f"{_carried(parts['child'])}[{parts.get('size', '')}]"
    if kind.id == "map":
        parts = dict(kind.children)
        return f"MAP({_carried(parts['key'])}, {_carried(parts['value'])})"
    if kind.id in ("struct", "union"):
        # A union's first child, without a name, is the tag.
        members = [f"{quote(name)} {_carried(part)}" for name, part in kind.children if name]
        return f"{kind.id.upper()}({', '.join(members)})"
    return str(kind)
