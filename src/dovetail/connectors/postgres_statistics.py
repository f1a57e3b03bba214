"""What PostgreSQL's own statistics say of a table's columns."""

from __future__ import annotations

from typing import Any

from dovetail.catalog.model import ColumnStatistics, TableInfo

# ``n_distinct`` is a number of values, or when negative a share of the rows. A partitioned or
# inherited table has figures over its children too, and those are the ones a query of it meets.
_STATISTICS = """
SELECT attname, n_distinct, null_frac, avg_width, correlation FROM pg_catalog.pg_stats
WHERE schemaname = %s AND tablename = %s ORDER BY inherited
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
    return found
