"""Keys that one fragment's rows teach another: semi-join reduction.

For ``a join b on a.x = b.y`` a row of ``b`` whose ``y`` is not among the ``x`` of ``a`` cannot
matter. So the smaller side is fetched first and its keys go into the statement of the larger one.
Keys pass on: what they cut down teaches the next fragment, through whole chains of joins.

Safe for a side whose rows only matter when they match: both sides of an inner or semi join, the
NULL-supplying side of an outer join, the right side of an anti join; and for a subquery that keeps
only rows equal to the row it is evaluated for. A looser rule that also
filtered the preserved side of ``a left join b`` by the keys of ``b`` would lose rows of ``a``.
The keys may be too many (a superset), never too few: they are looked up in the learning fragment
itself, before anything above it drops rows.

Whether keys are worth it is decided by cost, and how many at most; at run time, with the exact
number known, more keys than that leave only their range.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dovetail.connectors.capabilities.translate import Untranslatable, translate_filter
from dovetail.optimize.context import Context
from dovetail.optimize.cost import STAGE, Cost
from dovetail.optimize.regions import most_keys
from dovetail.optimize.rules.push_filters import partition_columns, push_filters
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    KeyFilter,
    column,
    conjunction,
    free_columns,
    has_subquery,
    node_expressions,
    subqueries,
    transform_plan,
)
from dovetail.plan.shapes import alike_across, alike_pairs, passed

# By how much the estimate of a number of keys may be wrong: within that, the keys are counted when
# they are there, and sent if they pay.
_UNSURE = 20
# Keys of a whole table with so large a part of the target's values are probably all of them: one
# column refers to the other, and the number of its values is only estimated.
_WHOLE = 0.4


@dataclass(frozen=True)
class DynamicFilter:
    """Fragment ``target`` is to deliver only rows whose ``column`` is among the keys.

    The keys are the values of ``key`` in ``keys``, a plan over the fragment ``teacher``. More than
    ``most`` of them are not sent. ``share`` is the part of the target's rows expected to be left,
    ``distinct`` how many different values ``column`` is estimated to have.
    """

    number: int
    target: int
    column: str
    teacher: int
    keys: nodes.Plan
    key: str
    most: int
    share: float
    distinct: float

    @property
    def predicate(self) -> KeyFilter:
        """What the target's rows are filtered by."""
        return KeyFilter(this=column(self.column), number=self.number, distinct=self.distinct)


@dataclass(frozen=True)
class _Edge:
    """An equality between columns of two fragments, and which of them it may cut down."""

    teacher: nodes.Fragment
    keys: nodes.Plan
    key: str
    target: nodes.Fragment
    column: str


def dynamic_filters(
    plan: nodes.Plan,
    numbered: Sequence[nodes.Fragment],
    estimates: Sequence[float],
    context: Context,
    cost: Cost,
) -> tuple[nodes.Plan, tuple[DynamicFilter, ...], tuple[float, ...]]:
    """``plan`` with key filters in its fragments, the filters, and the rows then expected.

    ``numbered`` are the plan's fragments in the order of their numbers, ``estimates`` their rows.
    """
    fragments = {fragment.number: fragment for fragment in numbered}
    rows = dict(zip(fragments, estimates, strict=True))
    edges = [edge for edge in _edges(plan) if edge.teacher.number != edge.target.number]
    order = sorted(fragments, key=lambda number: rows[number])
    found: list[DynamicFilter] = []
    for place, number in enumerate(order):
        target = fragments[number]
        table = context.capabilities.get(target.source)
        forbidden = context.pushdown.get(target.source) == "never"
        if table is None or table.engine_reads or forbidden:
            continue
        earlier = set(order[:place])
        made: list[DynamicFilter] = []
        for edge in edges:
            if edge.target.number != number or edge.teacher.number not in earlier:
                continue
            if any(f.column == edge.column and f.teacher == edge.teacher.number for f in made):
                continue
            new = _worth(edge, rows, context, cost, len(found) + len(made) + 1)
            if new is not None:
                made.append(new)
        for new in made:
            rows[number] = max(1.0, rows[number] * new.share)
        found += made
    if not found:
        return plan, (), tuple(rows[n] for n in sorted(rows))

    def rebuild(node: nodes.Plan) -> nodes.Plan:
        if not isinstance(node, nodes.Fragment):
            return node
        predicate = conjunction(f.predicate for f in found if f.target == node.number)
        if predicate is None:
            return node
        return replace(node, plan=push_filters(nodes.Filter(node.plan, predicate), context))

    return transform_plan(plan, rebuild), tuple(found), tuple(rows[n] for n in sorted(rows))


