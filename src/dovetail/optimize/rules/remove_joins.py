"""Joins that add nothing: a left join on a key of a table none of whose columns is used.

Safe because every left row meets one row of the table at most and is kept in any case. It must
meet it by the very columns of a key that its source enforces, compared as that source compares
them or more finely; then two rows of the table never meet the same left row.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlglot import exp

from dovetail.optimize.uniqueness import unique_by
from dovetail.plan import nodes
from dovetail.plan.expressions import conjuncts
from dovetail.plan.shapes import alike_across, unfiltered

# What compares and never fails.
_HARMLESS = (
    exp.Column,
    exp.Identifier,
    exp.Literal,
    exp.Null,
    exp.Boolean,
    exp.Predicate,
    exp.Connector,
    exp.Not,
    exp.Paren,
)


def adds_nothing(join: nodes.Join, needed: Collection[str], enforcing: Collection[str]) -> bool:
    """Whether ``join`` is its left side, for who reads only the columns ``needed`` of it.

    ``enforcing`` are the sources whose keys hold for the values as they are read.
    """
    if join.kind != "left" or any(name in needed for name in join.right.names):
        return False
    pairs = list(alike_across(join))
    if not pairs or len(pairs) != len(conjuncts(join.condition)):
        return False
    if not isinstance(unfiltered(join.right), nodes.Scan) or not _never_fails(join.right):
        return False
    return unique_by(join.right, {name for _, name in pairs}, enforcing)


def _never_fails(plan: nodes.Plan) -> bool:
    """Whether the projections over a table are renames, and its filters only compare."""
    for node in plan.walk():
        if isinstance(node, nodes.Project) and not all(item.is_rename for item in node.items):
            return False
        if isinstance(node, nodes.Filter) and not all(
            isinstance(part, _HARMLESS) for part in node.predicate.walk()
        ):
            return False
    return True
