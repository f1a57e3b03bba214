"""Which tables of one source are joined at that source: the partition of a region of joins.

A *region* is what inner and cross joins, and the filters among them, hold together: its *leaves*
may be joined in any order. Leaves of one source that are joined by an equality can be fetched one
by one or as one fragment; which is better depends on how many rows either way yields (customers
and suppliers of one nation, joined at the source, are millions of rows out of thousands), on what
the join costs there, and on how far keys from other fragments cut the rows down. So partitions are
compared by cost, greedily, as long as joining two more pieces pays. The order of the joins that
are left is the engine's affair: by then it knows the exact number of rows of every fragment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from dovetail.connectors.capabilities import Capabilities
from dovetail.connectors.capabilities.translate import Untranslatable, translate_filter
from dovetail.optimize.cardinality import equal_columns
from dovetail.optimize.cost import Cost
from dovetail.optimize.pushable import check, only_source
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    conjunction,
    conjuncts,
    free_columns,
    has_subquery,
    is_volatile,
    node_expressions,
    plan_free_columns,
)

Parts = list[exp.Expression]
# Keys beyond this number are not sent, whatever they would save: the statement would be megabytes.
MOST_KEYS = 200_000


@dataclass(frozen=True)
class SemiJoin:
    """A semi or anti join over a region: a filter in all but name."""

    kind: nodes.JoinKind
    right: nodes.Plan
    condition: exp.Expression | None


@dataclass
class Region:
    """Leaves, the predicates that hold over their product, and semi joins on top."""

    leaves: list[nodes.Plan] = field(default_factory=list)
    parts: Parts = field(default_factory=list)
    semi_joins: list[SemiJoin] = field(default_factory=list)


def region_of(plan: nodes.Plan) -> Region | None:
    """The region whose top is ``plan``, or None when that joins nothing freely."""
    region = Region()
    _collect(plan, region)
    return region if len(region.leaves) > 1 or region.semi_joins else None


def _collect(plan: nodes.Plan, region: Region) -> None:
    match plan:
        case nodes.Join() if plan.kind in ("inner", "cross") and not _volatile(plan.condition):
            _collect(plan.left, region)
            _collect(plan.right, region)
            region.parts += conjuncts(plan.condition)
        case nodes.Join() if plan.kind in ("semi", "anti") and not _volatile(plan.condition):
            _collect(plan.left, region)
            region.semi_joins.append(SemiJoin(plan.kind, plan.right, plan.condition))
        case nodes.Filter() if (
            not plan.loose and not _volatile(plan.predicate) and _has_join(plan.input)
        ):
            _collect(plan.input, region)
            region.parts += conjuncts(plan.predicate)
        case nodes.Project() if _narrows(plan) and _has_join(plan.input):
            _collect(plan.input, region)
        case _:
            region.leaves.append(plan)


def _narrows(plan: nodes.Project) -> bool:
    """Whether the projection does nothing but leave columns out."""
    return all(i.is_rename and i.expression.name == i.column.name for i in plan.items)


def _has_join(plan: nodes.Plan) -> bool:
    while isinstance(plan, nodes.Filter) or (isinstance(plan, nodes.Project) and _narrows(plan)):
        plan = plan.input
    return isinstance(plan, nodes.Join) and plan.kind in ("inner", "cross", "semi", "anti")


def _volatile(expression: exp.Expression | None) -> bool:
    return expression is not None and is_volatile(expression)


@dataclass
class _Group:
    """Leaves that may become one fragment: ``plan`` joins them. ``source`` None: not pushable."""

    plan: nodes.Plan
    source: str | None
    inner: Parts = field(default_factory=list)  # predicates that ``plan`` has applied exactly


class Partition:
    """Chooses the fragments of one region."""

    def __init__(
        self,
        region: Region,
        cost: Cost,
        table: Callable[[str], Capabilities | None],
        note: Callable[[str], None],
        pays: Callable[[str, nodes.Plan], bool],
        group: bool,
    ) -> None:
        """``table`` gives what may be pushed to a source, ``pays`` says whether a leaf that is more
        than a filtered table is worth it; ``group`` False keeps every leaf by itself.
        """
        self._cost = cost
        self._pays = pays
        self._table = table
        self._note = note
        self._parts = list(region.parts)
        self._semi_joins: list[SemiJoin] = []
        self._groups = [self._group_of(leaf) for leaf in region.leaves]
        for semi_join in region.semi_joins:
            if not (group and self._attach(semi_join)):
                self._semi_joins.append(semi_join)
        if group:
            self._merge()

    # -- leaves ---------------------------------------------------------------------------------

    def _group_of(self, leaf: nodes.Plan) -> _Group:
        """The leaf with the filters its source takes; the others join the region's predicates."""
        source = only_source(leaf)
        table = self._table(source) if source is not None else None
        if source is None or table is None:
            return _Group(leaf, None)
        plan = leaf
        above: Parts = []
        if isinstance(leaf, nodes.Filter) and not leaf.loose:
            plan, above = self.split(leaf, source, table)
        try:
            check(plan, table, ())
        except Untranslatable as reason:
            self._note(f"{source}: {reason}")
            return _Group(leaf, None)
        if not is_table(plan) and not self._pays(source, plan):
            return _Group(leaf, None)
        self._parts += above
        return _Group(plan, source)

    def split(
        self, leaf: nodes.Filter, source: str, table: Capabilities
    ) -> tuple[nodes.Plan, Parts]:
        """``leaf`` with what its source filters, and the predicates that stay above."""
        exact, loose, above = split_filter(leaf, source, table, self._note)
        plan = leaf.input
        predicate = conjunction(exact)
        if predicate is not None:
            plan = nodes.Filter(plan, predicate)
        predicate = conjunction(loose)
        if predicate is not None:
            plan = nodes.Filter(plan, predicate, loose=True)
        return plan, above

    def _attach(self, semi_join: SemiJoin) -> bool:
        """Put a semi join onto the one leaf it looks at, if one source holds both."""
        wanted = free_columns_of(semi_join)
        for number, group in enumerate(self._groups):
            needed = wanted & _all_names(self._groups)
            if group.source is None or not needed or not needed <= group.plan.names:
                continue
            if only_source(semi_join.right) != group.source:
                return False
            table = self._table(group.source)
            joined = nodes.Join(semi_join.kind, group.plan, semi_join.right, semi_join.condition)
            try:
                assert table is not None
                check(joined, table, ())
            except Untranslatable as reason:
                self._note(f"{group.source}: {reason}")
                return False
            self._groups[number] = replace(group, plan=joined)
            return True
        return False

    # -- merging --------------------------------------------------------------------------------

    def _merge(self) -> None:
        """Merge groups while that lowers the cost."""
        best = self._total(self._groups)
        refused: set[tuple[int, int]] = set()
        while True:
            found: tuple[float, list[_Group]] | None = None
            for i, a in enumerate(self._groups):
                for b in self._groups[i + 1 :]:
                    if a.source is None or a.source != b.source:
                        continue
                    if (id(a.plan), id(b.plan)) in refused:
                        continue
                    merged = self._merged(a, b)
                    if merged is None:
                        refused.add((id(a.plan), id(b.plan)))
                        continue
                    groups = [g for g in self._groups if g is not a and g is not b]
                    groups.insert(i, merged)
                    total = self._total(groups)
                    if found is None or total < found[0]:
                        found = total, groups
            if found is None or found[0] >= best:
                return
            best, self._groups = found

    def _merged(self, a: _Group, b: _Group) -> _Group | None:
        names = a.plan.names | b.plan.names
        between = [
            part
            for part in self._parts
            if not has_subquery(part)
            and (used := free_columns(part)) <= names
            and used & a.plan.names
            and used & b.plan.names
        ]
        if not any(equal_columns(part) for part in between):
            return None
        assert a.source is not None
        table = self._table(a.source)
        assert table is not None
        columns = {c.name: c for c in (*a.plan.columns, *b.plan.columns)}
        taken = []
        for part in between:
            try:
                if translate_filter(part, table, columns).exact:
                    taken.append(part)
            except Untranslatable as reason:
                self._note(f"{a.source}: {reason}")
        if not any(equal_columns(part) for part in taken):
            return None
        large, small = sorted((a, b), key=lambda g: -self._cost.cardinality.rows(g.plan))
        joined = nodes.Join("inner", large.plan, small.plan, conjunction(taken))
        return _Group(joined, a.source, [*a.inner, *b.inner, *taken])

    def _total(self, groups: Sequence[_Group]) -> float:
        """Seconds for all fragments, each cut down by the keys of smaller ones."""
        cardinality = self._cost.cardinality
        ordered = sorted(groups, key=lambda g: cardinality.rows(g.plan))
        kept: dict[int, float] = {}
        seconds = 0.0
        for number, group in enumerate(ordered):
            share = 1.0
            for earlier in ordered[:number]:
                share *= self._share(earlier, kept[id(earlier)], group)
            kept[id(group)] = max(1.0, cardinality.rows(group.plan) * share)
            if group.source is not None:
                seconds += self._cost.fragment(group.source, group.plan, share)
        return seconds

    def _share(self, earlier: _Group, rows: float, later: _Group) -> float:
        """The share of ``later`` that matches the keys of ``earlier``."""
        share = 1.0
        if later.source is None:
            return share
        for part in self._parts:
            pair = equal_columns(part)
            if pair is None:
                continue
            a, b = pair if pair[0] in earlier.plan.names else pair[::-1]
            if a in earlier.plan.names and b in later.plan.names:
                keys = min(rows, self._cost.cardinality.distinct(earlier.plan, a))
                if keys <= most_keys(self._cost, later.source, later.plan, b):
                    share = min(share, keys / self._cost.cardinality.distinct(later.plan, b))
        return min(1.0, share)

    # -- the result -----------------------------------------------------------------------------

    def plan(
        self,
        cut: Callable[[nodes.Plan], nodes.Plan],
        cut_expression: Callable[[exp.Expression], exp.Expression],
    ) -> nodes.Plan:
        """The region over fragments; the two functions cut what is no fragment as a whole."""
        rows = self._cost.cardinality.rows
        done = {id(part) for group in self._groups for part in group.inner}
        left = [part for part in self._parts if id(part) not in done]
        waiting = sorted(self._groups, key=lambda g: rows(g.plan))
        first = waiting.pop(0)
        result = self._cut(first, cut)
        result = _filtered(result, _taken(left, result))
        names = _all_names(self._groups)
        while waiting:
            # Joined to what is there already before anything that would be a cross product.
            linked = [g for g in waiting if _linked(left, result, g.plan)]
            group = (linked or waiting)[0]
            waiting.remove(group)
            piece = self._cut(group, cut)
            piece = _filtered(piece, _taken(left, piece))
            both = result.names | piece.names
            on = [p for p in left if not has_subquery(p) and (free_columns(p) & names) <= both]
            left = [p for p in left if not any(p is q for q in on)]
            condition = conjunction(on)
            kind: nodes.JoinKind = "cross" if condition is None else "inner"
            result = nodes.Join(kind, result, piece, condition)
        result = _filtered(result, [cut_expression(part) for part in left])
        for semi_join in self._semi_joins:
            condition = semi_join.condition
            if condition is not None:
                condition = cut_expression(condition)
            result = nodes.Join(semi_join.kind, result, cut(semi_join.right), condition)
        return result

    def _cut(self, group: _Group, cut: Callable[[nodes.Plan], nodes.Plan]) -> nodes.Plan:
        if group.source is None:
            return cut(group.plan)
        return nodes.Fragment(group.source, group.plan)


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


