"""What a plan costs: seconds of work at a source, and seconds to bring rows over.

The figures per kind of source (:class:`~dovetail.connectors.capabilities.Costs`) were measured; how
fast rows really come from a source is learnt from the profiles of earlier queries. Seconds are
those of one core: what runs side by side on a machine is added up all the same, since source and
engine often share it, and sharing is what makes pushing too much expensive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dovetail.connectors.capabilities import Capabilities, Costs
from dovetail.optimize.cardinality import Cardinality, leads_primary_key
from dovetail.optimize.presort import follows_index
from dovetail.plan import nodes
from dovetail.plan.expressions import node_expressions, subqueries
from dovetail.plan.shapes import alike_across, unfiltered

# Seconds that keys cost whatever their number: a statement to collect them, another text for the
# source, and the sources are asked one after the other.
STAGE = 0.002
# The embedded engine's seconds for one row in a join or a group, and for each aggregate of it.
_ENGINE_VALUE = 0.02e-6
# Of so many groups PostgreSQL's workers do not each make a part.
_MANY_GROUPS = 20_000
# A table of hashes of so many rows is one that the processor's cache holds; asking it takes so much
# less than asking a larger one (PostgreSQL 15: 0.06 against 0.2 to 0.4 microseconds).
_SMALL_TABLE = 50_000
_ASKED_IN_CACHE = 0.2
# From so many rows on it takes workers at all: 8 MB (min_parallel_table_scan_size) of 80 bytes.
_SIDE_BY_SIDE = 100_000


@dataclass
class Cost:
    """Seconds of plans, by the estimates of ``cardinality``.

    ``measured`` gives bytes per second that a source was seen to deliver, or None.
    """

    cardinality: Cardinality
    capabilities: Mapping[str, Capabilities]
    measured: Callable[[str], float | None] = field(default=lambda source: None)
    # The plan is kept beside its figure: an id alone could be another plan's tomorrow.
    _worked: dict[tuple[str, int, float], tuple[nodes.Plan, float]] = field(default_factory=dict)

    def transfer(self, source: str, plan: nodes.Plan, rows: float) -> float:
        """Seconds to bring ``rows`` rows of ``plan`` over."""
        costs = self.capabilities[source].costs
        seconds = rows * (costs.send_row + costs.send_value * len(plan.columns))
        speed = self.measured(source) or costs.bytes_per_second
        return max(seconds, rows * self.cardinality.width(plan) / speed)

    def work(self, source: str, plan: nodes.Plan, share: float = 1.0) -> float:
        """Seconds a source needs for ``plan``, above its tables for ``share`` of the rows."""
        known = self._worked.get((source, id(plan), share))
        if known is None:
            known = plan, self._work(source, plan, share)
            self._worked[source, id(plan), share] = known
        return known[1]

    def _work(self, source: str, plan: nodes.Plan, share: float) -> float:
        costs = self.capabilities[source].costs
        rows = self.cardinality.rows

        def node(plan: nodes.Plan) -> float:
            own = 0.0
            match plan:
                case nodes.Scan():
                    own = rows(plan) * costs.scan
                case nodes.Join():
                    own = self._joined(plan, costs) * share
                case nodes.Aggregate():
                    each = costs.aggregate * len(plan.aggregates)
                    if plan.keys:
                        each += costs.group
                    own = rows(plan.input) * each * share
                    if rows(plan.input) >= _SIDE_BY_SIDE:
                        own += min(rows(plan), _MANY_GROUPS) * costs.group_parts * share
                case nodes.Distinct() | nodes.SetOperation():
                    own = sum(rows(child) for child in plan.inputs) * costs.group * share
                case nodes.Sort():
                    own = rows(plan.input) * costs.group * share
            for expression in node_expressions(plan):
                for subquery in subqueries(expression):
                    own += node(subquery.plan)
            own += sum(node(child) for child in plan.inputs)
            return own * costs.many_groups if alone(plan) else own

        def alone(plan: nodes.Plan) -> bool:
            return (
                isinstance(plan, nodes.Aggregate)
                and costs.many_groups > 1
                and rows(plan) * share > _MANY_GROUPS
                and not follows_index(plan, self.capabilities[source], self.cardinality)
            )

        return node(plan)

    def _joined(self, join: nodes.Join, costs: Costs) -> float:
        """Seconds of a join by itself: a table of the smaller side's rows, asked by the larger's.

        One that is small stays in the processor's cache.
        """
        rows = self.cardinality.rows
        small, large = sorted((rows(join.left), rows(join.right)))
        if costs.lookup:
            looked_up = self._looked_up(join) * costs.lookup
            return max((small + large + rows(join)) * costs.join, looked_up)
        asked = costs.join * (_ASKED_IN_CACHE if small < _SMALL_TABLE else 1.0)
        return (small + rows(join)) * costs.join + large * asked

    def _looked_up(self, join: nodes.Join) -> float:
        """Rows that are looked up one by one where there is no table of hashes.

        Such a source begins with the side that it takes for smaller, and filters the rows of the
        other after it has found them. Those of a primary key lie together and do not count.
        """
        rows = self.cardinality.rows
        larger = max(join.left, join.right, key=lambda side: rows(unfiltered(side)))
        table = unfiltered(larger)
        for pair in alike_across(join):
            name = pair[0] if larger is join.left else pair[1]
            if leads_primary_key(larger, name):
                return 0.0
        return rows(join) * rows(table) / max(1.0, rows(larger))

    def fragment(self, source: str, plan: nodes.Plan, share: float = 1.0) -> float:
        """Seconds for a fragment whose rows are cut down to ``share`` by dynamic filters."""
        rows = self.cardinality.rows(plan) * share
        costs = self.capabilities[source].costs
        return costs.round_trip + self.work(source, plan, share) + self.transfer(source, plan, rows)

    def plan(self, plan: nodes.Plan) -> float:
        """Seconds for a plan that has been cut: its fragments, and what is left for the engine."""
        seconds = 0.0
        for node in plan.walk():
            if isinstance(node, nodes.Fragment):
                seconds += self.fragment(node.source, node.plan)
            elif isinstance(node, nodes.Join | nodes.Aggregate | nodes.Distinct | nodes.Window):
                values = 1 + len(getattr(node, "aggregates", ()))
                rows = sum(self.cardinality.rows(child) for child in node.inputs)
                seconds += rows * values * _ENGINE_VALUE
            for expression in node_expressions(node):
                for subquery in subqueries(expression):
                    seconds += self.plan(subquery.plan)
        return seconds
