"""What MySQL's and MariaDB's own statistics say of a table's columns."""

from __future__ import annotations

from dovetail.catalog.model import ColumnStatistics, TableInfo
from dovetail.connectors.mysql_connect import Session

# The cardinality of an index up to its first column: the different values of that column.
_STATISTICS = """
SELECT COLUMN_NAME, MAX(CARDINALITY) FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND SEQ_IN_INDEX = 1 GROUP BY COLUMN_NAME
"""


def read_statistics(session: Session, table: TableInfo) -> dict[str, ColumnStatistics]:
    """Statistics by visible column name, of columns that lead an index."""
    visible = {column.source_name: column.name for column in table.columns}
    rows = session.rows(_STATISTICS, (table.source_schema, table.source_name))
    return {
        visible[name]: ColumnStatistics(distinct=float(distinct))
        for name, distinct in rows
        if name in visible and distinct
    }
