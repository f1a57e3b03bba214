"""A fragment as the request its connector gets."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from dovetail.connectors.base import FragmentRequest, OutputColumn, TableScan
from dovetail.connectors.capabilities import Capabilities
from dovetail.errors import InternalError
from dovetail.optimize.federate import translator
from dovetail.plan import nodes
from dovetail.plan.sql import SqlBuilder


def request_of(fragment: nodes.Fragment, table: Capabilities, tag: str) -> FragmentRequest:
    """The connector's view of a fragment: SQL tree, output columns, and whether it is a scan."""
    translate, sort_key = translator(table, fragment.plan)
    query = SqlBuilder(_scan_leaf, translate, sort_key).query(fragment.plan)
    columns = tuple(OutputColumn(c.name, c.type, c.native_type, c.label) for c in fragment.columns)
    scan, filtered = _table_scan(fragment.plan)
    return FragmentRequest(
        query,
        columns,
        scan if not filtered else None,
        scan if filtered else None,
        tag,
    )


def _scan_leaf(plan: nodes.Plan) -> tuple[exp.Expression, Mapping[str, str]]:
    if not isinstance(plan, nodes.Scan):
        raise InternalError(f"{type(plan).__name__} inside a fragment")
    table = exp.Table(
        this=exp.Identifier(this=plan.table.source_name, quoted=True),
        db=exp.Identifier(this=plan.table.source_schema, quoted=True)
        if plan.table.source_schema
        else None,
    )
    return table, {read.column.name: read.source_name for read in plan.read}


def _table_scan(plan: nodes.Plan) -> tuple[TableScan | None, bool]:
    """The table behind projections of bare columns and filters, and whether there are filters."""
    names = {c.name: c.name for c in plan.columns}
    filtered = False
    while True:
        match plan:
            case nodes.Project() if all(item.is_rename for item in plan.items):
                inner = {item.column.name: item.expression.name for item in plan.items}
                names = {output: inner[name] for output, name in names.items()}
                plan = plan.input
            case nodes.Filter():
                filtered = True
                plan = plan.input
            case nodes.Scan():
                source = {read.column.name: read.source_name for read in plan.read}
                pairs = tuple((source[name], output) for output, name in names.items())
                return TableScan(plan.table, pairs), filtered
            case _:
                return None, filtered
