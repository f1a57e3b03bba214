"""Free a correlated subquery of its outer references, so that a join can take its place.

The predicates that have them are pulled up through everything in between, and hold where the
subquery meets the outer rows. Pulled through a grouping, a DISTINCT, a window or a LIMIT, which
then work on the rows of all outer rows at once, an equality makes its inner column one more key:
``... where o.c = c.id order by o.day limit 1`` takes the first row per ``o.c``.

(T. Neumann, A. Kemper, "Unnesting Arbitrary Queries", BTW 2015. Where a predicate is no equality
theirs joins the subquery with the distinct outer values instead; the engine does that with what is
not decoupled here, and nothing of it could be pushed.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from dovetail.plan import nodes
from dovetail.plan.expressions import (
    column,
    conjunction,
    conjuncts,
    free_columns,
    has_subquery,
    is_volatile,
    plan_free_columns,
    substitute,
    unparenthesized,
)
from dovetail.plan.shapes import Parts, alike, filtered, names_in, narrowed
from dovetail.types import Type


@dataclass(frozen=True)
class Decoupled:
    """``plan`` without outer references; ``parts`` are the predicates that had them.

    The parts refer to columns of ``plan``, which may be more than the subquery's, and of ``outer``.
    """

    plan: nodes.Plan
    parts: Parts
    outer: nodes.Plan


@dataclass(frozen=True)
class Correlation:
    """An equality ``part`` of the column ``inner`` with the column ``outer``.

    ``null_safe`` is IS NOT DISTINCT FROM, by which NULLs meet.
    """

    inner: str
    outer: str
    null_safe: bool


def decouple(plan: nodes.Plan, outer: nodes.Plan) -> Decoupled | None:
    """``plan`` without its references to columns of ``outer``; None where that cannot be done."""
    found = _decouple(plan, outer)
    if found is None or plan_free_columns(found.plan):
        return None
    return found


def decouple_aggregate(
    plan: nodes.Aggregate, outer: nodes.Plan
) -> tuple[Decoupled, dict[str, exp.Expression]] | None:
    """An aggregate without keys as groups, and what stands for its counts beside an outer row.

    It has a row for every outer row, also where the groups have none: its aggregates are NULL then,
    or 0, which is what the expressions say by name of a count. None for other aggregates.
    """
    if plan.keys or plan.grouping_sets is not None or not all(map(_is_known, plan.aggregates)):
        return None
    found = _by_columns(plan.input, outer)
    if found is None:
        return None
    below, names = found
    grouped, keys = _grouped_also_by(replace(plan, input=below.plan), names)
    if plan_free_columns(grouped):
        return None
    counts: dict[str, exp.Expression] = {
        item.column.name: exp.Coalesce(
            this=column(item.column.name), expressions=[exp.Literal.number(0)]
        )
        for item in plan.aggregates
        if isinstance(unparenthesized(item.expression), exp.Count)
    }
    return Decoupled(grouped, [substitute(part, keys) for part in below.parts], outer), counts


_NULL_OVER_NOTHING = (exp.Sum, exp.Avg, exp.Min, exp.Max)


def _is_known(item: nodes.Item) -> bool:
    """Whether the aggregate over no rows is NULL or a count."""
    return isinstance(unparenthesized(item.expression), (*_NULL_OVER_NOTHING, exp.Count))


def correlations(of: Decoupled) -> list[Correlation] | None:
    """The parts as equalities of columns that compare alike; None when one is something else.

    Two columns that do not compare alike are not enough: of ``bigint = double`` many different
    integers meet one number.
    """
    found = [_correlation(part, of.plan, of.outer) for part in of.parts]
    return None if None in found else [c for c in found if c is not None]


def _correlation(part: exp.Expression, inner: nodes.Plan, outer: nodes.Plan) -> Correlation | None:
    bare = unparenthesized(part)
    if not isinstance(bare, exp.EQ | exp.NullSafeEQ):
        return None
    for mine, other in ((bare.this, bare.expression), (bare.expression, bare.this)):
        if (
            isinstance(mine, exp.Column)
            and isinstance(other, exp.Column)
            and mine.name in inner.names
            and other.name in outer.names
            and alike(inner.column(mine.name), outer.column(other.name))
        ):
            return Correlation(mine.name, other.name, isinstance(bare, exp.NullSafeEQ))
    return None


def _decouple(plan: nodes.Plan, outer: nodes.Plan) -> Decoupled | None:
    if not plan_free_columns(plan):
        return Decoupled(plan, [], outer)
    match plan:
        case nodes.Filter():
            below = _decouple(plan.input, outer)
            split = _split(plan.predicate, plan.input.names, outer)
            if below is None or split is None:
                return None
            own, moved = split
            return Decoupled(filtered(below.plan, own), [*below.parts, *moved], outer)
        case nodes.Join():
            return _join(plan, outer)
        case nodes.Project() if not any(is_volatile(i.expression) for i in plan.items):
            return _project(plan, outer)
        case nodes.Sort():  # only a Limit above relies on it, and looks for it itself
            return _decouple(plan.input, outer)
        case nodes.Aggregate() if plan.keys and plan.grouping_sets is None:
            return _aggregate(plan, outer)
        case nodes.Distinct():
            return _distinct(plan, outer)
        case nodes.Window():
            return _window(plan, outer)
        case nodes.Limit():
            return _limit(plan, outer)
        case nodes.SetOperation():
            return _set_operation(plan, outer)
        case _:
            return None


def _split(
    predicate: exp.Expression | None, names: frozenset[str], outer: nodes.Plan
) -> tuple[Parts, Parts] | None:
    """The parts over ``names`` alone, and those with outer references; None if some has others."""
    own: Parts = []
    moved: Parts = []
    for part in conjuncts(predicate):
        free = free_columns(part) - names
        if not free:
            own.append(part)
        elif free <= outer.names and not has_subquery(part) and not is_volatile(part):
            moved.append(part)
        else:
            return None
    return own, moved


def _join(plan: nodes.Join, outer: nodes.Plan) -> Decoupled | None:
    """Pull out of both sides of an inner join; else out of the left one, whose rows go on."""
    left = _decouple(plan.left, outer)
    inner = plan.kind in ("inner", "cross")
    if not inner and (plan.kind not in ("left", "semi", "anti") or plan_free_columns(plan.right)):
        return None
    right = _decouple(plan.right, outer)
    split = _split(plan.condition, plan.left.names | plan.right.names, outer)
    if left is None or right is None or split is None:
        return None
    own, moved = split
    if not inner:
        if moved:
            return None
        return Decoupled(plan.with_inputs([left.plan, plan.right]), left.parts, outer)
    condition = conjunction(own)
    kind: nodes.JoinKind = "cross" if condition is None else "inner"
    joined = nodes.Join(kind, left.plan, right.plan, condition)
    return Decoupled(joined, [*left.parts, *right.parts, *moved], outer)


def _project(plan: nodes.Project, outer: nodes.Plan) -> Decoupled | None:
    below = _decouple(plan.input, outer)
    if below is None:
        return None
    # The pulled predicates look at columns below the projection: they pass through under names
    # of their own, which are unique in the plan.
    used = {n for part in below.parts for n in free_columns(part)} & below.plan.names
    names = {item.column.name for item in plan.items}
    more = tuple(
        nodes.Item(c, column(c.name)) for c in below.plan.columns if c.name in used - names
    )
    return replace(below, plan=nodes.Project(below.plan, (*plan.items, *more)))


def _by_columns(plan: nodes.Plan, outer: nodes.Plan) -> tuple[Decoupled, list[str]] | None:
    """``plan`` decoupled by equalities alone, and their inner columns, each once."""
    below = _decouple(plan, outer)
    found = None if below is None else correlations(below)
    if below is None or found is None:
        return None
    return below, list(dict.fromkeys(c.inner for c in found))


def _aggregate(plan: nodes.Aggregate, outer: nodes.Plan) -> Decoupled | None:
    found = _by_columns(plan.input, outer)
    if found is None:
        return None
    below, names = found
    grouped, keys = _grouped_also_by(replace(plan, input=below.plan), names)
    return Decoupled(grouped, [substitute(part, keys) for part in below.parts], outer)


def _grouped_also_by(
    plan: nodes.Aggregate, names: Sequence[str]
) -> tuple[nodes.Aggregate, dict[str, exp.Expression]]:
    """``plan`` with these columns of its input among its keys, and each as the key it is then."""
    keys = {i.expression.name: i.column.name for i in plan.keys if i.is_rename}
    more: list[nodes.Item] = []
    for name in names:
        if name not in keys:
            key = replace(plan.input.column(name), name=f"{name} by group")
            more.append(nodes.Item(key, column(name)))
            keys[name] = key.name
    grouped = replace(plan, keys=(*plan.keys, *more))
    return grouped, {name: column(keys[name]) for name in names}


def _distinct(plan: nodes.Distinct, outer: nodes.Plan) -> Decoupled | None:
    found = _by_columns(plan.input, outer)
    if found is None:
        return None
    below, names = found
    on = (*plan.on, *map(column, names)) if plan.on else ()
    return replace(below, plan=replace(plan, input=below.plan, on=on))


def _window(plan: nodes.Window, outer: nodes.Plan) -> Decoupled | None:
    found = _by_columns(plan.input, outer)
    if found is None:
        return None
    below, names = found
    items: list[nodes.Item] = []
    for item in plan.items:
        window = item.expression.copy()
        if not isinstance(window, exp.Window):
            return None
        own = window.args.get("partition_by") or []
        window.set("partition_by", [*own, *map(column, names)])
        items.append(replace(item, expression=window))
    return replace(below, plan=nodes.Window(below.plan, tuple(items)))


def _limit(plan: nodes.Limit, outer: nodes.Plan) -> Decoupled | None:
    """The rows of each group by their number in it."""
    rows, order = plan.input, None
    if isinstance(rows, nodes.Sort):
        keys = [
            exp.Ordered(this=key.expression, desc=key.descending, nulls_first=key.nulls_first)
            for key in rows.keys
        ]
        rows, order = rows.input, exp.Order(expressions=keys)
    found = _by_columns(rows, outer)
    if found is None:
        return None
    below, names = found
    call = exp.Window(
        this=exp.RowNumber(),
        partition_by=[column(name) for name in names],
        order=order,
        over="OVER",
    )
    name = _unused(f"number of {plan.columns[0].name}", plan)
    number = nodes.Column(name, Type("BIGINT"), nullable=False)
    wanted: Parts = []
    if plan.count is not None:
        last = exp.Literal.number(plan.offset + plan.count)
        wanted.append(exp.LTE(this=column(name), expression=last))
    if plan.offset:
        wanted.append(exp.GT(this=column(name), expression=exp.Literal.number(plan.offset)))
    numbered = nodes.Window(below.plan, (nodes.Item(number, call.copy()),))
    return replace(below, plan=narrowed(filtered(numbered, wanted), below.plan.columns))


def _set_operation(plan: nodes.SetOperation, outer: nodes.Plan) -> Decoupled | None:
    """Both sides with one more column per outer column, by which both are correlated."""
    sides: list[nodes.Plan] = []
    by: list[dict[tuple[str, bool], nodes.Column]] = []
    for side in plan.inputs:
        found = _decouple(side, outer)
        pairs = None if found is None else correlations(found)
        if found is None or pairs is None:
            return None
        columns = {(c.outer, c.null_safe): found.plan.column(c.inner) for c in pairs}
        if len(columns) != len(pairs):
            return None
        by.append(columns)
        sides.append(found.plan)
    left, right = by
    if left.keys() != right.keys() or any(left[k].type != right[k].type for k in left):
        return None
    outputs = [
        replace(c, name=f"{c.name} of both", native_type=None, collation=None, nullable=True)
        for c in left.values()
    ]
    made = [
        nodes.Project(
            side,
            (
                *(nodes.Item(c, column(c.name)) for c in wanted.columns),
                *(
                    nodes.Item(
                        replace(more[key], name=f"{more[key].name} by set"), column(more[key].name)
                    )
                    for key in left
                ),
            ),
        )
        for side, wanted, more in zip(sides, plan.inputs, by, strict=True)
    ]
    both = replace(plan, left=made[0], right=made[1], outputs=(*plan.outputs, *outputs))
    parts: Parts = []
    for (name, null_safe), output in zip(left, outputs, strict=True):
        same = exp.NullSafeEQ if null_safe else exp.EQ
        parts.append(same(this=column(output.name), expression=column(name)))
    return Decoupled(both, parts, outer)


def _unused(name: str, plan: nodes.Plan) -> str:
    """``name``, or what is made of it when the plan has it already."""
    taken = names_in(plan)
    while name in taken:
        name += " again"
    return name
