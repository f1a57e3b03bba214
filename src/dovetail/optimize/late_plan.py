"""The plan that fetches columns late: keys in their place, the rows that are left, a second read.

Safe because the columns are joined back by a whole key that holds no NULL: every row that is left
meets one row of the table, however often a join has repeated it. A row that an outer join has
extended by NULLs has no key and meets none, which is why it is a left join. The rows that are left
are worked out once: ``order by x limit 10`` may choose other rows when it is asked again. The order
of a limited result does not survive the second join, so it is made anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from dovetail.catalog.model import ColumnInfo
from dovetail.optimize.context import Context
from dovetail.optimize.dynamic_filters import DynamicFilter
from dovetail.optimize.federated import FederatedPlan
from dovetail.optimize.late_columns import LateColumns, key_read, order_left, step_down
from dovetail.optimize.rules.prune_columns import prune_columns
from dovetail.plan import nodes
from dovetail.plan.expressions import column, conjunction, transform_plan
from dovetail.plan.shapes import filtered, fragments_in, narrowed, replaced

# So many keys are sent whatever is estimated.
_FEW = 1000


@dataclass(frozen=True)
class SentKey:
    """A column of a key, by its ``place`` there, whose keys are sent if they are not more than
    ``most``: a ``share`` of its ``distinct`` values.
    """

    place: int
    distinct: float
    share: float
    most: int


@dataclass(frozen=True)
class Fetch:
    """Columns that are fetched ``late`` for ``left`` rows, by estimate, and the ``keys`` sent."""

    late: LateColumns
    left: float
    keys: tuple[SentKey, ...]


class Names:
    """Names that no column of a plan has, whatever their case."""

    def __init__(self, plan: nodes.Plan) -> None:
        self._taken: set[str] = set()
        self._take(plan)

    def _take(self, plan: nodes.Plan) -> None:
        def visit(node: nodes.Plan) -> nodes.Plan:
            self._taken.update(c.name.lower() for c in node.columns)
            if isinstance(node, nodes.Fragment):
                self._take(node.plan)
            return node

        transform_plan(plan, visit)

    def fresh(self, wanted: str) -> str:
        """A name made of the ``wanted`` one, taken from now on."""
        name, number = f"{wanted}_late", 1
        while name.lower() in self._taken:
            number += 1
            name = f"{wanted}_late_{number}"
        self._taken.add(name.lower())
        return name


@dataclass(frozen=True)
class LateScan:
    """A second ``scan`` of a table: what its ``key`` is called there, and its late ``columns``, by
    their names in the plan.
    """

    scan: nodes.Scan
    key: list[str]
    columns: dict[str, str]


def late_scan(late: LateColumns, names: Names) -> LateScan:
    """The key and the late columns under names of their own."""
    known = {read.source_name: read.column for read in late.scan.read}
    key = [names.fresh(info.name) for info in late.key]
    columns = {c.name: names.fresh(c.name) for c in late.columns}
    read = [key_read(late.scan, *pair) for pair in zip(late.key, key, strict=True)]
    for c in late.columns:
        made = replace(known[c.written], name=columns[c.name])
        read.append(nodes.ScanColumn(made, c.written))
    return LateScan(replace(late.scan, read=tuple(read)), key, columns)


def carrying(
    plan: nodes.Plan, name: str, key: Sequence[ColumnInfo], names: Names
) -> tuple[nodes.Plan, list[str]]:
    """``plan`` that also delivers the key of the table that its column ``name`` comes from, and
    what the key's columns are called.
    """
    match plan:
        case nodes.Scan():
            known = {read.source_name: read.column.name for read in plan.read}
            new = [info for info in key if info.source_name not in known]
            more = [key_read(plan, info, names.fresh(info.name)) for info in new]
            known |= {read.source_name: read.column.name for read in more}
            found = [known[info.source_name] for info in key]
            return replace(plan, read=(*plan.read, *more)), found
        case nodes.Fragment():
            inner, found = carrying(plan.plan, name, key, names)
            return replace(plan, plan=inner), found
    below = step_down(plan, name)
    assert below is not None
    child, found = carrying(*below, key, names)
    if not isinstance(plan, nodes.Project):
        return plan.with_inputs([child if c is below[0] else c for c in plan.inputs]), found
    renamed = {i.expression.name: i.column.name for i in reversed(plan.items) if i.is_rename}
    items = (nodes.Item(child.column(at), column(at)) for at in found if at not in renamed)
    return nodes.Project(child, (*plan.items, *items)), [renamed.get(at, at) for at in found]


def fetched_late(
    federated: FederatedPlan, node: nodes.Plan, fetches: Sequence[Fetch], context: Context
) -> FederatedPlan | None:
    """The plan with ``fetches`` above its ``node``; None where that leaves a fragment no use."""
    names = Names(federated.plan)
    inner = node
    keys: list[list[str]] = []
    for fetch in fetches:
        inner, key = carrying(inner, fetch.late.columns[0].name, fetch.late.key, names)
        keys.append(key)
    late = {c.name for fetch in fetches for c in fetch.late.columns}
    narrow = narrowed(inner, [c for c in inner.columns if c.name not in late])
    first = len(federated.fragments) + 1
    kept = nodes.Kept(prune_columns(narrow, context), first + len(fetches))
    joined: nodes.Plan = kept
    columns: dict[str, str] = {}
    filters = list(federated.filters)
    for number, (fetch, key) in enumerate(zip(fetches, keys, strict=True), first):
        again = late_scan(fetch.late, names)
        columns |= again.columns
        sent = [
            DynamicFilter(
                len(filters) + extra,
                number,
                again.key[sent.place],
                kept.number,
                kept,
                key[sent.place],
                max(sent.most, _FEW),
                sent.share,
                sent.distinct,
            )
            for extra, sent in enumerate(fetch.keys, 1)
        ]
        filters += sent
        found = filtered(again.scan, [one.predicate for one in sent])
        read = nodes.Fragment(fetch.late.scan.source, found, number)
        pairs = zip(key, again.key, strict=True)
        on = conjunction(exp.EQ(this=column(a), expression=column(b)) for a, b in pairs)
        joined = nodes.Join("left", joined, read, on)
    items = (nodes.Item(c, column(columns.get(c.name, c.name))) for c in node.columns)
    above: nodes.Plan = nodes.Project(joined, tuple(items))
    order = order_left(node)
    if order:
        above = nodes.Sort(above, order)
    plan = replaced(federated.plan, node, above)
    rows = (*federated.rows, *(fetch.left for fetch in fetches))
    fragments = sorted(fragments_in(plan), key=lambda fragment: fragment.number)
    if len(fragments) != len(rows):  # without the columns a join had no use
        return None
    return replace(
        federated, plan=plan, fragments=tuple(fragments), filters=tuple(filters), rows=rows
    )
