"""Turn subqueries in a filter into joins, so that they can be cut, pushed and learn keys.

``EXISTS`` and ``IN`` become semi joins, ``NOT EXISTS`` an anti join; a correlated scalar aggregate
becomes a join with the aggregate grouped by what it was correlated by. What correlates them is
pulled up out of their filters into the join's condition. Subqueries that are not of these forms
stay as they are; the engine runs them too.

``NOT IN`` becomes an anti join only where neither side can be NULL: with one NULL among
``select y from t``, ``x not in (select y from t)`` keeps no row at all, an anti join would. And
``count`` over no rows is 0, where the outer join that replaces the subquery has NULL:
``where 0 = (select count(*) from o where o.c = c.id)`` wants the customers without orders, so
counts are wrapped in ``coalesce``. (The general method, of which these are the common cases:
T. Neumann, A. Kemper, "Unnesting Arbitrary Queries", BTW 2015.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from dovetail.optimize.context import Context
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    PlanSubquery,
    column,
    conjunction,
    conjuncts,
    free_columns,
    has_subquery,
    is_volatile,
    node_expressions,
    plan_free_columns,
    subqueries,
    substitute,
    transform_plan,
    unparenthesized,
)
from dovetail.plan.shapes import Parts, alike, filtered, narrowed


def unnest_subqueries(plan: nodes.Plan, context: Context) -> nodes.Plan:
    """Apply the rule to every filter in ``plan``, innermost subqueries first."""

    def visit(node: nodes.Plan) -> nodes.Plan:
        if isinstance(node, nodes.Filter) and not node.loose and has_subquery(node.predicate):
            return _unnest(node)
        return node

    return transform_plan(plan, visit)


def _unnest(plan: nodes.Filter) -> nodes.Plan:
    result = plan.input
    left: Parts = []
    for part in conjuncts(plan.predicate):
        made = None
        if has_subquery(part) and not is_volatile(part):
            made = _membership(result, part)
            if made is None:
                scalar = _scalar(result, part)
                if scalar is not None:
                    made, part = scalar
                    left.append(part)
        if made is None:
            left.append(part)
        else:
            result = made
    if result is plan.input:
        return plan
    return narrowed(filtered(result, left), plan.columns)


# -- EXISTS and IN ----------------------------------------------------------------------------


def _membership(plan: nodes.Plan, part: exp.Expression) -> nodes.Plan | None:
    bare = unparenthesized(part)
    negated = isinstance(bare, exp.Not)
    if negated:
        bare = unparenthesized(bare.this)
    match bare:
        case exp.Exists() if isinstance(bare.this, PlanSubquery):
            return _exists(plan, bare.this.plan, negated)
        case exp.In() if isinstance(bare.args.get("query"), PlanSubquery):
            return _in(plan, bare.this, bare.args["query"].plan, negated)
    return None


def _exists(plan: nodes.Plan, subquery: nodes.Plan, negated: bool) -> nodes.Plan | None:
    inner = subquery
    # What it selects, in which order and whether twice, does not matter to EXISTS.
    while isinstance(inner, nodes.Project | nodes.Sort) or (
        isinstance(inner, nodes.Distinct) and not inner.on
    ):
        inner = inner.input
    pulled = _pull(inner, plan.names)
    if pulled is None or not pulled.parts:
        return None
    return nodes.Join("anti" if negated else "semi", plan, pulled.plan, conjunction(pulled.parts))


def _in(
    plan: nodes.Plan, value: exp.Expression, subquery: nodes.Plan, negated: bool
) -> nodes.Plan | None:
    if has_subquery(value) or is_volatile(value) or not isinstance(value, exp.Column):
        return None
    if value.name not in plan.names:
        return None
    member = subquery.columns[0]
    if not alike(plan.column(value.name), member):
        return None
    if negated and (
        plan.column(value.name).nullable or member.nullable or _may_become_null(member)
    ):
        return None
    if negated and _may_become_null(plan.column(value.name)):
        return None
    inner = subquery
    wanted: exp.Expression = column(member.name)
    if plan_free_columns(subquery):
        while isinstance(inner, nodes.Project | nodes.Distinct) and not getattr(inner, "on", ()):
            if isinstance(inner, nodes.Project):
                wanted = substitute(wanted, {i.column.name: i.expression for i in inner.items})
            inner = inner.input
    if has_subquery(wanted) or is_volatile(wanted):
        return None
    pulled = _pull(inner, plan.names)
    if pulled is None:
        return None
    same = exp.EQ(this=value.copy(), expression=wanted)
    condition = conjunction([same, *pulled.parts])
    return nodes.Join("anti" if negated else "semi", plan, pulled.plan, condition)


def _may_become_null(of: nodes.Column) -> bool:
    """Sources have dates that are not NULL there and are read as NULL."""
    return of.type.family in ("date", "timestamp", "timestamptz")


# -- correlation ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pulled:
    """``plan`` without outer references; ``parts`` are the predicates that had them."""

    plan: nodes.Plan
    parts: Parts


def _pull(plan: nodes.Plan, outer: frozenset[str]) -> _Pulled | None:
    """Pull the predicates with outer references out of ``plan``'s filters and inner joins."""
    if not plan_free_columns(plan):
        return _Pulled(plan, [])
    match plan:
        case nodes.Filter():
            below = _pull(plan.input, outer)
            split = _split(plan.predicate, plan.input.names, outer)
            if below is None or split is None:
                return None
            own, moved = split
            return _Pulled(filtered(below.plan, own), [*below.parts, *moved])
        case nodes.Join() if plan.kind in ("inner", "cross"):
            return _pull_join(plan, outer)
        case nodes.Project() if all(item.is_rename for item in plan.items):
            return _pull_project(plan, outer)
        case _:
            return None


