"""Read and compute only the columns that are used above.

Safe because a column nobody reads cannot change an answer; what decides *which* rows there are
(grouping keys, DISTINCT, set operations other than UNION ALL, join and filter conditions) counts
as used. A looser rule that dropped an unread column under DISTINCT would merge rows:
``select count(*) from (select distinct a, b from t)`` needs ``b``.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

from dovetail.optimize.context import Context
from dovetail.optimize.rules.remove_joins import adds_nothing
from dovetail.optimize.uniqueness import enforcing
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    PlanSubquery,
    free_columns,
    has_subquery,
    map_expressions,
    node_expressions,
)
from dovetail.plan.shapes import narrowed


def prune_columns(plan: nodes.Plan, context: Context) -> nodes.Plan:
    """Apply the rule from the top; the plan's own columns are all used."""
    result = _Pruning(context).prune(plan, {c.name for c in plan.columns})
    return plan if result == plan else result


def _used(expressions: Iterable[exp.Expression]) -> set[str]:
    names: set[str] = set()
    for expression in expressions:
        names |= free_columns(expression)
    return names


class _Pruning:
    def __init__(self, context: Context) -> None:
        removing = "remove_joins" not in context.disabled
        self._enforcing = enforcing(context.capabilities) if removing else frozenset[str]()

    def prune(self, plan: nodes.Plan, needed: set[str]) -> nodes.Plan:
        pruned = self._node(plan, needed)
        return map_expressions(pruned, self._nested)

    def _nested(self, expression: exp.Expression) -> exp.Expression:
        """Prune the plans of subqueries inside an expression."""
        if not has_subquery(expression):
            return expression

        def visit(node: exp.Expression) -> exp.Expression:
            if isinstance(node, PlanSubquery):
                exists = isinstance(node.parent, exp.Exists)
                names = set() if exists else {c.name for c in node.plan.columns}
                return PlanSubquery(plan=self.prune(node.plan, names))
            return node

        return expression.copy().transform(visit, copy=False)

    def _node(self, plan: nodes.Plan, needed: set[str]) -> nodes.Plan:
        match plan:
            case nodes.Scan():
                kept = tuple(r for r in plan.read if r.column.name in needed)
                if len(kept) == len(plan.read):
                    return plan
                kept = kept or (min(plan.read, key=_width),)
                return nodes.Scan(plan.source, plan.label, plan.table, kept)
            case nodes.Filter():
                child = self.prune(plan.input, needed | free_columns(plan.predicate))
                return plan.with_inputs([child])
            case nodes.Project():
                items = tuple(i for i in plan.items if i.column.name in needed) or plan.items[:1]
                child = self.prune(plan.input, _used(i.expression for i in items))
                if len(items) == len(plan.items):
                    return plan.with_inputs([child])
                return nodes.Project(child, items)
            case nodes.Window():
                items = tuple(i for i in plan.items if i.column.name in needed)
                child = self.prune(plan.input, needed | _used(i.expression for i in items))
                if not items:
                    return child
                if len(items) == len(plan.items):
                    return plan.with_inputs([child])
                return nodes.Window(child, items)
            case nodes.Unnest():
                used = needed | free_columns(plan.item.expression)
                return plan.with_inputs([self.prune(plan.input, used)])
            case nodes.Aggregate():
                aggregates = tuple(i for i in plan.aggregates if i.column.name in needed)
                if not plan.keys and not aggregates:
                    aggregates = plan.aggregates[:1]
                child = self.prune(
                    plan.input, _used(i.expression for i in (*plan.keys, *aggregates))
                )
                if len(aggregates) == len(plan.aggregates):
                    return plan.with_inputs([child])
                return nodes.Aggregate(child, plan.keys, aggregates, plan.grouping_sets)
            case nodes.Join() if adds_nothing(plan, needed, self._enforcing):
                return self._node(plan.left, needed)
            case nodes.Join():
                wanted = needed | _used(node_expressions(plan))
                return plan.with_inputs(
                    [self.prune(plan.left, wanted), self.prune(plan.right, wanted)]
                )
            case nodes.Sort():
                return plan.with_inputs(
                    [self.prune(plan.input, needed | _used(node_expressions(plan)))]
                )
            case nodes.Limit():
                return plan.with_inputs([self.prune(plan.input, needed)])
            case nodes.Distinct():
                return plan.with_inputs(
                    [self.prune(plan.input, {c.name for c in plan.input.columns})]
                )
            case nodes.SetOperation():
                return self._set_operation(plan, needed)
            case nodes.With():
                inputs = [
                    self.prune(child, {c.name for c in child.columns}) for child in plan.inputs[:-1]
                ]
                # those who read it do so by position
                inputs = [narrowed(c, o.columns) for c, o in zip(inputs, plan.inputs, strict=False)]
                return plan.with_inputs([*inputs, self.prune(plan.body, needed)])
            case nodes.Fragment():
                return self._fragment(plan, needed)
            case _:
                return plan

    def _set_operation(self, plan: nodes.SetOperation, needed: set[str]) -> nodes.Plan:
        if plan.kind == "union" and plan.all:
            places = [i for i, c in enumerate(plan.outputs) if c.name in needed] or [0]
        else:
            places = list(range(len(plan.outputs)))
        sides = []
        for side in (plan.left, plan.right):
            columns = [side.columns[i] for i in places]
            sides.append(narrowed(self.prune(side, {c.name for c in columns}), columns))
        if len(places) == len(plan.outputs):
            return plan.with_inputs(sides)
        outputs = tuple(plan.outputs[i] for i in places)
        return nodes.SetOperation(plan.kind, plan.all, sides[0], sides[1], outputs)

    def _fragment(self, plan: nodes.Fragment, needed: set[str]) -> nodes.Plan:
        kept = [c for c in plan.columns if c.name in needed] or list(plan.columns[:1])
        inner = narrowed(self.prune(plan.plan, {c.name for c in kept}), kept)
        if inner is plan.plan:
            return plan
        return nodes.Fragment(plan.source, inner, plan.number)


_WIDTHS = {"boolean": 1, "date": 4, "integer": 8, "float": 8, "decimal": 16, "timestamp": 8}


def _width(read: nodes.ScanColumn) -> int:
    return _WIDTHS.get(read.column.type.family, 100)
