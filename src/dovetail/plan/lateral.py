"""A subquery in FROM that reads the rows before it, as a join."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from dovetail.plan import nodes
from dovetail.plan.decouple import decouple, decouple_aggregate
from dovetail.plan.expressions import (
    column,
    conjunction,
    conjuncts,
    free_columns,
    has_subquery,
    is_volatile,
    substitute,
    unparenthesized,
)
from dovetail.plan.shapes import composed, filtered


def lateral_join(
    kind: nodes.JoinKind, left: nodes.Plan, right: nodes.Plan, condition: exp.Expression | None
) -> nodes.Plan | None:
    """``left`` joined with ``right``, which has references to columns of ``left``.

    None for what cannot be decoupled, and for kinds of joins that preserve rows of ``right``.
    """
    if kind not in ("inner", "left"):
        return None
    inner, values = composed(right, [column(c.name) for c in right.columns])
    if isinstance(inner, nodes.Aggregate) and not inner.keys:
        made = [nodes.Item(c, v) for c, v in zip(right.columns, values, strict=True)]
        return _aggregate(kind, left, inner, made, condition)
    found = decouple(right, left)
    if found is None:
        return None
    on = conjunction([*found.parts, *conjuncts(condition)])
    if on is None and kind == "inner":
        kind = "cross"
    return nodes.Join(kind, left, found.plan, on)


def _aggregate(
    kind: nodes.JoinKind,
    left: nodes.Plan,
    right: nodes.Aggregate,
    items: Sequence[nodes.Item],
    condition: exp.Expression | None,
) -> nodes.Plan | None:
    """An aggregate has a row for every row of ``left``, also over none of its rows."""
    if condition is not None and unparenthesized(condition) == exp.true():
        condition = None
    if kind == "left" and condition is not None:
        return None
    found = decouple_aggregate(right, left)
    if found is None:
        return None
    groups, counts = found
    joined = nodes.Join("left", left, groups.plan, conjunction(groups.parts))
    made = [nodes.Item(c, column(c.name)) for c in left.columns]
    for item in items:
        value = substitute(item.expression, counts)
        if is_volatile(value) or has_subquery(value) or free_columns(value) - joined.names:
            return None
        made.append(nodes.Item(item.column, value))
    return filtered(nodes.Project(joined, tuple(made)), conjuncts(condition))
