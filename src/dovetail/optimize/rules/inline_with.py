"""Put a WITH definition where its only reference stands.

Safe because a definition read once is computed once either way. A recursive definition, one marked
MATERIALIZED and one that calls a volatile function stay: inlining
``with r as materialized (select random() x) …`` under a join could evaluate it per row.
"""

from __future__ import annotations

from dovetail.optimize.context import Context
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    column,
    is_volatile,
    node_expressions,
    subqueries,
    transform_plan,
)


def inline_with(plan: nodes.Plan, context: Context) -> nodes.Plan:
    """Apply the rule everywhere in ``plan``."""

    def visit(node: nodes.Plan) -> nodes.Plan:
        if (
            not isinstance(node, nodes.With)
            or node.step is not None
            or node.materialized is True
            or _references(node.body, node.name) > 1
            or _volatile(node.definition)
        ):
            return node
        definition = node.definition

        def place(inner: nodes.Plan) -> nodes.Plan:
            if isinstance(inner, nodes.WithScan) and inner.name == node.name:
                items = tuple(
                    nodes.Item(new, column(old.name))
                    for new, old in zip(inner.outputs, definition.columns, strict=True)
                )
                return nodes.Project(definition, items)
            return inner

        return transform_plan(node.body, place)

    return transform_plan(plan, visit)


def _references(plan: nodes.Plan, name: str) -> int:
    count = 0
    for node in plan.walk():
        if isinstance(node, nodes.WithScan) and node.name == name:
            count += 1
        for expression in node_expressions(node):
            for subquery in subqueries(expression):
                count += _references(subquery.plan, name)
    return count


def _volatile(plan: nodes.Plan) -> bool:
    return any(is_volatile(e) for node in plan.walk() for e in node_expressions(node))
