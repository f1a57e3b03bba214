"""What the sources say of their data, for the optimizer: statistics and estimates."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from dovetail.catalog.model import ColumnStatistics, TableInfo
from dovetail.connectors import known
from dovetail.connectors.base import Connector, Estimate, FragmentRequest
from dovetail.connectors.capabilities import Capabilities
from dovetail.connectors.capabilities.translate import Untranslatable
from dovetail.execution import crew
from dovetail.optimize.fragments import request_of
from dovetail.optimize.pushable import only_source, split_filter
from dovetail.plan import nodes
from dovetail.plan.expressions import column, conjunction, has_subquery, substitute

_T = TypeVar("_T")
_PATIENCE = 1.0  # seconds for one answer; over a slow link a round trip takes a tenth of that


class SourceFacts:
    """:class:`~dovetail.optimize.cardinality.Facts` from the connectors.

    What a server says is kept (:mod:`dovetail.connectors.known`). A source that cannot be asked, or
    does not answer soon, is no reason for a query to fail or to wait: planning goes on without, and
    asks it nothing more.
    """

    def __init__(self, connectors: Mapping[str, Connector]) -> None:
        self._connectors = connectors
        self._silent: set[str] = set()
        self._statistics: dict[int, tuple[TableInfo, Mapping[str, ColumnStatistics]]] = {}

    def statistics(self, table: TableInfo) -> Mapping[str, ColumnStatistics]:
        """Of the table's columns, by visible name."""
        connector = self._connectors.get(table.source)
        if connector is None or connector.capabilities.engine_reads:
            return {}
        # Asked of every column of every join that is tried: kept here beside its table.
        known = self._statistics.get(id(table))
        if known is None:
            found = self._asked(table.source, lambda: connector.statistics(table)) or {}
            known = self._statistics[id(table)] = (table, found)
        return known[1]

    def estimate(self, source: str, plan: nodes.Plan) -> Estimate | None:
        """The source's own estimate for as much of a filtered table as it would filter itself."""
        connector = self._connectors.get(source)
        if connector is None or only_source(plan) != source:
            return None
        if connector.capabilities.engine_reads:
            return None
        # To write the question down for the source takes longer than to find its answer by what
        # the plan says.
        asked = _asked_of(plan)
        is_kept = connector.place is not None
        found = known.ESTIMATES.get(connector.login, asked) if is_kept and asked else None
        if found is not None:
            return found
        request = self._question(connector.capabilities, source, plan)
        if request is None:
            return None

        def ask() -> Estimate | None:
            return connector.estimate(request)

        if not is_kept:
            return self._asked(source, ask)
        question = asked or request.query
        return self._asked(source, lambda: known.ESTIMATES.recall(connector.login, question, ask))

    def _question(
        self, table: Capabilities, source: str, plan: nodes.Plan
    ) -> FragmentRequest | None:
        """What the source would filter itself of a filtered table; None if that is not all."""
        if isinstance(plan, nodes.Filter) and not plan.loose:
            exact, loose, above = split_filter(plan, source, table, lambda note: None)
            predicate = conjunction([*exact, *loose])
            if predicate is None or len(above) > len(loose):
                return None
            plan = nodes.Filter(plan.input, predicate, loose=True)
        try:
            return request_of(nodes.Fragment(source, plan), table, "")
        except Untranslatable:
            return None

    def _asked(self, source: str, ask: Callable[[], _T]) -> _T | None:
        """The source's answer, or None when it has none or takes too long."""
        if source in self._silent:
            return None
        found: list[_T] = []

        def call() -> None:
            with contextlib.suppress(Exception):
                found.append(ask())

        # In another thread: a server that is frozen would hold this one for as long as it likes.
        answered = crew.start(call, "dovetail-estimate").join(_PATIENCE)
        if not answered or not found:
            self._silent.add(source)
            return None
        return found[0]


def _asked_of(plan: nodes.Plan) -> tuple[Hashable, ...] | None:
    """A filtered table as a key: its name, and the predicate over what the source calls columns."""
    if not isinstance(plan, nodes.Filter) or not isinstance(plan.input, nodes.Scan):
        return None
    if has_subquery(plan.predicate):
        return None
    read = ((c.column.name, c.source_name) for c in plan.input.read)
    written = {name: column(called) for name, called in read if name != called}
    return plan.input.label, substitute(plan.predicate, written)
