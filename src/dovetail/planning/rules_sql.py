"""A compiled goal as one SQL statement that people can read, and ``dovetail query`` can run."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from dovetail.catalog.model import TableInfo
from dovetail.language.rules.compiler import Compiled
from dovetail.plan import nodes
from dovetail.plan.expressions import function_name, transform_plan
from dovetail.plan.sql import SqlBuilder
from dovetail.planning.parameters import require_dialect
from dovetail.quoting import quote, sql_string


def goal_sql(compiled: Compiled, dialect: str = "duckdb") -> str:
    """One statement with a WITH definition per predicate.

    Raises:
        UsageError: there is no such dialect.
    """
    require_dialect(dialect)

    def leaf(plan: nodes.Plan) -> tuple[exp.Expression, Mapping[str, str]]:
        assert isinstance(plan, nodes.Scan)
        return _table(plan.table), {r.column.name: r.source_name for r in plan.read}

    query = SqlBuilder(leaf).query(compiled.plan, compiled.names)
    return query.sql(dialect=dialect, pretty=True)


_HOLISTIC = frozenset(
    ["list", "array_agg", "mode", "quantile_cont", "string_agg", "listagg", "group_concat"]
)


def count_work(plan: nodes.Plan) -> tuple[dict[str, int], int, list[str]]:
    """Scans per table, groupings, and the aggregates that keep the values of a group."""
    scans: dict[str, int] = {}
    groupings = 0
    holistic: dict[str, None] = {}

    def visit(node: nodes.Plan) -> nodes.Plan:
        nonlocal groupings
        if isinstance(node, nodes.Fragment):
            transform_plan(node.plan, visit)
        elif isinstance(node, nodes.Scan):
            scans[node.table.name] = scans.get(node.table.name, 0) + 1
        elif isinstance(node, nodes.Aggregate):
            groupings += 1
            for item in node.aggregates:
                for call in item.expression.walk():
                    name = function_name(call)
                    distinct = isinstance(call, exp.Distinct)
                    if name in _HOLISTIC or distinct:
                        holistic["distinct" if distinct else str(name)] = None
        return node

    transform_plan(plan, visit)
    return scans, groupings, list(holistic)


def _table(table: TableInfo) -> exp.Expression:
    files = getattr(table, "files", None)
    if files is None:
        parts = [part for part in (table.source, table.schema, table.name) if part]
        names = [exp.Identifier(this=part, quoted=True) for part in parts]
        if len(names) == 3:
            return exp.Table(this=names[2], db=names[1], catalog=names[0])
        return exp.Table(this=names[-1], db=names[0] if len(names) == 2 else None)
    if table.name == "stdin":
        return exp.Table(this=exp.Identifier(this="stdin"))
    if not files.options:
        return exp.Table(this=exp.Literal.string(files.shown))
    reader = "read_csv" if files.format in ("csv", "tsv") else "read_json"
    options = ", ".join(f"{name} = {_value(value)}" for name, value in files.options.items())
    call = f"{reader}({sql_string(files.shown)}, {options})"
    return exp.Table(this=exp.Var(this=call))


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{quote(str(k))}: {_value(v)}" for k, v in value.items())
        return f"{{{inside}}}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return sql_string(str(value))