def _split(
    predicate: exp.Expression | None, names: frozenset[str], outer: frozenset[str]
) -> tuple[Parts, Parts] | None:
    """The parts over ``names`` alone, and those with outer references; None if some has others."""
    own: Parts = []
    moved: Parts = []
    for part in conjuncts(predicate):
        free = free_columns(part) - names
        if not free:
            own.append(part)
        elif free <= outer and not has_subquery(part) and not is_volatile(part):
            moved.append(part)
        else:
            return None
    return own, moved


def _pull_join(plan: nodes.Join, outer: frozenset[str]) -> _Pulled | None:
    left, right = _pull(plan.left, outer), _pull(plan.right, outer)
    split = _split(plan.condition, plan.left.names | plan.right.names, outer)
    if left is None or right is None or split is None:
        return None
    own, moved = split
    condition = conjunction(own)
    kind: nodes.JoinKind = "cross" if condition is None else "inner"
    joined = nodes.Join(kind, left.plan, right.plan, condition)
    return _Pulled(joined, [*left.parts, *right.parts, *moved])


def _pull_project(plan: nodes.Project, outer: frozenset[str]) -> _Pulled | None:
    below = _pull(plan.input, outer)
    if below is None:
        return None
    # The pulled predicates look at columns below the projection: they pass through under names
    # of their own, which are unique in the plan.
    used = {n for part in below.parts for n in free_columns(part)} & below.plan.names
    names = {item.column.name for item in plan.items}
    more = tuple(
        nodes.Item(c, column(c.name)) for c in below.plan.columns if c.name in used - names
    )
    return _Pulled(nodes.Project(below.plan, (*plan.items, *more)), below.parts)


# -- scalar aggregates ------------------------------------------------------------------------