def most_keys(cost: Cost, source: str, plan: nodes.Plan, name: str) -> int:
    """How many keys for the column ``name`` of a fragment pay at most.

    With n keys it costs n times a key and its rows, found by an index or by looking every row up
    among the keys; without them all of its rows.
    """
    costs = cost.capabilities[source].costs
    rows = cost.cardinality.rows(plan)
    each = rows / cost.cardinality.distinct(plan, name)
    everything = cost.transfer(source, plan, rows)
    one = costs.key + cost.transfer(source, plan, each)
    found = everything / (one + each * costs.seek)
    looked_up = (everything - rows * costs.probe) / one
    return int(min(MOST_KEYS, max(found, looked_up)))


def free_columns_of(semi_join: SemiJoin) -> frozenset[str]:
    """Columns of the region that a semi join looks at, correlated ones included."""
    names = free_columns(semi_join.condition) if semi_join.condition is not None else frozenset()
    return frozenset(names - semi_join.right.names) | plan_free_columns(semi_join.right)


def _all_names(groups: Sequence[_Group]) -> set[str]:
    return {name for group in groups for name in group.plan.names}


def is_table(plan: nodes.Plan) -> bool:
    """Whether the plan is one table with filters and projections of its columns."""
    while isinstance(plan, nodes.Filter | nodes.Project):
        if any(has_subquery(e) for e in node_expressions(plan)):
            return False
        plan = plan.input
    return isinstance(plan, nodes.Scan)


def _linked(parts: Parts, result: nodes.Plan, piece: nodes.Plan) -> bool:
    return any(
        (pair := equal_columns(part)) is not None
        and (
            (pair[0] in result.names and pair[1] in piece.names)
            or (pair[1] in result.names and pair[0] in piece.names)
        )
        for part in parts
    )


def _taken(parts: Parts, plan: nodes.Plan) -> Parts:
    """Take the predicates over ``plan`` alone out of ``parts``."""
    own = [
        p for p in parts if not has_subquery(p) and (used := free_columns(p)) and used <= plan.names
    ]
    for part in own:
        parts[:] = [p for p in parts if p is not part]
    return own


def _filtered(plan: nodes.Plan, parts: Parts) -> nodes.Plan:
    predicate = conjunction(parts)
    return plan if predicate is None else nodes.Filter(plan, predicate)
