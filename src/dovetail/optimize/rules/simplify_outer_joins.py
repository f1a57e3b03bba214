"""An outer join whose NULL rows a filter above drops anyway is an inner join, or a one-sided one.

``a left join b … where b.x > 5``: a row of ``a`` without a match has NULL for ``b.x``, and the
comparison drops it. Inner joins can be reordered, cut and taught keys on both sides. Safe for
predicates that are surely not true when the columns of the other side are NULL: comparisons of
plain columns and constants, ``IS NOT NULL``, ``IN``, ``BETWEEN``, ``LIKE``. A looser rule that
took any predicate would also take ``coalesce(b.x, 9) > 5``, which keeps the rows without a match,
and so does ``b.x <> all (select …)`` when the subquery is empty.
"""

from __future__ import annotations

from sqlglot import exp

from dovetail.optimize.context import Context
from dovetail.plan import nodes
from dovetail.plan.expressions import conjuncts, transform_plan, unparenthesized

_REJECTING = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Like)


def simplify_outer_joins(plan: nodes.Plan, context: Context) -> nodes.Plan:
    """Apply the rule to every filter right above an outer join."""

    def visit(node: nodes.Plan) -> nodes.Plan:
        if not isinstance(node, nodes.Filter) or not isinstance(node.input, nodes.Join):
            return node
        join = node.input
        rejected = {n for p in conjuncts(node.predicate) for n in _rejects(p)}
        kind = join.kind
        if kind in ("left", "full") and rejected & join.right.names:
            kind = "inner" if kind == "left" else "right"
        if kind in ("right", "full") and rejected & join.left.names:
            kind = "inner" if kind == "right" else "left"
        if kind == join.kind:
            return node
        return node.with_inputs([nodes.Join(kind, join.left, join.right, join.condition)])

    return transform_plan(plan, visit)


def _rejects(part: exp.Expression) -> set[str]:
    """Columns that cannot be NULL in a row for which ``part`` is true."""
    bare = unparenthesized(part)
    match bare:
        case exp.Not() if isinstance(unparenthesized(bare.this), exp.Is):
            test = unparenthesized(bare.this)
            return _bare(test.this) if isinstance(test.expression, exp.Null) else set()
        case exp.Between() if not bare.args.get("symmetric"):
            return _bare(bare.this)
        case exp.In() if bare.expressions and not bare.args.get("unnest"):
            return _bare(bare.this)
        case _ if isinstance(bare, _REJECTING) and not bare.find(exp.All, exp.Any):
            return _bare(bare.this) | _bare(bare.expression)
    return set()


def _bare(expression: exp.Expression) -> set[str]:
    inner = unparenthesized(expression)
    return {inner.name} if isinstance(inner, exp.Column) else set()
