"""Running, cancelling, leaving, plans, and the tabs of results."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dovetail.editing.statements import statements_of
from dovetail.errors import DovetailError, UsageError
from dovetail.interfaces.tui.command_panes import Panes
from dovetail.script.statements import split

if TYPE_CHECKING:
    from dovetail.interfaces.tui.charts import Chart
    from dovetail.interfaces.tui.result import ResultPane


class Running(Panes):
    """Keys that run statements and look at what came of it."""

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
            await self.app.runner.run(found)
        else:
            await self.app.runner.run([statement])

    async def do_run_all(self) -> None:
        """The whole buffer."""
        found = statements_of(self.app.buffer.editor.text)
        if found:
            await self.app.runner.run(found)

    def do_cancel(self) -> None:
        """Cancel what runs in this buffer."""
        self.app.runner.cancel()

    def do_quit(self) -> None:
        """Leave; ask if a query runs."""
        if any(run.active for buffer in self.app.buffers for run in buffer.runs):
            self.open_screen("confirm", "A query is running. Cancel it and leave?", self.app.leave)
        else:
            self.app.leave()

    def do_next_result(self) -> None:
        """The next result tab."""
        self._turn_result(1)

    def do_previous_result(self) -> None:
        """The previous result tab."""
        self._turn_result(-1)

    def _turn_result(self, by: int) -> None:
        panes, pane = self.app.buffer.panes, self.app.buffer.pane
        if pane is not None:
            self.do_result(str((panes.index(pane) + by) % len(panes) + 1))

    def do_result(self, number: str) -> None:
        """The result tab of that number, from 1."""
        panes = self.app.buffer.panes
        if number.isdigit() and 0 < int(number) <= len(panes):
            self.app.buffer.show_result(panes[int(number) - 1])
            self.do_to_results()
        else:
            self.app.tell(f"there is no result {number}; there are {len(panes)}")

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
            self.open_screen("plan", text)

        self._beside(lambda: self._plan_text(sql, pane), done)

    def _plan_text(self, sql: str, pane: ResultPane | None) -> str:
        from dovetail.interfaces.tui.plan_text import with_profile

        values = self.app.runner.values_for(sql)
        text = str(self.app.runner.desk.plan(split(sql)[0], values))
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
        """A chart of this column, or of the columns that are selected."""
        from dovetail.interfaces.tui.charts import chart, likely_kind

        pane = self.app.buffer.pane
        if pane is None or pane.grid is None:
            self.app.tell("there is no result to draw")
            return
        grid = pane.grid
        columns = grid.selection()[2] if grid.selected_from is not None else (grid.column,)
        analyst, view, rows = grid.analyst, grid.view, grid.rows

        def make(kind: str, show: Callable[[Chart | DovetailError], None]) -> None:
            def ask() -> Chart | DovetailError:
                try:
                    return chart(analyst, kind, columns, view, rows)
                except UsageError as error:
                    return error

            self._beside(ask, show)

        first = likely_kind(analyst, columns)
        self._beside(
            lambda: chart(analyst, first, columns, view, rows),
            lambda made: self.open_screen("chart", made, make),
        )
