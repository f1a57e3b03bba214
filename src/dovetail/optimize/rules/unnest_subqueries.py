"""Turn correlated subqueries into joins, so that they can be cut, pushed and learn keys.

Where a filter asks for it alone, ``EXISTS`` and ``IN`` become semi joins, ``NOT EXISTS`` an anti
join. Anywhere else in a filter, and among what is selected, they become an outer join with the
distinct values they were correlated by: a row has a match where such a value stands beside it. A
correlated scalar aggregate becomes a join with the aggregate grouped by what it was correlated by,
another scalar subquery an outer join where it surely has one row: its correlation names a key, or
it takes the first row only. What is not of these forms stays as it is; the engine runs it too.

``NOT IN`` becomes an anti join only where neither side can be NULL: with one NULL among
``select y from t``, ``x not in (select y from t)`` keeps no row at all, an anti join would. And
``count`` over no rows is 0, where the outer join that replaces the subquery has NULL:
``where 0 = (select count(*) from o where o.c = c.id)`` wants the customers without orders, so
counts are wrapped in ``coalesce``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from dovetail.optimize.context import Context
from dovetail.optimize.uniqueness import enforcing, unique_by
from dovetail.plan import nodes
from dovetail.plan.decouple import Decoupled, correlations, decouple, decouple_aggregate
from dovetail.plan.expressions import (
    PlanSubquery,
    column,
    conjunction,
    conjuncts,
    free_columns,
    has_subquery,
    is_volatile,
    plan_free_columns,
    subqueries,
    substitute,
    transform_plan,
    unparenthesized,
)
from dovetail.plan.shapes import Parts, alike, composed, filtered, names_in, narrowed


def unnest_subqueries(plan: nodes.Plan, context: Context) -> nodes.Plan:
    """Apply the rule to every filter and projection in ``plan``, innermost subqueries first."""
    sources = enforcing(context.capabilities)

    def visit(node: nodes.Plan) -> nodes.Plan:
        match node:
            case nodes.Filter() if not node.loose and has_subquery(node.predicate):
                return _filter(node, sources)
            case nodes.Project() if any(has_subquery(item.expression) for item in node.items):
                return _project(node, sources)
        return node

    return transform_plan(plan, visit)


def _filter(plan: nodes.Filter, sources: Collection[str]) -> nodes.Plan:
    joins = _Joins(plan.input, sources)
    left: Parts = []
    for part in conjuncts(plan.predicate):
        if not has_subquery(part) or is_volatile(part):
            left.append(part)
        elif not joins.keep_members(part):
            left.append(joins.replaced(part, condition=True))
    if joins.plan is plan.input:
        return plan
    return narrowed(filtered(joins.plan, left), plan.columns)


def _project(plan: nodes.Project, sources: Collection[str]) -> nodes.Plan:
    joins = _Joins(plan.input, sources)
    items = tuple(
        replace(item, expression=joins.replaced(item.expression, condition=False))
        if has_subquery(item.expression) and not is_volatile(item.expression)
        else item
        for item in plan.items
    )
    return plan if joins.plan is plan.input else nodes.Project(joins.plan, items)


@dataclass(frozen=True)
class _Scalar:
    """A scalar subquery as one row at most of ``plan`` per outer row, met by ``condition``.

    ``value`` is the subquery's over that row and the outer one, and also over NULLs where there is
    none. ``counts``: it is not NULL then.
    """

    plan: nodes.Plan
    condition: exp.Expression | None
    value: exp.Expression
    counts: bool


class _Joins:
    """The plan below a filter or projection, which grows by a join per subquery replaced above."""

    def __init__(self, plan: nodes.Plan, sources: Collection[str]) -> None:
        self.plan = plan
        self._outer = plan
        self._sources = sources
        self._known: list[tuple[exp.Expression, exp.Expression]] = []

    # -- EXISTS and IN that a filter asks for -------------------------------------------------

    def keep_members(self, part: exp.Expression) -> bool:
        """Keep the rows that ``part``, [NOT] EXISTS or [NOT] IN, is true of, by a join."""
        bare = unparenthesized(part)
        negated = isinstance(bare, exp.Not)
        if negated:
            bare = unparenthesized(bare.this)
        members = self._members(bare, nulls=not negated)
        if members is None:
            return False
        kind: nodes.JoinKind = "anti" if negated else "semi"
        return self._add(kind, members.plan, conjunction(members.parts))

    def _members(self, bare: exp.Expression, *, nulls: bool) -> Decoupled | None:
        """Of EXISTS or IN the rows with which an outer row makes it true, and by which parts.

        ``nulls``: a NULL where the answer is not known may be taken for false.
        """
        match bare:
            case exp.Exists() if isinstance(bare.this, PlanSubquery):
                found = decouple(_rows_of(bare.this.plan), self._outer)
                return found if found is not None and found.parts else None
            case exp.In() if isinstance(bare.args.get("query"), PlanSubquery):
                return self._listed(bare.this, bare.args["query"].plan, nulls)
        return None

    def _listed(self, value: exp.Expression, subquery: nodes.Plan, nulls: bool) -> Decoupled | None:
        if not isinstance(value, exp.Column) or value.name not in self._outer.names:
            return None
        member = subquery.columns[0]
        wanted = self._outer.column(value.name)
        if not alike(wanted, member):
            return None
        if not nulls and (_may_be_null(wanted) or _may_be_null(member)):
            return None
        found = decouple(subquery, self._outer)
        if found is None:
            return None
        same = exp.EQ(this=value.copy(), expression=column(member.name))
        return replace(found, parts=[same, *found.parts])

    # -- subqueries within an expression ------------------------------------------------------

    def replaced(self, expression: exp.Expression, *, condition: bool) -> exp.Expression:
        """``expression`` with values of joined rows in place of subqueries, where that can be.

        ``condition``: it is one that has to be true of a row to keep it.
        """
        alone = condition and sum(1 for _ in subqueries(expression)) == 1 and _strict(expression)

        def visit(node: exp.Expression) -> exp.Expression:
            made: exp.Expression | None = None
            if isinstance(node, PlanSubquery):
                if not isinstance(node.parent, exp.Exists | exp.In | exp.Any | exp.All):
                    made = self._once(node, lambda: self._scalar(node.plan, alone))
            elif isinstance(node, exp.Exists | exp.In):
                nulls = condition and _is_asked_for(node)
                made = self._once(node, lambda: self._mark(node, nulls=nulls))
            return node if made is None else made

        return expression.copy().transform(visit, copy=False)

    def _once(
        self, node: exp.Expression, make: Callable[[], exp.Expression | None]
    ) -> exp.Expression | None:
        """What ``make`` puts in the place of ``node``, made once where an alias repeats it."""
        for known, value in self._known:
            if known == node:
                return value.copy()
        made = make()
        if made is not None:
            self._known.append((node.copy(), made))
        return made

    def _add(
        self, kind: nodes.JoinKind, right: nodes.Plan, condition: exp.Expression | None
    ) -> bool:
        """Join with ``right``, unless an alias has brought its columns here before."""
        if names_in(self.plan) & names_in(right):
            return False
        self.plan = nodes.Join(kind, self.plan, right, condition)
        return True

    def _mark(self, node: exp.Expression, *, nulls: bool) -> exp.Expression | None:
        """Whether an outer row has a member: a distinct value stands beside it then."""
        members = self._members(node, nulls=nulls)
        found = None if members is None else correlations(members)
        if members is None or found is None or any(c.null_safe for c in found):
            return None
        names = dict.fromkeys(c.inner for c in found)
        keys = tuple(
            nodes.Item(
                replace(members.plan.column(name), name=f"{name} by mark"),
                column(name),
            )
            for name in names
        )
        renamed = {i.expression.name: column(i.column.name) for i in keys}
        distinct = nodes.Distinct(nodes.Project(members.plan, keys))
        condition = conjunction([substitute(part, renamed) for part in members.parts])
        if not self._add("left", distinct, condition):
            return None
        beside = exp.Is(this=column(keys[0].column.name), expression=exp.Null())
        return exp.Paren(this=exp.Not(this=beside))

    def _scalar(self, subquery: nodes.Plan, alone: bool) -> exp.Expression | None:
        if not plan_free_columns(subquery):
            return None
        inner, (value,) = composed(subquery, [column(subquery.columns[0].name)])
        if has_subquery(value) or is_volatile(value):
            return None
        if free_columns(value) - inner.names - self._outer.names:
            return None
        if isinstance(inner, nodes.Aggregate) and not inner.keys:
            found = _aggregate(inner, value, self._outer)
        else:
            found = _row(inner, value, self._outer, self._sources)
        if found is None:
            return None
        kind: nodes.JoinKind = "inner" if alone and not found.counts else "left"
        if not self._add(kind, found.plan, found.condition):
            return None
        return exp.Paren(this=found.value.copy())


def _rows_of(subquery: nodes.Plan) -> nodes.Plan:
    """Below what does not matter to EXISTS: what is selected, in which order, and whether twice."""
    match subquery:
        case nodes.Project() | nodes.Sort():
            return _rows_of(subquery.input)
        case nodes.Distinct() if not subquery.on:
            return _rows_of(subquery.input)
        case nodes.Limit() if subquery.count != 0 and not subquery.offset:
            return _rows_of(subquery.input)
    return subquery


def _may_be_null(of: nodes.Column) -> bool:
    """Sources also have dates that are not NULL there and are read as NULL."""
    return of.nullable or of.type.family in ("date", "timestamp", "timestamptz")


def _is_asked_for(node: exp.Expression) -> bool:
    """Whether only AND and OR are around ``node``, so that a NULL counts as false."""
    around = node.parent
    while isinstance(around, exp.And | exp.Or | exp.Paren):
        around = around.parent
    return around is None


# -- scalar subqueries ------------------------------------------------------------------------


def _aggregate(inner: nodes.Aggregate, value: exp.Expression, outer: nodes.Plan) -> _Scalar | None:
    """An aggregate over the rows of an outer row, which is a row also where there are none."""
    found = decouple_aggregate(inner, outer)
    if found is None or not found[0].parts:
        return None
    grouped, counts = found
    used = bool(free_columns(value) & counts.keys())
    return _Scalar(grouped.plan, conjunction(grouped.parts), substitute(value, counts), used)


def _row(
    inner: nodes.Plan, value: exp.Expression, outer: nodes.Plan, sources: Collection[str]
) -> _Scalar | None:
    """The only row of an outer row, or the first of its rows.

    A subquery with two rows is an error, which an outer join would not give.
    """
    below = decouple(inner, outer)
    if below is None:
        return None
    found = correlations(below)
    if not found:
        return None
    first = isinstance(inner, nodes.Limit) and inner.count == 1
    safe = [c.inner for c in found if not c.null_safe]
    if not first and not unique_by(below.plan, safe, sources):
        return None
    if not isinstance(value, exp.Column) or value.name not in below.plan.names:
        # Where there is no row the value is NULL, whatever it makes of NULLs.
        if not safe:
            return None
        there = exp.Not(this=exp.Is(this=column(safe[0]), expression=exp.Null()))
        value = exp.Case(ifs=[exp.If(this=there, true=value.copy())])
    return _Scalar(below.plan, conjunction(below.parts), value, False)


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
