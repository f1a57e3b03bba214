"""A fragment as the request its connector gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from sqlglot import exp

from dovetail.connectors.base import FragmentRequest, OutputColumn, TableScan
from dovetail.connectors.capabilities import Capabilities, Keys
from dovetail.errors import InternalError
from dovetail.optimize.pushable import target_of
from dovetail.plan import nodes
from dovetail.plan.expressions import KeyFilter
from dovetail.plan.sql import SqlBuilder


def request_of(fragment: nodes.Fragment, table: Capabilities, tag: str) -> FragmentRequest:
    """The connector's view of a fragment: SQL tree, output columns, and whether it is a scan."""
    query = SqlBuilder(_scan_leaf, target_of(table, fragment.plan)).query(fragment.plan)
    columns = tuple(OutputColumn(c.name, c.type, c.native_type, c.label) for c in fragment.columns)
    scan, filtered = _table_scan(fragment.plan)
    return FragmentRequest(
        query,
        columns,
        scan if not filtered else None,
        scan if filtered else None,
        tag,
    )


def shown(request: FragmentRequest) -> FragmentRequest:
    """The request with its dynamic filters as EXPLAIN shows them, before any key is known."""

    def keys(node: KeyFilter) -> exp.Expression:
        return exp.In(this=node.this, expressions=[exp.Var(this=f"keys {node.number}")])

    return _replaced(request, keys)


def bound(
    request: FragmentRequest, table: Capabilities, keys: Mapping[int, Keys | None]
) -> FragmentRequest:
    """The request with the keys that its dynamic filters have learnt; None takes one as true."""

    def predicate(node: KeyFilter) -> exp.Expression:
        known = keys.get(node.number)
        distinct = node.args.get("distinct")
        if known is not None and known.values is not None and distinct:
            known = replace(known, share=min(1.0, len(known.values) / distinct))
        made = table.keys(node.this, str(node.args["operand"]), known) if known else None
        if made is None:
            return exp.Boolean(this=True)
        return exp.Paren(this=made) if isinstance(made, exp.And) else made

    return _replaced(request, predicate)


def _replaced(
    request: FragmentRequest, replacement: Callable[[KeyFilter], exp.Expression]
) -> FragmentRequest:
    def visit(node: exp.Expression) -> exp.Expression:
        return replacement(node) if isinstance(node, KeyFilter) else node

    query = request.query.transform(visit)
    assert isinstance(query, exp.Query)
    return replace(request, query=query)


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
