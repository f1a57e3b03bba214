"""Cut a plan into fragments: what each source runs, and what is left for the engine.

From the top down, a part of the plan whose tables lie in one source becomes a fragment when the
capability table of that source offers every node and expression of it, and when the source is
estimated to be done sooner than fetching its inputs would be. Joins over several sources are
regions: :mod:`dovetail.optimize.regions` chooses which of their tables travel together. What is
left are single tables with the filters and limits their source computes. Why something was not
pushed is kept for EXPLAIN.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from sqlglot import exp

from dovetail.connectors.capabilities import Capabilities
from dovetail.connectors.capabilities.translate import Untranslatable
from dovetail.optimize.context import Context
from dovetail.optimize.cost import Cost
from dovetail.optimize.dynamic_filters import DynamicFilter, dynamic_filters
from dovetail.optimize.federated import FederatedPlan
from dovetail.optimize.late_fetch import late_fetch
from dovetail.optimize.partial_aggregates import partial_aggregates
from dovetail.optimize.presort import presorted
from dovetail.optimize.pushable import check, is_table, only_source, split_filter
from dovetail.optimize.regions import Partition, region_of
from dovetail.optimize.rules.prune_columns import prune_columns
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    PlanSubquery,
    free_columns,
    has_subquery,
    map_expressions,
    node_expressions,
    transform_plan,
)
from dovetail.plan.shapes import filtered, fragments_in, narrowed

# A source that is by so little slower than fetching its inputs is given the work: fewer bytes.
_NEAR = 1.1


@dataclass
class _Cutter:
    context: Context
    cost: Cost
    notes: list[str] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)

    def table(self, source: str) -> Capabilities | None:
        """The capability table to push by, or None where nothing is translated."""
        table = self.context.capabilities.get(source)
        if not self.context.push or table is None or table.engine_reads:
            return None
        return None if self.context.pushdown.get(source) == "never" else table

    def always(self, source: str) -> bool:
        """Whether the source does whatever it can, whatever that costs."""
        return self.context.pushdown.get(source) == "always"

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    # -- whole parts ----------------------------------------------------------------------------

    def cut(self, plan: nodes.Plan, delivered: Collection[str] = ()) -> nodes.Plan:
        """Fragments for ``plan``; ``delivered`` are columns that reach the user as they are."""
        source = self._runs_whole(plan, delivered)
        if source is None:
            return self._cut_below(plan, delivered)
        whole = nodes.Fragment(source, plan)
        if self.always(source):
            return whole
        notes, decisions = list(self.notes), list(self.decisions)
        pieces = self._cut_below(plan, delivered)
        pushed, fetched = self.cost.plan(whole), self.cost.plan(pieces)
        if pushed <= fetched * _NEAR:
            self.notes, self.decisions = notes, decisions  # of pieces that there will not be
            return whole
        decision = (
            f"{source}: {_title(plan)} stays here: computed there {pushed * 1e3:.0f} ms "
            f"({self.cost.cardinality.rows(plan):,.0f} rows), its inputs fetched "
            f"{fetched * 1e3:.0f} ms, by estimate"
        )
        if decision not in self.decisions:
            self.decisions.append(decision)
        return pieces

    def _runs_whole(self, plan: nodes.Plan, delivered: Collection[str]) -> str | None:
        """The source that can run all of ``plan``, if that may be better than its pieces."""
        if isinstance(plan, nodes.Sort) or is_table(plan):  # a bare sort moves no fewer rows
            return None
        source = only_source(plan)
        table = self.table(source) if source is not None else None
        if source is None or table is None:
            return None
        try:
            check(plan, table, delivered)
        except Untranslatable as reason:
            self.note(f"{source}: {reason}")
            return None
        return source

    # -- piece by piece -------------------------------------------------------------------------

    def _cut_below(self, plan: nodes.Plan, delivered: Collection[str]) -> nodes.Plan:
        """``plan`` itself for the engine, fragments below it."""
        region = region_of(plan) if self.context.push else None
        if region is not None:
            group = "group_joins" not in self.context.disabled
            partition = Partition(
                region,
                self.cost,
                self.table,
                self.note,
                self.cut,
                self._cut_in_expression,
                group,
                self.always,
            )
            return narrowed(partition.plan(), plan.columns)
        if isinstance(plan, nodes.Filter):
            return self._filter(plan)
        plan = map_expressions(plan, self._cut_in_expression)
        match plan:
            case nodes.Scan():
                return nodes.Fragment(plan.source, plan)
            case nodes.Limit():
                return self._limit(plan, delivered)
            case _:
                passed = _passed(plan, delivered)
                return plan.with_inputs([self.cut(child, passed) for child in plan.inputs])

    def _limit(self, plan: nodes.Limit, delivered: Collection[str]) -> nodes.Plan:
        child = self.cut(plan.input, delivered)
        if (
            isinstance(child, nodes.Fragment)
            and plan.count is not None
            and (table := self.table(child.source)) is not None
            and "Limit" in table.nodes
        ):
            inner = child.plan
            if not isinstance(inner, nodes.Limit):
                inner = nodes.Limit(inner, plan.count + plan.offset)
            child = nodes.Fragment(child.source, inner)
        return plan.with_inputs([child])

    def _cut_in_expression(self, expression: exp.Expression) -> exp.Expression:
        if not has_subquery(expression):
            return expression

        def visit(node: exp.Expression) -> exp.Expression:
            return (
                PlanSubquery(plan=self.cut(node.plan)) if isinstance(node, PlanSubquery) else node
            )

        return expression.copy().transform(visit, copy=False)

    def _filter(self, plan: nodes.Filter) -> nodes.Plan:
        child = self.cut(plan.input)
        table = self.table(child.source) if isinstance(child, nodes.Fragment) else None
        if table is None or not isinstance(child, nodes.Fragment):
            return nodes.Filter(child, self._cut_in_expression(plan.predicate), plan.loose)
        over = nodes.Filter(child.plan, plan.predicate)
        exact, loose, above = split_filter(over, child.source, table, self.note)
        inner = filtered(filtered(child.plan, exact), loose, loose=True)
        made = nodes.Fragment(child.source, inner) if inner is not child.plan else child
        return filtered(made, [self._cut_in_expression(part) for part in above])


def federate(plan: nodes.Plan, context: Context) -> FederatedPlan:
    """Cut the fragments, number them, and find the keys they can learn from each other."""
    cost = Cost(context.cardinality, context.capabilities, context.measured)
    cutter = _Cutter(context, cost)
    cut = cutter.cut(plan, [c.name for c in plan.columns])
    if context.push:
        if "partial_aggregates" not in context.disabled:
            cut = partial_aggregates(cut, context, cost)
        if "prune_columns" not in context.disabled:
            cut = prune_columns(cut, context)
        if "presort" not in context.disabled:
            cut = transform_plan(cut, lambda node: _presorted(node, context))
    fragments: list[nodes.Fragment] = []

    def number(node: nodes.Plan) -> nodes.Plan:
        if isinstance(node, nodes.Fragment):
            numbered = replace(node, number=len(fragments) + 1)
            fragments.append(numbered)
            return numbered
        return node

    cut = transform_plan(cut, number)
    filters: tuple[DynamicFilter, ...] = ()
    rows = tuple(cost.cardinality.rows(f.plan) for f in fragments)
    plain = cut
    filters_wanted = context.push and "dynamic_filters" not in context.disabled
    if filters_wanted:
        cut, filters, rows = dynamic_filters(cut, fragments, rows, context, cost)
        fragments = sorted(fragments_in(cut), key=lambda fragment: fragment.number)
    federated = FederatedPlan(
        cut, tuple(fragments), tuple(cutter.notes), filters, rows, tuple(cutter.decisions)
    )
    if filters_wanted and not context.disabled & {"late_fetch", "prune_columns"}:
        return late_fetch(federated, plain, context, cost)
    return federated


def _presorted(plan: nodes.Plan, context: Context) -> nodes.Plan:
    if not isinstance(plan, nodes.Fragment):
        return plan
    table = context.capabilities[plan.source]
    return replace(plan, plan=presorted(plan.plan, table, context.cardinality))


def _passed(plan: nodes.Plan, delivered: Collection[str]) -> set[str]:
    """The columns of ``plan``'s input that do nothing but reach the user."""
    match plan:
        case nodes.Project():
            used: set[str] = set()
            passed: set[str] = set()
            for item in plan.items:
                if item.is_rename and item.column.name in delivered:
                    passed.add(item.expression.name)
                else:
                    used |= free_columns(item.expression)
            return passed - used
        case nodes.Sort():
            used = {n for e in node_expressions(plan) for n in free_columns(e)}
            return set(delivered) - used
        case _:
            return set()


def _title(plan: nodes.Plan) -> str:
    """What a plan does, in a word or two, for people."""
    names = {
        "Aggregate": "grouping",
        "Join": "a join",
        "Distinct": "DISTINCT",
        "SetOperation": "a set operation",
        "Limit": "LIMIT",
        "Sort": "sorting",
    }
    for node in plan.walk():
        if type(node).__name__ in names:
            tables = [n.label for n in plan.walk() if isinstance(n, nodes.Scan)]
            return f"{names[type(node).__name__]} over {', '.join(tables)}"
    return "a subquery"
