"""Take out of an OR what each of its branches demands of one table.

``(n1 = 'FRANCE' and n2 = 'GERMANY') or (n1 = 'GERMANY' and n2 = 'FRANCE')`` lets nothing through
but ``n1 in ('FRANCE', 'GERMANY')``, so the source of ``n1`` need not send more; and what all
branches share (``a.id = b.id``) stands outside, where it can be a join key. The OR itself stays.

Safe because a row that the OR lets through has made one branch true, and with it that branch's
part of the new predicate. A looser rule that skipped a branch without a demand on the table would
lose that branch's rows: ``(a.x = 1 and b.y = 2) or b.y = 3`` demands nothing of ``a``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from dovetail.optimize.context import Context
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    conjunction,
    conjuncts,
    free_columns,
    has_subquery,
    is_volatile,
    transform_plan,
    unparenthesized,
)

_MOST_BRANCHES = 20


def infer_from_or(plan: nodes.Plan, context: Context) -> nodes.Plan:
    """Apply the rule to every filter and join in ``plan``."""

    def visit(node: nodes.Plan) -> nodes.Plan:
        match node:
            case nodes.Filter() if not node.loose:
                parts = conjuncts(node.predicate)
                more = _inferred(parts, list(_leaves(node.input)))
                predicate = conjunction([*parts, *more])
                assert predicate is not None
                return nodes.Filter(node.input, predicate) if more else node
            case nodes.Join() if node.condition is not None:
                parts = conjuncts(node.condition)
                names = [*_leaves(node.left), *_leaves(node.right)]
                more = _inferred(parts, names)
                if not more:
                    return node
                return nodes.Join(node.kind, node.left, node.right, conjunction([*parts, *more]))
        return node

    return transform_plan(plan, visit)


def _leaves(plan: nodes.Plan) -> Iterator[frozenset[str]]:
    """The columns of every table that joins and filters combine."""
    match plan:
        case nodes.Join():
            yield from _leaves(plan.left)
            if plan.kind not in ("semi", "anti"):
                yield from _leaves(plan.right)
        case nodes.Filter():
            yield from _leaves(plan.input)
        case _:
            yield plan.names


def _inferred(
    parts: Sequence[exp.Expression], leaves: Sequence[frozenset[str]]
) -> list[exp.Expression]:
    found: list[exp.Expression] = []
    for part in parts:
        bare = unparenthesized(part)
        if not isinstance(bare, exp.Or) or has_subquery(bare) or is_volatile(bare):
            continue
        branches = [conjuncts(branch) for branch in _branches(bare)]
        if len(branches) > _MOST_BRANCHES:
            continue
        shared = [p for p in branches[0] if all(p in branch for branch in branches[1:])]
        new = list(shared)
        for names in leaves:
            demands = [[p for p in b if _demands(p, names) and p not in shared] for b in branches]
            if all(demands) and len(leaves) > 1:
                new.append(_any([conjunction(demand) for demand in demands]))
        found += [p for p in new if p not in parts and p not in found]
    return found


def _demands(part: exp.Expression, names: frozenset[str]) -> bool:
    used = free_columns(part)
    return bool(used) and used <= names


def _branches(node: exp.Expression) -> Iterator[exp.Expression]:
    bare = unparenthesized(node)
    if isinstance(bare, exp.Or):
        yield from _branches(bare.this)
        yield from _branches(bare.expression)
    else:
        yield bare


def _any(demands: Sequence[exp.Expression | None]) -> exp.Expression:
    """The OR of the demands; of equalities with one column, an IN list."""
    distinct: list[exp.Expression] = []
    for demand in demands:
        assert demand is not None
        if demand not in distinct:
            distinct.append(demand)
    column = distinct[0].this if isinstance(distinct[0], exp.EQ) else None
    if isinstance(column, exp.Column) and all(
        isinstance(d, exp.EQ) and d.this == column and isinstance(d.expression, exp.Literal)
        for d in distinct
    ):
        if len(distinct) == 1:
            return distinct[0]
        return exp.In(this=column.copy(), expressions=[d.expression.copy() for d in distinct])
    result: exp.Expression | None = None
    for demand in distinct:
        wrapped = exp.Paren(this=demand.copy()) if isinstance(demand, exp.And) else demand.copy()
        result = wrapped if result is None else exp.Or(this=result, expression=wrapped)
    assert result is not None
    return exp.Paren(this=result) if isinstance(result, exp.Or) else result
