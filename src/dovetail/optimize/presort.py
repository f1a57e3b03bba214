"""Rows in the order of an index before they are grouped by it: no table of groups is needed.

PostgreSQL hashes groups when it takes them for few, and spills them when they are many after all:
6 M rows of lineitem by their 1.5 M orders (taken for 380,000) 5.1 s, in the order of the primary
key 2.0 s. An ORDER BY below the grouping costs nothing there, and means nothing to the answer.
"""

from __future__ import annotations

from dataclasses import replace

from dovetail.connectors.capabilities import Capabilities
from dovetail.optimize.cardinality import Cardinality
from dovetail.plan import nodes
from dovetail.plan.expressions import column, transform_plan
from dovetail.plan.shapes import origin, unfiltered

_MANY_GROUPS = 200_000  # fewer fit into PostgreSQL's memory for hashes, 8 MB unless configured
_IN_ORDER = 0.9  # correlation of the key with the place of its rows; else every row is a seek


def presorted(plan: nodes.Plan, table: Capabilities, cardinality: Cardinality) -> nodes.Plan:
    """The plan of a fragment with every grouping that gains by it over sorted rows."""

    def visit(node: nodes.Plan) -> nodes.Plan:
        if not isinstance(node, nodes.Aggregate) or not follows_index(node, table, cardinality):
            return node
        keys = [nodes.SortKey(column(item.expression.name)) for item in node.keys]
        return replace(node, input=nodes.Sort(node.input, tuple(keys)))

    return transform_plan(plan, visit)


def follows_index(plan: nodes.Aggregate, table: Capabilities, cardinality: Cardinality) -> bool:
    """Whether many groups are those of the first columns of a primary key that rows lie by."""
    if not table.sorts_by_index or plan.grouping_sets is not None or not plan.keys:
        return False
    below = unfiltered(plan.input)
    found = [origin(plan, item.column.name) for item in plan.keys]
    if not isinstance(below, nodes.Scan) or None in found:
        return False
    keys = {place[1] for place in found if place is not None}
    primary = [c for name in below.table.primary_key if (c := below.table.column(name))]
    leading = primary[: len(keys)]
    if keys != {c.source_name for c in leading}:
        return False
    if any(c.type.family not in ("integer", "date", "timestamp") for c in leading):
        return False
    return (
        cardinality.rows(plan) >= _MANY_GROUPS
        and cardinality.correlation(below.table, leading[0].name) >= _IN_ORDER
    )
