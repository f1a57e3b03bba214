"""Shadow tables: where they live, and which of their columns DuckDB's plan of a query reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

TableKey = tuple[str, str, str]
"""``(catalog, schema, name)`` of a table as the query writes it; parts not written are empty."""

Columns = Sequence[tuple[str, str]]
"""The columns of a table as ``(name, type text)``."""

SHADOW: Final = "dovetail_shadow"
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
    stack = list(plan)
    while stack:
        node = stack.pop()
        stack.extend(node.get("children") or ())
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
            names = _projected([listed] if isinstance(listed, str) else listed, tables[key])
            if names is None:
                return None
            read[key] |= names
    return {key: frozenset(names) for key, names in read.items()}


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
