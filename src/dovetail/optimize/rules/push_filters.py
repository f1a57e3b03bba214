"""Move each part of a filter as far down as its columns allow.

Safe because a part only crosses an operator that treats the rows it drops alike: through a
projection (with the expressions put in), to one side of an inner join, to the preserved side of an
outer join, below a grouping when it only reads keys. A part that reads the NULL-supplying side of
an outer join stays: ``select * from a left join b on a.x = b.x where b.y is null`` must see the
NULLs that the join makes. Volatile parts never move.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from dovetail.optimize.context import Context
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    conjunction,
    conjuncts,
    free_columns,
    has_subquery,
    is_volatile,
    substitute,
    transform_plan,
)
from dovetail.plan.shapes import Parts, filtered


def push_filters(plan: nodes.Plan, context: Context) -> nodes.Plan:
    """Apply the rule everywhere in ``plan``, nested subqueries included."""

    def visit(node: nodes.Plan) -> nodes.Plan:
        # Children are done already; only a node that holds predicates starts a push.
        if isinstance(node, nodes.Filter) and not node.loose:
            return _push(node.input, conjuncts(node.predicate))
        if isinstance(node, nodes.Join) and node.condition is not None:
            return _push(node, [])
        return node

    result = transform_plan(plan, visit)
    return plan if result == plan else result


def _push(plan: nodes.Plan, parts: Parts) -> nodes.Plan:
    """``plan`` filtered by ``parts``, with every part as low as it can be."""
    moving = [p for p in parts if not is_volatile(p)]
    staying = [p for p in parts if is_volatile(p)]
    match plan:
        case nodes.Filter() if plan.loose:
            return _filter(plan.with_inputs([_push(plan.input, moving)]), staying)
        case nodes.Filter():
            return _filter(_push(plan.input, [*conjuncts(plan.predicate), *moving]), staying)
        case nodes.Project():
            mapping = {i.column.name: i.expression for i in plan.items}
            below = [p for p in moving if not _reads_volatile(p, mapping)]
            stay = [p for p in moving if _reads_volatile(p, mapping)]
            child = _push(plan.input, [substitute(p, mapping) for p in below])
            return _filter(plan.with_inputs([child]), [*stay, *staying])
        case nodes.Join():
            return _filter(_push_join(plan, moving), staying)
        case nodes.Aggregate() if plan.keys and plan.grouping_sets is None:
            keys = {i.column.name: i.expression for i in plan.keys}
            below = [p for p in moving if free_columns(p) & plan.names <= keys.keys()]
            below = [p for p in below if free_columns(p) & plan.names]
            stay = [p for p in moving if p not in below]
            child = _push(plan.input, [substitute(p, keys) for p in below])
            return _filter(plan.with_inputs([child]), [*stay, *staying])
        case nodes.Window():
            common = partition_columns(plan)
            below = [p for p in moving if free_columns(p) & plan.names <= common]
            below = [p for p in below if free_columns(p) & plan.names]
            stay = [p for p in moving if p not in below]
            child = _push(plan.input, below)
            return _filter(plan.with_inputs([child]), [*stay, *staying])
        case nodes.Unnest():
            made = plan.item.column.name
            below = [p for p in moving if made not in free_columns(p)]
            stay = [p for p in moving if made in free_columns(p)]
            child = _push(plan.input, below)
            return _filter(plan.with_inputs([child]), [*stay, *staying])
        case nodes.Sort():
            return _filter(plan.with_inputs([_push(plan.input, moving)]), staying)
        case nodes.Distinct() if not plan.on:
            return _filter(plan.with_inputs([_push(plan.input, moving)]), staying)
        case nodes.SetOperation():
            sides = []
            for side in (plan.left, plan.right):
                mapping = {
                    out.name: exp.Column(this=exp.Identifier(this=c.name, quoted=True))
                    for out, c in zip(plan.outputs, side.columns, strict=True)
                }
                sides.append(_push(side, [substitute(p, mapping) for p in moving]))
            return _filter(plan.with_inputs(sides), staying)
        case nodes.With():
            inputs = [*plan.inputs[:-1], _push(plan.body, moving)]
            return _filter(plan.with_inputs(inputs), staying)
        case _:
            return _filter(plan, parts)


def _push_join(plan: nodes.Join, parts: Parts) -> nodes.Plan:
    left_names, right_names = plan.left.names, plan.right.names
    on = [p for p in conjuncts(plan.condition) if not is_volatile(p)]
    fixed = [p for p in conjuncts(plan.condition) if is_volatile(p)]
    left: Parts = []
    right: Parts = []
    above: Parts = []
    keep: Parts = []

    def sides(part: exp.Expression) -> tuple[bool, bool]:
        names = free_columns(part)
        return bool(names & left_names), bool(names & right_names)

    for part in parts:
        in_left, in_right = sides(part)
        if plan.kind in ("inner", "cross"):
            if in_left and not in_right:
                left.append(part)
            elif in_right and not in_left:
                right.append(part)
            elif in_left and in_right and not has_subquery(part):
                keep.append(part)
            else:
                above.append(part)
        elif (plan.kind in ("left", "semi", "anti") and in_left and not in_right) or (
            plan.kind == "right" and in_right and not in_left
        ):
            (left if plan.kind != "right" else right).append(part)
        else:
            above.append(part)
    for part in on:
        in_left, in_right = sides(part)
        if plan.kind in ("inner", "semi") and in_left and not in_right:
            left.append(part)
        elif plan.kind in ("inner", "semi", "left", "anti") and in_right and not in_left:
            right.append(part)
        elif plan.kind == "right" and in_left and not in_right:
            left.append(part)
        else:
            keep.append(part)
    condition = conjunction([*keep, *fixed])
    kind: nodes.JoinKind = plan.kind
    if kind == "cross" and condition is not None:
        kind = "inner"
    elif kind == "inner" and condition is None:
        kind = "cross"
    joined = nodes.Join(kind, _push_if(plan.left, left), _push_if(plan.right, right), condition)
    return _filter(plan if joined == plan else joined, above)


def _push_if(plan: nodes.Plan, parts: Parts) -> nodes.Plan:
    return _push(plan, parts) if parts else plan


def _filter(plan: nodes.Plan, parts: Sequence[exp.Expression]) -> nodes.Plan:
    distinct: Parts = []
    for part in parts:
        if part not in distinct:
            distinct.append(part)
    return filtered(plan, distinct)


def _reads_volatile(part: exp.Expression, mapping: dict[str, exp.Expression]) -> bool:
    return any(is_volatile(mapping[n]) for n in free_columns(part) & mapping.keys())


def partition_columns(plan: nodes.Window) -> set[str]:
    """Columns by which every window partitions: a filter on them drops whole partitions."""
    common: set[str] | None = None
    for item in plan.items:
        window = item.expression
        keys = window.args.get("partition_by") or []
        names = {k.name for k in keys if isinstance(k, exp.Column)}
        common = names if common is None else common & names
    return common or set()
