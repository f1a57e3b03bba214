"""Cut a plan into fragments: what each source runs, and what is left for the engine.

A query (or its lower part) on one source alone goes down whole when the source's capability table
offers every node and expression of it; otherwise each table scan becomes a fragment with the
filters and limits its source computes exactly. Why something was not pushed is kept for EXPLAIN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from dovetail.connectors.capabilities import Capabilities
from dovetail.connectors.capabilities.translate import (
    Untranslatable,
    operand_class,
    read_as_null,
    translate,
    translate_filter,
)
from dovetail.optimize.context import Context
from dovetail.optimize.rules.prune_columns import prune_columns
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    PlanSubquery,
    conjunction,
    conjuncts,
    free_columns,
    has_subquery,
    map_expressions,
    node_expressions,
    transform_plan,
)

_Translate = Callable[[exp.Expression, Mapping[str, nodes.Column]], exp.Expression]


@dataclass(frozen=True)
class FederatedPlan:
    """``plan`` has :class:`~dovetail.plan.nodes.Fragment` leaves, numbered in ``fragments``.

    ``notes`` say what was not pushed and why.
    """

    plan: nodes.Plan
    fragments: tuple[nodes.Fragment, ...]
    notes: tuple[str, ...] = ()


@dataclass
class _Cutter:
    context: Context
    notes: list[str] = field(default_factory=list)

    def table(self, source: str) -> Capabilities | None:
        """The capability table to push by, or None where nothing is translated."""
        table = self.context.capabilities.get(source)
        if not self.context.push or table is None or table.engine_reads:
            return None
        return table

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    # -- whole queries --------------------------------------------------------------------------

    def whole(self, plan: nodes.Plan) -> nodes.Plan:
        """Push the largest lower part of a one-source plan; or cut it scan by scan."""
        source = _only_source(plan)
        table = self.table(source) if source is not None else None
        if source is None or table is None or not _worth_pushing(plan):
            return self.cut(plan)
        if not isinstance(plan, nodes.Sort):  # a bare sort moves no fewer rows
            try:
                check(plan, table)
            except Untranslatable as reason:
                self.note(f"{source}: {reason}")
            else:
                return nodes.Fragment(source, plan)
        if isinstance(plan, nodes.With) or len(plan.inputs) != 1:
            return self.cut(plan)
        if any(has_subquery(e) for e in node_expressions(plan)):
            return self.cut(plan)
        return plan.with_inputs([self.whole(plan.inputs[0])])

    # -- scan by scan ---------------------------------------------------------------------------

    def cut(self, plan: nodes.Plan) -> nodes.Plan:
        """Fragments for the scans of ``plan`` with what their sources can do on top."""
        plan = map_expressions(plan, self._cut_in_expression)
        match plan:
            case nodes.Scan():
                return nodes.Fragment(plan.source, plan)
            case nodes.Filter():
                return self._filter(plan)
            case nodes.Limit():
                child = self.cut(plan.input)
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
            case _:
                return plan.with_inputs([self.cut(child) for child in plan.inputs])

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
            return plan.with_inputs([child])
        columns = {c.name: c for c in child.columns}
        pushed: list[exp.Expression] = []
        kept: list[exp.Expression] = []
        for part in conjuncts(plan.predicate):
            if has_subquery(part) or not free_columns(part) <= columns.keys():
                kept.append(part)
                continue
            try:
                value = translate_filter(part, table, columns)
            except Untranslatable as reason:
                self.note(f"{child.source}: {reason}")
                kept.append(part)
                continue
            pushed.append(part)
            if not value.exact:
                self.note(f"{child.source}: a looser form of {part.sql(dialect='duckdb')} is sent")
                kept.append(part)
        predicate, remaining = conjunction(pushed), conjunction(kept)
        result: nodes.Plan = child
        if predicate is not None:
            result = nodes.Fragment(child.source, nodes.Filter(child.plan, predicate))
        return result if remaining is None else nodes.Filter(result, remaining)


def federate(plan: nodes.Plan, context: Context) -> FederatedPlan:
    """Cut the fragments and number them."""
    cutter = _Cutter(context)
    cut = cutter.whole(plan) if context.push else cutter.cut(plan)
    if context.push and "prune_columns" not in context.disabled:
        cut = prune_columns(cut, context)
    fragments: list[nodes.Fragment] = []

    def number(node: nodes.Plan) -> nodes.Plan:
        if isinstance(node, nodes.Fragment):
            numbered = replace(node, number=len(fragments) + 1)
            fragments.append(numbered)
            return numbered
        return node

    numbered = transform_plan(cut, number)
    return FederatedPlan(numbered, tuple(fragments), tuple(cutter.notes))


def _only_source(plan: nodes.Plan) -> str | None:
    """The one source of all scans, nested subqueries included; None when there is not just one."""
    sources: set[str] = set()

    def visit(node: nodes.Plan) -> nodes.Plan:
        if isinstance(node, nodes.Scan):
            sources.add(node.source)
        return node

    transform_plan(plan, visit)
    return sources.pop() if len(sources) == 1 else None


def _worth_pushing(plan: nodes.Plan) -> bool:
    """Whether there is more than a scan with filters: that is cut the same way part by part."""
    while isinstance(plan, nodes.Project | nodes.Filter | nodes.Sort):
        if any(has_subquery(e) for e in node_expressions(plan)):
            return True
        plan = plan.inputs[0]
    return not isinstance(plan, nodes.Scan)


def check(plan: nodes.Plan, table: Capabilities) -> None:
    """Whether a source can run ``plan`` as it is.

    Raises:
        Untranslatable: some node or expression is not offered; says which.
    """
    columns: dict[str, nodes.Column] = {}
    rounded: set[str] = set()  # DOUBLEs computed at the source: may be delivered, not used

    def enter(node: nodes.Plan) -> nodes.Plan:
        columns.update({c.name: c for c in node.columns})
        return node

    transform_plan(plan, enter)

    def visit(node: nodes.Plan) -> None:
        for child in node.inputs:
            visit(child)
        if isinstance(node, nodes.Values) or type(node).__name__ not in table.nodes:
            raise Untranslatable(f"{type(node).__name__} is not offered by {table.kind}")
        match node:
            case nodes.Join():
                if node.kind not in table.joins:
                    raise Untranslatable(f"a {node.kind} join is not offered by {table.kind}")
            case nodes.Aggregate():
                if node.grouping_sets is not None and "grouping_sets" not in table.nodes:
                    raise Untranslatable(f"grouping sets are not offered by {table.kind}")
                for item in node.keys:
                    groupable(item.column)
            case nodes.Distinct():
                if node.on:
                    raise Untranslatable("DISTINCT ON is not offered")
                for column in node.columns:
                    groupable(column)
            case nodes.SetOperation():
                if not (node.kind == "union" and node.all):
                    for column in (*node.columns, *node.left.columns, *node.right.columns):
                        groupable(column)
            case nodes.With():
                if node.step is not None:
                    raise Untranslatable("a recursive WITH is not offered")
            case nodes.Sort():
                for key in node.keys:
                    sortable(key.expression)
        for expression in node_expressions(node):
            inspect(node, expression)

    def inspect(node: nodes.Plan, expression: exp.Expression) -> None:
        if isinstance(expression, exp.Column):
            if expression.name in rounded and isinstance(node, nodes.Project):
                rounded.update(i.column.name for i in node.items if i.expression is expression)
            elif expression.name in rounded and not isinstance(node, nodes.Project):
                raise Untranslatable("a DOUBLE computed at the source decides about rows")
            return
        if free_columns(expression) & rounded:
            raise Untranslatable("a DOUBLE computed at the source is used further")
        value = translate(expression, table, columns, lambda inner: visit(inner))
        if value.operand == "null":
            raise Untranslatable("a bare NULL is not offered")
        for item in getattr(node, "items", ()) or getattr(node, "aggregates", ()):
            if item.expression is expression and not value.comparable:
                rounded.add(item.column.name)

    def groupable(column: nodes.Column) -> None:
        operand = operand_class(column.type, column.native_type)
        exact = operand not in ("text", "char") or table.text_is_exact(column.collation)
        exact = exact and not read_as_null(table, column)
        if operand is None or operand == "double" or not exact or column.name in rounded:
            raise Untranslatable(
                f"{table.kind} may group {column.native_type or column.type} otherwise"
            )

    def sortable(expression: exp.Expression) -> None:
        if isinstance(expression, exp.Column):
            column = columns[expression.name]
            operand = operand_class(column.type, column.native_type)
            unknown = operand is None or operand == "char" or read_as_null(table, column)
            if unknown or column.name in rounded:
                raise Untranslatable(f"{table.kind} may order {column.type} otherwise")
            if operand == "text" and table.order_text is None:
                raise Untranslatable(f"{table.kind} may order text otherwise")
            return
        raise Untranslatable("a sort key that is no column")

    visit(plan)


def translator(table: Capabilities, fragment: nodes.Plan) -> tuple[_Translate, _Translate]:
    """The two functions the SQL builder needs for a source: expressions and sort keys."""
    inner: dict[str, nodes.Column] = {}

    def enter(node: nodes.Plan) -> nodes.Plan:
        inner.update({c.name: c for c in node.columns})
        return node

    transform_plan(fragment, enter)

    def expression(node: exp.Expression, columns: Mapping[str, nodes.Column]) -> exp.Expression:
        if isinstance(node, exp.Column):
            return node
        known = {**inner, **columns}
        try:
            return translate(node, table, known, lambda plan: None).expression
        except Untranslatable:
            return translate_filter(node, table, known, lambda plan: None).expression

    def sort_key(node: exp.Expression, columns: Mapping[str, nodes.Column]) -> exp.Expression:
        column = {**inner, **columns}.get(node.name) if isinstance(node, exp.Column) else None
        is_text = column is not None and column.type.family == "text"
        if is_text and table.order_text is not None:
            return table.order_text(node)
        return expression(node, columns)

    return expression, sort_key
