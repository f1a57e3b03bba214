"""Two groupings of the same rows by the same keys, joined on those keys, become one.

``select a.c, n, m from (select c, count(*) n from t group by c) a join (select c, max(x) m from t
group by c) b on a.c = b.c`` reads and groups ``t`` once. Safe because each side has one row per
key, and the join's equality is kept as NOT NULL: the group of the NULL key never matched. A looser
rule that merged sides with different filters would count other rows:
``… from t where x > 1 group by c`` is not the same goal.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from dovetail.optimize.context import Context
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    column,
    conjunction,
    conjuncts,
    has_subquery,
    is_volatile,
    substitute,
    transform_plan,
)

_Renames = dict[str, str]


def merge_aggregates(plan: nodes.Plan, context: Context) -> nodes.Plan:
    """Apply the rule everywhere in ``plan``."""

    def visit(node: nodes.Plan) -> nodes.Plan:
        if isinstance(node, nodes.Join) and node.kind == "inner":
            return _merged(node) or node
        return node

    return transform_plan(plan, visit)


@dataclass(frozen=True)
class _Side:
    """A grouping under filters and projections: ``outputs`` over the grouping's columns."""

    grouping: nodes.Aggregate
    outputs: tuple[nodes.Item, ...]
    filters: tuple[exp.Expression, ...]


def _side(plan: nodes.Plan) -> _Side | None:
    match plan:
        case nodes.Aggregate() if plan.keys and plan.grouping_sets is None:
            items = tuple(nodes.Item(c, column(c.name)) for c in plan.columns)
            return _Side(plan, items, ())
        case nodes.Filter():
            below = _side(plan.input)
            if below is None or has_subquery(plan.predicate) or is_volatile(plan.predicate):
                return None
            mapping = {i.column.name: i.expression for i in below.outputs}
            own = tuple(substitute(p, mapping) for p in conjuncts(plan.predicate))
            return _Side(below.grouping, below.outputs, (*below.filters, *own))
        case nodes.Project():
            below = _side(plan.input)
            if below is None or not all(item.is_rename for item in plan.items):
                return None
            mapping = {i.column.name: i.expression for i in below.outputs}
            items = tuple(
                nodes.Item(i.column, substitute(i.expression, mapping)) for i in plan.items
            )
            return _Side(below.grouping, items, below.filters)
        case _:
            return None


def _merged(join: nodes.Join) -> nodes.Plan | None:
    left, right = _side(join.left), _side(join.right)
    if left is None or right is None:
        return None
    renames = _same_rows(left.grouping.input, right.grouping.input)
    if renames is None:
        return None
    over = {old: column(new) for old, new in renames.items()}
    keys = {i.column.name: i for i in left.grouping.keys}
    # Each key of the right grouping with the key of the left that it is equal to.
    partner: dict[str, str] = {}
    for item in right.grouping.keys:
        wanted = substitute(item.expression, over)
        found = [name for name, key in keys.items() if key.expression == wanted]
        if not found:
            return None
        partner[item.column.name] = found[0]
    outputs = {i.column.name: i.expression for i in (*left.outputs, *right.outputs)}
    equal: set[tuple[str, str]] = set()
    rest: list[exp.Expression] = []
    for part in conjuncts(join.condition):
        if has_subquery(part) or is_volatile(part):
            return None
        seen = substitute(part, outputs)
        pair = _equality(seen, keys.keys(), partner.keys())
        if pair is not None and partner[pair[1]] == pair[0]:
            equal.add(pair)
        else:
            rest.append(seen)
    if len(set(partner.values())) != len(keys) or equal != {(b, a) for a, b in partner.items()}:
        return None
    added = tuple(
        nodes.Item(i.column, substitute(i.expression, over)) for i in right.grouping.aggregates
    )
    grouping = nodes.Aggregate(
        left.grouping.input, left.grouping.keys, (*left.grouping.aggregates, *added)
    )
    to_left = {old: column(new) for old, new in partner.items()}
    tests: list[exp.Expression] = [
        exp.Not(this=exp.Is(this=column(k), expression=exp.Null())) for k in keys
    ]
    tests += [substitute(p, to_left) for p in (*left.filters, *right.filters, *rest)]
    predicate = conjunction(dict.fromkeys(tests))
    assert predicate is not None
    items = tuple(
        nodes.Item(i.column, substitute(i.expression, to_left))
        for i in (*left.outputs, *right.outputs)
    )
    return nodes.Project(nodes.Filter(grouping, predicate), items)


def _equality(part: exp.Expression, left: object, right: object) -> tuple[str, str] | None:
    if not isinstance(part, exp.EQ):
        return None
    sides = (part.this, part.expression)
    if not all(isinstance(s, exp.Column) for s in sides):
        return None
    for a, b in (sides, sides[::-1]):
        if a.name in left and b.name in right:  # type: ignore[operator]
            return a.name, b.name
    return None


def _same_rows(left: nodes.Plan, right: nodes.Plan) -> _Renames | None:
    """How the columns of ``right`` are called in ``left``, if both are the same rows."""
    if type(left) is not type(right):
        return None
    match left, right:
        case nodes.Scan(), nodes.Scan():
            if left.source != right.source or left.table != right.table:
                return None
            names = {r.source_name: r.column.name for r in left.read}
            if not all(r.source_name in names for r in right.read):
                return None
            return {r.column.name: names[r.source_name] for r in right.read}
        case nodes.WithScan(), nodes.WithScan():
            if left.name != right.name or left.recurring != right.recurring:
                return None
            pairs = zip(right.outputs, left.outputs, strict=True)
            return {new.name: old.name for new, old in pairs}
        case nodes.Filter(), nodes.Filter():
            below = _same_rows(left.input, right.input)
            if below is None or not _plain(left.predicate):
                return None
            same = _renamed(right.predicate, below) == left.predicate
            return below if same else None
        case nodes.Project(), nodes.Project():
            below = _same_rows(left.input, right.input)
            return None if below is None else _items(left.items, right.items, below)
        case nodes.Unnest(), nodes.Unnest():
            below = _same_rows(left.input, right.input)
            if below is None:
                return None
            own = _items((left.item,), (right.item,), below)
            return None if own is None else {**below, **own}
        case nodes.Join(), nodes.Join():
            return _same_join(left, right)
    return None


def _same_join(left: nodes.Join, right: nodes.Join) -> _Renames | None:
    if left.kind != right.kind or (left.condition is None) != (right.condition is None):
        return None
    first = _same_rows(left.left, right.left)
    second = _same_rows(left.right, right.right)
    if first is None or second is None:
        return None
    both = {**first, **second}
    if left.condition is None or right.condition is None:
        return both
    same = _renamed(right.condition, both) == left.condition
    return both if same and _plain(left.condition) else None


def _items(
    left: tuple[nodes.Item, ...], right: tuple[nodes.Item, ...], below: _Renames
) -> _Renames | None:
    result: _Renames = {}
    for item in right:
        if not _plain(item.expression):
            return None
        wanted = _renamed(item.expression, below)
        found = [i.column.name for i in left if i.expression == wanted]
        if not found:
            return None
        result[item.column.name] = found[0]
    return result


def _renamed(expression: exp.Expression, names: _Renames) -> exp.Expression:
    return substitute(expression, {old: column(new) for old, new in names.items()})


def _plain(expression: exp.Expression) -> bool:
    """Whether equal text means equal value in both places."""
    return not has_subquery(expression) and not is_volatile(expression)
