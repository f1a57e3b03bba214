"""Whether a source can run a plan as it is, and the translation of its expressions.

:func:`check` walks a plan against the capability table of its source; :func:`target_of` gives the
SQL builder what turns DuckDB's meaning into the source's dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from sqlglot import exp

from dovetail.connectors.capabilities import Capabilities
from dovetail.connectors.capabilities.translate import (
    Untranslatable,
    operand_class,
    read_as_null,
    translate,
    translate_filter,
)
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    conjuncts,
    free_columns,
    has_subquery,
    is_volatile,
    node_expressions,
    plan_free_columns,
    subqueries,
    transform_plan,
)
from dovetail.plan.shapes import Parts
from dovetail.plan.sql import OuterColumnError, SqlBuilder, Target


def only_source(plan: nodes.Plan) -> str | None:
    """The one source of all scans, nested subqueries included; None when there is not just one."""
    sources: set[str] = set()
    defined: set[str] = set()
    read: set[str] = set()
    cut = False

    def visit(node: nodes.Plan) -> nodes.Plan:
        nonlocal cut
        match node:
            case nodes.Scan():
                sources.add(node.source)
            case nodes.With():
                defined.add(node.name)
            case nodes.WithScan():
                read.add(node.name)
            case nodes.Fragment():
                cut = True
        return node

    transform_plan(plan, visit)
    if cut or read - defined:  # a WITH from outside is not the source's to read
        return None
    return sources.pop() if len(sources) == 1 else None


def is_table(plan: nodes.Plan) -> bool:
    """Whether the plan is one table with filters and projections of its columns."""
    while isinstance(plan, nodes.Filter | nodes.Project):
        if any(has_subquery(e) for e in node_expressions(plan)):
            return False
        plan = plan.input
    return isinstance(plan, nodes.Scan)


def check(plan: nodes.Plan, table: Capabilities, delivered: Collection[str] | None = None) -> None:
    """Whether a source can run ``plan`` as it is.

    ``delivered`` are the columns that go to the user as they are (None: all): only those may be
    DOUBLEs computed at the source, whose last bits may differ.

    Raises:
        Untranslatable: some node or expression is not offered; says which.
    """
    columns: dict[str, nodes.Column] = {}
    rounded: set[str] = set()  # DOUBLEs computed at the source: may be delivered, not used
    as_bytes: set[str] = set()  # texts that were grouped as bytes: may be delivered, not used

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
                    if grouped_as_bytes(table, item.column):
                        as_bytes.add(item.column.name)
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
            case nodes.Filter() if node.loose:
                for part in conjuncts(node.predicate):
                    unused(part)
                    translate_filter(part, table, columns, lambda inner: visit(inner))
                return
        for expression in node_expressions(node):
            inspect(node, expression)

    def unused(expression: exp.Expression) -> None:
        if free_columns(expression) & as_bytes:
            raise Untranslatable("text that is grouped at the source is used further")

    def inspect(node: nodes.Plan, expression: exp.Expression) -> None:
        if isinstance(expression, exp.Column):
            if expression.name not in columns:
                raise Untranslatable(f"column {expression.name} is of a query outside")
            if expression.name in as_bytes and isinstance(node, nodes.Project):
                as_bytes.update(i.column.name for i in node.items if i.expression is expression)
            elif expression.name in as_bytes and not isinstance(node, nodes.Aggregate):
                unused(expression)
            if expression.name in rounded and isinstance(node, nodes.Project):
                rounded.update(i.column.name for i in node.items if i.expression is expression)
            elif expression.name in rounded and not isinstance(node, nodes.Project):
                raise Untranslatable("a DOUBLE computed at the source decides about rows")
            if isinstance(node, nodes.Filter | nodes.Join):  # a column that is a predicate itself
                translate_filter(expression, table, columns)
            return
        unused(expression)
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
        exact = exact or grouped_as_bytes(table, column)
        exact = exact and not (read_as_null(table, column) and table.date_is_real is None)
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
    if table.closed_derived_tables and any(
        plan_free_columns(subquery.plan)
        for node in plan.walk()
        for expression in node_expressions(node)
        for subquery in subqueries(expression)
    ):
        _closed(plan, table)
    if delivered is not None and (rounded & plan.names) - set(delivered):
        raise Untranslatable("a DOUBLE computed at the source is used further")


def _closed(plan: nodes.Plan, table: Capabilities) -> None:
    """Raises Untranslatable when the SQL of ``plan`` has a derived table that is not closed."""

    def leaf(node: nodes.Plan) -> tuple[exp.Expression, Mapping[str, str]]:
        return exp.to_table("t"), {name: name for name in node.names}

    try:
        SqlBuilder(leaf, closed=True).query(plan)
    except OuterColumnError:
        raise Untranslatable(
            f"a derived table that looks at the outer query is not offered by {table.kind}"
        ) from None


def split_filter(
    leaf: nodes.Filter, source: str, table: Capabilities, note: Callable[[str], None]
) -> tuple[Parts, Parts, Parts]:
    """The predicates of ``leaf`` that its source computes, those it computes loosely, and those
    that must stand above: all but the first.
    """
    columns = {c.name: c for c in leaf.input.columns}
    exact: Parts = []
    loose: Parts = []
    above: Parts = []
    for part in conjuncts(leaf.predicate):
        if is_volatile(part) or not free_columns(part) <= columns.keys():
            above.append(part)
            continue
        if has_subquery(part):
            try:
                check(nodes.Filter(leaf.input, part), table, ())
                if only_source(nodes.Filter(leaf.input, part)) != source:
                    raise Untranslatable("a subquery over another source")
                exact.append(part)
            except Untranslatable as reason:
                note(f"{source}: {reason}")
                above.append(part)
            continue
        try:
            value = translate_filter(part, table, columns)
        except Untranslatable as reason:
            note(f"{source}: {reason}")
            above.append(part)
            continue
        if value.exact:
            exact.append(part)
        else:
            note(f"{source}: a looser form of {part.sql(dialect='duckdb')} is sent")
            loose.append(part)
            above.append(part)
    return exact, loose, above


def grouped_as_bytes(table: Capabilities, column: nodes.Column) -> bool:
    """Whether a grouping key has to be turned into bytes, and may be."""
    is_text = operand_class(column.type, column.native_type) in ("text", "char")
    return is_text and table.text_bytes is not None and not table.text_is_exact(column.collation)


def target_of(table: Capabilities, fragment: nodes.Plan) -> Target:
    """How the SQL builder writes the fragment's expressions for its source."""
    inner: dict[str, nodes.Column] = {}
    leading: set[str] = set()  # columns in whose order the rows of a table lie

    def enter(node: nodes.Plan) -> nodes.Plan:
        inner.update({c.name: c for c in node.columns})
        if isinstance(node, nodes.Scan) and node.table.primary_key:
            first = node.table.column(node.table.primary_key[0])
            leading.update(
                r.column.name for r in node.read if first and r.source_name == first.source_name
            )
        return node

    transform_plan(fragment, enter)

    def value(node: exp.Expression, columns: Mapping[str, nodes.Column]) -> exp.Expression:
        if isinstance(node, exp.Column):
            return node
        return translate(node, table, {**inner, **columns}, lambda plan: None).expression

    def predicate(node: exp.Expression, columns: Mapping[str, nodes.Column]) -> exp.Expression:
        known = {**inner, **columns}
        return translate_filter(node, table, known, lambda plan: None).expression

    def group_key(node: exp.Expression, columns: Mapping[str, nodes.Column]) -> exp.Expression:
        known = {**inner, **columns}
        made = translate(node, table, known, lambda plan: None)
        if made.operand.startswith(("text", "char")) and table.text_bytes is not None:
            return table.text_bytes(made.expression)
        is_number = made.operand in ("integer", "decimal") and isinstance(node, exp.Column)
        if table.unordered is not None and is_number and node.name not in leading:
            return table.unordered(made.expression)
        return made.expression

    def sort_key(node: exp.Expression, columns: Mapping[str, nodes.Column]) -> exp.Expression:
        column = {**inner, **columns}.get(node.name) if isinstance(node, exp.Column) else None
        is_text = column is not None and column.type.family == "text"
        if is_text and table.order_text is not None:
            return table.order_text(node)
        return value(node, columns)

    return Target(value, predicate, group_key, sort_key)
