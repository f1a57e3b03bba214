"""The statements of an application: what runs, what is to run after it, what is told at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from dovetail.editing.statements import Statement
from dovetail.editing.tokens import tokens_of
from dovetail.errors import DovetailError
from dovetail.interfaces.tui.buffer import BufferPane
from dovetail.interfaces.tui.result import ResultPane
from dovetail.interfaces.tui.running import QueryRun
from dovetail.interfaces.tui.spool import Spool
from dovetail.script.desk import Desk
from dovetail.script.statements import split

if TYPE_CHECKING:
    from dovetail.interfaces.tui.app import DovetailApp

_CHECKED = 20  # statements behind one that failed


class Runner:
    """Runs statements of editors, those of one request one after another."""

    def __init__(self, app: DovetailApp) -> None:
        self._app = app
        self.desk = Desk(app.session)  # temporary tables live as long as the application
        self.limit: int | None = None
        self.timeout: float | None = None
        self.cap_rows = app.settings.max_rows
        self.parameters: dict[str, tuple[str, str]] = {}  # name → type and text, as last given
        self.exports: set[Callable[[], None]] = set()  # what cancels those that are being written
        self._focus_when_ready = False
        self._batches = 0
        self._queue: list[Callable[[], QueryRun | None]] = []
        self._batch: tuple[BufferPane | None, list[Statement]] = (None, [])

    async def run(self, statements: Sequence[Statement], *, focus_results: bool = False) -> None:
        """Run statements of the front buffer one after another; an error ends the row."""
        app, buffer = self._app, self._app.buffer
        running = sum(run.active for b in app.buffers for run in b.runs)
        if running >= app.settings.parallel:
            app.tell(f"{running} queries run already (tui.parallel); cancel one first", error=True)
            return
        missing = sorted({name for s in statements for name in _parameters(s.text)})
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
                    self._next()

            app.push_screen(ParametersScreen(missing, self.parameters), given)
        else:
            self._next()
        if focus_results:
            self._focus_when_ready = True

    def _next(self) -> None:
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
            max_bytes=self._app.settings.max_bytes,
            **options,
        )
        self._app.update_status()
        return run

    def values_for(self, sql: str) -> dict[str, Any]:
        """The values of the parameters that ``sql`` names."""
        from dovetail.interfaces.tui.screens.forms import TYPES

        used = _parameters(sql)
        given = self.parameters.items()
        return {name: TYPES[kind](text) for name, (kind, text) in given if name in used}

    def fetch_all(self, pane: ResultPane) -> None:
        """Run the query of a result again; what the cap would leave out goes to disk."""
        self._batches += 1
        statement = Statement(pane.sql, pane.query_at, 0, 0, True)
        self._focus_when_ready = True
        folder = self._app.session.config.limits.temp_directory
        self._start(
            self._app.buffer,
            statement,
            1,
            self._batches,
            spool=lambda schema: Spool(schema, folder),
        )

    def cancel(self) -> None:
        """Cancel the queries of the front buffer, and what is being exported."""
        self._queue.clear()
        running = [run for run in self._app.buffer.runs if run.active]
        for run in running:
            run.cancel()
        for cancel in list(self.exports):
            cancel()
        if not running and not self.exports:
            self._app.tell("no query runs here; Ctrl+Q leaves")

    def cancel_all(self) -> None:
        """Cancel every query: the application ends."""
        for buffer in self._app.buffers:
            for run in buffer.runs:
                run.cancel()

    # -- news --------------------------------------------------------------------------------------

    async def show(self, event: BufferPane.RunChanged) -> None:
        """There is news of a query."""
        run = event.run
        await event.buffer.show_run(event.pane, run)
        if self._focus_when_ready and event.pane.grid is not None:
            self._focus_when_ready = False
            event.pane.focus_grid()
        if not run.active and not run.told:
            run.told = True
            self._ended(run)

    def _ended(self, run: QueryRun) -> None:
        app = self._app
        if run.state == "failed" and run.error is not None:
            app.note_error(run.error)
            self._queue.clear()
            if run.error.location is not None:  # a mistake in the text: there may be more
                self._check_rest(run)
        app.history.add(
            run.sql,
            "tui",
            rows=run.rows if run.error is None else None,
            milliseconds=run.seconds * 1000,
            error=run.error.message if run.error is not None else None,
            profile=run.profile,
            started=run.began,
            cancelled=run.state == "cancelled",
        )
        for warning in run.warnings:
            app.tell(warning)
        if run.state == "done" and run.schema is None:
            for name in self.desk.objects:
                app.schema.add_local(name)
            app.catalog.update_names()
            app.tell("done; it lives until you leave")
        if run.state == "cancelled":
            self._queue.clear()
            app.tell("cancelled")
        if run.state == "capped":
            app.tell(f"the first {run.rows:,} rows; :fetch all brings the rest")
        self._next()

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
                self._app.call_from_thread(buffer.add_errors, found)

        self._app.run_worker(work, thread=True, group="check")


def _parameters(sql: str) -> set[str]:
    """The names of the parameters in a statement: ``who`` of ``$who``."""
    return {
        t.text[1:] for t in tokens_of(sql) if t.kind == "parameter" and not t.text[1:].isdigit()
    }
