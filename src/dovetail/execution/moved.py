"""Counting what native fragments bring in: the engine reads them itself, so the engine counts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dovetail.connectors.base import OutputColumn
from dovetail.execution.profile import FragmentProfile, Profile
from dovetail.quoting import quote, sql_string

LIMIT_MARK = "dovetail-limit:max_bytes_moved"

_WIDTHS = {
    "boolean": 1,
    "date": 4,
    "integer": 8,
    "float": 8,
    "decimal": 16,
    "timestamp": 8,
    "timestamptz": 8,
    "time": 8,
    "uuid": 16,
}


def guarded(relation: str, columns: Sequence[OutputColumn], limit: int) -> str:
    """``relation`` with an error as soon as it has brought more than ``limit`` bytes.

    A row counts its columns' fixed widths; text and bytes count 16 and their length beyond 12, as
    they lie in the engine.
    """
    fixed, parts = 0, []
    for column in columns:
        name = quote(column.name)
        if column.type.text in ("VARCHAR", "BLOB"):
            length = "strlen" if column.type.text == "VARCHAR" else "octet_length"
            parts.append(f"CASE WHEN {length}({name}) > 12 THEN {length}({name}) ELSE 0 END")
            fixed += 16
        else:
            fixed += _WIDTHS.get(column.type.family, 4)
    size = " + ".join([str(max(1, fixed)), *parts])
    names = ", ".join(quote(column.name) for column in columns) or "1"
    # A running sum over rows in the order they come: DuckDB computes it while they stream by.
    return (
        f"(SELECT {names} FROM (SELECT *, sum({size}) OVER (ROWS BETWEEN UNBOUNDED PRECEDING "
        f'AND CURRENT ROW) AS "dovetail moved" FROM {relation}) WHERE CASE WHEN '
        f'"dovetail moved" > {limit} THEN error({sql_string(LIMIT_MARK)}) ELSE TRUE END)'
    )


@dataclass(frozen=True)
class Scan:
    """One scan as the engine's profile shows it. ``bytes`` is rows times the width of the
    engine's own types (16 for a text, whatever its length); ``seconds`` over all threads.
    """

    function: str
    table: str
    columns: frozenset[str]
    rows: int
    bytes: int
    seconds: float


def add_measures(
    report: str,
    profile: Profile,
    native: Mapping[int, str],
    peaks: dict[str, int],
    only: int | None = None,
) -> None:
    """Add what the engine's profile of one statement tells to the fragments and the whole.

    ``native`` maps the numbers of native fragments to their relations. A scan that could belong
    to two fragments is credited to neither: both stay unknown. ``only`` says that every scan of
    the statement belongs to that fragment. ``peaks`` are the engine instance's, brought up to date.
    """
    tree = json.loads(report)
    memory = _risen(tree.get("system_peak_buffer_memory", 0), "memory", peaks)
    if memory is not None:
        profile.peak_memory = max(profile.peak_memory or 0, memory)
    spilled = _risen(tree.get("system_peak_temp_dir_size", 0), "disk", peaks)
    if spilled is not None:
        profile.spilled_bytes = max(profile.spilled_bytes or 0, spilled)
    if not native:
        return
    fragments = {f.number: f for f in profile.fragments if f.number in native}
    folded = {number: relation.lower() for number, relation in native.items()}
    unclear: set[int] = set()
    found: dict[int, list[Scan]] = {}
    for scan in _scans(tree):
        if only is not None:
            owners = [only]
        else:
            owners = [number for number, text in folded.items() if _may_be(scan, text)]
        if len(owners) == 1:
            found.setdefault(owners[0], []).append(scan)
        else:
            unclear.update(owners)
    for number, scans in found.items():
        if number not in unclear and number in fragments:
            _credit(fragments[number], scans)


def _risen(peak: int, of: str, peaks: dict[str, int]) -> int | None:
    """A statement's own peak, or None when an earlier one of the instance had a higher one."""
    before = peaks.get(of, 0)
    peaks[of] = max(before, peak)
    return peak if peak > before or not before else None


def _credit(fragment: FragmentProfile, scans: Sequence[Scan]) -> None:
    fragment.rows = (fragment.rows or 0) + sum(scan.rows for scan in scans)
    fragment.bytes = (fragment.bytes or 0) + sum(scan.bytes for scan in scans)
    spent = sum(scan.seconds for scan in scans) * 1e3
    fragment.milliseconds = (fragment.milliseconds or 0.0) + spent
    fragment.complete = True


def _scans(node: Mapping[str, Any]) -> Iterator[Scan]:
    for child in node.get("children") or ():
        yield from _scans(child)
    if node.get("operator_type") != "TABLE_SCAN":
        return
    extra = node.get("extra_info") or {}
    columns = extra.get("Projections") or []
    listed = [columns] if isinstance(columns, str) else columns
    function = str(extra.get("Function") or "").lower()
    if function == "arrow_scan":  # a stream; it counts itself
        return
    yield Scan(
        function,
        str(extra.get("Table") or "").lower(),
        frozenset(str(column).lower() for column in listed if column),
        int(node.get("operator_cardinality") or 0),
        int(node.get("result_set_size") or 0),
        float(node.get("operator_timing") or 0.0),
    )


def _may_be(scan: Scan, relation: str) -> bool:
    """Whether a scan may be one of a relation's, judged by the names in the relation's text."""
    if scan.table:
        if quote(scan.table.rsplit(".", 1)[-1]) not in relation:
            return False
    else:
        name = "read_parquet" if scan.function == "parquet_scan" else scan.function
        if f"{name}(" not in relation:
            return False
    return all(column in relation for column in scan.columns)
