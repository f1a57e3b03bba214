"""What PostgreSQL's own statistics say of a table's columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dovetail.catalog.model import ColumnStatistics, TableInfo

# ``n_distinct`` is a number of values, or when negative a share of the rows. A partitioned or
# inherited table has figures over its children too, and those are the ones a query of it meets.
_STATISTICS = """
SELECT attname, n_distinct, null_frac, avg_width, correlation FROM pg_catalog.pg_stats
WHERE schemaname = %s AND tablename = %s ORDER BY inherited
"""

# The width of a long value that lies in the table's TOAST relation is that of a pointer there (18
# bytes). What lies behind these pointers is known of all columns together.
_POINTER = 16.0
_TOAST = """
SELECT a.attname, pg_catalog.pg_relation_size(c.reltoastrelid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
WHERE n.nspname = %s AND c.relname = %s AND c.reltoastrelid <> 0
  AND a.attnum > 0 AND NOT a.attisdropped AND a.attstorage IN ('x', 'e')
"""


def read_statistics(cursor: Any, table: TableInfo) -> dict[str, ColumnStatistics]:
    """Statistics by visible column name; empty before the first ``ANALYZE``."""
    rows = float(table.row_estimate or 0)
    visible = {column.source_name: column.name for column in table.columns}
    found: dict[str, ColumnStatistics] = {}
    for name, distinct, nulls, width, correlation in cursor.execute(
        _STATISTICS, (table.source_schema, table.source_name)
    ):
        if name not in visible:
            continue
        values = float(distinct)
        if values < 0:
            values = -values * rows
        found[visible[name]] = ColumnStatistics(
            values or None, float(nulls), float(width), correlation
        )
    _add_toast(cursor, table, found, visible)
    return found


def _add_toast(
    cursor: Any, table: TableInfo, found: dict[str, ColumnStatistics], visible: Mapping[str, str]
) -> None:
    """Add to the widths of long columns what they have in the TOAST relation, as it lies there."""
    if not found or not table.row_estimate:
        return
    place = (table.source_schema, table.source_name)
    rows = [(visible[n], size) for n, size in cursor.execute(_TOAST, place) if n in visible]
    long = [n for n, size in rows if size and n in found and (found[n].width or 0.0) >= _POINTER]
    for name in long:
        known = found[name]
        each = rows[0][1] / table.row_estimate / len(long)
        found[name] = replace(known, width=(known.width or 0.0) + each)
