"""Wide columns are fetched late: by key, for the rows that joins, filters and LIMIT leave.

``select b.body from pg.big b join my.small s on b.s = s.id order by b.at limit 10`` needs the body
of ten rows, and which ten is known only here. So the table's key is read instead of the columns
that only reach the result; the rows that are left are kept in a table, in the engine; and the
columns are asked for by the keys in it, as a dynamic filter, from the same snapshot.

Safe because the columns are joined back by a key that the source enforces and that holds no NULL:
every row that is left meets one row of the table, however often a join has repeated it. A row that
an outer join has extended by NULLs has no key and meets none, which is why it is a left join. The
rows that are left are worked out once: ``order by x limit 10`` may choose other rows when it is
asked again. The order of a limited result does not survive the second join, so it is made anew.
A looser rule that took any unique index would lose values: one over a column that may be NULL lets
many rows have it, and none of them is found again.

It takes one more round trip, and its keys cost something, so it is chosen by cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from sqlglot import exp

from dovetail.catalog.model import ColumnInfo, TableInfo
from dovetail.connectors.capabilities import Capabilities
from dovetail.connectors.capabilities.translate import (
    Untranslatable,
    operand_class,
    translate_filter,
)
from dovetail.optimize.context import Context
from dovetail.optimize.cost import Cost
from dovetail.optimize.dynamic_filters import DynamicFilter
from dovetail.optimize.regions import most_keys
from dovetail.optimize.rules.prune_columns import prune_columns
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    KeyFilter,
    column,
    conjunction,
    free_columns,
    has_subquery,
    is_volatile,
    node_expressions,
    substitute,
    transform_plan,
)
from dovetail.plan.shapes import fragments_in, narrowed, passed

# How many times the seconds it must save.
_MARGIN = 2.0
# By how much more rows may be left than is estimated of joins and filters. A LIMIT is certain.
_UNSURE = 20
# Seconds that it costs whatever it fetches: rows kept in a table, a connection that stays.
_STAGE = 0.01
# The keys of a column with so large a part of its values cut down too little to be sent.
_TOO_MANY = 0.5
# So many keys are sent whatever is estimated.
_FEW = 1000


@dataclass(frozen=True)
class LateFetch:
    """A plan that fetches late: ``plan`` with its ``fragments``, their ``rows`` by estimate and all
    ``filters``, those of the late fragments included.
    """

    plan: nodes.Plan
    fragments: tuple[nodes.Fragment, ...]
    rows: tuple[float, ...]
    filters: tuple[DynamicFilter, ...]


@dataclass(frozen=True)
class _Origin:
    """Where a column comes from unchanged.

    ``written`` is what the source calls it, ``at`` the fragment, ``names`` all above that.
    """

    fragment: nodes.Fragment
    scan: nodes.Scan
    written: str
    at: str
    names: frozenset[str]


@dataclass(frozen=True)
class _Group:
    """Columns that may come late from one scan, and the key of its table."""

    fragment: nodes.Fragment
    scan: nodes.Scan
    columns: tuple[tuple[nodes.Column, _Origin], ...]
    key: tuple[ColumnInfo, ...]


@dataclass(frozen=True)
class _Price:
    """Seconds by estimate: to bring the columns for all ``rows``, or late for ``left`` of them."""

    early: float
    late: float
    rows: float
    left: float

    @property
    def saved(self) -> float:
        return self.early - self.late


def late_fetch(
    plain: nodes.Plan,
    plan: nodes.Plan,
    rows: Sequence[float],
    filters: Sequence[DynamicFilter],
    context: Context,
    cost: Cost,
    decided: Callable[[str], None],
) -> LateFetch | None:
    """The plan with columns that are fetched late, or None where that does not pay.

    ``plan`` is ``plain`` with the dynamic ``filters``, which leave ``rows`` of each fragment;
    ``decided`` is told what cost decides.
    """
    plain, plan = _computed_last(plain), _computed_last(plan)
    for depth, node in enumerate(_chain(plain)):
        if not _leaves_fewer(node):
            continue
        groups = list(_groups(node, context))
        if groups:
            return _chosen(groups, depth, plain, plan, rows, filters, context, cost, decided)
    return None


def _chain(plan: nodes.Plan) -> Iterator[nodes.Plan]:
    """The nodes from the top down to the first with two inputs or none."""
    yield plan
    while len(plan.inputs) == 1:
        plan = plan.inputs[0]
        yield plan


def _computed_last(plan: nodes.Plan) -> nodes.Plan:
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
            return nodes.Project(_computed_last(limited), below.items)
    if len(plan.inputs) != 1:
        return plan
    return plan.with_inputs([_computed_last(plan.inputs[0])])


def _leaves_fewer(plan: nodes.Plan) -> bool:
    """Whether it is worth looking what columns are late above ``plan``, and its order is known."""
    match plan:
        case nodes.Limit():
            below = plan.input
            while isinstance(below, nodes.Project):
                below = below.input
            return not isinstance(below, nodes.Sort) or _order(plan) is not None
        case nodes.Join() | nodes.Filter():
            return True
    return False


def _order(plan: nodes.Plan) -> tuple[nodes.SortKey, ...] | None:
    """The order that a limited result has, if it can be made anew."""
    if not isinstance(plan, nodes.Limit) or not isinstance(plan.input, nodes.Sort):
        return None
    keys = plan.input.keys
    if any(is_volatile(k.expression) or has_subquery(k.expression) for k in keys):
        return None
    return keys


# -- what may come late ----------------------------------------------------------------------------


def _groups(node: nodes.Plan, context: Context) -> Iterator[_Group]:
    used = _used(node)
    found: dict[tuple[int, int], list[tuple[nodes.Column, _Origin]]] = {}
    for wanted in node.columns:
        origin = _traced(node, wanted.name)
        if origin is not None and not origin.names & used:
            place = (origin.fragment.number, id(origin.scan))
            found.setdefault(place, []).append((wanted, origin))
    for columns in found.values():
        fragment, scan = columns[0][1].fragment, columns[0][1].scan
        key = _key(scan, fragment.source, context)
        written = {c.source_name for c in key}
        late = tuple((c, o) for c, o in columns if o.written not in written)
        if key and late:
            yield _Group(fragment, scan, late, key)


def _used(plan: nodes.Plan) -> set[str]:
    """Columns that something in ``plan`` above the fragments looks at."""
    used: set[str] = set()
    for node in plan.walk():
        if isinstance(node, nodes.Project):
            computed = [i.expression for i in node.items if not i.is_rename]
            used.update(*map(free_columns, computed))
        else:
            used.update(*map(free_columns, node_expressions(node)))
    return used


def _traced(plan: nodes.Plan, name: str) -> _Origin | None:
    """The scan that column ``name`` comes from, through nodes that keep its rows apart."""
    names = {name}
    while not isinstance(plan, nodes.Fragment):
        below = _below(plan, name)
        if below is None:
            return None
        plan, name = below
        names.add(name)
    fragment, at, plan = plan, name, plan.plan
    while not isinstance(plan, nodes.Scan):
        below = _below(plan, name)
        if below is None:
            return None
        plan, name = below
    written = next(read.source_name for read in plan.read if read.column.name == name)
    return _Origin(fragment, plan, written, at, frozenset(names))


def _below(plan: nodes.Plan, name: str) -> tuple[nodes.Plan, str] | None:
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


def _key(scan: nodes.Scan, source: str, context: Context) -> tuple[ColumnInfo, ...]:
    """The columns of a key by which rows of the table are found again; none where there is none."""
    capabilities = context.capabilities.get(source)
    info: TableInfo = scan.table
    if (
        capabilities is None
        or capabilities.engine_reads
        or context.pushdown.get(source) == "never"
        or info.kind != "table"
        or not capabilities.keeps_state(info)
    ):
        return ()
    for names in info.keys:
        columns = tuple(c for name in names if (c := info.column(name)) is not None)
        if len(columns) == len(names) and all(_is_key(c, capabilities) for c in columns):
            return columns
    return ()


def _is_key(info: ColumnInfo, capabilities: Capabilities) -> bool:
    """Whether the source finds the rows with a value of the column, and no others are equal."""
    made = _column(info, "key", "")
    operand = operand_class(made.type, made.native_type)
    is_text = operand == "text" and capabilities.text_is_exact(made.collation)
    if info.nullable or info.unreadable is not None or not (operand == "integer" or is_text):
        return False
    try:
        translate_filter(KeyFilter(this=column("key"), number=0), capabilities, {"key": made})
    except Untranslatable:
        return False
    return True


def _column(info: ColumnInfo, name: str, label: str) -> nodes.Column:
    return nodes.Column(
        name, info.type, label, info.native_type, info.collation, nullable=info.nullable
    )


# -- the plan --------------------------------------------------------------------------------------


@dataclass
class _Names:
    """Names that no column of the plan has."""

    taken: set[str]

    def fresh(self, wanted: str) -> str:
        name, number = f"{wanted}_late", 1
        while name.lower() in self.taken:
            number += 1
            name = f"{wanted}_late_{number}"
        self.taken.add(name.lower())
        return name


def _names_in(plan: nodes.Plan) -> set[str]:
    names: set[str] = set()

    def visit(node: nodes.Plan) -> nodes.Plan:
        names.update(c.name.lower() for c in node.columns)
        if isinstance(node, nodes.Fragment):
            names.update(_names_in(node.plan))
        return node

    transform_plan(plan, visit)
    return names


def _chosen(
    groups: Sequence[_Group],
    depth: int,
    plain: nodes.Plan,
    plan: nodes.Plan,
    rows: Sequence[float],
    filters: Sequence[DynamicFilter],
    context: Context,
    cost: Cost,
    decided: Callable[[str], None],
) -> LateFetch | None:
    node = list(_chain(plain))[depth]
    left = cost.cardinality.rows(node)
    if not isinstance(node, nodes.Limit):
        left *= _UNSURE
    prices = [
        (group, _price(group, left, rows[group.fragment.number - 1], context, cost))
        for group in groups
    ]
    worth: dict[str, tuple[_Group, _Price]] = {}  # one a source: each takes a connection more
    for group, price in prices:
        source = group.fragment.source
        pays = price.early > _MARGIN * price.late
        better = source not in worth or price.saved > worth[source][1].saved
        if better and (pays or context.pushdown.get(source) == "always"):
            worth[source] = group, price
    for group, price in prices:
        chosen = any(group is other for other, _ in worth.values())
        if chosen or price.early > _STAGE:
            decided(_decision(group, price, chosen))
    if not worth:
        return None
    return _build(list(worth.values()), depth, plan, rows, filters, context, cost)


def _build(
    worth: Sequence[tuple[_Group, _Price]],
    depth: int,
    plan: nodes.Plan,
    rows: Sequence[float],
    filters: Sequence[DynamicFilter],
    context: Context,
    cost: Cost,
) -> LateFetch | None:
    node = list(_chain(plan))[depth]
    names = _Names(_names_in(plan))
    inner = node
    keys: list[dict[str, str]] = []  # per group: what the source calls a key column → its name
    for group, _ in worth:
        inner, found = _carrying(inner, group.columns[0][0].name, group.key, names)
        keys.append(found)
    late = {c.name for group, _ in worth for c, _ in group.columns}
    carried = {name for found in keys for name in found.values()}
    wanted = [c for c in inner.columns if c.name in carried or c.name in node.names - late]
    narrow = prune_columns(narrowed(inner, wanted), context)
    numbered = sorted(fragments_in(plan), key=lambda f: f.number)
    kept = nodes.Kept(narrow, len(numbered) + len(worth) + 1)
    joined: nodes.Plan = kept
    named: dict[str, str] = {}  # a late column → its name in the late fragment
    learnt: list[DynamicFilter] = []
    last = max((f.number for f in filters), default=0)
    expected = list(rows)
    for (group, price), found in zip(worth, keys, strict=True):
        number = len(expected) + 1
        expected.append(price.left)
        scan, key_names = _late_scan(group, names, named)
        pairs = [(found[written], name) for written, name in key_names.items()]
        sent = _sent(scan, [name for _, name in pairs], price.left, cost)
        teaching = {name: key for key, name in pairs}
        made = [
            DynamicFilter(
                last + len(learnt) + place,
                number,
                lesson.name,
                kept.number,
                kept,
                teaching[lesson.name],
                max(most_keys(cost, group.fragment.source, scan, lesson.name), _FEW),
                lesson.share,
                lesson.distinct,
            )
            for place, lesson in enumerate(sent, start=1)
        ]
        learnt += made
        parts = [
            KeyFilter(this=column(f.column), number=f.number, distinct=f.distinct) for f in made
        ]
        predicate = conjunction(parts)
        assert predicate is not None
        fetched = nodes.Fragment(group.fragment.source, nodes.Filter(scan, predicate), number)
        condition = conjunction([exp.EQ(this=column(a), expression=column(b)) for a, b in pairs])
        joined = nodes.Join("left", joined, fetched, condition)
    items = (nodes.Item(c, column(named.get(c.name, c.name))) for c in node.columns)
    above: nodes.Plan = nodes.Project(joined, tuple(items))
    order = _order(node)
    if order is not None:
        above = nodes.Sort(above, order)
    made_plan = _replaced(plan, depth, above)
    fragments = tuple(sorted(fragments_in(made_plan), key=lambda f: f.number))
    if len(fragments) != len(expected):  # without the columns a join had no use
        return None
    return LateFetch(made_plan, fragments, tuple(expected), (*filters, *learnt))


def _late_scan(
    group: _Group, names: _Names, named: dict[str, str]
) -> tuple[nodes.Scan, dict[str, str]]:
    """The table's key and late columns under names of their own; the names of the key's."""
    info: TableInfo = group.scan.table
    read = []
    keys: dict[str, str] = {}
    for key in group.key:
        made = _column(key, names.fresh(key.name), f"{info.qualified_name}.{key.name}")
        keys[key.source_name] = made.name
        read.append(nodes.ScanColumn(made, key.source_name))
    for wanted, origin in group.columns:
        known = next(r.column for r in group.scan.read if r.source_name == origin.written)
        named[wanted.name] = names.fresh(wanted.name)
        read.append(nodes.ScanColumn(replace(known, name=named[wanted.name]), origin.written))
    return replace(group.scan, read=tuple(read)), keys


def _carrying(
    plan: nodes.Plan, name: str, key: Sequence[ColumnInfo], names: _Names
) -> tuple[nodes.Plan, dict[str, str]]:
    """``plan`` that also delivers the key of the table that its column ``name`` comes from; what
    the key's columns are called, by what the source calls them.
    """
    match plan:
        case nodes.Scan():
            found = {read.source_name: read.column.name for read in plan.read}
            read = list(plan.read)
            for info in key:
                if info.source_name not in found:
                    label = f"{plan.table.qualified_name}.{info.name}"
                    made = _column(info, names.fresh(info.name), label)
                    found[info.source_name] = made.name
                    read.append(nodes.ScanColumn(made, info.source_name))
            keys = {info.source_name: found[info.source_name] for info in key}
            return replace(plan, read=tuple(read)), keys
        case nodes.Fragment():
            inner, found = _carrying(plan.plan, name, key, names)
            return replace(plan, plan=inner), found
    below = _below(plan, name)
    assert below is not None
    child, found = _carrying(*below, key, names)
    if not isinstance(plan, nodes.Project):
        return plan.with_inputs([child if c is below[0] else c for c in plan.inputs]), found
    items = list(plan.items)
    for written, at in found.items():
        renamed = [i.column.name for i in items if i.is_rename and i.expression.name == at]
        if renamed:
            found[written] = renamed[0]
        else:
            items.append(nodes.Item(child.column(at), column(at)))
    return nodes.Project(child, tuple(items)), found


def _replaced(plan: nodes.Plan, depth: int, new: nodes.Plan) -> nodes.Plan:
    if depth == 0:
        return new
    return plan.with_inputs([_replaced(plan.inputs[0], depth - 1, new)])


# -- what it costs ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Lesson:
    """A key column whose keys are sent: its values, and the share of them that is asked for."""

    name: str
    distinct: float
    share: float


def _sent(scan: nodes.Scan, names: Sequence[str], left: float, cost: Cost) -> list[_Lesson]:
    """The columns of a key whose values, of ``left`` rows, cut the table down; at least one."""
    lessons = []
    for name in names:
        distinct = cost.cardinality.distinct(scan, name)
        lessons.append(_Lesson(name, distinct, min(1.0, left / distinct)))
    lessons.sort(key=lambda lesson: lesson.share)
    return [lessons[0], *(other for other in lessons[1:] if other.share < _TOO_MANY)]


def _price(group: _Group, left: float, rows: float, context: Context, cost: Cost) -> _Price:
    """What it costs when of the fragment's ``rows`` ``left`` are left, or more by joins."""
    source, fragment = group.fragment.source, group.fragment
    left = min(left, rows)
    names = _Names(_names_in(fragment))
    carrying, _ = _carrying(fragment, group.columns[0][1].at, group.key, names)
    late = {origin.at for _, origin in group.columns}
    narrow = narrowed(carrying, [c for c in carrying.columns if c.name not in late])
    early = cost.transfer(source, fragment, rows) - cost.transfer(source, narrow, rows)
    scan, keys = _late_scan(group, names, {})
    sent = _sent(scan, list(keys.values()), left, cost)
    share = prod(lesson.share for lesson in sent)
    if left > most_keys(cost, source, scan, sent[0].name):
        share = 1.0  # no more than their range would be sent
    found = max(left, cost.cardinality.rows(scan) * share)
    costs = context.capabilities[source].costs
    seconds = _STAGE + costs.round_trip + left * len(sent) * costs.key + found * costs.seek
    seconds += cost.transfer(source, scan, found)
    return _Price(early, seconds, rows, left)


def _decision(group: _Group, price: _Price, chosen: bool) -> str:
    names = ", ".join(origin.written for _, origin in group.columns)
    late = f"{price.late * 1e3:,.0f} ms for at most {price.left:,.0f} rows"
    early = f"{price.early * 1e3:,.0f} ms with all {price.rows:,.0f}, by estimate"
    done = "fetched late, by key" if chosen else "not fetched late, by key"
    return f"{group.fragment.source}: {names} of {group.scan.label} {done}: {late}, {early}"
