"""Results on disk: Arrow IPC files, written to a temporary name and moved when whole."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.quoting import quote
from dovetail.workspace.problems import invalid

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_COMPARISONS = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_OPERATORS = (*_COMPARISONS, "in", "contains", "null")


@dataclass(frozen=True)
class Taken:
    """What was taken of a stream: ``truncated`` when there was more."""

    rows: int
    bytes: int
    truncated: bool


class ResultWriter:
    """Writes the rows of a result up to a number of rows and bytes. Close it in any case."""

    def __init__(self, path: Path, schema: pa.Schema, max_rows: int, max_bytes: int) -> None:
        import pyarrow as pa

        self._path = path
        self._left_rows, self._left_bytes = max_rows, max_bytes
        self._rows = 0
        self._truncated = False
        self._sink = pa.OSFile(str(path), "wb")
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writer = pa.ipc.new_file(self._sink, schema, options=options)

    def take(self, batch: pa.RecordBatch) -> pa.RecordBatch | None:
        """Write what fits of a batch and return it; None when nothing did and all is full."""
        rows = min(batch.num_rows, self._left_rows)
        size = batch.nbytes
        if size > self._left_bytes:
            rows = min(rows, self._left_bytes * batch.num_rows // size)
        if rows < batch.num_rows:
            self._truncated = True
            batch = batch.slice(0, rows)
        self._left_rows -= rows
        self._left_bytes -= min(size, self._left_bytes) if rows == 0 else batch.nbytes
        if rows:
            self._rows += rows
            self._writer.write_batch(batch)
        return None if self._truncated and not rows else batch

    @property
    def full(self) -> bool:
        """Whether there was more than could be taken."""
        return self._truncated

    def finish(self, target: Path) -> Taken:
        """Make the file whole, and visible under its name at once."""
        self._writer.close()
        self._sink.close()
        size = self._path.stat().st_size
        self._path.chmod(0o400)
        os.replace(self._path, target)
        return Taken(self._rows, size, self._truncated)

    def abort(self) -> None:
        """Remove what was written; nothing after :meth:`finish`."""
        if not self._sink.closed:
            self._writer.close()
            self._sink.close()
        self._path.unlink(missing_ok=True)


def open_result(path: str) -> Any:
    """A ``pyarrow.RecordBatchReader`` over the rows of a result file."""
    import pyarrow as pa

    file = pa.ipc.open_file(pa.memory_map(path, "r"))
    batches = (file.get_batch(number) for number in range(file.num_record_batches))
    return pa.RecordBatchReader.from_batches(file.schema, batches)


def read_slice(path: str, offset: int, limit: int) -> tuple[pa.Table, int]:
    """Rows ``offset`` to ``offset + limit`` and the number of all; other batches stay unread."""
    import pyarrow as pa

    file = pa.ipc.open_file(pa.memory_map(path, "r"))
    parts: list[pa.RecordBatch] = []
    seen = 0
    for number in range(file.num_record_batches):
        batch = file.get_batch(number)
        start, end = max(offset - seen, 0), min(offset + limit - seen, batch.num_rows)
        if start < end:
            parts.append(batch.slice(start, end - start))
        seen += batch.num_rows
    return pa.Table.from_batches(parts, schema=file.schema), seen


def select(
    connection: duckdb.DuckDBPyConnection,
    path: str,
    names: Sequence[str],
    *,
    offset: int,
    limit: int,
    sort: Sequence[tuple[str, bool]],
    filters: Mapping[str, Mapping[str, Any]],
) -> tuple[pa.Table, int]:
    """A page of the rows that pass ``filters``, sorted; and how many pass.

    Raises:
        WorkspaceError: ``validation``: an unknown column or operator.
    """
    condition, values = _condition(names, filters)
    order = ", ".join(
        f"{_column(names, name, 'sort')} {'DESC' if descending else 'ASC'} NULLS LAST"
        for name, descending in sort
    )
    place = "row_number() OVER () AS dovetail_place"
    connection.register("stored", open_result(path))
    connection.execute(
        f"CREATE TEMP TABLE passed AS SELECT *, {place} FROM stored{condition}", values
    )
    counted = connection.execute("SELECT count(*) FROM passed").fetchone()
    assert counted is not None
    order = ", ".join(part for part in (order, "dovetail_place") if part)
    found = connection.execute(
        f"SELECT * EXCLUDE (dovetail_place) FROM passed ORDER BY {order} LIMIT ? OFFSET ?",
        [limit, offset],
    ).to_arrow_table()
    return found, int(counted[0])


def _condition(
    names: Sequence[str], filters: Mapping[str, Mapping[str, Any]]
) -> tuple[str, list[Any]]:
    parts: list[str] = []
    values: list[Any] = []
    for name, tests in filters.items():
        column = _column(names, name, "filter")
        if not isinstance(tests, Mapping):
            raise invalid(f"filter.{name}", "must be an object of operators and values")
        for operator, value in tests.items():
            if operator in _COMPARISONS:
                parts.append(f"{column} {_COMPARISONS[operator]} ?")
                values.append(value)
            elif operator == "in" and isinstance(value, list) and value:
                parts.append(f"{column} IN ({', '.join('?' * len(value))})")
                values.extend(value)
            elif operator == "contains" and isinstance(value, str):
                parts.append(f"contains(lower(CAST({column} AS VARCHAR)), lower(?))")
                values.append(value)
            elif operator == "null" and isinstance(value, bool):
                parts.append(f"{column} IS {'' if value else 'NOT '}NULL")
            else:
                raise invalid(
                    f"filter.{name}.{operator}",
                    "must be one of these with a value of its kind",
                    valid=list(_OPERATORS),
                )
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), values


def _column(names: Sequence[str], name: str, loc: str) -> str:
    if name not in names:
        raise invalid(loc, f"there is no column {name}", valid=list(names))
    return quote(name)
