"""Shadow tables: where they live, and which of their columns DuckDB's plan of a query reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

TableKey = tuple[str, str, str]
"""``(catalog, schema, name)`` of a table as the query writes it; parts not written are empty."""

Columns = Sequence[tuple[str, str]]
"""The columns of a table as ``(name, type text)``."""

SHADOW: Final = "dovetail_shadow"
# An empty projection list says that a scan reads no column, or that DuckDB has not looked at it:
# below a DISTINCT, a set operation or a CTE it keeps every column, also those of the other side of
# a join. Only in a plan of these operators, and of groups with aggregates, does it say the former.
_PRUNING: Final = frozenset(
    {"SEQ_SCAN", "PROJECTION", "FILTER", "UNGROUPED_AGGREGATE"}
    | {"CROSS_PRODUCT", "HASH_JOIN", "NESTED_LOOP_JOIN", "BLOCKWISE_NL_JOIN"}
    | {"PIECEWISE_MERGE_JOIN", "ORDER_BY", "TOP_N", "LIMIT"}
    | {"STREAMING_LIMIT", "WINDOW", "STREAMING_WINDOW", "RESERVOIR_SAMPLE"}
    | {"STREAMING_SAMPLE"}
)
_NAME_PART: Final = re.compile(r'"((?:[^"]|"")*)"|([^.]+)')


def shadow_key(key: Sequence[str]) -> TableKey:
    """Where the shadow of a table lives: two-part names are ``source.table``."""
    catalog, schema, name = (part.lower() for part in key)
    if not catalog and schema and schema != "main":
        return schema, "main", name
    return catalog or SHADOW, schema or "main", name


def scans_of(
    plan: Any, tables: Mapping[TableKey, Columns]
) -> dict[TableKey, frozenset[str]] | None:
    """The columns that the table scans of an EXPLAIN tree project, by table."""
    keys: dict[TableKey, list[TableKey]] = {}
    for key in tables:
        keys.setdefault(shadow_key(key), []).append(key)
    read: dict[TableKey, set[str]] = {key: set() for key in tables}
    found_nodes = list(_nodes(plan))
    surely_none = all(_prunes(node) for node in found_nodes)
    for node in found_nodes:
        details = node.get("extra_info") or {}
        if "Table" not in details:
            if node["name"].strip().upper() == "SEQ_SCAN":
                return None
            continue
        parts = [m[1].replace('""', '"') if m[1] is not None else m[2] for m in _parts(details)]
        found = keys.get(shadow_key(parts)) if len(parts) == 3 else None
        if found is None or "Projections" not in details:
            return None
        listed = details["Projections"]
        for key in found:
            if not listed and not surely_none:
                read[key] |= {name for name, _ in tables[key]}
                continue
            names = _projected([listed] if isinstance(listed, str) else listed, tables[key])
            if names is None:
                return None
            read[key] |= names
    return {key: frozenset(names) for key, names in read.items()}


def _nodes(plan: Any) -> Iterator[Any]:
    stack = list(plan)
    while stack:
        node = stack.pop()
        stack.extend(node.get("children") or ())
        yield node


def _prunes(node: Any) -> bool:
    name = node["name"].strip().upper()
    grouped = name == "HASH_GROUP_BY" and bool((node.get("extra_info") or {}).get("Aggregates"))
    return name in _PRUNING or grouped


def _parts(details: Mapping[str, Any]) -> list[re.Match[str]]:
    return list(_NAME_PART.finditer(str(details["Table"])))


def _projected(listed: Sequence[str], columns: Sequence[tuple[str, str]]) -> set[str] | None:
    """The columns behind the entries of a scan's projection list; a struct field is its column."""
    names = {name for name, _ in columns}
    read = set()
    for entry in listed:
        if not entry:
            continue
        owners = {name for name in names if entry == name or entry.startswith(f"{name}.")}
        if not owners:
            return None
        read |= owners
    return read
