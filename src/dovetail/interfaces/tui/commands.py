"""The actions of the application that belong to no single pane, and the ``:`` commands."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import SuspendNotSupported

from dovetail.config import parse_duration
from dovetail.editing.statements import statements_of
from dovetail.errors import DovetailError, UsageError
from dovetail.interfaces.tui.catalog import Node
from dovetail.interfaces.tui.result import ResultPane
from dovetail.present.values import Column
from dovetail.script.statements import split

if TYPE_CHECKING:
    import pyarrow as pa

    from dovetail.interfaces.tui.app import DovetailApp
    from dovetail.interfaces.tui.buffer import BufferPane

_PREVIEW_ROWS = 200
_PANES = ("catalog", "editor", "results")


class Commands:
    """What the application does on its own keys."""

    def __init__(self, app: DovetailApp) -> None:
        self.app = app
        self._history_ids: dict[str, str] = {}

    # -- running -----------------------------------------------------------------------------------

    async def do_run(self) -> None:
        """The selection, else the statement under the cursor."""
        statement = self.app.buffer.editor.wanted()
        if statement is None:
            self.app.tell("there is no statement here")
            return
        found = statements_of(statement.text)
        if len(found) > 1:  # several are selected
            from dataclasses import replace

            at = statement.start
            found = [replace(s, start=s.start + at, end=s.end + at) for s in found]
            await self.app.run_statements(found)
        else:
            await self.app.run_statements([statement])

    async def do_run_all(self) -> None:
        """The whole buffer."""
        found = statements_of(self.app.buffer.editor.text)
        if found:
            await self.app.run_statements(found)

    def do_cancel(self) -> None:
        """Cancel what runs in this buffer."""
        self.app.cancel()

    def do_quit(self) -> None:
        """Leave; ask if a query runs."""
        if any(run.active for buffer in self.app.buffers for run in buffer.runs):
            self.open_screen("confirm", "A query is running. Cancel it and leave?", self.app.leave)
        else:
            self.app.leave()

    # -- panes -------------------------------------------------------------------------------------

    def do_pane(self, name: str) -> None:
        """Give a pane the keyboard."""
        app = self.app
        if name == "catalog":
            app.base.remove_class("hide-catalog")
            tree = app.catalog.names_tree
            tree.cursor_line = max(tree.cursor_line, 0)
            tree.focus()
        elif name == "editor" or app.buffer.pane is None:
            app.buffer.editor.focus()
        else:
            app.buffer.pane.focus_grid()

    def do_to_editor(self) -> None:
        """To the editor."""
        self.do_pane("editor")

    def do_to_results(self) -> None:
        """To the results."""
        self.do_pane("results")

    def do_next_pane(self) -> None:
        """The next pane."""
        self._turn(1)

    def do_previous_pane(self) -> None:
        """The previous pane."""
        self._turn(-1)

    def _turn(self, by: int) -> None:
        shown = [p for p in _PANES if p != "catalog" or not self._catalog_hidden]
        place = self.app.place
        at = shown.index(place) if place in shown else 0
        self.do_pane(shown[(at + by) % len(shown)])

    @property
    def _catalog_hidden(self) -> bool:
        return self.app.base.has_class("hide-catalog")

    def do_toggle(self, pane: str) -> None:
        """Show or hide the catalog."""
        self.app.base.toggle_class("hide-catalog")
        if self.app.place == "catalog" and self._catalog_hidden:
            self.do_to_editor()

    def do_full_screen(self) -> None:
        """The pane with the keyboard on the whole screen, and back."""
        screen = self.app.base
        names = [f"full-{pane}" for pane in _PANES]
        if any(screen.has_class(name) for name in names):
            screen.remove_class(*names)
        elif self.app.place in _PANES:
            screen.add_class(f"full-{self.app.place}")

    def do_grow(self, by: str) -> None:
        """A larger or smaller editor."""
        app = self.app
        app.editor_height = max(3, min(app.editor_height + int(by), app.size.height - 10))

    def do_widen(self, by: str) -> None:
        """A wider or narrower catalog."""
        app = self.app
        app.catalog_width = max(12, min(app.catalog_width + int(by), app.size.width - 40))

    # -- buffers and files -------------------------------------------------------------------------

    async def do_new_buffer(self) -> None:
        """A new editor tab."""
        await self.app.add_buffer()

    def do_next_buffer(self) -> None:
        """The next editor tab."""
        self._turn_buffer(1)

    def do_previous_buffer(self) -> None:
        """The previous editor tab."""
        self._turn_buffer(-1)

    def _turn_buffer(self, by: int) -> None:
        buffers = self.app.buffers
        at = buffers.index(self.app.buffer)
        self.app.show_buffer(buffers[(at + by) % len(buffers)])

    def do_buffer(self, number: str) -> None:
        """The editor tab of that number, from 1."""
        buffers = self.app.buffers
        if int(number) <= len(buffers):
            self.app.show_buffer(buffers[int(number) - 1])
        else:
            self.app.tell(f"there is no tab {number}; there are {len(buffers)}")

    def do_last_buffer(self) -> None:
        """Between the last two."""
        self.app.last_buffer()

    async def do_close_buffer(self) -> None:
        """Close this tab; ask if its file is not saved."""
        buffer = self.app.buffer
        if not buffer.unsaved:
            await self.app.close_buffer(buffer)
            return

        def close() -> None:
            self.app.run_worker(self.app.close_buffer(buffer), group="actions")

        self.open_screen("confirm", f"{buffer.name_shown} is not saved. Close it?", close)

    def do_buffers(self) -> None:
        """Choose a tab from a list."""
        from dovetail.interfaces.tui.screens.listing import ListScreen

        def find(wanted: str) -> list[tuple[str, str, str]]:
            return [
                (str(b.id), b.editor.text[:200] or "(empty)", b.name_shown)
                for b in self.app.buffers
                if wanted.lower() in f"{b.name_shown} {b.editor.text}".lower()
            ]

        def chosen(answer: tuple[str, str] | None) -> None:
            for buffer in self.app.buffers:
                if answer is not None and buffer.id == answer[0]:
                    self.app.show_buffer(buffer)

        self.app.push_screen(ListScreen("editor tabs", find, "Enter goes there"), chosen)

    def do_open(self) -> None:
        """Open a file."""

        def submit(text: str) -> None:
            self.app.buffer.editor.focus()
            if text.strip():
                self.app.run_worker(self.open_path(Path(text.strip())), group="actions")

        self.app.prompt.ask("OPEN", "open:", submit, cancel=self.do_to_editor)

    async def open_path(self, path: Path) -> None:
        """Open a file in a tab of its own."""
        path = path.expanduser()
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            self.app.tell(f"cannot read {path}: {reason}", error=True)
            return
        buffer = await self.app.add_buffer(text, path)
        buffer.saved_at = path.stat().st_mtime

    def do_save(self) -> None:
        """Save to the file of this tab."""
        buffer = self.app.buffer
        if buffer.path is None:
            self.do_save_as()
            return
        path = buffer.path
        changed = path.exists() and buffer.saved_at not in (None, path.stat().st_mtime)
        if changed:
            self.open_screen(
                "confirm",
                f"{path.name} was changed by another program. Replace it?",
                lambda: self._write(buffer, path),
            )
        else:
            self._write(buffer, path)

    def do_save_as(self) -> None:
        """Save under a name."""
        buffer = self.app.buffer

        def submit(text: str) -> None:
            buffer.editor.focus()
            path = Path(text.strip()).expanduser()
            if not text.strip():
                return
            if path.exists() and path != buffer.path:
                self.open_screen("confirm", f"Replace {path}?", lambda: self._write(buffer, path))
            else:
                self._write(buffer, path)

        name = str(buffer.path) if buffer.path is not None else ""
        self.app.prompt.ask("SAVE", "save as:", submit, text=name, cancel=self.do_to_editor)

    def _write(self, buffer: BufferPane, path: Path) -> None:
        from dovetail.present.destination import open_file

        try:
            with open_file(path) as stream:
                stream.write(buffer.editor.text.encode("utf-8"))
        except DovetailError as error:
            self.app.handle_error(error)
            return
        buffer.path, buffer.saved_text = path, buffer.editor.text
        buffer.saved_at = path.stat().st_mtime
        self.app.update_tab(buffer)
        self.app.tell(f"saved {path}")

    # -- editor ------------------------------------------------------------------------------------

    def do_format(self) -> None:
        """Format the buffer."""
        from dovetail.interfaces.tui.rewriting import formatted

        editor = self.app.buffer.editor
        try:
            text = formatted(editor.text)
        except DovetailError as error:
            self.app.handle_error(error)
            return
        if text != editor.text:
            editor.replace(text, (0, 0), editor.document.end)

    def do_expand_star(self) -> None:
        """Write the columns of * out."""
        from dovetail.interfaces.tui.rewriting import star_at

        editor = self.app.buffer.editor
        found = star_at(editor.text, editor.offset_of_cursor, self.app.schema)
        if found is None:
            self.app.tell("no * here whose columns are known")
            return
        start, end, names = found
        editor.replace(names, editor.location_of(start), editor.location_of(end))

    def do_find(self) -> None:
        """Find and replace."""
        from dovetail.interfaces.tui.screens.forms import FindScreen

        editor = self.app.buffer.editor
        self.app.push_screen(
            FindScreen(
                lambda text, new: editor.select_next(text, replace_with=new), editor.selected_text
            )
        )

    def do_goto_line(self) -> None:
        """To a line by number."""
        editor = self.app.buffer.editor

        def submit(text: str) -> None:
            editor.focus()
            if text.strip().isdigit():
                last = editor.document.line_count
                editor.move_cursor((max(1, min(int(text), last)) - 1, 0))

        self.app.prompt.ask("LINE", "line:", submit, cancel=self.do_to_editor)

    def do_external_editor(self) -> None:
        """Edit the buffer in $EDITOR."""
        editor = self.app.buffer.editor
        program = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        with tempfile.TemporaryDirectory(prefix="dovetail-") as folder:
            path = Path(folder) / "query.sql"
            path.write_text(editor.text, encoding="utf-8")
            try:
                with self.app.suspend():
                    subprocess.run([*shlex.split(program), str(path)], check=False)  # noqa: S603
            except (OSError, SuspendNotSupported):
                self.app.tell(f"cannot start {program}; set EDITOR", error=True)
                return
            text = path.read_text(encoding="utf-8").rstrip("\n")
        if text != editor.text:
            editor.replace(text, (0, 0), editor.document.end)

    def do_ask(self) -> None:
        """A question becomes SQL in the buffer, to be looked at before it is run."""
        ask: Any = getattr(self.app.session, "ask", None)
        if ask is None:
            self.app.tell("this build cannot turn questions into SQL", error=True)
            return

        def submit(text: str) -> None:
            self.app.buffer.editor.focus()
            if text.strip():
                self._beside(lambda: str(getattr(ask(text), "sql", "")), self._put)

        self.app.prompt.ask("ASK", "question:", submit, cancel=self.do_to_editor)

    def _put(self, sql: str) -> None:
        self.app.buffer.editor.insert(sql)

    def _beside(self, ask: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Do something that may take long, in a thread."""

        def work() -> None:
            try:
                made = ask()
            except DovetailError as error:
                self.app.call_from_thread(self.app.handle_error, error)
                return
            self.app.call_from_thread(done, made)

        self.app.run_worker(work, thread=True, group="beside")

    # -- results -----------------------------------------------------------------------------------

    def do_next_result(self) -> None:
        """The next result tab."""
        self._turn_result(1)

    def do_previous_result(self) -> None:
        """The previous result tab."""
        self._turn_result(-1)

    def _turn_result(self, by: int, number: int | None = None) -> None:
        buffer = self.app.buffer
        panes, pane = buffer.panes, buffer.pane
        if pane is not None:
            at = panes.index(pane) + by if number is None else number - 1
            buffer.show_result(panes[at % len(panes)])
            self.do_to_results()

    async def do_close_result(self) -> None:
        """Close this result."""
        pane = self.app.buffer.pane
        if pane is not None:
            await self.app.buffer.close_result(pane)
            self.do_to_results()

    def do_plan(self) -> None:
        """The plan of the statement under the cursor, and the profile of its last run."""
        statement = self.app.buffer.editor.wanted()
        pane = self.app.buffer.pane
        sql = pane.sql if self.app.place == "results" and pane is not None else ""
        sql = sql or (statement.text if statement is not None else "")
        if not sql:
            self.app.tell("there is no statement here")
            return

        def done(text: str) -> None:
            self.open_screen("text", "plan", text)

        self._beside(lambda: self._plan_text(sql, pane), done)

    def _plan_text(self, sql: str, pane: ResultPane | None) -> str:
        from dovetail.interfaces.tui.plan_text import with_profile

        values = self.app.values_for(sql)
        text = str(self.app.desk.plan(split(sql)[0], values))
        run = pane.run if pane is not None else None
        if run is not None and run.sql == sql and run.profile is not None:
            return with_profile(text, run)
        return text

    def do_yank_plan(self) -> None:
        """Copy the plan of the shown result."""
        pane = self.app.buffer.pane
        if pane is not None and pane.sql:
            self._beside(
                lambda: self._plan_text(pane.sql, pane),
                lambda text: self.app.copy(text, "yanked the plan"),
            )

    def do_chart(self) -> None:
        """A bar chart of the frequent values of this column, or a histogram of numbers."""
        pane = self.app.buffer.pane
        if pane is None or pane.grid is None:
            return
        grid, column, view = pane.grid, pane.grid.column, pane.grid.view

        def done(made: Any) -> None:
            from dovetail.interfaces.tui.screens.statistics import chart_text

            self.open_screen("text", f"chart of {made.name}", chart_text(made))

        self._beside(lambda: grid.analyst.statistics(column, view), done)

    # -- screens -----------------------------------------------------------------------------------

    def do_help(self) -> None:
        """The keys of this place."""
        from dovetail.interfaces.tui.screens.help import HelpScreen

        vi = self.app.place == "editor" and self.app.mode != "INSERT"
        self.app.push_screen(HelpScreen("vi" if vi else self.app.place, self.app.all_keys))

    def do_palette(self) -> None:
        """All actions."""
        self.app.action_command_palette()

    def do_debug(self) -> None:
        """Facts for a report: no secrets, no data."""
        self.open_screen("text", "facts", self._facts())

    def _facts(self) -> str:
        from importlib.metadata import version

        from dovetail.interfaces.tui.app import terminal_facts

        app = self.app
        lines = [f"{name:<10} {version(name)}" for name in ("dovetail", "duckdb", "textual")]
        lines.append(f"{'config':<10} {app.session.config.path or 'none'}")
        for source in app.schema.sources:
            lines.append(f"{'source':<10} {source.name} ({source.kind}, {source.state})")
        lines += [f"{name.lower():<10} {value}" for name, value in terminal_facts().items()]
        lines.append(f"{'size':<10} {app.size.width}×{app.size.height}")
        lines.append(f"{'errors':<10} {', '.join(app.last_errors) or 'none'}")
        lines.append(f"{'theme':<10} {app.theme} of {', '.join(sorted(app.available_themes))}")
        return "\n".join(lines)

    def do_history(self) -> None:
        """Past queries."""
        from dovetail.interfaces.tui.screens.listing import ListScreen

        sqls: dict[str, str] = {}

        def find(wanted: str) -> list[tuple[str, str, str]]:
            words = wanted.split()
            failed, slow = ":failed" in words, ":slow" in words
            source = next((w[1:] for w in words if w.startswith("@")), None)
            text = " ".join(w for w in words if w[0] not in ":@")
            found = []
            for entry in self.app.history.entries(
                text, failed=failed, slower_than=1000 if slow else None, source=source
            ):
                sqls[str(entry.id)] = entry.sql
                when = datetime.fromtimestamp(entry.started).strftime("%m-%d %H:%M")
                rows = "error" if entry.error else f"{entry.rows or 0:,} rows"
                took = f"{entry.milliseconds or 0:,.0f} ms"
                found.append((str(entry.id), entry.sql, f"{when} {rows:>12} {took:>9}"))
            return found

        def chosen(answer: tuple[str, str] | None) -> None:
            if answer is None:
                return
            self._put(sqls[answer[0]])
            if answer[1] == "run":
                self.app.run_worker(self.do_run(), group="actions")

        hint = "Enter inserts · Ctrl+Enter or F5 runs · :failed :slow @source narrow it"
        self.app.push_screen(ListScreen("history", find, hint), chosen)

    def open_screen(self, name: str, *arguments: Any) -> None:
        """Show one of the screens."""
        getattr(self, f"_screen_{name}")(*arguments)

    def _screen_text(self, title: str, text: str) -> None:
        from dovetail.interfaces.tui.screens.text import TextScreen

        self.app.push_screen(TextScreen(title, text, self.app.copy))

    def _screen_cell(self, column: Column, text: str | None) -> None:
        from dovetail.interfaces.tui.screens.text import whole_value

        title = f"{column.name} · {column.type.lower()}"
        self._screen_text(title, whole_value(text, column.type))

    def _screen_confirm(self, question: str, yes: Callable[[], None]) -> None:
        from dovetail.interfaces.tui.screens.forms import ConfirmScreen

        self.app.push_screen(ConfirmScreen(question), lambda answer: yes() if answer else None)

    def _screen_statistics(self, pane: ResultPane, column: int, made: Any) -> None:
        from dovetail.interfaces.tui.screens.statistics import StatisticsScreen

        def chosen(number: str | None) -> None:
            if number is not None:
                pane.filter_to("keep", column, made.top[int(number)][0])

        self.app.push_screen(StatisticsScreen(made), chosen)

    def _screen_columns(self, pane: ResultPane) -> None:
        from dovetail.interfaces.tui.screens.listing import ColumnsScreen

        grid = pane.grid
        if grid is None:
            return
        names = grid.analyst.columns
        listed = [(c, names[c].name, names[c].type) for c in grid.view.order]

        def chosen(answer: tuple[frozenset[int], int | None] | None) -> None:
            if answer is not None:
                pane.choose_columns(*answer)

        self.app.push_screen(ColumnsScreen(listed, grid.view.hidden), chosen)

    def _screen_table(self, title: str, table: pa.Table) -> None:
        import duckdb

        types = duckdb.connect().from_arrow(table.slice(0, 0)).types
        columns = [Column(n, str(t)) for n, t in zip(table.column_names, types, strict=True)]

        async def show() -> None:
            pane = await self.app.buffer.add_table(title, table, columns)
            pane.focus_grid()

        self.app.run_worker(show(), group="actions")

    def _screen_export(self, pane: ResultPane) -> None:
        from dovetail.interfaces.tui.exporting import choices, export
        from dovetail.interfaces.tui.screens.forms import ExportScreen

        if pane.grid is None:
            return

        def chosen(answer: dict[str, Any] | None) -> None:
            if answer is not None:
                export(self.app, pane, **answer)

        self.app.push_screen(ExportScreen(choices(pane)), chosen)

    # -- catalog -----------------------------------------------------------------------------------

    def catalog(self, action: str, node: Node | None) -> Awaitable[None] | None:
        """A key of the catalog, about a node."""
        app = self.app
        if action == "to_editor":
            self.do_to_editor()
            return None
        if node is None or node.kind in ("root", "error"):
            return None
        name = app.catalog.sql_name(node)
        is_table = node.table is not None or node.kind == "local"
        if action == "insert_name":
            app.buffer.editor.insert(name)
            self.do_to_editor()
        elif action == "copy_name":
            app.copy(name, f"copied {name}")
        elif action == "refresh":
            app.schema.load(node.source or None, again=True)
            app.catalog.update_names()
        elif action == "mark":
            app.tell(f"{name} is marked; j on another table joins them" if is_table else "no table")
        elif action == "suggest_join":
            self._suggest_join(node)
        elif not is_table:
            app.tell("that works on a table")
        elif action == "preview":
            return self._run_text(f"select * from {name} limit {_PREVIEW_ROWS}")
        elif action == "describe":
            return self._run_text(f"describe select * from {name}")
        elif action == "profile":
            return self._run_text(f"summarize select * from {name}")
        return None

    async def _run_text(self, sql: str) -> None:
        from dovetail.editing.statements import Statement

        statement = Statement(sql, 0, len(sql), len(sql), True)
        await self.app.run_statements([statement], focus_results=True)

    def _suggest_join(self, node: Node) -> None:
        suggest: Any = getattr(self.app.session, "suggest_joins", None)
        marked = self.app.catalog.marked
        if suggest is None:
            self.app.tell("this build does not suggest joins", error=True)
        elif marked is None or node.table is None:
            self.app.tell("mark one table with m, then press j on another")
        else:
            names = [marked.qualified_name, node.table.qualified_name]
            self._beside(
                lambda: suggest(names),
                lambda found: self._put(str(getattr(next(iter(found), ""), "sql", ""))),
            )

    # -- the command line --------------------------------------------------------------------------

    def do_command(self) -> None:
        """Ask for a command."""
        place = self.app.place

        def back() -> None:
            self.do_pane("editor" if place == "editor" else "results")

        def submit(text: str) -> None:
            back()
            try:
                self.run_line(text.strip())
            except UsageError as error:
                self.app.tell(error.message, error=True)

        self.app.prompt.ask("COMMAND", ":", submit, cancel=back)

    def run_line(self, line: str) -> None:
        """Do what a ``:`` line says. Raises :class:`UsageError`."""
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        pane = self.app.buffer.pane
        if not word:
            return
        if word.isdigit():
            if pane is not None:
                pane.perform("row(number)", int(word))
        elif hasattr(self, f"line_{word}"):
            getattr(self, f"line_{word}")(rest)
        else:
            self._named_action(word, rest)

    def _named_action(self, word: str, rest: str) -> None:
        from dovetail.catalog.catalogs import near_names

        known = {key.action for key in self.app.all_keys}
        action = f"{word}({rest})" if rest else word
        if action not in known:
            lines = [name.removeprefix("line_") for name in dir(self) if name.startswith("line_")]
            near = near_names(word, [*known, *lines])
            tail = f"; did you mean {' or '.join(near)}?" if near else "; F1 lists the keys"
            raise UsageError(f'no command "{action}"{tail}')
        self.app.app_action(action)

    def line_q(self, rest: str) -> None:
        """Leave."""
        self.do_quit()

    line_quit = line_q

    def line_w(self, rest: str) -> None:
        """Save the buffer."""
        self.do_save()

    def line_help(self, rest: str) -> None:
        """The keys."""
        self.do_help()

    def line_limit(self, rest: str) -> None:
        """At most so many rows, for the sources too."""
        if rest in ("", "off", "none"):
            self.app.limit = None
        elif rest.isdigit():
            self.app.limit = int(rest)
        else:
            raise UsageError(f':limit takes a number of rows or off, not "{rest}"')
        self.app.update_status()

    def line_timeout(self, rest: str) -> None:
        """How long a query may run."""
        try:
            off = rest in ("", "off", "none")
            self.app.timeout = None if off else float(str(parse_duration(rest)))
        except ValueError as error:
            raise UsageError(f':timeout "{rest}": {error}') from None

    def line_set(self, rest: str) -> None:
        """Show the limits, or set one: ``:set limit 1000``."""
        name, _, value = rest.replace("=", " ").partition(" ")
        if name in ("limit", "timeout") and value:
            getattr(self, f"line_{name}")(value.strip())
        elif name == "rows" and value.strip().isdigit():
            self.app.cap_rows = int(value)
        elif name:
            raise UsageError(f'no setting "{name}"; there are limit, timeout and rows')
        app = self.app
        timeout = "off" if app.timeout is None else f"{app.timeout:g} s"
        limit = "off" if app.limit is None else f"{app.limit:,}"
        app.tell(f"limit {limit} · timeout {timeout} · rows {app.cap_rows:,}")

    def line_fetch(self, rest: str) -> None:
        """Run the query of this result again without the cap on its rows."""
        pane = self.app.buffer.pane
        if rest != "all":
            raise UsageError(":fetch all runs the query again and fetches every row")
        if pane is None or pane.run is None or pane.run.state != "capped":
            raise UsageError("this result is whole already")
        self.app.fetch_all(pane)

    def line_sql(self, rest: str) -> None:
        """The query with the filters, sort and columns in force, in a buffer of its own."""
        pane = self.app.buffer.pane
        if pane is None or not pane.sql or pane.grid is None:
            raise UsageError("there is no result of a query here")
        sql = pane.wrapped_sql()

        async def show() -> None:
            await self.app.add_buffer(sql)

        self.app.run_worker(show(), group="actions")

    def line_diff(self, rest: str) -> None:
        """Compare this result with the one before it, by key columns."""
        from dovetail.interfaces.tui.comparing import difference

        buffer = self.app.buffer
        pane = buffer.pane
        panes = [p for p in buffer.panes if p.grid is not None]
        if pane is None or len(panes) < 2 or pane not in panes:
            raise UsageError(":diff compares two results; run two statements with Shift+F5")
        at = panes.index(pane)
        old, new = panes[at - 1] if at else panes[1], pane
        keys = rest.replace(",", " ").split()
        if not keys:
            raise UsageError(":diff takes the key columns: :diff id")
        assert old.analyst is not None
        assert new.analyst is not None
        first, second = old.analyst, new.analyst
        self._beside(
            lambda: difference(first, second, keys),
            lambda table: self.open_screen("table", f"{old.title} → {new.title}", table),
        )
