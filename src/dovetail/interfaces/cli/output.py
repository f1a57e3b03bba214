"""From the flags of a command to bytes on stdout or in a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from dovetail.errors import UsageError
from dovetail.interfaces.cli.diagnostics import Diagnostics, wants_color
from dovetail.interfaces.cli.options import OutputFlags
from dovetail.present.formats import (
    Format,
    compression_of_path,
    format_named,
    format_of_path,
)
from dovetail.present.layout import ByteStream, Layout

if TYPE_CHECKING:
    import pyarrow as pa

    from dovetail.present.write import Document, Written

_SHORTHANDS = ("csv", "tsv", "json", "jsonl", "md", "vertical")
_COMPRESSIONS = ("zstd", "snappy", "gzip", "none")


@dataclass(frozen=True)
class Output:
    """Format, place and layout of what a command prints; made before anything runs."""

    form: Format
    path: Path | None
    layout: Layout
    replace: bool
    paged: bool = False

    @contextmanager
    def open(self) -> Iterator[ByteStream]:
        """The stream to write to: the file, which appears whole or not at all, or stdout."""
        if self.path is None:
            if self.paged:
                from dovetail.interfaces.cli.paging import paged

                with paged(_stdout()) as pager:
                    yield pager
                return
            stream = _stdout()
            yield stream
            stream.flush()
            return
        from dovetail.present.destination import open_file

        compression = compression_of_path(self.path)
        with open_file(self.path, compression=compression, replace=self.replace) as file:
            yield file


def _stdout() -> BinaryIO:
    sys.stdout.flush()
    return open(sys.stdout.fileno(), "wb", buffering=1 << 16, closefd=False)


def choose_output(flags: OutputFlags, color: str = "auto") -> Output:
    """What the flags ask for. Raises :class:`UsageError` when they contradict each other."""
    chosen = [name for name in _SHORTHANDS if getattr(flags, name)]
    if len(chosen) > 1:
        raise UsageError(f"one format at a time: --{' and --'.join(chosen)}")
    path = None if flags.output in (None, "-") else Path(flags.output or "").expanduser()
    name = chosen[0] if chosen else flags.format
    if name is not None:
        form = format_named(name)
        if form.name == "arrow" and path and path.suffix.lower() in (".arrow", ".feather"):
            form = format_named("feather")
    elif path is not None:
        form = format_of_path(path)
    else:
        form = format_named("table")
    on_terminal = path is None and sys.stdout.isatty()
    if form.binary and on_terminal:
        raise UsageError(f"{form.name} is not for a terminal: use -o FILE or redirect")
    if flags.numbers not in ("safe", "exact"):
        raise UsageError(f'--numbers takes safe or exact, not "{flags.numbers}"')
    if flags.compression not in _COMPRESSIONS:
        raise UsageError(f"--compression takes {', '.join(_COMPRESSIONS)}")
    if path is not None and flags.no_clobber and path.exists():
        raise UsageError(f"{path} exists, and --no-clobber keeps it")
    layout = Layout(
        null=flags.null,
        header=not flags.no_header,
        bom=flags.bom,
        escape_formulas=flags.escape_formulas,
        exact_numbers=flags.numbers == "exact",
        max_width=flags.max_width if on_terminal else 0,
        max_rows=flags.rows if on_terminal else 0,
        color=path is None and wants_color(color, sys.stdout),
        compression=flags.compression,
        row_group_rows=flags.row_group_size,
        table=flags.table,
        dialect=flags.insert_dialect,
    )
    if flags.pager not in ("auto", "never"):
        raise UsageError(f'--pager takes auto or never, not "{flags.pager}"')
    paged = on_terminal and form.for_eyes and flags.pager == "auto"
    return Output(form, path, layout, not flags.no_clobber, paged)


def write_batches(
    output: Output,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    columns: Sequence[tuple[str, Any]],
    diagnostics: Diagnostics,
    on_rows: Callable[[int], None] | None = None,
) -> Written:
    """Write a stream of batches, and say on stderr what the reader of the data cannot see."""
    with open_document(output) as document:
        return add_batches(document, batches, schema, columns, diagnostics, on_rows)


@contextmanager
def open_document(output: Output) -> Iterator[Document]:
    """The file or stream that results are written to, one after another if the format allows."""
    from dovetail.present.write import Document

    with output.open() as stream, Document(output.form, stream, output.layout) as document:
        yield document


def add_batches(
    document: Document,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    columns: Sequence[tuple[str, Any]],
    diagnostics: Diagnostics,
    on_rows: Callable[[int], None] | None = None,
) -> Written:
    """Write one result to an open document."""
    from dovetail.present.write import output_columns

    named = output_columns(columns)
    renamed = [c.name for c, (old, _) in zip(named, columns, strict=True) if c.name != old]
    if renamed:
        diagnostics.note(f"columns of the same name were numbered: {', '.join(renamed)}")
    done = document.add(batches, schema, named, on_rows)
    for note in done.notes:
        diagnostics.note(note)
    if done.cut:
        diagnostics.note(f"the first {done.rows} rows; --rows 0 prints all, -o FILE keeps all")
    return done


def write_rows(
    output: Output,
    columns: Sequence[tuple[str, str]],
    rows: Sequence[Sequence[Any]],
    diagnostics: Diagnostics,
) -> None:
    """Write a listing of a command just as a result. Types are VARCHAR, BIGINT, DOUBLE, BOOLEAN."""
    import pyarrow as pa

    arrow = {
        "VARCHAR": pa.string(),
        "BIGINT": pa.int64(),
        "DOUBLE": pa.float64(),
        "BOOLEAN": pa.bool_(),
    }
    schema = pa.schema([pa.field(name, arrow[type_]) for name, type_ in columns])
    if output.form.for_eyes and output.layout.null is None:
        output = replace(output, layout=replace(output.layout, null=""))
    arrays = [
        pa.array([row[index] for row in rows], field.type) for index, field in enumerate(schema)
    ]
    batch = pa.record_batch(arrays, schema=schema)
    write_batches(output, [batch], schema, columns, diagnostics)


def write_text(text: str) -> None:
    """Print a text that is the data of its command (a plan, a path)."""
    stream = _stdout()
    stream.write(text.rstrip("\n").encode("utf-8", "replace") + b"\n")
    stream.flush()


def abandon_stdout() -> None:
    """After a closed pipe: let nothing that is still buffered raise again at exit."""
    try:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)
    except (OSError, ValueError):
        pass
