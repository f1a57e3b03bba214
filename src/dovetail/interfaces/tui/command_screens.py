"""What lies over the panes, and what is done with the answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dovetail.interfaces.tui.command_base import CommandBase
from dovetail.interfaces.tui.result import ResultPane
from dovetail.present.values import Column

if TYPE_CHECKING:
    import pyarrow as pa


class Screens(CommandBase):
    """Keys that open a screen."""

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
        from dovetail.interfaces.tui.past import note_of, past_queries
        from dovetail.interfaces.tui.screens.listing import ListScreen

        sqls: dict[str, str] = {}

        def find(wanted: str) -> list[tuple[str, str, str]]:
            found = past_queries(self.app.history, wanted)
            sqls.update({str(entry.id): entry.sql for entry in found})
            return [(str(entry.id), entry.sql, note_of(entry)) for entry in found]

        def chosen(answer: tuple[str, str] | None) -> None:
            if answer is None:
                return
            self._put(sqls[answer[0]])
            if answer[1] == "run":
                self.app.app_action("run")

        hint = "Enter inserts · Ctrl+Enter or F5 runs · :failed :slow @source :all choose"
        self.app.push_screen(ListScreen("history", find, hint), chosen)

    def _screen_text(self, title: str, text: str) -> None:
        from dovetail.interfaces.tui.screens.text import TextScreen

        self.app.push_screen(TextScreen(title, text, self.app.copy))

    def _screen_plan(self, text: str) -> None:
        from dovetail.interfaces.tui.screens.plan import PlanScreen

        self.app.push_screen(PlanScreen("plan", text, self.app.copy))

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

    def _screen_chart(self, made: Any, make: Callable[..., None]) -> None:
        from dovetail.interfaces.tui.screens.chart import ChartScreen

        self.app.push_screen(ChartScreen(made, make, self.app.copy))

    def _screen_filters(self, pane: ResultPane) -> None:
        from dovetail.interfaces.tui.screens.listing import ListScreen

        chips = [filter_.chip for filter_ in pane.grid.view.filters] if pane.grid else []

        def find(wanted: str) -> list[tuple[str, str, str]]:
            low = wanted.lower()
            return [(str(n), chip, "") for n, chip in enumerate(chips) if low in chip.lower()]

        def chosen(answer: tuple[str, str] | None) -> None:
            if answer is not None:
                pane.remove_filter(int(answer[0]))

        self.app.push_screen(ListScreen("filters", find, "Enter takes the filter back"), chosen)

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
