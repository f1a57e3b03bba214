"""Parquet and Arrow IPC, with the types that Arrow carries.

HUGEINT, the type of every sum of whole numbers, becomes DECIMAL(38,0). Its values of 39 digits,
and types without a form in the file, are an error that names the column and the way out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail.errors import DataError, NotSupportedError
from dovetail.present.layout import ByteStream, Layout
from dovetail.present.values import Column
from dovetail.quoting import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa


def _target_schema(schema: pa.Schema, columns: Sequence[Column]) -> pa.Schema:
    import pyarrow as pa

    fields = []
    for field, column in zip(schema, columns, strict=True):
        type_ = field.type
        if column.type in ("HUGEINT", "UHUGEINT"):
            type_ = pa.decimal128(38, 0)
        fields.append(pa.field(column.name, type_, field.nullable))
    return pa.schema(fields)


def _check_digits(table: pa.Table, columns: Sequence[Column]) -> None:
    import pyarrow.compute as pc

    for index, column in enumerate(columns):
        if column.type not in ("HUGEINT", "UHUGEINT"):
            continue
        bounds = pc.min_max(table.column(index)).as_py()
        for value in (bounds["min"], bounds["max"]):
            if value is not None and len(str(abs(int(value)))) > 38:
                raise DataError(
                    f'column "{column.name}" holds {int(value)}, which has 39 digits; the file '
                    f"carries 38: CAST({quote(column.name)} AS VARCHAR) keeps it as text, "
                    "AS DOUBLE rounds it"
                )


def _refuse_opaque(schema: pa.Schema, columns: Sequence[Column], form: str) -> None:
    """Refuse what would reach the reader as bytes without a meaning."""
    for field, column in zip(schema, columns, strict=True):
        name = getattr(field.type, "extension_name", "")
        if name == "arrow.opaque" and column.type not in ("HUGEINT", "UHUGEINT"):
            raise _no_form(column, form)


def _no_form(column: Column, form: str) -> NotSupportedError:
    return NotSupportedError(
        f'column "{column.name}" is {column.type}, which {form} cannot hold; '
        f"CAST({quote(column.name)} AS VARCHAR) writes it as text"
    )


class ParquetWriter:
    """Writes one Parquet file, in row groups of ``layout.row_group_rows``."""

    def __init__(
        self, stream: ByteStream, schema: pa.Schema, columns: Sequence[Column], layout: Layout
    ) -> None:
        import pyarrow.parquet as pq

        self._columns = columns
        self._schema = _target_schema(schema, columns)
        self._rows = layout.row_group_rows
        self._held: list[Any] = []
        self._held_rows = 0
        _refuse_opaque(schema, columns, "Parquet")
        _refuse_without_parquet_form(self._schema, columns)
        self._writer = pq.ParquetWriter(stream, self._schema, compression=layout.compression)

    def begin(self) -> None:
        """The schema is written at the end of the file."""

    def chunk(self, table: pa.Table) -> None:
        """Collect rows for a row group and write it when it is full."""
        _check_digits(table, self._columns)
        self._held.append(table.rename_columns(self._schema.names).cast(self._schema))
        self._held_rows += table.num_rows
        if self._held_rows >= self._rows:
            self._flush(self._held_rows - self._held_rows % self._rows)

    def _flush(self, rows: int) -> None:
        import pyarrow as pa

        if self._held:
            held = pa.concat_tables(self._held)
            self._writer.write_table(held.slice(0, rows), row_group_size=self._rows)
            self._held, self._held_rows = [held.slice(rows)], held.num_rows - rows

    def end(self) -> None:
        """Write the last row group and the footer."""
        if self._held_rows:
            self._flush(self._held_rows)
        self._writer.close()

    def close(self) -> None:
        """Drop rows that are still held."""
        self._held = []


def _refuse_without_parquet_form(schema: pa.Schema, columns: Sequence[Column]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for field, column in zip(schema, columns, strict=True):
        try:
            with pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([field])):
                pass
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
            raise _no_form(column, "Parquet") from None


class ArrowWriter:
    """Writes Arrow IPC: the stream form, or the file form with a footer."""

    def __init__(
        self,
        stream: ByteStream,
        schema: pa.Schema,
        columns: Sequence[Column],
        layout: Layout,
        *,
        file: bool,
    ) -> None:
        import pyarrow as pa

        self._columns = columns
        self._schema = _target_schema(schema, columns)
        _refuse_opaque(schema, columns, "Arrow")
        open_ = pa.ipc.new_file if file else pa.ipc.new_stream
        # Each batch may bring its own dictionary for an enumeration; a file holds deltas of one.
        options = pa.ipc.IpcWriteOptions(unify_dictionaries=file)
        self._writer = open_(stream, self._schema, options=options)

    def begin(self) -> None:
        """The schema is written already."""

    def chunk(self, table: pa.Table) -> None:
        """Write some rows."""
        _check_digits(table, self._columns)
        self._writer.write_table(table.rename_columns(self._schema.names).cast(self._schema))

    def end(self) -> None:
        """Write the end of the stream, or the footer."""
        self._writer.close()

    def close(self) -> None:
        """Nothing is held."""
