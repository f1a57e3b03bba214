"""From a fragment to the text that a MySQL server gets: literals made safe, rows made one value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from dovetail.connectors.base import FragmentRequest
from dovetail.connectors.mysql_rows import Field, row_sql
from dovetail.connectors.mysql_types import road
from dovetail.errors import DataError, InternalError
from dovetail.quoting import backticked

_PLAIN = re.compile(r"[^\x00-\x1f\x7f\\]*")


@dataclass(frozen=True)
class Fragment:
    """The SQL to send (without the tag), its fields, and how many values may follow each row."""

    body: str
    fields: tuple[Field, ...]
    extra: int


def render_fragment(request: FragmentRequest, limit: int) -> Fragment:
    """Encode the request's rows and write its SQL in MySQL's dialect.

    The select list becomes one value per row. Where that would change what the rest of the query
    means (grouping, DISTINCT, set operations), the fragment becomes a derived table instead.
    """
    never_null = _never_null(request)
    fields = tuple(
        Field(column, road(column), column.name not in never_null) for column in request.columns
    )
    if not fields:
        raise InternalError("a MySQL fragment without columns")
    query = safe_literals(request.query)
    if _is_plain(query, len(fields)):
        outputs = {item.alias_or_name: item.unalias() for item in query.selects}
        _resolve_order(query, outputs)
        expressions = [_text(item.unalias()) for item in query.selects]
        row, extra = row_sql(fields, expressions, limit)
        query.set("expressions", [exp.Var(this=row)])
        return Fragment(_text(query, copy=False), fields, extra)
    names = [f"q.{backticked(name)}" for name in query.named_selects]
    if len(names) != len(fields):
        raise InternalError(
            f"a fragment of {len(names)} columns was announced with {len(fields)}: {_text(query)}"
        )
    row, extra = row_sql(fields, names, limit)
    order = _outer_order(query)
    return Fragment(f"SELECT {row} FROM ({_text(query, copy=False)}) AS q{order}", fields, extra)


def _never_null(request: FragmentRequest) -> frozenset[str]:
    """Outputs that are NOT NULL columns of a base table: their test for NULL can be saved."""
    scan = request.scan or request.filtered_scan
    if scan is None or scan.table.kind != "table":
        return frozenset()
    firm = {column.source_name for column in scan.table.columns if not column.nullable}
    return frozenset(output for source, output in scan.columns if source in firm)


def plain_sql(request: FragmentRequest) -> str:
    """The fragment as it is, without the encoding of rows: for EXPLAIN."""
    return _text(safe_literals(request.query), copy=False)


def safe_literals(query: exp.Query) -> Any:
    """A copy in which no string literal depends on how the server reads a backslash.

    Text with a backslash or a control character is written in hexadecimal, so nothing in it can
    end the literal whatever ``sql_mode`` says. Comments are dropped: MySQL runs ``/*! … */``.
    """

    def replace(node: exp.Expression) -> exp.Expression:
        node.comments = None
        if isinstance(node, (exp.RawString, exp.National)) or (
            isinstance(node, exp.Literal) and node.is_string
        ):
            text = str(node.this)
            if isinstance(node, exp.Literal) and _PLAIN.fullmatch(text):
                return node
            try:
                encoded = text.encode("utf-8").hex()
            except UnicodeEncodeError:
                raise DataError(
                    "a text literal holds a character that UTF-8 cannot express"
                ) from None
            return exp.Introducer(
                this=exp.Var(this="_utf8mb4"), expression=exp.Var(this=f"x'{encoded}'")
            )
        if isinstance(node, exp.Select) and node.args.get("hint"):
            node.set("hint", None)
        return node

    return query.copy().transform(replace, copy=False)


def _text(node: exp.Expr, *, copy: bool = True) -> str:
    """In MySQL's dialect; without ``copy`` the node may be changed by it."""
    return node.sql(dialect="mysql", comments=False, copy=copy)


def _is_plain(query: exp.Expression, width: int) -> bool:
    """Whether the select list may be replaced without touching the rest of the query."""
    if not isinstance(query, exp.Select) or len(query.selects) != width:
        return False
    if any(query.args.get(part) for part in ("distinct", "group", "having", "windows", "qualify")):
        return False
    return not any(
        item.is_star or item.find(exp.AggFunc, exp.Window) is not None for item in query.selects
    )


def _resolve_order(query: exp.Select, outputs: dict[str, exp.Expression]) -> None:
    """Put the expressions in place of output names and positions in ORDER BY."""
    order = query.args.get("order")
    if order is None:
        return
    selects = list(query.selects)
    for item in order.expressions:
        key = item.this if isinstance(item, exp.Ordered) else item
        if isinstance(key, exp.Literal) and not key.is_string:
            key.replace(selects[int(key.this) - 1].unalias().copy())
            continue
        for column in list(key.find_all(exp.Column)):
            if not column.table and column.name in outputs:
                column.replace(exp.Paren(this=outputs[column.name].copy()))


def _outer_order(query: exp.Query) -> str:
    """The ORDER BY once more around a derived table, where its keys are output columns."""
    order = query.args.get("order")
    if order is None:
        return ""
    outputs: Sequence[str] = query.named_selects
    by_text = {
        _text(item.unalias()): item.alias_or_name
        for item in (query.selects if isinstance(query, exp.Select) else [])
    }
    keys = []
    for item in order.expressions:
        key = item.this if isinstance(item, exp.Ordered) else item
        if isinstance(key, exp.Literal) and not key.is_string:
            name: str | None = outputs[int(key.this) - 1]
        elif isinstance(key, exp.Column) and not key.table and key.name in outputs:
            name = key.name
        else:
            name = by_text.get(_text(key))
        if name is None:
            return ""
        ordered = item.copy()
        target = ordered.this if isinstance(ordered, exp.Ordered) else ordered
        target.replace(exp.Var(this=f"q.{backticked(name)}"))
        keys.append(_text(ordered))
    return " ORDER BY " + ", ".join(keys)