def _worth(
    edge: _Edge, rows: dict[int, float], context: Context, cost: Cost, number: int
) -> DynamicFilter | None:
    """The filter of an edge if it is expected to pay."""
    target, source = edge.target, edge.target.source
    capabilities = context.capabilities[source]
    columns = {c.name: c for c in target.plan.columns}
    try:
        translate_filter(KeyFilter(this=column(edge.column), number=number), capabilities, columns)
    except Untranslatable:
        return None
    distinct = cost.cardinality.distinct(target.plan, edge.column)
    keys = min(rows[edge.teacher.number], cost.cardinality.distinct(edge.keys, edge.key))
    share = min(1.0, keys / distinct)
    if context.pushdown.get(source) != "always":
        saved = rows[target.number] * (1 - share)
        if cost.transfer(source, target.plan, saved) < STAGE:
            return None
    most = most_keys(cost, source, target.plan, edge.column)
    if most < 1 or keys > most * _UNSURE or (share > _WHOLE and _unfiltered(edge.keys)):
        return None
    return DynamicFilter(
        number,
        target.number,
        edge.column,
        edge.teacher.number,
        edge.keys,
        edge.key,
        max(most, 1000),
        share,
        distinct,
    )


def _unfiltered(plan: nodes.Plan) -> bool:
    """Whether the keys are those of a whole table: then they surely cut nothing down."""
    while isinstance(plan, nodes.Fragment | nodes.Project):
        plan = plan.plan if isinstance(plan, nodes.Fragment) else plan.input
    return isinstance(plan, nodes.Scan)


def _edges(plan: nodes.Plan) -> Iterator[_Edge]:
    """Every pair of fragment columns of which one may cut down the other, nested plans included."""
    for node in plan.walk():
        if isinstance(node, nodes.Join):
            for a, b in alike_across(node):
                if node.kind in ("inner", "left", "semi", "anti"):
                    yield from _between(node.left, a, node.right, b)
                if node.kind in ("inner", "right", "semi"):
                    yield from _between(node.right, b, node.left, a)
        for expression in node_expressions(node):
            for subquery in subqueries(expression):
                yield from _edges(subquery.plan)
                yield from _into_subquery(node, subquery.plan)


def _into_subquery(outer: nodes.Plan, subquery: nodes.Plan) -> Iterator[_Edge]:
    """From the rows a subquery is evaluated for to those it compares with them by an equality."""
    for node in subquery.walk():
        if not isinstance(node, nodes.Filter):
            continue
        for teaching in outer.inputs:
            for key, name in alike_pairs(node.predicate, teaching, node.input):
                yield from _between(teaching, key, node.input, name)


def _between(teaching: nodes.Plan, key: str, cut: nodes.Plan, column: str) -> Iterator[_Edge]:
    teacher = _teacher(teaching, key)
    if teacher is None:
        return
    keys, name, fragment = teacher
    for target, target_column in _targets(cut, column):
        yield _Edge(fragment, keys, name, target, target_column)


def _teacher(plan: nodes.Plan, name: str) -> tuple[nodes.Plan, str, nodes.Fragment] | None:
    """A plan over one fragment whose column holds at least all values of ``name`` in ``plan``."""
    match plan:
        case nodes.Fragment():
            return plan, name, plan
        case nodes.Filter():
            below = _teacher(plan.input, name)
            # Filters right above the fragment sharpen the keys.
            sharpens = (
                below is not None
                and below[0] is plan.input
                and not has_subquery(plan.predicate)
                and free_columns(plan.predicate) <= plan.input.names
            )
            return (plan, below[1], below[2]) if below is not None and sharpens else below
        case nodes.Project() | nodes.Aggregate():
            if isinstance(plan, nodes.Aggregate) and plan.grouping_sets is not None:
                return None
            below_name = passed(plan, name)
            return _teacher(plan.input, below_name) if below_name is not None else None
        case nodes.Join() | nodes.Sort() | nodes.Limit() | nodes.Distinct() | nodes.Window():
            for child in plan.inputs:
                if name in child.names:
                    return _teacher(child, name)
            return None
        case nodes.With() if plan.step is None:
            return _teacher(plan.body, name)
        case _:
            return None


def _targets(plan: nodes.Plan, name: str) -> Iterator[tuple[nodes.Fragment, str]]:
    """Fragments below whose rows may go when their column is not among the keys for ``name``."""
    match plan:
        case nodes.Fragment():
            yield plan, name
        case nodes.Filter() | nodes.Sort():
            yield from _targets(plan.input, name)
        case nodes.Project() | nodes.Aggregate():
            below = passed(plan, name)
            if below is not None and not getattr(plan, "grouping_sets", None):
                yield from _targets(plan.input, below)
        case nodes.Distinct() if not plan.on:
            yield from _targets(plan.input, name)
        case nodes.Window():
            if name in partition_columns(plan):
                yield from _targets(plan.input, name)
        case nodes.Join() if plan.kind != "full":
            # On the NULL-supplying side too: rows that lose their match get NULL there, and the
            # join that wants the keys drops them as it would have dropped the match.
            for child in plan.inputs:
                if name in child.names:
                    yield from _targets(child, name)
        case nodes.SetOperation():
            place = [c.name for c in plan.outputs].index(name)
            for side in plan.inputs:
                yield from _targets(side, side.columns[place].name)
        case nodes.With() if plan.step is None:
            yield from _targets(plan.body, name)
        case _:
            return
