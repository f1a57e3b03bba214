"""Carry a constant condition on a join key over to the other side of the join.

``a.x = b.x and a.x > 5`` also means ``b.x > 5``, so the source of ``b`` sends less. Safe for the
side whose rows only matter when they match: both sides of an inner or semi join, the
NULL-supplying side of an outer join, the right side of an anti join. A looser rule that also
filtered the preserved side of ``a left join b`` would lose rows of ``a`` that match nothing. Only
equalities between columns of one type (or of integer types) carry over, so a conversion cannot
make two values equal that the condition tells apart.
"""

from __future__ import annotations

from sqlglot import exp

from dovetail.optimize.context import Context
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    PlanSubquery,
    column,
    conjuncts,
    free_columns,
    is_volatile,
    substitute,
    transform_plan,
)
from dovetail.plan.shapes import alike, alike_across, equal_columns, filtered


def infer_predicates(plan: nodes.Plan, context: Context) -> nodes.Plan:
    """Apply the rule to every join in ``plan``."""

    def visit(node: nodes.Plan) -> nodes.Plan:
        if not isinstance(node, nodes.Join) or node.condition is None or node.kind == "full":
            return node
        to_left, to_right = _inferred(node)
        if not to_left and not to_right:
            return node
        return nodes.Join(
            node.kind, filtered(node.left, to_left), filtered(node.right, to_right), node.condition
        )

    return transform_plan(plan, visit)


def _inferred(join: nodes.Join) -> tuple[list[exp.Expression], list[exp.Expression]]:
    left_facts, right_facts = facts(join.left), facts(join.right)
    to_left: list[exp.Expression] = []
    to_right: list[exp.Expression] = []
    for a, b in alike_across(join):
        if join.kind in ("inner", "left", "semi", "anti"):
            to_right += _carried(left_facts, a, b, right_facts, to_right)
        if join.kind in ("inner", "right", "semi"):
            to_left += _carried(right_facts, b, a, left_facts, to_left)
    return to_left, to_right


def _carried(
    known: list[exp.Expression],
    from_: str,
    to: str,
    present: list[exp.Expression],
    made: list[exp.Expression],
) -> list[exp.Expression]:
    result = []
    for fact in known:
        if free_columns(fact) == {from_}:
            moved = substitute(fact, {from_: column(to)})
            if moved not in present and moved not in made and moved not in result:
                result.append(moved)
    return result


def facts(plan: nodes.Plan) -> list[exp.Expression]:
    """Conditions on one column and constants that hold for every row of ``plan``."""
    match plan:
        case nodes.Filter():
            own = [p for p in conjuncts(plan.predicate) if _is_fact(p, plan)]
            return [*own, *(f for f in facts(plan.input) if f not in own)]
        case nodes.Project():
            renames: dict[str, list[str]] = {}
            for item in plan.items:
                if item.is_rename:
                    renames.setdefault(item.expression.name, []).append(item.column.name)
            return [
                substitute(fact, {name: column(new)})
                for fact in facts(plan.input)
                for name in free_columns(fact)
                for new in renames.get(name, ())
            ]
        case nodes.Join():
            result: list[exp.Expression] = []
            if plan.kind in ("inner", "cross", "left", "semi", "anti"):
                result += facts(plan.left)
            if plan.kind in ("inner", "cross", "right"):
                result += facts(plan.right)
            if plan.kind == "inner":
                for part in conjuncts(plan.condition):
                    pair = equal_columns(part)
                    if pair is None or not {*pair} <= plan.names:
                        continue
                    if not alike(plan.column(pair[0]), plan.column(pair[1])):
                        continue
                    for a, b in (pair, pair[::-1]):
                        result += _carried(result, a, b, result, [])
            return result
        case nodes.Sort() | nodes.Limit() | nodes.Distinct() | nodes.Window():
            return facts(plan.input)
        case nodes.Aggregate() if plan.grouping_sets is None:
            keys = {i.expression.name: i.column.name for i in plan.keys if i.is_rename}
            return [
                substitute(fact, {name: column(keys[name])})
                for fact in facts(plan.input)
                for name in free_columns(fact)
                if name in keys
            ]
        case _:
            return []


def _is_fact(part: exp.Expression, plan: nodes.Plan) -> bool:
    names = free_columns(part)
    if len(names) != 1 or not names <= plan.names or is_volatile(part):
        return False
    return not any(isinstance(n, PlanSubquery) for n in part.walk())
