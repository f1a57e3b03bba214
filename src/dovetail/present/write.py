"""Write a result in a format: the front door of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dovetail.catalog.model import distinct_names
from dovetail.present.formats import Format
from dovetail.present.layout import ByteStream, Layout, Writer
from dovetail.present.values import Column, chunks

if TYPE_CHECKING:
    import pyarrow as pa

_FOR_EYES = ("table", "markdown", "vertical")


@dataclass(frozen=True)
class Written:
    """What was written: rows, and whether ``layout.max_rows`` left some out."""

    rows: int
    cut: bool = False


def output_columns(columns: Iterable[tuple[str, object]]) -> list[Column]:
    """The columns under distinct names: ``a, a`` become ``a, a_1``, ignoring case."""
    pairs = [(name, str(type_)) for name, type_ in columns]
    names = distinct_names(name for name, _ in pairs)
    return [Column(name, type_) for name, (_, type_) in zip(names, pairs, strict=True)]


def write(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    columns: Sequence[Column],
    form: Format,
    stream: ByteStream,
    layout: Layout | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> Written:
    """Write ``batches`` to ``stream`` as ``form``; memory does not grow with the result.

    ``columns`` (see :func:`output_columns`) gives names and DuckDB types in the order of
    ``schema``. ``on_rows`` is told the number of rows after each chunk. Errors of the batches, and
    ``BrokenPipeError`` of the stream, pass through.
    """
    layout = layout or Layout()
    limit = layout.max_rows if form.name in _FOR_EYES else 0
    rows, was_cut = 0, False
    writer = _writer(form, stream, schema, columns, layout)
    try:
        writer.begin()
        for table in chunks(batches):
            if limit and rows + table.num_rows > limit:
                table, was_cut = table.slice(0, limit - rows), True
            rows += table.num_rows
            if table.num_rows:
                writer.chunk(table)
            if on_rows is not None:
                on_rows(rows)
            if was_cut:
                break
        writer.end()
    finally:
        writer.close()
    return Written(rows, was_cut)


def _writer(
    form: Format,
    stream: ByteStream,
    schema: pa.Schema,
    columns: Sequence[Column],
    layout: Layout,
) -> Writer:
    # Each writer is imported when it is used: a CSV export has no use for the Parquet library.
    if form.name in ("csv", "tsv"):
        from dovetail.present.delimited import DelimitedWriter

        delimiter = "," if form.name == "csv" else "\t"
        return DelimitedWriter(stream, schema, columns, layout, delimiter)
    if form.name in ("json", "jsonl"):
        from dovetail.present.json import JsonWriter

        return JsonWriter(stream, schema, columns, layout, lines=form.name == "jsonl")
    if form.name == "parquet":
        from dovetail.present.columnar import ParquetWriter

        return ParquetWriter(stream, schema, columns, layout)
    if form.name in ("arrow", "feather"):
        from dovetail.present.columnar import ArrowWriter

        return ArrowWriter(stream, schema, columns, layout, file=form.name == "feather")
    if form.name in _FOR_EYES:
        from dovetail.present import grid

        kinds = {
            "table": grid.TableWriter,
            "markdown": grid.MarkdownWriter,
            "vertical": grid.VerticalWriter,
        }
        return kinds[form.name](stream, schema, columns, layout)
    return _Nothing()


class _Nothing:
    """The format ``none``: the query runs, its rows are counted, nothing is written."""

    def begin(self) -> None: ...

    def chunk(self, table: pa.Table) -> None: ...

    def end(self) -> None: ...

    def close(self) -> None: ...
