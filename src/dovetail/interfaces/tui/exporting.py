"""Writes a result to a file beside the screen; the file appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.errors import CancelledError, DovetailError
from dovetail.interfaces.tui.result import ResultPane
from dovetail.interfaces.tui.running import size
from dovetail.present.destination import open_file
from dovetail.present.formats import compression_of_path, format_of_path
from dovetail.present.layout import Layout
from dovetail.present.write import write

if TYPE_CHECKING:
    import pyarrow as pa

    from dovetail.interfaces.tui.app import DovetailApp

_BATCH_ROWS = 65_536


def choices(pane: ResultPane) -> list[tuple[str, str]]:
    """Which rows can be written: ``(what it says, name)``, the likely one first."""
    grid = pane.grid
    assert grid is not None
    total = grid.analyst.table.num_rows
    found = []
    if grid.selected_from is not None:
        first, last, columns = grid.selection()
        found.append((f"the selection: {last - first + 1:,} rows, {len(columns)} columns", "some"))
    if grid.view.moves_rows():
        found.append((f"the {grid.row_count:,} rows shown, in this order", "shown"))
    return [*found, (f"all {total:,} rows, as they came", "all")]


def export(app: DovetailApp, pane: ResultPane, *, path: str, rows: str, all_columns: bool) -> None:
    """Write in a thread; Ctrl+C cancels it."""
    grid = pane.grid
    assert grid is not None
    view, order = grid.view, grid.rows
    columns = tuple(range(len(grid.analyst.columns))) if all_columns else view.columns
    first, last = 0, None
    if rows == "some":
        first, end, chosen = grid.selection()
        last = end
        columns = columns if all_columns else chosen
    if rows == "all":
        order = None
    stop: list[bool] = []

    def take() -> pa.Table:
        table = grid.analyst.take(view, order, columns)
        return table if last is None else table.slice(first, last - first + 1)

    def batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
        done = 0
        for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
            if stop:
                raise CancelledError("the export was cancelled")
            yield batch
            done += batch.num_rows
            pane.busy = f"writing {done / max(1, table.num_rows):.0%}"
            pane.post_message(ResultPane.Changed(pane))

    def work() -> None:
        note: tuple[str, bool]
        try:
            table = take()
            named = [grid.analyst.columns[c] for c in columns]
            form = format_of_path(path)
            with open_file(path, compression=compression_of_path(path)) as stream:
                write(batches(table), table.schema, named, form, stream, Layout())
            written = size(Path(path).expanduser().stat().st_size)
            note = (f"wrote {table.num_rows:,} rows to {path} ({written})", False)
        except DovetailError as error:
            note = (error.message, True)
        finally:
            app.runner.exports.discard(cancel)
            pane.busy = ""
        app.call_from_thread(_tell, app, note)

    def cancel() -> None:
        stop.append(True)

    app.runner.exports.add(cancel)
    app.run_worker(work, thread=True, group="export")


def _tell(app: Any, note: tuple[str, bool]) -> None:
    app.tell(note[0], error=note[1])
    app.update_status()
