"""The full-screen interface: catalog, buffers, status line, and what the keys do."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.panel import Panel
from rich.text import Text
from textual import events
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingsMap, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Static, Tab, Tabs
from textual.worker import WorkerFailed

from dovetail.config import TuiSettings
from dovetail.editing.history import History
from dovetail.editing.schema import Schema
from dovetail.editing.statements import Statement, statements_of
from dovetail.editing.tokens import tokens_of
from dovetail.errors import DovetailError, InternalError
from dovetail.faults import fault_of_ours
from dovetail.interfaces.tui.buffer import BufferPane
from dovetail.interfaces.tui.catalog import Catalog, CatalogTree, Node
from dovetail.interfaces.tui.clipboard import Clipboard
from dovetail.interfaces.tui.command_panes import PANES
from dovetail.interfaces.tui.commands import Commands
from dovetail.interfaces.tui.drafts import Draft, Drafts, Saved
from dovetail.interfaces.tui.dragging import EdgeDragged
from dovetail.interfaces.tui.editor import SqlEditor
from dovetail.interfaces.tui.hints import line_of
from dovetail.interfaces.tui.keymap import CATALOG, Key
from dovetail.interfaces.tui.keys import Sequences, all_keys, shown_keys
from dovetail.interfaces.tui.prompt_line import PromptLine
from dovetail.interfaces.tui.result import ResultPane
from dovetail.interfaces.tui.running import REPORT_HINT, QueryRun, duration
from dovetail.interfaces.tui.spool import Spool
from dovetail.script.desk import Desk
from dovetail.script.statements import split

if TYPE_CHECKING:
    from dovetail.session import Session

_DRAFT_SECONDS = 1.0
_LEAST_SIZE = (80, 24)
_FACTS = 20
_CHECKED = 20  # statements behind one that failed
_SOURCES = 3  # that the status line names
_TWICE_SECONDS = 0.5
_FAULT = "{}.\n\nNothing of your work is lost: editor tabs and results are as they were."
_CRASH = "{}.\n\nYour editor tabs are kept; `dovetail tui` brings them back."


class Crash(Exception):
    """A fault that ends the application, as it is shown when the terminal is restored."""

    def __init__(self, fault: InternalError) -> None:
        super().__init__(fault.message)
        self.fault = fault

    def __rich__(self) -> Panel:
        return Panel(
            Text(_CRASH.format(self.fault.message)), title="Dovetail has ended", title_align="left"
        )


class DovetailApp(App[int]):
    """One instance of the interface over one session."""

    TITLE = "Dovetail"
    CSS = """
    Screen { layers: base overlay; }
    #main { height: 1fr; }
    #right { width: 1fr; }
    #buffers { height: 1fr; }
    #status { height: 1; background: $panel; padding: 0 1; }
    #hints { height: 1; color: $text-muted; padding: 0 1; }
    #too-small { display: none; width: 1fr; height: 1fr; content-align: center middle; }
    Screen.small #too-small { display: block; }
    Screen.small #main, Screen.small #status, Screen.small #hints { display: none; }
    Screen.hide-catalog Catalog { display: none; }
    Screen.hide-editor SqlEditor, Screen.hide-editor #buffer-tabs { display: none; }
    Screen.hide-results ContentSwitcher ContentSwitcher, Screen.hide-results .results,
    Screen.hide-results .empty { display: none; }
    Screen.full-editor Catalog, Screen.full-editor ContentSwitcher ContentSwitcher,
    Screen.full-editor .results, Screen.full-editor .empty { display: none; }
    Screen.full-results Catalog, Screen.full-results SqlEditor,
    Screen.full-results #buffer-tabs { display: none; }
    Screen.full-catalog #right { display: none; }
    Screen.full-catalog Catalog { min-width: 100%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = []  # they come from the keys in force

    def __init__(
        self,
        session: Session,
        *,
        files: Sequence[str] = (),
        query: str | None = None,
        paths: Sequence[Path] = (),
        keep_on: bool = False,
        history: History | None = None,
        drafts: Drafts | None = None,
        clipboard: Clipboard | None = None,
        welcome: bool = False,
    ) -> None:
        """``files`` are the names of tables that the session was given, the first of which is
        queried; ``query`` is run, ``paths`` are opened, ``keep_on`` brings the last buffers back.
        ``history``, ``drafts`` and ``clipboard`` are for tests.
        """
        self.settings = session.config.tui or TuiSettings()
        self.all_keys = all_keys(self.settings.keymap, self.settings.keys, self.settings.editor)
        super().__init__()
        self._bindings = BindingsMap(_binding(key, item) for item in self.keys_of("everywhere")
                                     for key in item.keys)  # fmt: skip
        self.session = session
        self.history = history if history is not None else History()
        workspace = str(session.config.path.resolve()) if session.config.path else str(Path.cwd())
        self.drafts = drafts if drafts is not None else Drafts(workspace)
        self.copier = clipboard or Clipboard(self.copy_to_clipboard)
        self.schema = Schema(session, self._names_changed)
        for name in files:
            self.schema.add_local(name)
        self.desk = Desk(session)  # temporary tables live as long as the application
        self.limit: int | None = None
        self.timeout: float | None = None
        self.cap_rows = self.settings.max_rows
        self.parameters: dict[str, tuple[str, str]] = {}
        self.last_errors: list[str] = []
        self.commands = Commands(self)
        self._files = list(files)
        self._first_query = query
        self._paths = list(paths)
        self._keep_on = keep_on
        self._welcome = welcome
        # Kept, not searched for: news may come while a screen lies over them, or while they go.
        self.catalog = Catalog(self.schema, self.make_keys("catalog"), id="catalog")
        self._too_small = Static("", id="too-small", markup=False)
        self._buffer_tabs = Tabs(id="buffer-tabs")
        self._switcher = ContentSwitcher(id="buffers")
        self.prompt = PromptLine(id="prompt")
        self._status_line = Static("", id="status", markup=False)
        self._hint_line = Static("", id="hints", markup=False)
        self._is_set_up = False
        self._numbers = 0
        self._batches = 0
        self._queue: list[Callable[[], QueryRun | None]] = []
        self._batch: tuple[BufferPane | None, list[Statement]] = (None, [])
        self._previous_buffer: str | None = None
        self._draft_timer: Any = None
        self._hint_timer: Any = None
        self._escaped_at = float("-inf")
        self._pending_keys = ""  # the count and the keys of a sequence that has begun
        self._hinted = ""  # the place whose keys are hinted at
        self.exports: set[Callable[[], None]] = set()  # what cancels those that are being written
        self._catalog_width = 32
        self._editor_height = 10

    # -- start and end -----------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Catalog, buffers, prompt, status, hints."""
        yield self._too_small
        with Horizontal(id="main"):
            yield self.catalog
            with Vertical(id="right"):
                yield self._buffer_tabs
                yield self._switcher
        yield self.prompt
        yield self._status_line
        yield self._hint_line

    async def on_mount(self) -> None:
        """Bring back what was open, then read the catalogs and run what was asked for."""
        self._is_set_up = True
        if self.settings.theme in self.available_themes:
            self.theme = self.settings.theme
        else:
            known = ", ".join(sorted(self.available_themes))
            self.tell(f'no theme "{self.settings.theme}"; there are {known}', error=True)
        saved = self.drafts.last()
        self._set_layout(saved.layout)
        recovered = self.drafts.recover()
        opened = recovered or (saved.drafts if self._keep_on else [])
        for draft in opened:
            buffer = await self.add_buffer(draft.text, Path(draft.path) if draft.path else None)
            buffer.editor.move_cursor(draft.cursor)
        for path in self._paths:
            await self.commands.open_path(path)
        text = self._first_query or (f"from {self._files[0]}" if self._files else "")
        if text or not self.buffers:
            await self.add_buffer(text)
        elif not recovered and self._keep_on and self.buffers:
            self.show_buffer(self.buffers[min(saved.active, len(self.buffers) - 1)])
        if recovered:
            self.tell(f"{len(recovered)} drafts of a session that crashed are back")
        self.schema.load()
        self.set_interval(0.1, self._tick)
        self.buffer.editor.focus()
        if text:
            await self.run_statements([statements_of(text)[0]], focus_results=True)
        self.update_status()
        if self._welcome:
            from dovetail.interfaces.tui.screens.help import WelcomeScreen

            self.push_screen(WelcomeScreen(self.all_keys))
        # The first conversion of Arrow data loads a library; better now than at the first page.
        threading.Thread(target=_warm_up, daemon=True).start()

    def _saved(self) -> Saved:
        drafts = [
            Draft(b.editor.text, b.editor.cursor_location, str(b.path) if b.path else None)
            for b in self.buffers
        ]
        active = self.buffers.index(self.buffer) if self.buffers else 0
        layout = {
            "hidden": [p for p in PANES if self.base.has_class(f"hide-{p}")],
            "catalog_width": self._catalog_width,
            "editor_height": self._editor_height,
        }
        return Saved(drafts, active, layout)

    def _set_layout(self, layout: Mapping[str, Any]) -> None:
        for pane in PANES:
            self.base.set_class(pane in layout.get("hidden", ()), f"hide-{pane}")
        self._catalog_width = int(layout.get("catalog_width", 32))
        self._editor_height = int(layout.get("editor_height", 10))
        self.catalog.styles.width = self._catalog_width

    def leave(self) -> None:
        """Cancel what runs, remember the buffers, end."""
        for buffer in self.buffers:
            for run in buffer.runs:
                run.cancel()
        self.drafts.finish(self._saved())
        self.exit(0)

    @property
    def base(self) -> Screen[Any]:
        """The screen with the panes, whatever lies over it."""
        return self.screen_stack[0]

    @property
    def catalog_width(self) -> int:
        """Columns that the catalog takes."""
        return self._catalog_width

    @catalog_width.setter
    def catalog_width(self, width: int) -> None:
        self._catalog_width = width
        self.catalog.styles.width = width

    @property
    def editor_height(self) -> int:
        """Lines that the editors take."""
        return self._editor_height

    @editor_height.setter
    def editor_height(self, height: int) -> None:
        self._editor_height = height
        self.fit_editors()

    def fit_editors(self) -> None:
        """Give the editors their lines: all there are while no result is beside them."""
        alone = self.base.has_class("full-editor") or self.base.has_class("hide-results")
        for buffer in self.buffers:
            buffer.editor.styles.height = "1fr" if alone else self._editor_height

    def on_edge_dragged(self, event: EdgeDragged) -> None:
        """The mouse moves the edge of a pane."""
        if event.edge is self.catalog:
            self.commands.set_catalog_width(event.x + 1)
        else:
            self.commands.set_editor_height(event.y - self.buffer.editor.region.y)

    # -- buffers -----------------------------------------------------------------------------------

    @property
    def buffers(self) -> list[BufferPane]:
        """All buffers, first tab first; none while the application ends."""
        return list(self._switcher.query(BufferPane))

    @property
    def buffer(self) -> BufferPane:
        """The buffer that is shown."""
        shown = [b for b in self.buffers if b.id == self._switcher.current]
        return shown[0] if shown else self.buffers[-1]

    def make_keys(self, focus: str) -> Sequences:
        """A machine for the keys of a place."""
        return Sequences(self.all_keys, focus, counts=focus in ("results", "vi"))

    async def add_buffer(self, text: str = "", path: Path | None = None) -> BufferPane:
        """A new buffer, brought to the front."""
        self._numbers += 1
        is_vi = self.settings.editor == "vi"
        buffer = BufferPane(
            self, self.schema, self.make_keys, self._numbers, text, path, is_vi=is_vi
        )
        await self._switcher.mount(buffer)
        self.fit_editors()
        await self._buffer_tabs.add_tab(Tab(buffer.name_shown, id=f"tab-{buffer.id}"))
        self.show_buffer(buffer)
        return buffer

    def show_buffer(self, buffer: BufferPane) -> None:
        """Bring a buffer to the front."""
        if self._switcher.current != buffer.id:
            self._previous_buffer = self._switcher.current
            self._switcher.current = buffer.id
        self._buffer_tabs.active = f"tab-{buffer.id}"
        buffer.editor.focus()

    async def close_buffer(self, buffer: BufferPane) -> None:
        """Close a buffer; the last one is emptied instead."""
        for run in buffer.runs:
            run.cancel()
        if len(self.buffers) == 1:
            await self.add_buffer()
        await self._buffer_tabs.remove_tab(f"tab-{buffer.id}")
        await buffer.remove()
        self.show_buffer(self.buffers[-1])
        self._keep_drafts()

    def last_buffer(self) -> None:
        """Between the last two buffers."""
        for buffer in self.buffers:
            if buffer.id == self._previous_buffer:
                self.show_buffer(buffer)
                return

    def on_tabs_tab_activated(self, event: Tabs.TabActivated) -> None:
        """A tab of a buffer was chosen."""
        if event.tabs.id == "buffer-tabs" and event.tab is not None and event.tab.id is not None:
            wanted = event.tab.id.removeprefix("tab-")
            for buffer in self.buffers:
                if buffer.id == wanted:
                    self.show_buffer(buffer)
            self.update_status()

    def update_tab(self, buffer: BufferPane) -> None:
        """The name on the tab of a buffer."""
        for tab in self._buffer_tabs.query(Tab):
            if tab.id == f"tab-{buffer.id}":
                tab.label = buffer.name_shown

    def on_text_area_changed(self, event: SqlEditor.Changed) -> None:
        """Keep drafts a moment after the last key; the change mark of the file."""
        if self._draft_timer is not None:
            self._draft_timer.stop()
        self._draft_timer = self.set_timer(_DRAFT_SECONDS, self._keep_drafts)
        if self.buffers and self.buffer.path is not None:
            self.update_tab(self.buffer)

    def _keep_drafts(self) -> None:
        if self._is_set_up and self.screen_stack:  # a timer may go off while the screens go
            self.drafts.keep(self._saved())

    # -- running -----------------------------------------------------------------------------------

    async def run_statements(
        self, statements: Sequence[Statement], *, focus_results: bool = False
    ) -> None:
        """Run statements of the front buffer one after another; an error ends the row."""
        buffer = self.buffer
        running = sum(run.active for b in self.buffers for run in b.runs)
        if running >= self.settings.parallel:
            self.tell(f"{running} queries run already (tui.parallel); cancel one first", error=True)
            return
        missing = sorted(
            {
                t.text[1:]
                for s in statements
                for t in tokens_of(s.text)
                if t.kind == "parameter" and not t.text[1:].isdigit()
            }
        )
        self._batches += 1
        batch = self._batches
        self._batch = (buffer, list(statements))
        self._queue = [
            partial(self._start, buffer, s, number, batch) for number, s in enumerate(statements, 1)
        ]
        if missing:
            from dovetail.interfaces.tui.screens.forms import ParametersScreen

            def given(values: dict[str, tuple[str, str]] | None) -> None:
                if values is not None:
                    self.parameters.update(values)
                    self._next_statement()

            self.push_screen(ParametersScreen(missing, self.parameters), given)
        else:
            self._next_statement()
        if focus_results:
            self.focus_when_ready = True

    focus_when_ready = False

    def _next_statement(self) -> None:
        if self._queue:
            self._queue.pop(0)()

    def _start(
        self, buffer: BufferPane, statement: Statement, number: int, batch: int, **options: Any
    ) -> QueryRun | None:
        sql = statement.text
        values = self.values_for(sql)

        def start(on_progress: Callable[[Any], None], on_start: Callable[[Any], None]) -> Any:
            return self.desk.run(
                split(sql)[0],
                values,
                limit=self.limit,
                timeout=self.timeout,
                on_progress=on_progress,
                on_start=on_start,
            )

        run = buffer.start(
            f"result {number}",
            sql,
            start,
            statement.start,
            batch,
            max_rows=self.cap_rows,
            max_bytes=self.settings.max_bytes,
            **options,
        )
        self.update_status()
        return run

    def values_for(self, sql: str) -> dict[str, Any]:
        """The values of the parameters that ``sql`` names."""
        from dovetail.interfaces.tui.screens.forms import TYPES

        used = {t.text[1:] for t in tokens_of(sql) if t.kind == "parameter"}
        given = self.parameters.items()
        return {name: TYPES[kind](text) for name, (kind, text) in given if name in used}

    def fetch_all(self, pane: ResultPane) -> None:
        """Run the query of a result again; what the cap would leave out goes to disk."""
        self._batches += 1
        statement = Statement(pane.sql, pane.query_at, 0, 0, True)
        self.focus_when_ready = True
        folder = self.session.config.limits.temp_directory
        self._start(
            self.buffer, statement, 1, self._batches, spool=lambda schema: Spool(schema, folder)
        )

    async def on_buffer_pane_run_changed(self, event: BufferPane.RunChanged) -> None:
        """There is news of a query."""
        run = event.run
        await event.buffer.show_run(event.pane, run)
        if self.focus_when_ready and event.pane.grid is not None:
            self.focus_when_ready = False
            event.pane.focus_grid()
        if not run.active and not run.told:
            run.told = True
            self._ended(run)
        self.update_status()

    def _ended(self, run: QueryRun) -> None:
        if run.state == "failed" and run.error is not None:
            self.last_errors = [run.error.kind, *self.last_errors][:_FACTS]
            self._queue.clear()
            if run.error.location is not None:  # a mistake in the text: there may be more
                self._check_rest(run)
        self.history.add(
            run.sql,
            "tui",
            rows=run.rows if run.error is None else None,
            milliseconds=run.seconds * 1000,
            error=run.error.message if run.error is not None else None,
            profile=run.profile,
            started=run.began,
        )
        for warning in run.warnings:
            self.tell(warning)
        if run.state == "done" and run.schema is None:
            for name in self.desk.objects:
                self.schema.add_local(name)
            self.catalog.update_names()
            self.tell("done; it lives until you leave")
        if run.state == "cancelled":
            self._queue.clear()
            self.tell("cancelled")
        if run.state == "capped":
            self.tell(f"the first {run.rows:,} rows; :fetch all brings the rest")
        self._next_statement()

    def _check_rest(self, run: QueryRun) -> None:
        """Say what is wrong with the statements that were to run after one that failed."""
        buffer, statements = self._batch
        rest = [s for s in statements if s.start > run.at]
        if not rest:
            return

        def work() -> None:
            found: list[tuple[DovetailError, int]] = []
            for statement in rest[:_CHECKED]:
                with suppress(DovetailError):  # a source that is down says nothing about it
                    values = self.values_for(statement.text)
                    errors = self.desk.check(split(statement.text), values)
                    found += [(error, statement.start) for error in errors]
            if found and buffer is not None and buffer.is_attached:
                self.call_from_thread(buffer.add_errors, found)

        self.run_worker(work, thread=True, group="check")

    def cancel(self) -> None:
        """Cancel the queries of the front buffer."""
        self._queue.clear()
        running = [run for run in self.buffer.runs if run.active]
        for run in running:
            run.cancel()
        for cancel in list(self.exports):
            cancel()
        if not running and not self.exports:
            self.tell("no query runs here; Ctrl+Q leaves")

    async def on_event(self, event: events.Event) -> None:
        """Esc Esc cancels what runs in the front buffer; each Esc also does what it always does."""
        if isinstance(event, events.Key) and event.key == "escape" and not event.is_forwarded:
            twice = event.time - self._escaped_at < _TWICE_SECONDS
            if twice and self.buffers and self.buffer.running:
                self.cancel()
            self._escaped_at = event.time
        await super().on_event(event)

    # -- status ------------------------------------------------------------------------------------

    def on_unmount(self) -> None:
        """The widgets go: no news is shown any more."""
        self._is_set_up = False
        self.drafts.close()
        self.desk.close()

    def _tick(self) -> None:
        if not self._is_set_up or not self.buffers or not self.screen_stack:
            return
        if self.place != self._hinted and not self._hint_timer:
            self.show_hints()
        if any(run.active for run in self.buffer.runs):
            pane = self.buffer.pane
            if pane is not None and pane.run is not None and pane.run.active:
                pane.refresh_run()
            self.update_status()

    def update_status(self) -> None:
        """The status line: mode, place, rows, what is in force, what runs."""
        if not self._is_set_up or not self.buffers:
            return
        parts = [self.mode, self._pending_keys]
        pane = self.buffer.pane
        running = [run for run in self.buffer.runs if run.active]
        if running:
            parts.append(f"running {duration(running[-1].seconds)}")
        if pane is not None:
            parts += pane.status()
        if self.limit is not None:
            parts.append(f"limit {self.limit:,}")
        parts.append(self._where())
        parts.append(_memory())
        self._status_line.update(" · ".join(p for p in parts if p))

    def _where(self) -> str:
        """The sources that the shown result came from, else those that are open; the profile."""
        pane = self.buffer.pane
        run = pane.run if pane is not None else None
        fragments = run.profile.fragments if run is not None and run.profile is not None else ()
        names = list(dict.fromkeys(f.source for f in fragments))
        names = names or [source.name for source in self.schema.sources]
        shown = ", ".join(names[:_SOURCES]) + (" …" if len(names) > _SOURCES else "")
        return " ".join(part for part in (shown, self.session.config.profile) if part)

    @property
    def mode(self) -> str:
        """What typing does now."""
        if self.prompt.mode:
            return self.prompt.mode
        return self.focused.mode if isinstance(self.focused, SqlEditor) else "NORMAL"

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Another pane has the keyboard."""
        self.update_status()
        self.show_hints()

    def on_result_pane_changed(self, event: ResultPane.Changed) -> None:
        """The cursor or the view has changed."""
        self.update_status()

    def show_hints(self, text: str | None = None) -> None:
        """The line of hints: ``text``, or the main keys of the place."""
        if not self._is_set_up:
            return
        if text is None:
            self._hinted = self.place
            text = line_of(self._hinted, self.all_keys)
        self._hint_line.update(text)

    @property
    def place(self) -> str:
        """Where the keyboard is: ``editor``, ``results`` or ``catalog``."""
        if not self.screen_stack:
            return "everywhere"
        for widget in self.focused.ancestors_with_self if self.focused is not None else ():
            if isinstance(widget, SqlEditor):
                return "editor"
            if isinstance(widget, ResultPane):
                return "results"
            if isinstance(widget, Catalog):
                return "catalog"
        return "everywhere"

    def on_result_pane_pending(self, event: ResultPane.Pending) -> None:
        """A count or a sequence is being typed."""
        self._pending(event.shown, event.continuations)

    def on_sql_editor_pending(self, event: SqlEditor.Pending) -> None:
        """A sequence is being typed, or the mode has changed."""
        self._pending(event.shown, event.continuations)
        self.update_status()

    def _pending(self, shown: str, continuations: list[tuple[str, str]]) -> None:
        if self._hint_timer is not None:
            self._hint_timer.stop()
            self._hint_timer = None
        self._pending_keys = shown
        self.update_status()
        if not shown:
            self.show_hints()
            return
        self.show_hints(shown)
        if continuations:
            text = f"{shown}   " + " · ".join(f"{key} {what}" for key, what in continuations)
            self._hint_timer = self.set_timer(0.3, lambda: self.show_hints(text))

    def tell(self, text: str, *, error: bool = False) -> None:
        """Say something for a few seconds."""
        self.notify(text, severity="error" if error else "information", timeout=4, markup=False)

    def copy(self, text: str, note: str) -> None:
        """Copy a text and say so."""
        more = self.copier.copy(text)
        self.tell(f"{note}; {more}" if more else note)

    def on_resize(self, event: events.Resize) -> None:
        """Below 80×24 say so."""
        width, height = _LEAST_SIZE
        small = event.size.width < width or event.size.height < height
        self.base.set_class(small, "small")
        if small:
            self._too_small.update(
                f"{width}×{height} characters are needed; this is "
                f"{event.size.width}×{event.size.height}"
            )

    # -- actions -----------------------------------------------------------------------------------

    async def action_act(self, action: str) -> None:
        """A key that works everywhere."""
        name, colon, argument = action.partition(":")
        self.app_action(f"{name}({argument})" if colon else name)

    async def action_quit(self) -> None:
        """Leave; ask if a query runs."""
        self.app_action("quit")

    def action_help_quit(self) -> None:
        """Ctrl+C: cancel, never leave."""
        self.app_action("cancel")

    def app_action(self, action: str, count: int | None = None) -> None:
        """Do an action by name, wherever the keyboard is; ``count`` of results is their number."""
        if action == "next_result" and count is not None:
            action = f"result({count})"
        name, _, argument = action.rstrip(")").partition("(")
        method = getattr(self.commands, f"do_{name}", None)
        if method is None:
            self._pane_action(action)
            return
        made = method(argument) if argument else method()
        if made is not None:
            self.run_worker(made, group="actions")

    def _pane_action(self, action: str) -> None:
        """An action of a pane, from the palette or the command line."""
        name = action.partition("(")[0]
        pane = self.buffer.pane
        if hasattr(SqlEditor, f"edit_{name}"):
            self.buffer.editor.perform(action)
        elif pane is not None and hasattr(ResultPane, f"do_{name}"):
            pane.perform(action)
        else:
            self.tell(f"{action}: there is no result to do that with", error=True)

    def on_sql_editor_acted(self, event: SqlEditor.Acted) -> None:
        """A key of the editor."""
        self.app_action(event.action)

    def on_catalog_acted(self, event: Catalog.Acted) -> None:
        """A key of the catalog."""
        if event.action not in {key.action for key in CATALOG}:  # one of everywhere, bound there
            self.app_action(event.action)
            return
        made = self.commands.catalog(event.action, event.node)
        if made is not None:
            self.run_worker(made, group="actions")

    def on_catalog_tree_dropped(self, event: CatalogTree.Dropped) -> None:
        """A name was dragged into the editor."""
        editor = self.buffer.editor
        if event.node.kind not in ("root", "error") and editor.region.contains(event.x, event.y):
            editor.drop(self.catalog.sql_name(event.node), event.x, event.y)
            editor.focus()

    def on_tree_node_selected(self, event: Any) -> None:
        """Enter or a click on a node of the catalog."""
        if isinstance(event.node.data, Node) and event.node.data.kind not in ("root", "error"):
            self.commands.catalog("insert_name", event.node.data)

    def open_screen(self, name: str, *arguments: Any) -> None:
        """Show one of the screens."""
        self.commands.open_screen(name, *arguments)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """All actions with their keys, for the palette."""
        seen = set()
        for key in self.all_keys:
            if key.focus not in ("catalog", "vi") and key.action not in seen:
                seen.add(key.action)
                title = f"{key.help} ({shown_keys(key)})"
                yield SystemCommand(
                    title, f"{key.focus}: {key.action}", partial(self.app_action, key.action)
                )

    def keys_of(self, focus: str) -> list[Key]:
        """The keys of a place."""
        return [key for key in self.all_keys if key.focus == focus]

    def _names_changed(self) -> None:
        """More names are known; called from the threads that read them."""
        if self._is_set_up:
            self.call_later(self._show_names)

    def _show_names(self) -> None:
        if self._is_set_up:
            self.catalog.update_names()

    # -- faults of ours ----------------------------------------------------------------------------

    def _handle_exception(self, error: Exception) -> None:
        """Textual's hook for what nobody caught; its own way prints the values of variables.

        A worker that failed leaves the rest in order: a panel says so, and work goes on. Else the
        application cannot go on; its end tells where the report is and that the drafts are kept.
        """
        if self._exception is not None:
            return
        if isinstance(error, WorkerFailed):
            self.show_fault(error.error)
            return
        with suppress(Exception):
            self._keep_drafts()
        super()._handle_exception(Crash(fault_of_ours(error, REPORT_HINT)))
        self._return_code = InternalError.exit_code

    def show_fault(self, error: BaseException) -> None:
        """A panel about a fault that ended one action, and nothing else."""
        fault = fault_of_ours(error, REPORT_HINT)
        self.last_errors = [fault.kind, *self.last_errors][:_FACTS]
        self.open_screen("text", "an unexpected error", _FAULT.format(fault.message))

    def handle_error(self, error: DovetailError) -> None:
        """Tell of an error that belongs to no query."""
        self.last_errors = [error.kind, *self.last_errors][:_FACTS]
        self.tell(str(error), error=True)


def _binding(key: str, item: Key) -> Binding:
    """A key that works everywhere; the chosen ones before the pane under the keyboard sees them."""
    action = item.action.replace("(", ":").rstrip(")")
    first = item.action in ("quit", "help", "full_screen", "palette")
    return Binding(key, f"act('{action}')", item.help, show=False, priority=first)


def _memory() -> str:
    try:
        with Path("/proc/self/statm").open() as file:
            pages = int(file.read().split()[1])
    except (OSError, ValueError, IndexError):
        return ""
    return f"{pages * os.sysconf('SC_PAGE_SIZE') / 1e6:,.0f} MB"


def _warm_up() -> None:
    import duckdb
    import pyarrow as pa

    duckdb.connect().from_arrow(pa.table({"a": [1]})).fetchall()


def terminal_facts() -> dict[str, str]:
    """What a report needs to know about the terminal."""
    names = ("TERM", "COLORTERM", "LANG", "TMUX", "NO_COLOR", "SSH_TTY")
    return {name: os.environ.get(name, "") for name in names if name in os.environ} | {
        "platform": sys.platform,
        "python": sys.version.split()[0],
    }
