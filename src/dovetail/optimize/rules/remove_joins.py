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
from dovetail.plan.shapes import alike_across

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
    met = {b: b for _, b in pairs}
    below = join.right
    while not isinstance(below, nodes.Scan):
        if isinstance(below, nodes.Project):
            items = {item.column.name: item.expression for item in below.items}
            if not all(isinstance(e, exp.Column) for e in items.values()):
                return False
            met = {key: items[name].name for key, name in met.items()}
        elif not isinstance(below, nodes.Filter) or not _is_harmless(below.predicate):
            return False
        below = below.inputs[0]
    if below.source not in enforcing or below.table.kind != "table":
        return False
    columns = {read.column.name: read for read in below.read}
    found = [columns[name] for name in met.values() if name in columns]
    if any(read.column.type.family not in _FAMILIES for read in found):
        return False
    written = {read.source_name for read in found}
    keys = (below.table.primary_key, *below.table.unique_keys)
    return any(
        key and all((c := below.table.column(n)) and c.source_name in written for n in key)
        for key in keys
    )


def _is_harmless(predicate: exp.Expression) -> bool:
    return all(isinstance(node, _HARMLESS) for node in predicate.walk())
