"""What the sources say of their data, for the optimizer: statistics and estimates."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from dovetail.catalog.model import ColumnStatistics, TableInfo
from dovetail.connectors.base import Connector, Estimate
from dovetail.connectors.capabilities.translate import Untranslatable
from dovetail.errors import DovetailError
from dovetail.optimize.fragments import request_of
from dovetail.optimize.pushable import only_source
from dovetail.optimize.regions import split_filter
from dovetail.plan import nodes
from dovetail.plan.expressions import conjunction


class SourceFacts:
    """:class:`~dovetail.optimize.cardinality.Facts` from the connectors.

    They keep what they asked. A source that cannot be asked is no reason for a query to fail:
    planning goes on without.
    """

    def __init__(self, connectors: Mapping[str, Connector]) -> None:
        self._connectors = connectors

    def statistics(self, table: TableInfo) -> Mapping[str, ColumnStatistics]:
        """Of the table's columns, by visible name."""
        connector = self._connectors.get(table.source)
        if connector is not None:
            with contextlib.suppress(DovetailError):
                return connector.statistics(table)
        return {}

    def estimate(self, source: str, plan: nodes.Plan) -> Estimate | None:
        """The source's own estimate for as much of a filtered table as it would filter itself."""
        connector = self._connectors.get(source)
        if connector is None or only_source(plan) != source:
            return None
        table = connector.capabilities
        if table.engine_reads:
            return None
        if isinstance(plan, nodes.Filter) and not plan.loose:
            exact, loose, above = split_filter(plan, source, table, lambda note: None)
            predicate = conjunction([*exact, *loose])
            if predicate is None or len(above) > len(loose):
                return None
            plan = nodes.Filter(plan.input, predicate, loose=True)
        with contextlib.suppress(DovetailError, Untranslatable):
            return connector.estimate(request_of(nodes.Fragment(source, plan), table, ""))
        return None
