"""Which tables of one source are joined at that source: the partition of a region of joins.

A *region* is what inner and cross joins, and the filters among them, hold together: its *leaves*
may be joined in any order. Leaves of one source that are joined by an equality can be fetched one
by one or as one fragment; which is better depends on how many rows either way yields (customers
and suppliers of one nation, joined at the source, are millions of rows out of thousands), on what
the join costs there, and on how far keys from other fragments cut the rows down. So partitions are
compared by cost, greedily, as long as joining two more pieces pays; a source that is always pushed
to joins whatever it can, and cost only says in which order. The order of the joins that are left is
the engine's affair: by then it knows the exact number of rows of every fragment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from dovetail.connectors.capabilities import Capabilities
from dovetail.connectors.capabilities.translate import Untranslatable, translate_filter
from dovetail.optimize.cost import STAGE, Cost
from dovetail.optimize.pushable import check, only_source
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    conjunction,
    conjuncts,
    free_columns,
    has_subquery,
    is_volatile,
    plan_free_columns,
)
from dovetail.plan.shapes import Parts, across, filtered

# Keys beyond this number are not sent, whatever they would save: the statement would be megabytes.
MOST_KEYS = 200_000


@dataclass
class Region:
    """Leaves, the predicates that hold over their product, and semi or anti joins on top.

    A semi or anti join is a filter in all but name; its left side is not looked at.
    """

    leaves: list[nodes.Plan] = field(default_factory=list)
    parts: Parts = field(default_factory=list)
    semi_joins: list[nodes.Join] = field(default_factory=list)


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
            region.semi_joins.append(plan)
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
    """Leaves that become one fragment: ``plan`` joins them. Of no source: ``plan`` is cut as is."""

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
        cut: Callable[[nodes.Plan], nodes.Plan],
        cut_expression: Callable[[exp.Expression], exp.Expression],
        group: bool,
        always: Callable[[str], bool],
    ) -> None:
        """``table`` gives what may be pushed to a source; ``cut`` and ``cut_expression`` cut what
        is no join of the region; ``group`` False keeps every leaf by itself; ``always`` says of a
        source whether it joins what it can whatever that costs.
        """
        self._cost = cost
        self._table = table
        self._note = note
        self._always = always
        self._parts = [cut_expression(part) for part in region.parts]
        self._groups = [self._group_of(cut(leaf)) for leaf in region.leaves]
        self._semi_joins: list[nodes.Join] = []
        for join in region.semi_joins:
            if not (group and self._attach(join)):
                condition = join.condition and cut_expression(join.condition)
                self._semi_joins.append(replace(join, right=cut(join.right), condition=condition))
        if group:
            self._merge()

    # -- leaves ---------------------------------------------------------------------------------

    def _group_of(self, leaf: nodes.Plan) -> _Group:
        """The fragment of a leaf; filters that its source left to us join the region's."""
        plan, above = leaf, Parts()
        while isinstance(plan, nodes.Filter) and not plan.loose:
            above = [*conjuncts(plan.predicate), *above]
            plan = plan.input
        fragment = self._fragment(plan)
        if fragment is None:
            return _Group(leaf, None)
        self._parts += above
        return _Group(fragment.plan, fragment.source)

    def _fragment(self, plan: nodes.Plan) -> nodes.Fragment | None:
        """The plan as one fragment that its source's capabilities allow to grow."""
        match plan:
            case nodes.Fragment() if self._table(plan.source) is not None:
                return plan
            case nodes.Project():
                below = self._fragment(plan.input)
                table = self._table(below.source) if below is not None else None
                if below is None or table is None:
                    return None
                computed = nodes.Project(below.plan, plan.items)
                try:
                    check(computed, table, ())
                except Untranslatable as reason:
                    self._note(f"{below.source}: {reason}")
                    return None
                return nodes.Fragment(below.source, computed)
        return None

    def _attach(self, join: nodes.Join) -> bool:
        """Put a semi join onto the one leaf it looks at, if one source holds both."""
        names = {name for group in self._groups for name in group.plan.names}
        needed = _looked_at(join) & names
        for group in self._groups:
            if group.source is None or not needed or not needed <= group.plan.names:
                continue
            table = self._table(group.source)
            if table is None or only_source(join.right) != group.source:
                return False
            joined = replace(join, left=group.plan)
            try:
                check(joined, table, ())
            except Untranslatable as reason:
                self._note(f"{group.source}: {reason}")
                return False
            group.plan = joined
            return True
        return False

    # -- merging --------------------------------------------------------------------------------

    def _merge(self) -> None:
        """Merge groups while that lowers the cost, or their source is always pushed to."""
        best = self._total(self._groups)
        refused: set[tuple[int, int]] = set()
        while True:
            found: tuple[bool, float, list[_Group]] | None = None  # whether it must pay, seconds
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
                    made = not self._always(a.source), self._total(groups), groups
                    if found is None or made[:2] < found[:2]:
                        found = made
            if found is None or (found[0] and found[1] >= best):
                return
            _, best, self._groups = found

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
        if not any(across(part, a.plan, b.plan) for part in between):
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
        if not any(across(part, a.plan, b.plan) for part in taken):
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
                left, sent = self._keys(earlier, kept[id(earlier)], group, share)
                share *= left
                seconds += sent
            kept[id(group)] = max(1.0, cardinality.rows(group.plan) * share)
            if group.source is not None:
                seconds += self._cost.fragment(group.source, group.plan, share)
        return seconds

    def _keys(
        self, earlier: _Group, rows: float, later: _Group, left_over: float
    ) -> tuple[float, float]:
        """The share of ``later`` that matches the keys of ``earlier``, and what sending them costs.

        Other keys have left the share ``left_over`` of its rows, of which these leave some. With
        several equalities the keys that leave least count, of which the others are part.
        """
        share, seconds = 1.0, 0.0
        if later.source is None:
            return share, seconds
        for part in self._parts:
            pair = across(part, earlier.plan, later.plan)
            if pair is None:
                continue
            a, b = pair
            keys = min(rows, self._cost.cardinality.distinct(earlier.plan, a))
            left = keys / self._cost.cardinality.distinct(later.plan, b)
            if left >= share:
                continue
            all_rows = self._cost.cardinality.rows(later.plan) * left_over
            saved = self._cost.transfer(later.source, later.plan, all_rows * (1 - left))
            most = most_keys(self._cost, later.source, later.plan, b)
            if saved >= STAGE and keys <= most:
                share = left
                seconds = keys_sent(self._cost, later.source, later.plan, b, keys, left_over)
        return share, seconds

    # -- the result -----------------------------------------------------------------------------

    def plan(self) -> nodes.Plan:
        """The region over fragments."""
        rows = self._cost.cardinality.rows
        done = {id(part) for group in self._groups for part in group.inner}
        left = [part for part in self._parts if id(part) not in done]
        names = {name for group in self._groups for name in group.plan.names}
        waiting = [_piece(g) for g in sorted(self._groups, key=lambda g: rows(g.plan))]
        first = waiting.pop(0)
        result = filtered(first, _taken(left, first))
        while waiting:
            # Joined to what is there already before anything that would be a cross product.
            linked = [p for p in waiting if any(across(part, result, p) for part in left)]
            piece = (linked or waiting)[0]
            waiting.remove(piece)
            piece = filtered(piece, _taken(left, piece))
            both = result.names | piece.names
            on = [p for p in left if not has_subquery(p) and (free_columns(p) & names) <= both]
            left = [p for p in left if not any(p is q for q in on)]
            condition = conjunction(on)
            kind: nodes.JoinKind = "cross" if condition is None else "inner"
            result = nodes.Join(kind, result, piece, condition)
        result = filtered(result, left)
        for join in self._semi_joins:
            result = replace(join, left=result)
        return result


