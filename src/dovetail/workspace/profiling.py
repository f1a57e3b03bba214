"""Figures about columns: counts, extremes, means, most frequent values, histograms.

Everything is computed by DuckDB over a relation of ours (a Parquet file, or a stream put into a
temporary one), one pass for the figures of all columns and one per column for its values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dovetail.quoting import quote, sql_string
from dovetail.workspace.models import now
from dovetail.workspace.shapes import ColumnProfile, TableProfile

if TYPE_CHECKING:
    import duckdb

_EXACT_ROWS = 1_000_000
_TOP = 10
_BUCKETS = 20
_SAFE = 2**53 - 1
_NUMBERS = (
    "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER",
    "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL",
)  # fmt: skip
_TIMES = ("DATE", "TIMESTAMP")
_UNORDERED = ("STRUCT", "MAP", "UNION", "BLOB", "JSON")


def profile(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Sequence[tuple[str, str]],
    sampled_rows: int | None = None,
) -> TableProfile:
    """The profile of ``relation``, SQL for a FROM clause, with ``(name, DuckDB type)`` columns."""
    counted = connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
    assert counted is not None
    rows = int(counted[0])
    exact = rows < _EXACT_ROWS
    wanted = [figure for name, type_ in columns for figure in _figures(name, type_, exact)]
    values: tuple[Any, ...] = ()
    if wanted:
        found = connection.execute(f"SELECT {', '.join(wanted)} FROM {relation}").fetchone()
        assert found is not None
        values = found
    per_column = len(wanted) // len(columns) if columns else 0
    profiles = [
        _column(
            connection,
            relation,
            name,
            type_,
            rows,
            exact,
            values[number * per_column : (number + 1) * per_column],
        )
        for number, (name, type_) in enumerate(columns)
    ]
    return TableProfile(tuple(profiles), rows, sampled_rows, now())


def _figures(name: str, type_: str, exact: bool) -> list[str]:
    column = quote(name)
    ordered = not _is(type_, _UNORDERED) and not type_.endswith("]")
    number = _is(type_, _NUMBERS) and not type_.endswith("]")
    distinct = f"count(DISTINCT {column})" if exact else f"approx_count_distinct({column})"
    as_double = f"CAST({column} AS DOUBLE)"
    finite = f"FILTER (WHERE isfinite({as_double}))" if number else ""
    return [
        f"count({column})",
        distinct,
        f"min({column})" if ordered else "NULL",
        f"max({column})" if ordered else "NULL",
        f"avg({as_double}) {finite}" if number else "NULL",
        f"stddev_samp({as_double}) {finite}" if number else "NULL",
        f"median({as_double}) {finite}" if number else "NULL",
    ]


def _column(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    name: str,
    type_: str,
    rows: int,
    exact: bool,
    figures: Sequence[Any],
) -> ColumnProfile:
    present, distinct, low, high, mean, deviation, median = figures
    column = quote(name)
    top = connection.execute(
        f"SELECT CAST({column} AS VARCHAR), count(*) AS n FROM {relation} "
        f"WHERE {column} IS NOT NULL GROUP BY ALL ORDER BY n DESC, 1 LIMIT {_TOP}"
    ).fetchall()
    distinct = min(int(distinct), int(present))
    return ColumnProfile(
        name=name,
        type=type_,
        count=rows,
        nulls=rows - int(present),
        distinct=distinct,
        approximate=not exact,
        min=_shown(low),
        max=_shown(high),
        mean=_finite(mean),
        stddev=_finite(deviation),
        median=_finite(median),
        unique_share=round(distinct / present, 6) if present else None,
        top=tuple((value, int(count)) for value, count in top),
        histogram=_histogram(connection, relation, column, type_, low, high),
    )


def _histogram(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    column: str,
    type_: str,
    low: Any,
    high: Any,
) -> tuple[tuple[Any, Any, int], ...]:
    """20 buckets of equal width from the lowest to the highest value; the last one is closed."""
    if type_.endswith("]"):
        return ()
    if _is(type_, _TIMES):
        value = f"epoch(CAST({column} AS TIMESTAMP))"
    elif _is(type_, _NUMBERS):
        value = f"CAST({column} AS DOUBLE)"
    else:
        return ()
    ends = connection.execute(
        f"SELECT min(v), max(v) FROM (SELECT {value} AS v FROM {relation} "
        f"WHERE isfinite({column if not _is(type_, _NUMBERS) else value})) WHERE isfinite(v)"
    ).fetchone()
    if ends is None or ends[0] is None:
        return ()
    start, end = float(ends[0]), float(ends[1])
    width = (end - start) / _BUCKETS
    if width <= 0 or not math.isfinite(width):
        counted = connection.execute(f"SELECT count({column}) FROM {relation}").fetchone()
        assert counted is not None
        return ((_label(start, type_), _label(end, type_), int(counted[0])),)
    counts = dict(
        connection.execute(
            f"SELECT least({_BUCKETS - 1}, CAST(floor((v - {start!r}) / {width!r}) AS INTEGER)), "
            f"count(*) FROM (SELECT {value} AS v FROM {relation} "
            f"WHERE isfinite({column if not _is(type_, _NUMBERS) else value})) GROUP BY ALL"
        ).fetchall()
    )
    return tuple(
        (
            _label(start + number * width, type_),
            _label(end if number == _BUCKETS - 1 else start + (number + 1) * width, type_),
            int(counts.get(number, 0)),
        )
        for number in range(_BUCKETS)
    )


def _label(value: float, type_: str) -> Any:
    if not _is(type_, _TIMES):
        return value
    from datetime import UTC, datetime, timedelta

    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)
    return moment.replace(tzinfo=None).isoformat()


def _is(type_: str, families: tuple[str, ...]) -> bool:
    return type_.startswith(families)


def _shown(value: Any) -> Any:
    """A number where JSON can carry it exactly, else text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _SAFE else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)


def _finite(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def parquet_relation(path: str) -> str:
    """SQL for a FROM clause over one of our files."""
    return f"read_parquet({sql_string(path)})"
