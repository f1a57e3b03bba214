"""What a fragment does at its source, read off the SQL that the source was sent."""

from __future__ import annotations

from functools import lru_cache

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

_DIALECTS = {"postgres": "postgres", "mysql": "mysql", "sqlite": "sqlite"}


@lru_cache(maxsize=2048)
def pushed_operations(kind: str, sql: str) -> tuple[str, ...]:
    """Some of projection, filter, semi_join, join, aggregate, distinct, sort, limit, set_operation.

    Empty when the text cannot be read. A projection counts when not every column is asked for.
    """
    try:
        tree = parse_one(sql, dialect=_DIALECTS.get(kind, "duckdb"))
    except (SqlglotError, RecursionError):
        return ()
    found = []
    selects = list(tree.find_all(exp.Select))
    if selects and not any(isinstance(e, exp.Star) for s in selects for e in s.expressions):
        found.append("projection")
    conditions = [s.args["where"] for s in selects if s.args.get("where") is not None]
    if conditions:
        found.append("filter")
    if any(list(c.find_all(exp.In, exp.Exists)) for c in conditions):
        found.append("semi_join")
    for name, kinds in (
        ("join", (exp.Join,)),
        ("aggregate", (exp.Group, exp.AggFunc)),
        ("distinct", (exp.Distinct,)),
        ("sort", (exp.Order,)),
        ("limit", (exp.Limit,)),
        ("set_operation", (exp.SetOperation,)),
    ):
        if tree.find(*kinds) is not None:
            found.append(name)
    return tuple(found)
