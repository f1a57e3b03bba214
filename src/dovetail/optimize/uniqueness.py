"""Which columns of a plan no two of its rows have in common."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dovetail.connectors.capabilities import Capabilities
from dovetail.plan import nodes
from dovetail.plan.shapes import passed

# Sources whose keys hold for the values as they are read. SQLite's need not: it enforces no types,
# and what is read as one value may be two of a key there.
_ENFORCING = frozenset(("postgres", "mysql", "duckdb"))
# What a source compares as DuckDB does, or more finely.
_FAMILIES = frozenset(("integer", "text", "date", "uuid"))


def enforcing(capabilities: Mapping[str, Capabilities]) -> frozenset[str]:
    """The sources whose keys hold for the values as they are read."""
    return frozenset(n for n, c in capabilities.items() if c.kind in _ENFORCING)


def unique_by(plan: nodes.Plan, names: Collection[str], sources: Collection[str]) -> bool:
    """Whether no two rows of ``plan`` have equal values, none of them NULL, in columns ``names``.

    ``sources`` are those whose keys count (:func:`enforcing`). The columns must be those of a key,
    compared as its source compares them or more finely.
    """
    match plan:
        case nodes.Scan():
            table = plan.table
            if plan.source not in sources or table.kind != "table":
                return False
            read = {c.column.name: c for c in plan.read}
            written = {
                read[name].source_name
                for name in names
                if name in read and read[name].column.type.family in _FAMILIES
            }
            return any(
                all((c := table.column(n)) and c.source_name in written for n in key)
                for key in table.keys
            )
        case nodes.Filter() | nodes.Sort() | nodes.Limit():
            return unique_by(plan.input, names, sources)
        case nodes.Distinct() if not plan.on:
            return unique_by(plan.input, names, sources)
        case nodes.Project():
            below = [b for name in names if (b := passed(plan, name)) is not None]
            return unique_by(plan.input, below, sources)
        case nodes.Aggregate() if plan.keys and plan.grouping_sets is None:
            return all(item.column.name in names for item in plan.keys)
        case nodes.Join() if plan.kind in ("semi", "anti"):
            return unique_by(plan.left, names, sources)
        case _:
            return False
