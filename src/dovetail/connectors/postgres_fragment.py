"""A fragment as PostgreSQL gets it: wire encoding in, names that survive, and the decode back."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from dovetail.config import PostgresSettings
from dovetail.connectors.base import FragmentRequest, Wire
from dovetail.connectors.postgres_types import wire
from dovetail.quoting import quote

_NAME_BYTES = 63  # PostgreSQL cuts longer identifiers short, and says so only in a notice


@dataclass(frozen=True)
class Fragment:
    """The SQL to send, the names its columns have there, and a DuckDB expression for each.

    ``body`` is the SQL without the comment that carries a request's tag. ``select[i]`` yields
    output column i with its exact type from the received columns.
    """

    body: str
    names: tuple[str, ...]
    select: tuple[str, ...]


def render(request: FragmentRequest, settings: PostgresSettings, source: str) -> Fragment:
    """Encode the request's columns and write its SQL in PostgreSQL's dialect."""
    columns = request.columns
    wires = [wire(column, settings, source) for column in columns]
    wanted = [column.name for column in columns]
    fit = all(len(name.encode()) <= _NAME_BYTES for name in wanted) and len(
        {name.lower() for name in wanted}
    ) == len(wanted)
    names = wanted if fit else [f"c{number}" for number in range(len(wanted))]
    query: exp.Query = request.query.copy()
    if not all(w.encode is None for w in wires) or not fit:
        query = _encode_in_place(query, wires, names) or _encode_around(query, wires, names)
    select = []
    for column, way, name in zip(columns, wires, names, strict=True):
        received = quote(name)
        if way.decode is not None:
            received = way.decode.format(received)
        elif column.type.family not in ("null", "other"):
            received = f"CAST({received} AS {column.type})"
        select.append(f"{received} AS {quote(column.name)}")
    return Fragment(query.sql(dialect="postgres", copy=False), tuple(names), tuple(select))


def _encode_in_place(query: exp.Query, wires: list[Wire], names: list[str]) -> exp.Query | None:
    """Wrap the projections themselves, where nothing else refers to or depends on them."""
    if not isinstance(query, exp.Select) or len(query.expressions) != len(names):
        return None
    simple = {"expressions", "from", "from_", "where", "kind", "hint"}
    if any(value for key, value in query.args.items() if key not in simple):
        return None
    plain = [p.unalias() for p in query.expressions]
    if not all(isinstance(p, exp.Column) and not isinstance(p.this, exp.Star) for p in plain):
        return None
    query.set(
        "expressions",
        [
            exp.alias_(way.encode(p) if way.encode is not None else p.copy(), name, quoted=True)
            for p, way, name in zip(plain, wires, names, strict=True)
        ],
    )
    return query


def _encode_around(query: exp.Query, wires: list[Wire], names: list[str]) -> exp.Query:
    """Wrap the whole query: a guard must not see rows that its ORDER BY … LIMIT leaves out."""
    inner = [f"v{number}" for number in range(len(names))]
    outer = []
    for way, name, short in zip(wires, names, inner, strict=True):
        value = exp.column(short, table="f")
        encoded = way.encode(value) if way.encode is not None else value
        outer.append(exp.alias_(encoded, name, quoted=True))
    source = exp.Subquery(
        this=query,
        alias=exp.TableAlias(
            this=exp.to_identifier("f"), columns=[exp.to_identifier(name) for name in inner]
        ),
    )
    return exp.Select().select(*outer).from_(source)
