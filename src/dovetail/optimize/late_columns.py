"""What may be fetched late: columns that only reach the result, of a table with a key.

Looked for from the top of a plan down to the first node that leaves fewer rows. A column may come
late there when nothing below compares, groups, orders or computes with it outside its fragment,
when it comes unchanged from a table through nodes that keep rows apart, and when the table has a
key that the source enforces, that holds no NULL, and that the source finds rows by, and no others.
A looser rule that took any unique index would lose values: one over a column that may be NULL lets
many rows have it, and none of them is found again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dovetail.catalog.model import ColumnInfo, TableInfo
from dovetail.connectors.capabilities import Capabilities
from dovetail.connectors.capabilities.translate import (
    Untranslatable,
    operand_class,
    translate_filter,
)
from dovetail.optimize.context import Context
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    KeyFilter,
    column,
    free_columns,
    has_subquery,
    is_volatile,
    node_expressions,
    substitute,
)
from dovetail.plan.shapes import narrowed, passed


@dataclass(frozen=True)
class LateColumn:
    """A column by its names: in the plan, ``at`` its fragment, and ``written`` at the source."""

    name: str
    at: str
    written: str


@dataclass(frozen=True)
class LateColumns:
    """Columns that may come late from one scan in a fragment, and the key of its table."""

    fragment: nodes.Fragment
    scan: nodes.Scan
    columns: tuple[LateColumn, ...]
    key: tuple[ColumnInfo, ...]


# -- up to where -----------------------------------------------------------------------------------


def computed_last(plan: nodes.Plan) -> nodes.Plan:
    """``plan`` with what is computed of each row only computed of those that a LIMIT leaves.

    What a computed column needs may then come late, too.
    """
    match plan:
        case nodes.Limit(input=nodes.Sort(input=nodes.Project() as below) as sort) if not all(
            item.is_rename for item in below.items
        ) and not any(is_volatile(i.expression) or has_subquery(i.expression) for i in below.items):
            made = {item.column.name: item.expression for item in below.items}
            keys = [replace(k, expression=substitute(k.expression, made)) for k in sort.keys]
            expressions = (*made.values(), *(key.expression for key in keys))
            used = {name for expression in expressions for name in free_columns(expression)}
            rows = narrowed(below.input, [c for c in below.input.columns if c.name in used])
            limited = replace(plan, input=nodes.Sort(rows, tuple(keys)))
            return nodes.Project(computed_last(limited), below.items)
    if len(plan.inputs) != 1:
        return plan
    return plan.with_inputs([computed_last(plan.inputs[0])])


def chain(plan: nodes.Plan) -> Iterator[nodes.Plan]:
    """The nodes from the top down to the first with two inputs or none."""
    yield plan
    while len(plan.inputs) == 1:
        plan = plan.inputs[0]
        yield plan


def order_left(plan: nodes.Plan) -> tuple[nodes.SortKey, ...] | None:
    """The order to make anew above ``plan``; None where it leaves all rows, or in a lost order."""
    match plan:
        case nodes.Limit():
            below = plan.input
            while isinstance(below, nodes.Project):
                below = below.input
            if not isinstance(below, nodes.Sort):
                return ()
            expressions = [key.expression for key in below.keys]
            lost = any(is_volatile(e) or has_subquery(e) for e in expressions)
            return None if lost or below is not plan.input else below.keys
        case nodes.Join() | nodes.Filter():
            return ()
    return None


# -- which columns ---------------------------------------------------------------------------------


def late_columns(plan: nodes.Plan, context: Context) -> Iterator[LateColumns]:
    """Per scan, the columns of ``plan`` that may come late."""
    used = _used(plan)
    found: dict[tuple[int, int], tuple[nodes.Fragment, nodes.Scan, list[LateColumn]]] = {}
    for name in (c.name for c in plan.columns):
        origin = _origin(plan, name, used)
        if origin is not None:
            fragment, scan, late = origin
            place = (fragment.number, id(scan))
            found.setdefault(place, (fragment, scan, []))[2].append(late)
    for fragment, scan, columns in found.values():
        key = _key(scan, context)
        written = {info.source_name for info in key}
        wanted = tuple(late for late in columns if late.written not in written)
        if key and wanted:
            yield LateColumns(fragment, scan, wanted, key)


def _used(plan: nodes.Plan) -> set[str]:
    """Columns that something in ``plan`` above the fragments looks at."""
    used: set[str] = set()
    for node in plan.walk():
        computed = node_expressions(node)
        if isinstance(node, nodes.Project):
            computed = (item.expression for item in node.items if not item.is_rename)
        used.update(*map(free_columns, computed))
    return used


def _origin(
    plan: nodes.Plan, wanted: str, used: set[str]
) -> tuple[nodes.Fragment, nodes.Scan, LateColumn] | None:
    """The scan that a column comes from unchanged, and unused outside its fragment."""
    fragment: nodes.Fragment | None = None
    at = name = wanted
    while not isinstance(plan, nodes.Scan):
        if fragment is None and name in used:
            return None
        if isinstance(plan, nodes.Fragment):
            fragment, at, plan = plan, name, plan.plan
            continue
        below = step_down(plan, name)
        if below is None:
            return None
        plan, name = below
    if fragment is None:
        return None
    written = next(read.source_name for read in plan.read if read.column.name == name)
    return fragment, plan, LateColumn(wanted, at, written)


def step_down(plan: nodes.Plan, name: str) -> tuple[nodes.Plan, str] | None:
    """The input that column ``name`` comes from unchanged, and what it is called there.

    Not where rows are merged: a row that stands for several has not one key.
    """
    match plan:
        case nodes.Project():
            below = passed(plan, name)
            return None if below is None else (plan.input, below)
        case (
            nodes.Filter()
            | nodes.Sort()
            | nodes.Limit()
            | nodes.Window()
            | nodes.Unnest()
            | nodes.Join()
        ):
            for child in plan.inputs:
                if name in child.names:
                    return child, name
    return None


# -- by what key -----------------------------------------------------------------------------------


def _key(scan: nodes.Scan, context: Context) -> tuple[ColumnInfo, ...]:
    """The columns of a key by which rows of the table are found again; none where there is none."""
    capabilities = context.capabilities.get(scan.source)
    info: TableInfo = scan.table
    if (
        capabilities is None
        or capabilities.engine_reads
        or context.pushdown.get(scan.source) == "never"
        or info.kind != "table"
        or not capabilities.keeps_state(info)
    ):
        return ()
    for names in info.keys:
        columns = tuple(c for name in names if (c := info.column(name)) is not None)
        if len(columns) == len(names) and all(_is_key(scan, c, capabilities) for c in columns):
            return columns
    return ()


def _is_key(scan: nodes.Scan, info: ColumnInfo, capabilities: Capabilities) -> bool:
    """Whether the source finds the rows with a value of the column, and no others are equal."""
    operand = operand_class(info.type, info.native_type)
    is_text = operand == "text" and capabilities.text_is_exact(info.collation)
    if info.nullable or info.unreadable is not None or not (operand == "integer" or is_text):
        return False
    made = {"key": key_read(scan, info, "key").column}
    try:
        translate_filter(KeyFilter(this=column("key"), number=0), capabilities, made)
    except Untranslatable:
        return False
    return True


def key_read(scan: nodes.Scan, info: ColumnInfo, name: str) -> nodes.ScanColumn:
    """A column of the table's key, read as ``name``."""
    label = f"{scan.table.qualified_name}.{info.name}"
    made = nodes.Column(
        name, info.type, label, info.native_type, info.collation, nullable=info.nullable
    )
    return nodes.ScanColumn(made, info.source_name)
