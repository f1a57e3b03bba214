"""One editor with the results of its queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import ContentSwitcher, Static, Tab, Tabs

from dovetail.editing.schema import Schema
from dovetail.errors import DovetailError, InternalError
from dovetail.interfaces.tui.dragging import EdgeTabs
from dovetail.interfaces.tui.editor import CompletionList, SqlEditor
from dovetail.interfaces.tui.keys import Sequences
from dovetail.interfaces.tui.result import Host, ResultPane
from dovetail.interfaces.tui.running import QueryRun, Start

if TYPE_CHECKING:
    import pyarrow as pa

_EMPTY = (
    "Write SQL and press F5 (or Ctrl+J).   from 'trades.csv' queries a file.   F1 shows all keys."
)


class BufferPane(Vertical):
    """An editor, its results as tabs below, and the error of its last query between them."""

    DEFAULT_CSS = """
    BufferPane { layers: base overlay; }
    BufferPane SqlEditor, BufferPane SqlEditor:focus { height: 10; border: none; padding: 0; }
    BufferPane .error { height: auto; max-height: 7; color: $text-error; background: $error-muted;
        padding: 0 1; display: none; }
    BufferPane .error.open { display: block; }
    BufferPane .empty { color: $text-muted; padding: 1 2; height: 1fr; }
    BufferPane ContentSwitcher { height: 1fr; }
    BufferPane .results, BufferPane ContentSwitcher { display: none; }
    BufferPane.has-results .results, BufferPane.has-results ContentSwitcher { display: block; }
    BufferPane.has-results .empty { display: none; }
    """

    class RunChanged(Message):
        """A query of this buffer has news; posted from its thread."""

        def __init__(self, buffer: BufferPane, pane: ResultPane, run: QueryRun) -> None:
            super().__init__()
            self.buffer = buffer
            self.pane = pane
            self.run = run

    def __init__(
        self,
        host: Host,
        schema: Schema,
        make_keys: Callable[[str], Sequences],
        number: int,
        text: str = "",
        path: Path | None = None,
        *,
        is_vi: bool = False,
    ) -> None:
        super().__init__(id=f"buffer-{number}")
        self.host = host
        self.number = number
        self.path = path
        self.saved_text = text if path is not None else ""
        self.saved_at: float | None = None
        self.runs: list[QueryRun] = []
        self._make_keys = make_keys
        self._completions = CompletionList()
        self.editor = SqlEditor(
            text,
            schema,
            make_keys("editor"),
            self._completions,
            lambda: self.running,
            make_keys("vi") if is_vi else None,
        )
        self._count = 0
        self._error: DovetailError | None = None
        self._error_at = 0
        self._error_panel = Static("", classes="error", markup=False)
        self._tabs = EdgeTabs(classes="results")
        self._switcher = ContentSwitcher()

    def compose(self) -> ComposeResult:
        """Editor, error, results."""
        yield self.editor
        yield self._completions
        yield self._error_panel
        yield self._tabs
        yield self._switcher
        yield Static(_EMPTY, classes="empty", markup=False)

    @property
    def name_shown(self) -> str:
        """The name on the tab; a star says that the file is not saved."""
        if self.path is None:
            return f"query {self.number}"
        return self.path.name + ("*" if self.unsaved else "")

    @property
    def unsaved(self) -> bool:
        """Whether a file is open and its text was changed."""
        return self.path is not None and self.editor.text != self.saved_text

    @property
    def running(self) -> bool:
        """Whether a query of this buffer runs."""
        return any(run.active for run in self.runs)

    @property
    def pane(self) -> ResultPane | None:
        """The result that is shown."""
        current = self._switcher.current
        if current is None:
            return None
        return next((pane for pane in self.panes if pane.id == current), None)

    @property
    def shown_run(self) -> QueryRun | None:
        """The run that is under way here, else that of the shown result."""
        running = [run for run in self.runs if run.active]
        if running:
            return running[-1]
        return self.pane.run if self.pane is not None else None

    @property
    def panes(self) -> list[ResultPane]:
        """All results, first tab first."""
        return [pane for pane in self._switcher.children if isinstance(pane, ResultPane)]

    # -- running ----------------------------------------------------------------------------------

    def start(
        self, title: str, sql: str, start: Start, at: int, batch: int, **limits: Any
    ) -> QueryRun:
        """Run a query whose statement begins ``at`` characters into the editor's text.

        Its result gets a tab as soon as it has columns, in place of those of earlier batches; an
        error leaves them where they are.
        """
        for old in self.panes:
            old.stale = True
        self.show_error(None, at)
        self._count += 1
        pane = ResultPane(
            self.host, self._make_keys("results"), title, sql, id=f"{self.id}-result-{self._count}"
        )
        pane.query_at, pane.batch_number = at, batch

        def changed() -> None:
            self.post_message(self.RunChanged(self, pane, run))

        run = QueryRun(sql, at, start, changed, **limits)
        self.runs = [r for r in self.runs if r.active] + [run]
        pane.run = run
        run.begin()
        return run

    async def show_run(self, pane: ResultPane, run: QueryRun) -> None:
        """There is news of a run: give it a tab once it has one coming, or show its error."""
        if not self._switcher.is_attached:  # the application ends
            return
        if run.state == "failed" and not run.rows:
            if pane.is_attached:
                await self.close_result(pane)
            self.show_error(run.error, pane.query_at)
            return
        if run.schema is None:  # nothing to show: still planning, or a temporary table was made
            return
        if not pane.is_attached:
            await self.add_result(pane)
        pane.refresh_run()
        if run.state == "failed":
            self.show_error(run.error, pane.query_at)

    async def add_table(self, title: str, table: pa.Table, columns: list[Any]) -> ResultPane:
        """A result that is made already, in a tab of its own."""
        self._count += 1
        pane = ResultPane(
            self.host, self._make_keys("results"), title, "", id=f"{self.id}-result-{self._count}"
        )
        await self.add_result(pane)
        pane.set_table(table, columns)
        return pane

    async def add_result(self, pane: ResultPane) -> None:
        """Give a result its tab and show it."""
        assert pane.id is not None
        for old in self.panes:
            ended = old.run is not None and not old.run.active
            if pane.run is not None and ended and old.batch_number != pane.batch_number:
                await self.close_result(old)
        await self._switcher.mount(pane)
        await self._tabs.add_tab(Tab(pane.title, id=f"tab-{pane.id}"))
        self.add_class("has-results")
        self.show_result(pane)

    def show_result(self, pane: ResultPane) -> None:
        """Bring a result to the front."""
        self._switcher.current = pane.id
        self._tabs.active = f"tab-{pane.id}"

    async def close_result(self, pane: ResultPane) -> None:
        """Close a result; a query that still runs is cancelled."""
        if pane.run is not None:
            pane.run.cancel()
        at = self.panes.index(pane)
        await self._tabs.remove_tab(f"tab-{pane.id}")
        await pane.remove()
        left = self.panes
        if left:
            self.show_result(left[min(at, len(left) - 1)])
        else:
            self._switcher.current = None
            self.remove_class("has-results")

    def on_tabs_tab_activated(self, event: Tabs.TabActivated) -> None:
        """A tab was chosen."""
        event.stop()
        if event.tab is not None and event.tab.id is not None:
            wanted = event.tab.id.removeprefix("tab-")
            if any(pane.id == wanted for pane in self.panes):  # it may be closed by now
                self._switcher.current = wanted

    # -- errors -----------------------------------------------------------------------------------

    @property
    def error(self) -> DovetailError | None:
        """The error that is shown."""
        return self._error

    def show_error(
        self,
        error: DovetailError | None,
        at: int,
        others: Sequence[tuple[DovetailError, int]] = (),
    ) -> None:
        """Show what was wrong with the statement that begins ``at``, and with ``others`` that were
        to run after it; None clears it."""
        self._error, self._error_at = error, at
        panel = self._error_panel
        panel.set_class(error is not None, "open")
        if error is None:
            self.editor.show_errors(())
            return
        text = str(error)
        missing = [s for s in error.suggestions if s not in text]
        if missing:
            text += f"\ndid you mean {' or '.join(missing[:3])}?"
        for other, start in others:
            row = self.editor.location_of(start)[0]
            line = row + (other.location.line if other.location is not None else 1)
            text += f"\nline {line}: {other.message}"
        everything = [(error, at), *others]
        placed = [
            (start, found.location)
            for found, start in everything
            if found.location is not None and not isinstance(found, InternalError)
        ]
        if placed:
            text += f"\nCtrl+X E goes there{', again to the next' if len(placed) > 1 else ''}"
        if getattr(error, "retryable", False):
            text += "\nF5 tries again"
        panel.update(text)
        self.editor.show_errors(placed)

    def add_errors(self, others: Sequence[tuple[DovetailError, int]]) -> None:
        """Further errors beside the one that is shown."""
        if self._error is not None:
            self.show_error(self._error, self._error_at, others)
