"""``count(x)`` of a column that is NULL only where an outer join found no match counts its key.

``select c.id, count(o.id) from c left join o on o.c_id = c.id group by c.id`` reads ``o.id`` only
to see whether an order matched, and ``o.c_id``, which the join reads anyway, tells as much: it
equals something wherever a row matched, and is NULL elsewhere. So one column less is fetched. A
looser rule that counted the key in place of an ``x`` that may be NULL by itself would count rows
whose ``x`` is missing. Dates and times are left alone: a source may hold some that are read as NULL
whatever the catalog says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sqlglot import exp

from dovetail.optimize.context import Context
from dovetail.plan import nodes
from dovetail.plan.expressions import column, transform_plan
from dovetail.plan.shapes import alike_across

_FAMILIES = ("integer", "decimal", "text")


def count_matches(plan: nodes.Plan, context: Context) -> nodes.Plan:
    """Apply the rule everywhere in ``plan``."""

    def visit(node: nodes.Plan) -> nodes.Plan:
        if isinstance(node, nodes.Aggregate):
            return _counting_keys(node)
        return node

    return transform_plan(plan, visit)


def _counting_keys(plan: nodes.Aggregate) -> nodes.Aggregate:
    keys = dict(_supplied(plan.input))
    changed = {
        item.column.name: replace(item, expression=exp.Count(this=column(keys[name])))
        for item in plan.aggregates
        if (name := _counted(item.expression)) in keys and name is not None
    }
    if not changed:
        return plan
    return replace(plan, aggregates=tuple(changed.get(i.column.name, i) for i in plan.aggregates))


def _counted(expression: exp.Expression) -> str | None:
    """The column that is counted, if that is all."""
    if not isinstance(expression, exp.Count) or not isinstance(expression.this, exp.Column):
        return None
    given = {name for name, value in expression.args.items() if value}
    return expression.this.name if given <= {"this", "big_int"} else None


def _supplied(plan: nodes.Plan) -> Iterator[tuple[str, str]]:
    """Columns that are NULL just where an outer join found no match, with a key of the same side
    that is too.
    """
    while isinstance(plan, nodes.Filter):
        plan = plan.input
    if not isinstance(plan, nodes.Join) or plan.kind not in ("left", "right"):
        return
    side, place = (plan.right, 1) if plan.kind == "left" else (plan.left, 0)
    keys = [pair[place] for pair in alike_across(plan)]
    for counted in side.columns:
        if counted.nullable or counted.type.family not in _FAMILIES or counted.name in keys:
            continue
        if keys:
            yield counted.name, keys[0]
