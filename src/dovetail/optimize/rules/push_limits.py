"""Put a copy of an unordered LIMIT below what cannot lose rows.

``limit 10`` over a projection, a UNION ALL or the preserved side of a left join needs no more than
10 (plus the offset) rows of each input; the limit itself stays on top. Safe because without ORDER
BY any rows will do. A looser rule that pushed it below a filter or an inner join would deliver too
few rows: ``select * from t where x > 5 limit 10`` may need to read all of ``t``.
"""

from __future__ import annotations

from dovetail.optimize.context import Context
from dovetail.plan import nodes
from dovetail.plan.expressions import is_volatile, transform_plan


def push_limits(plan: nodes.Plan, context: Context) -> nodes.Plan:
    """Apply the rule everywhere in ``plan``."""

    def visit(node: nodes.Plan) -> nodes.Plan:
        if not isinstance(node, nodes.Limit) or node.count is None:
            return node
        return node.with_inputs([_below(node.input, node.count + node.offset)])

    return transform_plan(plan, visit)


def _limited(plan: nodes.Plan, count: int) -> nodes.Plan:
    """``plan`` with a limit at the lowest places that are safe."""
    inner = _below(plan, count)
    if isinstance(inner, nodes.Limit):
        return inner
    return nodes.Limit(inner, count)


def _below(plan: nodes.Plan, count: int) -> nodes.Plan:
    match plan:
        case nodes.Project() if not any(is_volatile(i.expression) for i in plan.items):
            child = plan.input
            if isinstance(child, nodes.Limit | nodes.Sort | nodes.Distinct):
                return plan
            return plan.with_inputs([_limited(child, count)])
        case nodes.SetOperation() if plan.kind == "union" and plan.all:
            return plan.with_inputs([_once(plan.left, count), _once(plan.right, count)])
        case nodes.Join() if plan.kind == "left":
            return plan.with_inputs([_once(plan.left, count), plan.right])
        case _:
            return plan


def _once(plan: nodes.Plan, count: int) -> nodes.Plan:
    bottom = plan
    while isinstance(bottom, nodes.Project):
        bottom = bottom.input
    if isinstance(bottom, nodes.Limit | nodes.Sort):
        return plan
    return _limited(plan, count)
