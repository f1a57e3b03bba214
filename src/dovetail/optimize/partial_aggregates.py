"""Aggregate a fragment at its source before it is joined here (eager aggregation).

``sum(l.price)`` over a join of ``l`` with tables of other sources may be added up in two steps:
per value of the columns that the rest of the plan looks at, at the source; and once more here. The
rows of one such group match the same rows of the other tables, so whatever the join multiplies
them by, it multiplies their partial sum by. W. P. Yan and P.-Å. Larson, "Eager Aggregation and
Lazy Aggregation", VLDB 1995.

A looser rule that also did this for ``sum(o.price)`` over a column of the *other* side would count
each of its values once per group instead of once per row. Sums of DOUBLE stay whole: their last
bits depend on the order of addition.

On the NULL-supplying side of an outer join ``count(o.id)`` may be split too (NULLs count nothing),
``count(*)`` may not. For the same reason the right side of a semi or anti join needs each of its
keys only once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlglot import exp

from dovetail.connectors.capabilities.translate import Untranslatable
from dovetail.optimize.context import Context
from dovetail.optimize.cost import Cost
from dovetail.optimize.pushable import check
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    column,
    free_columns,
    has_subquery,
    is_volatile,
    node_expressions,
    substitute,
    transform_plan,
    unparenthesized,
)
from dovetail.plan.shapes import replaced
from dovetail.types import parse_type

_HUGEINT = parse_type("HUGEINT")


def partial_aggregates(plan: nodes.Plan, context: Context, cost: Cost) -> nodes.Plan:
    """``plan``, cut into fragments, with those aggregated in part that shrink by it."""

    def visit(node: nodes.Plan) -> nodes.Plan:
        if isinstance(node, nodes.Aggregate) and node.grouping_sets is None:
            return _aggregate(node, context, cost)
        if isinstance(node, nodes.Join) and node.kind in ("semi", "anti"):
            return _semi_join(node, context, cost)
        return node

    return transform_plan(plan, visit)


def _semi_join(join: nodes.Join, context: Context, cost: Cost) -> nodes.Plan:
    right = join.right
    if not isinstance(right, nodes.Fragment) or join.condition is None:
        return join
    used = [c for c in right.columns if c.name in free_columns(join.condition)]
    if not used or isinstance(right.plan, nodes.Limit | nodes.Distinct):
        return join
    renames = tuple(nodes.Item(c, column(c.name)) for c in used)
    keys = nodes.Distinct(nodes.Project(right.plan, renames))
    if not _shrinks(right, keys, context, cost):
        return join
    return join.with_inputs([join.left, nodes.Fragment(right.source, keys)])


def _shrinks(fragment: nodes.Fragment, smaller: nodes.Plan, context: Context, cost: Cost) -> bool:
    """Whether the source can compute ``smaller``, and is done sooner with it."""
    table = context.capabilities[fragment.source]
    if table.engine_reads or context.pushdown.get(fragment.source) == "never":
        return False
    try:
        check(smaller, table, ())
    except Untranslatable:
        return False
    if context.pushdown.get(fragment.source) == "always":
        return True
    now = cost.fragment(fragment.source, fragment.plan)
    return cost.fragment(fragment.source, smaller) < 0.9 * now


def _aggregate(plan: nodes.Aggregate, context: Context, cost: Cost) -> nodes.Plan:
    below: nodes.Plan = plan.input
    keys, aggregates = list(plan.keys), list(plan.aggregates)
    while isinstance(below, nodes.Project):
        mapping = {item.column.name: item.expression for item in below.items}
        if any(is_volatile(e) or has_subquery(e) for e in mapping.values()):
            return plan
        keys = [nodes.Item(k.column, substitute(k.expression, mapping)) for k in keys]
        aggregates = [nodes.Item(a.column, substitute(a.expression, mapping)) for a in aggregates]
        below = below.input
    if isinstance(below, nodes.Fragment) or any(
        is_volatile(item.expression) or has_subquery(item.expression)
        for item in (*keys, *aggregates)
    ):
        return plan
    for fragment, conditions, optional in _candidates(below):
        made = _split(fragment, conditions, optional, keys, aggregates)
        if made is None:
            continue
        partial, new_keys, new_aggregates = made
        if not _shrinks(fragment, partial, context, cost):
            continue
        joined = replaced(below, fragment, nodes.Fragment(fragment.source, partial))
        final = nodes.Aggregate(joined, tuple(new_keys), tuple(new_aggregates[0]))
        return nodes.Project(final, tuple(new_aggregates[1]))
    return plan


def _candidates(
    plan: nodes.Plan,
) -> Iterator[tuple[nodes.Fragment, list[exp.Expression], bool]]:
    """Fragments whose rows may be grouped first, the expressions that look at them on the way up
    to ``plan``, and whether an outer join may put NULLs in their place.
    """
    match plan:
        case nodes.Fragment():
            yield plan, [], False
        case nodes.Filter() if not has_subquery(plan.predicate) and not is_volatile(plan.predicate):
            for fragment, conditions, optional in _candidates(plan.input):
                yield fragment, [*conditions, plan.predicate], optional
        case nodes.Join() if plan.kind in ("inner", "cross", "left", "semi", "anti"):
            own = list(node_expressions(plan))
            if any(has_subquery(e) or is_volatile(e) for e in own):
                return
            sides = plan.inputs[:1] if plan.kind in ("semi", "anti") else plan.inputs
            for number, side in enumerate(sides):
                for fragment, conditions, optional in _candidates(side):
                    supplied = optional or (plan.kind == "left" and number == 1)
                    yield fragment, [*conditions, *own], supplied


def _split(
    fragment: nodes.Fragment,
    conditions: Sequence[exp.Expression],
    optional: bool,
    keys: Sequence[nodes.Item],
    aggregates: Sequence[nodes.Item],
) -> tuple[nodes.Aggregate, list[nodes.Item], tuple[list[nodes.Item], list[nodes.Item]]] | None:
    """The partial aggregate; the keys and aggregates over it; the items that finish the result."""
    names = fragment.names
    used = {n for e in conditions for n in free_columns(e)} & names
    partial: list[nodes.Item] = []
    first: list[nodes.Item] = []
    last: list[nodes.Item] = []
    new_keys: list[nodes.Item] = []
    computed: list[nodes.Item] = []
    for item in keys:
        mine = free_columns(item.expression) & names
        whole = mine and mine == free_columns(item.expression)
        # Where an outer join may put NULL for the columns, an expression over them is not yet NULL.
        if whole and not item.is_rename and not optional:
            name = f"{item.column.name} by fragment"
            inner = nodes.Column(name, item.column.type, item.column.label)
            computed.append(nodes.Item(inner, item.expression))
            new_keys.append(nodes.Item(item.column, column(name)))
        else:
            used |= mine
            new_keys.append(item)
        last.append(nodes.Item(item.column, column(item.column.name)))
    for item in aggregates:
        made = _two_steps(item, names)
        if made is None or (optional and isinstance(item.expression.this, exp.Star)):
            return None  # count(*) also counts the rows that an outer join makes up
        lower, upper, finish = made
        if lower is not None:
            partial.append(lower)
        else:
            used |= free_columns(item.expression) & names
        first.append(upper)
        last.append(finish)
    if not partial:
        return None
    kept = tuple(nodes.Item(c, column(c.name)) for c in fragment.columns if c.name in used)
    # The plan's names are unique, so columns that only pass through are renamed inside.
    inside = nodes.Project(
        fragment.plan,
        tuple(nodes.Item(_inner(c), column(c.name)) for c in fragment.columns),
    )
    renamed = {c.name: column(_inner(c).name) for c in fragment.columns}
    group = tuple(
        nodes.Item(item.column, substitute(item.expression, renamed)) for item in (*kept, *computed)
    )
    lower_items = tuple(
        nodes.Item(item.column, substitute(item.expression, renamed)) for item in partial
    )
    return nodes.Aggregate(inside, group, lower_items), new_keys, (first, last)


def _inner(kept: nodes.Column) -> nodes.Column:
    return replace(kept, name=f"{kept.name} of rows")


def _two_steps(
    item: nodes.Item, names: frozenset[str]
) -> tuple[nodes.Item | None, nodes.Item, nodes.Item] | None:
    """The aggregate at the source (None: not needed), the one here, and the finished value."""
    call = unparenthesized(item.expression)
    finished = nodes.Item(item.column, column(item.column.name))
    if any(
        value for key, value in call.args.items() if key not in ("this", "big_int", "expressions")
    ):
        return None
    own = free_columns(call)
    match call:
        case exp.Count():
            star = isinstance(call.this, exp.Star)
            if (
                isinstance(call.this, exp.Distinct)
                or call.expressions
                or not (star or own <= names)
            ):
                return None
        case exp.Sum() | exp.Min() | exp.Max() | exp.LogicalAnd() | exp.LogicalOr():
            if isinstance(call.this, exp.Distinct) or call.expressions:
                return None
            if not isinstance(call, exp.Sum) and not own & names:
                return None, item, finished
            if not own or not own <= names:
                return None
            if isinstance(call, exp.Sum) and item.column.type.family not in ("integer", "decimal"):
                return None
        case _:
            return None
    part = nodes.Column(f"{item.column.name} by fragment", item.column.type, item.column.label)
    lower = nodes.Item(part, call)
    if not isinstance(call, exp.Count):
        return lower, nodes.Item(item.column, type(call)(this=column(part.name))), finished
    total = nodes.Column(f"{item.column.name} in all", _HUGEINT)
    upper = nodes.Item(total, exp.Sum(this=column(part.name)))
    value = exp.Coalesce(this=column(total.name), expressions=[exp.Literal.number(0)])
    counted = exp.Cast(this=value, to=exp.DataType.build("BIGINT"))
    return lower, upper, nodes.Item(item.column, counted)
