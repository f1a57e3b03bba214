"""Write a result in a format: the front door of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dovetail.catalog.model import distinct_names
from dovetail.present.formats import Format
from dovetail.present.layout import ByteStream, Layout, Writer
from dovetail.present.values import Column, at_once, chunks

if TYPE_CHECKING:
    import pyarrow as pa

    from dovetail.present.xlsx import Workbook


@dataclass(frozen=True)
class Written:
    """What was written: rows, whether ``layout.max_rows`` left some out, and what to know of it."""

    rows: int
    cut: bool = False
    notes: tuple[str, ...] = ()


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
    with Document(form, stream, layout) as document:
        return document.add(batches, schema, columns, on_rows)


class Document:
    """One file or stream of one format, with one result or, where the format allows, several.

    A workbook is written when the block ends well.
    """

    def __init__(self, form: Format, stream: ByteStream, layout: Layout | None = None) -> None:
        self._form = form
        self._stream = stream
        self._layout = layout or Layout()
        self._results = 0
        self._workbook: Workbook | None = None
        if form.name == "xlsx":
            from dovetail.present.xlsx import Workbook

            self._workbook = Workbook(stream)

    def add(
        self,
        batches: Iterable[pa.RecordBatch],
        schema: pa.Schema,
        columns: Sequence[Column],
        on_rows: Callable[[int], None] | None = None,
    ) -> Written:
        """Write one result, see :func:`write`."""
        if self._results and self._form.for_eyes:
            self._stream.write(b"\n")
        self._results += 1
        limit = self._layout.max_rows if self._form.for_eyes else 0
        rows, was_cut = 0, False
        if self._workbook is not None:
            batches = self._workbook.counted(batches, schema, self._layout)
            writer: Writer = self._workbook.sheet(schema, columns, self._layout)
        else:
            writer = _writer(self._form, self._stream, schema, columns, self._layout)
        try:
            writer.begin()
            for table in at_once(batches) if self._layout.prompt else chunks(batches):
                if limit and rows + table.num_rows > limit:
                    table, was_cut = table.slice(0, limit - rows), True
                rows += table.num_rows
                if table.num_rows:
                    writer.chunk(table)
                    if self._layout.prompt:
                        self._flush()
                if on_rows is not None:
                    on_rows(rows)
                if was_cut:
                    break
            writer.end()
        finally:
            writer.close()
        if self._form.several and self._workbook is None:
            # A later result may fail; this one is complete and is not lost with it.
            self._flush()
        return Written(rows, was_cut, tuple(getattr(writer, "notes", ())))

    def _flush(self) -> None:
        getattr(self._stream, "flush", lambda: None)()

    def __enter__(self) -> Document:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if self._workbook is not None:
            try:
                if kind is None:
                    self._workbook.finish()
            finally:
                self._workbook.close()


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
    if form.name == "html":
        from dovetail.present.html import HtmlWriter

        return HtmlWriter(stream, schema, columns, layout)
    if form.name == "insert":
        from dovetail.present.insert import InsertWriter

        return InsertWriter(stream, schema, columns, layout)
    if form.for_eyes:
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
