"""The ``:`` commands."""

from __future__ import annotations

from dovetail.config import parse_duration
from dovetail.errors import UsageError
from dovetail.interfaces.tui.command_panes import Panes


class CommandLine(Panes):
    """What is typed after ``:``."""

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
        self.app.app_action("quit")

    line_quit = line_q

    def line_w(self, rest: str) -> None:
        """Save the buffer."""
        self.app.app_action("save")

    def line_help(self, rest: str) -> None:
        """The keys."""
        self.app.app_action("help")

    def line_limit(self, rest: str) -> None:
        """At most so many rows, for the sources too."""
        if rest in ("", "off", "none"):
            self.app.runner.limit = None
        elif rest.isdigit():
            self.app.runner.limit = int(rest)
        else:
            raise UsageError(f':limit takes a number of rows or off, not "{rest}"')
        self.app.update_status()

    def line_timeout(self, rest: str) -> None:
        """How long a query may run."""
        try:
            off = rest in ("", "off", "none")
            self.app.runner.timeout = None if off else float(str(parse_duration(rest)))
        except ValueError as error:
            raise UsageError(f':timeout "{rest}": {error}') from None

    def line_set(self, rest: str) -> None:
        """Show the limits, or set one: ``:set limit 1000``."""
        name, _, value = rest.replace("=", " ").partition(" ")
        if name in ("limit", "timeout") and value:
            getattr(self, f"line_{name}")(value.strip())
        elif name == "rows" and value.strip().isdigit():
            self.app.runner.cap_rows = int(value)
        elif name:
            raise UsageError(f'no setting "{name}"; there are limit, timeout and rows')
        runner = self.app.runner
        timeout = "off" if runner.timeout is None else f"{runner.timeout:g} s"
        limit = "off" if runner.limit is None else f"{runner.limit:,}"
        self.app.tell(f"limit {limit} · timeout {timeout} · rows {runner.cap_rows:,}")

    def line_fetch(self, rest: str) -> None:
        """Run the query of this result again without the cap on its rows."""
        pane = self.app.buffer.pane
        if rest != "all":
            raise UsageError(":fetch all runs the query again and fetches every row")
        if pane is None or pane.run is None or pane.run.state != "capped":
            raise UsageError("this result is whole already")
        self.app.runner.fetch_all(pane)

    def line_sql(self, rest: str) -> None:
        """The query with the filters, sort and columns in force, in a buffer of its own."""
        pane = self.app.buffer.pane
        if pane is None or not pane.sql or pane.grid is None:
            raise UsageError("there is no result of a query here")
        sql = pane.wrapped_sql()

        async def show() -> None:
            await self.app.tabs.add(sql)

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
