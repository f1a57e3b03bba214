"""Joins that add nothing: a left join on a key of a table none of whose columns is used.

Safe because every left row meets one row of the table at most and is kept in any case. It must
meet it by the very columns of a key that its source enforces, compared as that source compares
them or more finely; then two rows of the table never meet the same left row.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlglot import exp

from dovetail.plan import nodes
from dovetail.plan.expressions import conjuncts
from dovetail.plan.shapes import alike_across, origin, unfiltered

_FAMILIES = frozenset(("integer", "text", "date", "uuid"))
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

    ``enforcing`` are the sources whose keys hold for the values as they are read. SQLite's need
    not: it enforces no types, and what is read as one value may be two of a key there.
    """
    if join.kind != "left" or any(name in needed for name in join.right.names):
        return False
    pairs = list(alike_across(join))
    if not pairs or len(pairs) != len(conjuncts(join.condition)):
        return False
    right, table = join.right, unfiltered(join.right)
    if not isinstance(table, nodes.Scan) or not _never_fails(right):
        return False
    if table.source not in enforcing or table.table.kind != "table":
        return False
    if any(right.column(name).type.family not in _FAMILIES for _, name in pairs):
        return False
    written = {place[1] for _, name in pairs if (place := origin(right, name)) is not None}
    keys = (table.table.primary_key, *table.table.unique_keys)
    return any(
        key and all((c := table.table.column(n)) and c.source_name in written for n in key)
        for key in keys
    )


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
