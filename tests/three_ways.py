"""Every query test runs three ways: all rules, no pushdown at all, and plain DuckDB."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import duckdb
import pyarrow as pa

from dovetail.execution.result import Result
from dovetail.session import Session


@dataclass(frozen=True)
class Outcome:
    """What the run with all rules did."""

    rows: list[tuple[Any, ...]]
    road: str
    fallback_reason: str


def check(
    session: Session,
    local: duckdb.DuckDBPyConnection,
    sql: str,
    params: Mapping[str, Any] | None = None,
    *,
    local_sql: str | None = None,
    ordered: bool = False,
    widths: bool = True,
    pushdown: Mapping[str, str] | None = None,
) -> Outcome:
    """Run ``sql`` three ways and compare columns, types and rows.

    ``ordered`` compares the order of rows as well. ``widths`` False takes INTEGER and BIGINT for
    the same type: a SQLite column of either declared type is a BIGINT. DOUBLE values may differ by
    a relative 1e-9. ``pushdown`` is that of ``Session.sql``.
    """
    with local.cursor() as cursor:
        cursor.execute("SET TimeZone='UTC'")
        plain = (
            cursor.execute(local_sql or sql, params) if params else cursor.execute(local_sql or sql)
        )
        expected = plain.fetchall()
        types = [str(column[1]) for column in plain.description]
    outcome: Outcome | None = None
    for rules in (True, False):
        with session.sql(sql, params, rules=rules, pushdown=pushdown) as result:
            rows = rows_of(result)
            made = [type_ for _, type_ in result.columns]
            how = "with all rules" if rules else "without rules"
            assert _plain(made, widths) == _plain(types, widths), (
                f"{how}: types {made}, plain DuckDB has {types}"
            )
            difference = differ(rows, expected, ordered)
            assert difference is None, f"{how} ({result.profile.road}): {difference}"
            if rules:
                outcome = Outcome(rows, result.profile.road, result.profile.fallback_reason)
    assert outcome is not None
    return outcome


def _plain(types: Sequence[str], widths: bool) -> list[str]:
    """Type names without blanks; integers of one width when widths do not count."""
    shown = [type_.replace(" ", "") for type_ in types]
    return shown if widths else ["BIGINT" if t == "INTEGER" else t for t in shown]


def differ(
    rows: Sequence[tuple[Any, ...]], expected: Sequence[tuple[Any, ...]], ordered: bool
) -> str | None:
    """What differs between two results, or None."""
    if len(rows) != len(expected):
        return f"{len(rows)} rows instead of {len(expected)}"
    if not ordered:
        rows, expected = sorted(rows, key=_key), sorted(expected, key=_key)
    for number, (row, wanted) in enumerate(zip(rows, expected, strict=True)):
        if len(row) != len(wanted) or not all(same(a, b) for a, b in zip(row, wanted, strict=True)):
            return f"row {number} is {row!r}, not {wanted!r}"
    return None


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal; doubles may differ by a relative 1e-9."""
    if isinstance(a, float) and isinstance(b, float):
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and a == b


def rows_of(result: Result) -> list[tuple[Any, ...]]:
    """The rows as DuckDB's client has them: an interval is so many days and microseconds."""
    return [tuple(map(_as_duckdb, row)) for row in result.rows()]


def _as_duckdb(value: Any) -> Any:
    if not isinstance(value, pa.MonthDayNano):
        return value
    microseconds = value.nanoseconds // 1000
    return timedelta(days=30 * value.months + value.days, microseconds=microseconds)


def _key(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """An order for rows of any types; doubles are rounded so that neighbours stay together."""
    return tuple(
        (value is not None, type(value).__name__, f"{value:.6e}")
        if isinstance(value, float)
        else (value is not None, type(value).__name__, repr(value))
        for value in row
    )
