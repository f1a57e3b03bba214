"""What MySQL's and MariaDB's own statistics say of a table's columns, and what a look at it shows.

They count different values for indexes only. How many groups a column makes, or what part of a
table has one of its values, then stays a guess that can be wrong by a factor of thousands. So the
other columns of a table are looked at in a few thousand rows from both ends of its primary key,
and how long its long texts are in a few of these.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence

from dovetail.catalog.model import ColumnInfo, ColumnStatistics, TableInfo
from dovetail.connectors.mysql_connect import Session
from dovetail.connectors.mysql_types import parse_native
from dovetail.errors import DovetailError
from dovetail.quoting import backticked

# The cardinality of an index up to its first column: the different values of that column.
_STATISTICS = """
SELECT COLUMN_NAME, MAX(CARDINALITY) FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND SEQ_IN_INDEX = 1 GROUP BY COLUMN_NAME
"""
_END_ROWS = 2000  # of each end: 5 ms for a table of 9 columns, read once
_LONG_ROWS = 50  # of each end: a long value lies on pages of its own
_MOST_COLUMNS = 40
_LONGEST = 255  # characters of a text that is worth a look
# Dates mostly grow with the key: both ends show few of them. Doubles have no two alike.
_LOOKED_AT = ("text", "integer", "decimal", "boolean")
_LONG = ("text", "blob", "json")


def read_statistics(session: Session, table: TableInfo) -> dict[str, ColumnStatistics]:
    """Statistics by visible column name, of columns that lead an index and of those looked at."""
    visible = {column.source_name: column.name for column in table.columns}
    rows = session.rows(_STATISTICS, (table.source_schema, table.source_name))
    found = {
        visible[name]: ColumnStatistics(distinct=float(distinct))
        for name, distinct in rows
        if name in visible and distinct
    }
    others = [c for c in table.columns if c.name not in found and _worth_a_look(c)]
    if table.kind == "table" and others:
        with contextlib.suppress(DovetailError):  # what the indexes tell is good without
            found |= _look(session, table, others[:_MOST_COLUMNS])
    long = [c for c in table.columns if c.name not in found and _is_long(c)]
    if table.kind == "table" and long:
        with contextlib.suppress(DovetailError):
            found |= _widths(session, table, long[:_MOST_COLUMNS])
    return found


def _worth_a_look(column: ColumnInfo) -> bool:
    if column.type.family not in _LOOKED_AT or column.unreadable is not None:
        return False
    numbers = parse_native(column.native_type).numbers() or (0,)
    return column.type.family != "text" or 0 < numbers[0] <= _LONGEST


def _is_long(column: ColumnInfo) -> bool:
    """Whether its type says nothing of how many bytes a value has."""
    family = column.type.family
    return column.unreadable is None and family in _LONG and not _worth_a_look(column)


def _widths(
    session: Session, table: TableInfo, columns: Sequence[ColumnInfo]
) -> dict[str, ColumnStatistics]:
    values = [
        f"OCTET_LENGTH({backticked(column.source_name)}) AS w{number}"
        for number, column in enumerate(columns)
    ]
    means = ", ".join(f"AVG(w{number})" for number in range(len(columns)))
    (found,) = session.rows(f"SELECT {means} FROM {_ends(table, values, _LONG_ROWS)}")
    return {
        column.name: ColumnStatistics(width=float(width))
        for column, width in zip(columns, found, strict=True)
        if width is not None
    }


def _ends(table: TableInfo, values: Sequence[str], rows: int) -> str:
    """A FROM clause: the ``values`` in so many rows from each end of the primary key."""
    place = f"{backticked(table.source_schema)}.{backticked(table.source_name)}"
    end = f"SELECT {', '.join(values)} FROM {place}"
    ends = [f"({end} LIMIT {rows})"]
    if table.primary_key:
        keys = [c for k in table.primary_key if (c := table.column(k)) is not None]
        ends = [
            f"({end} ORDER BY {', '.join(f'{backticked(k.source_name)} {way}' for k in keys)} "
            f"LIMIT {rows})"
            for way in ("ASC", "DESC")
        ]
    return f"({' UNION ALL '.join(ends)}) AS looked_at"


def _look(
    session: Session, table: TableInfo, columns: Sequence[ColumnInfo]
) -> dict[str, ColumnStatistics]:
    names = [backticked(column.source_name) for column in columns]
    counts = ", ".join(f"COUNT(DISTINCT {name})" for name in names)
    ((seen, *distinct),) = session.rows(
        f"SELECT COUNT(*), {counts} FROM {_ends(table, names, _END_ROWS)}"
    )
    total = float(table.row_estimate) if table.row_estimate is not None else None
    return {
        column.name: ColumnStatistics(distinct=distinct_of_all(seen, values, total))
        for column, values in zip(columns, distinct, strict=True)
        if values
    }


def distinct_of_all(seen: int, distinct: int, total: float | None) -> float:
    """Different values in a whole table of ``total`` rows, of which ``seen`` had ``distinct``.

    The number of equally frequent values of which so many would show up in so many draws
    (``D (1 - exp(-n / D)) = d``), and no more than there are rows.
    """
    if total is None:
        total = math.inf
    if seen >= total or distinct <= 0.1 * seen:
        return float(distinct)
    low, high = float(distinct), total if math.isfinite(total) else 1e9
    while high > 1.01 * low:
        middle = math.sqrt(low * high)
        if -middle * math.expm1(-seen / middle) < distinct:
            low = middle
        else:
            high = middle
    return high
