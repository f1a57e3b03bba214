"""The full-screen interface: catalog, buffers, status line, and what the keys do."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingsMap, BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import Static
from textual.worker import WorkerFailed

from dovetail.config import TuiSettings
from dovetail.editing.history import History, workspace_name
from dovetail.editing.schema import Schema
from dovetail.editing.statements import statements_of
from dovetail.errors import DovetailError, InternalError
from dovetail.faults import fault_of_ours
from dovetail.interfaces.tui.buffer import BufferPane
from dovetail.interfaces.tui.buffers import Buffers
from dovetail.interfaces.tui.catalog import Catalog, CatalogTree, Node
from dovetail.interfaces.tui.clipboard import Clipboard
from dovetail.interfaces.tui.commands import Commands
from dovetail.interfaces.tui.crash import Crash
from dovetail.interfaces.tui.drafts import Draft, Drafts, Saved
from dovetail.interfaces.tui.dragging import EdgeDragged
from dovetail.interfaces.tui.editor import SqlEditor
from dovetail.interfaces.tui.keymap import CATALOG, Key
from dovetail.interfaces.tui.keys import Sequences, all_keys, shown_keys
from dovetail.interfaces.tui.layout import CSS, Layout
from dovetail.interfaces.tui.profile_panel import ProfilePanel
from dovetail.interfaces.tui.prompt_line import PromptLine
from dovetail.interfaces.tui.result import ResultPane
from dovetail.interfaces.tui.runner import Runner
from dovetail.interfaces.tui.running import REPORT_HINT
from dovetail.interfaces.tui.status import HintLine, StatusLine, status_of

if TYPE_CHECKING:
    from dovetail.session import Session

_DRAFT_SECONDS = 1.0
_WARM_UP_SECONDS = 0.5
_FACTS = 20
_TWICE_SECONDS = 0.5
_FAULT = "{}.\n\nNothing of your work is lost: editor tabs and results are as they were."


class DovetailApp(App[int]):
    """One instance of the interface over one session."""

    TITLE = "Dovetail"
    CSS = CSS
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
        workspace = workspace_name(session.config.path)
        self.history = history if history is not None else History(workspace=workspace)
        self.drafts = drafts if drafts is not None else Drafts(workspace)
        self.copier = clipboard or Clipboard(self.copy_to_clipboard)
        self.schema = Schema(session, self._names_changed)
        for name in files:
            self.schema.add_local(name)
        self.runner = Runner(self)
        self.layout = Layout(self)
        self.last_errors: list[str] = []
        self.commands = Commands(self)
        self._files = list(files)
        self._first_query = query
        self._paths = list(paths)
        self._keep_on = keep_on
        self._welcome = welcome
        # Kept, not searched for: news may come while a screen lies over them, or while they go.
        self.catalog = Catalog(
            self.schema,
            self.make_keys("catalog"),
            lambda: self.commands.saved_queries.names(),
            id="catalog",
        )
        self._too_small = Static("", id="too-small", markup=False)
        self.tabs = Buffers(self._make_buffer, id="buffers")
        self.prompt = PromptLine(id="prompt")
        self._status_line = StatusLine(id="status")
        self._profile = ProfilePanel(id="profile")
        self._hint_line = HintLine(self.all_keys, id="hints")
        self._is_set_up = False
        self._draft_timer: Any = None
        self._escaped_at = float("-inf")

    # -- start and end -----------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Catalog, buffers, prompt, status, hints."""
        yield self._too_small
        with Horizontal(id="main"):
            yield self.catalog
            yield self.tabs
            yield self._profile
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
        self.layout.restore(saved.layout)
        recovered = self.drafts.recover()
        opened = recovered or (saved.drafts if self._keep_on else [])
        for draft in opened:
            buffer = await self.tabs.add(draft.text, Path(draft.path) if draft.path else None)
            buffer.editor.move_cursor(draft.cursor)
        for path in self._paths:
            await self.commands.open_path(path)
        text = self._first_query or (f"from {self._files[0]}" if self._files else "")
        if text or not self.buffers:
            await self.tabs.add(text)
        elif not recovered and self._keep_on and self.buffers:
            self.tabs.show(self.buffers[min(saved.active, len(self.buffers) - 1)])
        if recovered:
            self.tell(f"{len(recovered)} drafts of a session that crashed are back")
        self.schema.load()
        self.set_interval(0.1, self._tick)
        self.buffer.editor.focus()
        if text:
            await self.runner.run([statements_of(text)[0]], focus_results=True)
        self.update_status()
        if self._welcome:
            from dovetail.interfaces.tui.screens.help import WelcomeScreen

            self.push_screen(WelcomeScreen(self.all_keys))
        # The first query loads libraries: better before it is asked, but not before the first keys.
        self.set_timer(_WARM_UP_SECONDS, threading.Thread(target=_warm_up, daemon=True).start)

    def _saved(self) -> Saved:
        drafts = [
            Draft(b.editor.text, b.editor.cursor_location, str(b.path) if b.path else None)
            for b in self.buffers
        ]
        active = self.buffers.index(self.buffer) if self.buffers else 0
        return Saved(drafts, active, self.layout.saved())

    def leave(self) -> None:
        """Cancel what runs, remember the buffers, end."""
        self.runner.cancel_all()
        self.drafts.finish(self._saved())
        self.exit(0)

    @property
    def base(self) -> Screen[Any]:
        """The screen with the panes, whatever lies over it."""
        return self.screen_stack[0]

    def on_edge_dragged(self, event: EdgeDragged) -> None:
        """The mouse moves the edge of a pane."""
        if event.edge is self.catalog:
            self.layout.catalog_width = event.x + 1
        else:
            self.layout.editor_height = event.y - self.buffer.editor.region.y

    # -- buffers -----------------------------------------------------------------------------------

    @property
    def buffers(self) -> list[BufferPane]:
        """All buffers, first tab first; none while the application ends."""
        return self.tabs.all

    @property
    def buffer(self) -> BufferPane:
        """The buffer that is shown."""
        return self.tabs.front

    def make_keys(self, focus: str) -> Sequences:
        """A machine for the keys of a place."""
        return Sequences(self.all_keys, focus, counts=focus in ("results", "vi"))

    def _make_buffer(self, number: int, text: str, path: Path | None) -> BufferPane:
        is_vi = self.settings.editor == "vi"
        return BufferPane(self, self.schema, self.make_keys, number, text, path, is_vi=is_vi)

    def on_buffers_fronted(self, event: Buffers.Fronted) -> None:
        """Another buffer is shown."""
        self.layout.fit_editors()
        self.update_status()

    def on_text_area_changed(self, event: SqlEditor.Changed) -> None:
        """Keep drafts a moment after the last key; the change mark of the file."""
        if self._draft_timer is not None:
            self._draft_timer.stop()
        self._draft_timer = self.set_timer(_DRAFT_SECONDS, self.keep_drafts)
        if self.buffers and self.buffer.path is not None:
            self.tabs.rename(self.buffer)

    def keep_drafts(self) -> None:
        """Write the drafts."""
        if self._is_set_up and self.screen_stack:  # a timer may go off while the screens go
            self.drafts.keep(self._saved())

    # -- running -----------------------------------------------------------------------------------

    async def on_buffer_pane_run_changed(self, event: BufferPane.RunChanged) -> None:
        """There is news of a query."""
        await self.runner.show(event)
        self.update_status()

    async def on_event(self, event: events.Event) -> None:
        """Esc Esc cancels what runs in the front buffer; each Esc also does what it always does."""
        if isinstance(event, events.Key) and event.key == "escape" and not event.is_forwarded:
            twice = event.time - self._escaped_at < _TWICE_SECONDS
            if twice and self.buffers and self.buffer.running:
                self.runner.cancel()
            self._escaped_at = event.time
        await super().on_event(event)

    # -- status ------------------------------------------------------------------------------------

    def on_unmount(self) -> None:
        """The widgets go: no news is shown any more."""
        self._is_set_up = False
        self.drafts.close()
        self.runner.desk.close()

    def _tick(self) -> None:
        if not self._is_set_up or not self.buffers or not self.screen_stack:
            return
        self._hint_line.follow(self.place)
        if any(run.active for run in self.buffer.runs):
            pane = self.buffer.pane
            if pane is not None and pane.run is not None and pane.run.active:
                pane.refresh_run()
            self.update_status()

    def update_status(self) -> None:
        """The two lines at the bottom: mode, place, rows, what runs; the keys of the place."""
        if not self._is_set_up or not self.buffers:
            return
        sources = [source.name for source in self.schema.sources]
        parts = status_of(self.buffer, self.session, sources, self.runner.limit)
        self._hint_line.follow(self.place)
        self._status_line.show([self.mode, self._hint_line.typed, *parts])
        if not self.layout.is_hidden("profile"):
            self._profile.show(self.buffer.shown_run)

    @property
    def mode(self) -> str:
        """What typing does now."""
        if self.prompt.mode:
            return self.prompt.mode
        return self.focused.mode if isinstance(self.focused, SqlEditor) else "NORMAL"

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Another pane has the keyboard."""
        if self._is_set_up:
            self._hint_line.show(self.place)
        self.update_status()

    def on_result_pane_changed(self, event: ResultPane.Changed) -> None:
        """The cursor or the view has changed."""
        self.update_status()

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

    def _pending(self, typed: str, continuations: list[tuple[str, str]]) -> None:
        if self._hint_line.pending(typed, continuations, self.place):
            self.update_status()

    def tell(self, text: str, *, error: bool = False) -> None:
        """Say something for a few seconds."""
        self.notify(text, severity="error" if error else "information", timeout=4, markup=False)

    def copy(self, text: str, note: str) -> None:
        """Copy a text and say so."""
        more = self.copier.copy(text)
        self.tell(f"{note}; {more}" if more else note)

    def on_resize(self, event: events.Resize) -> None:
        """Below 80×24 say so."""
        needed = self.layout.resized(event.size)
        if needed is not None:
            self._too_small.update(needed)

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
        names = ("source", "schema", "table", "local", "column")
        if event.node.kind in names and editor.region.contains(event.x, event.y):
            editor.drop(self.catalog.sql_name(event.node), event.x, event.y)
            editor.focus()

    def on_tree_node_selected(self, event: Any) -> None:
        """Enter or a click on a node of the catalog."""
        if isinstance(event.node.data, Node) and event.node.data.kind not in ("root", "error"):
            made = self.commands.catalog("insert_name", event.node.data)
            if made is not None:
                self.run_worker(made, group="actions")

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
            self.keep_drafts()
        super()._handle_exception(Crash(fault_of_ours(error, REPORT_HINT)))
        self._return_code = InternalError.exit_code

    def show_fault(self, error: BaseException) -> None:
        """A panel about a fault that ended one action, and nothing else."""
        fault = fault_of_ours(error, REPORT_HINT)
        self.note_error(fault)
        self.open_screen("text", "an unexpected error", _FAULT.format(fault.message))

    def handle_error(self, error: DovetailError) -> None:
        """Tell of an error that belongs to no query."""
        self.note_error(error)
        self.tell(str(error), error=True)

    def note_error(self, error: DovetailError) -> None:
        """Remember what kind of error there was, for reports."""
        self.last_errors = [error.kind, *self.last_errors][:_FACTS]


def _binding(key: str, item: Key) -> Binding:
    """A key that works everywhere; the chosen ones before the pane under the keyboard sees them."""
    action = item.action.replace("(", ":").rstrip(")")
    first = item.action in ("quit", "help", "full_screen", "palette")
    return Binding(key, f"act('{action}')", item.help, show=False, priority=first)


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