def _scalar(plan: nodes.Plan, part: exp.Expression) -> tuple[nodes.Plan, exp.Expression] | None:
    """The join with a correlated scalar aggregate, and the predicate over it."""
    if any(isinstance(n, exp.Exists | exp.In | exp.Any | exp.All) for n in part.walk()):
        return None
    found = list(subqueries(part))
    if len(found) != 1 or not plan_free_columns(found[0].plan):
        return None
    split = _grouped(found[0].plan, plan.names)
    if split is None:
        return None
    aggregate, condition, value, counts = split

    def visit(node: exp.Expression) -> exp.Expression:
        return exp.Paren(this=value.copy()) if isinstance(node, PlanSubquery) else node

    replaced = part.copy().transform(visit, copy=False)
    kind: nodes.JoinKind = "inner" if not counts and _strict(part) else "left"
    return nodes.Join(kind, plan, aggregate, condition), replaced


def _grouped(
    subquery: nodes.Plan, outer: frozenset[str]
) -> tuple[nodes.Aggregate, exp.Expression, exp.Expression, bool] | None:
    """The aggregate by its correlation, the join's condition, the value, and whether it counts."""
    value: exp.Expression = column(subquery.columns[0].name)
    inner = subquery
    while isinstance(inner, nodes.Project):
        value = substitute(value, {i.column.name: i.expression for i in inner.items})
        inner = inner.input
    if not isinstance(inner, nodes.Aggregate) or inner.keys or inner.grouping_sets is not None:
        return None
    if has_subquery(value) or is_volatile(value) or free_columns(value) - inner.names:
        return None
    if any(free_columns(e) - inner.input.names for e in node_expressions(inner)):
        return None
    pulled = _pull(inner.input, outer)
    if pulled is None or not pulled.parts:
        return None
    pairs = [_correlation(p, pulled.plan) for p in pulled.parts]
    keys: dict[str, nodes.Item] = {}
    conditions: Parts = []
    for pair in pairs:
        if pair is None:
            return None
        name, other = pair
        if name not in keys:
            of = pulled.plan.column(name)
            key = nodes.Column(
                f"{name} by group", of.type, of.label, of.native_type, of.collation, of.nullable
            )
            keys[name] = nodes.Item(key, column(name))
        conditions.append(exp.EQ(this=column(keys[name].column.name), expression=other.copy()))
    counts = {
        item.column.name: exp.Coalesce(
            this=column(item.column.name), expressions=[exp.Literal.number(0)]
        )
        for item in inner.aggregates
        if isinstance(unparenthesized(item.expression), exp.Count)
    }
    if not all(_null_over_nothing(item.expression) for item in inner.aggregates):
        return None
    condition = conjunction(conditions)
    assert condition is not None
    aggregate = nodes.Aggregate(pulled.plan, tuple(keys.values()), inner.aggregates)
    used = bool(free_columns(value) & counts.keys())
    return aggregate, condition, substitute(value, counts), used


_NULL_OVER_NOTHING = (exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Count)


def _null_over_nothing(call: exp.Expression) -> bool:
    """Whether the aggregate over no rows is NULL (or is a count, which is 0)."""
    return isinstance(unparenthesized(call), _NULL_OVER_NOTHING)


def _correlation(part: exp.Expression, inner: nodes.Plan) -> tuple[str, exp.Expression] | None:
    """``(inner column, outer expression)`` of an equality between the two."""
    bare = unparenthesized(part)
    if not isinstance(bare, exp.EQ):
        return None
    for mine, other in ((bare.this, bare.expression), (bare.expression, bare.this)):
        if (
            isinstance(mine, exp.Column)
            and mine.name in inner.names
            and not free_columns(other) & inner.names
        ):
            return mine.name, other
    return None


_STRICT = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
_STRICT_INSIDE: Sequence[type[exp.Expression]] = (
    exp.Column,
    exp.Identifier,
    exp.Literal,
    exp.Paren,
    exp.Neg,
    exp.Add,
    exp.Sub,
    exp.Mul,
    exp.Cast,
    exp.DataType,
    exp.DataTypeParam,
    PlanSubquery,
)


def _strict(part: exp.Expression) -> bool:
    """Whether a comparison is surely NULL when the subquery in it is."""
    bare = unparenthesized(part)
    if not isinstance(bare, _STRICT):
        return False
    return all(n is bare or isinstance(n, tuple(_STRICT_INSIDE)) for n in bare.walk())