def _piece(group: _Group) -> nodes.Plan:
    return group.plan if group.source is None else nodes.Fragment(group.source, group.plan)


def most_keys(cost: Cost, source: str, plan: nodes.Plan, name: str) -> int:
    """How many keys for the column ``name`` of a fragment pay at most.

    With n keys it costs n times a key and its rows, found by an index or by looking every row up
    among the keys; without them all of its rows: joined and grouped there, and brought over.
    """
    costs = cost.capabilities[source].costs
    rows, read = cost.cardinality.rows(plan), cost.cardinality.rows(_read(plan))
    values = cost.cardinality.distinct(plan, name)
    everything = cost.transfer(source, plan, rows)
    everything += cost.work(source, plan) - cost.work(source, plan, 0.0)
    one = costs.key + everything / values
    found = everything / (one + read / values * costs.seek)
    looked_up = (everything - read * costs.probe) / one
    return int(min(MOST_KEYS, max(found, looked_up)))


def keys_sent(
    cost: Cost, source: str, plan: nodes.Plan, name: str, keys: float, share: float
) -> float:
    """Seconds that so many keys cost: each by itself, and a ``share`` of rows found by them."""
    costs = cost.capabilities[source].costs
    read = cost.cardinality.rows(_read(plan)) * share
    found = keys * read / cost.cardinality.distinct(plan, name) * costs.seek
    return keys * costs.key + min(found, read * costs.probe)


def _read(plan: nodes.Plan) -> nodes.Plan:
    """What is grouped, or the plan itself: its rows are looked up among keys."""
    while isinstance(plan, nodes.Project | nodes.Aggregate | nodes.Distinct | nodes.Sort):
        plan = plan.input
    return plan


def _looked_at(join: nodes.Join) -> frozenset[str]:
    """Columns of the region that a semi join looks at, correlated ones included."""
    names = free_columns(join.condition) if join.condition is not None else frozenset()
    return frozenset(names - join.right.names) | plan_free_columns(join.right)


def _taken(parts: Parts, plan: nodes.Plan) -> Parts:
    """Take the predicates over ``plan`` alone out of ``parts``."""
    own = [
        p for p in parts if not has_subquery(p) and (used := free_columns(p)) and used <= plan.names
    ]
    for part in own:
        parts[:] = [p for p in parts if p is not part]
    return own
