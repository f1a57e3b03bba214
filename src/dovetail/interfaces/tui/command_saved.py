"""Keeping queries under a name, and taking them out again."""

from __future__ import annotations

from dovetail.errors import DovetailError, UsageError
from dovetail.interfaces.tui.command_buffers import Buffers
from dovetail.interfaces.tui.saved import SavedQueries


class Saved(Buffers):
    """Keys about saved queries."""

    @property
    def saved_queries(self) -> SavedQueries:
        """The folder beside the configuration, or in the current folder without one."""
        config = self.app.session.config.path
        base = config.resolve().parent if config is not None else None
        queries = self.app.settings.queries.expanduser()
        return SavedQueries(queries if base is None else base / queries)

    def do_save_query(self) -> None:
        """Keep the text of this tab under a name."""

        def submit(text: str) -> None:
            self.do_to_editor()
            if text.strip():
                try:
                    self.save_query(text)
                except DovetailError as error:
                    self.app.handle_error(error)

        path = self.app.buffer.path
        own = path is not None and path.parent == self.saved_queries.folder
        name = path.stem if own and path is not None else ""
        self.app.prompt.ask("SAVE", "save query as:", submit, text=name, cancel=self.do_to_editor)

    def line_save(self, rest: str) -> None:
        """``:save NAME`` keeps the text of this tab as a saved query."""
        if not rest:
            raise UsageError(":save takes the name of the query: :save open orders")
        self.save_query(rest)

    def save_query(self, name: str) -> None:
        """Keep the text of this tab under ``name``; asks before it replaces another query."""
        saved, buffer = self.saved_queries, self.app.buffer
        path = saved.path(name)
        try:
            saved.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot make the folder {saved.folder}: {error.strerror}") from None

        def write() -> None:
            self._write(buffer, path)
            self.app.catalog.update_names()

        if path.exists() and path != buffer.path:
            self.open_screen("confirm", f"Replace the query {path.stem}?", write)
        else:
            write()

    def do_saved_queries(self) -> None:
        """Choose a saved query."""
        from dovetail.interfaces.tui.screens.listing import ListScreen

        saved = self.saved_queries
        names = saved.names()
        if not names:
            self.app.tell(f"no query is saved in {saved.folder}; :save NAME keeps this one")
            return

        def find(wanted: str) -> list[tuple[str, str, str]]:
            low = wanted.lower()
            return [(name, name, "") for name in names if low in name.lower()]

        def chosen(answer: tuple[str, str] | None) -> None:
            if answer is not None:
                self.app.run_worker(self.open_query(answer[0]), group="actions")

        self.app.push_screen(ListScreen("saved queries", find, "Enter opens"), chosen)

    async def open_query(self, name: str) -> None:
        """Open a saved query in a tab, or go to the tab that has it."""
        path = self.saved_queries.path(name)
        for buffer in self.app.buffers:
            if buffer.path == path:
                self.app.tabs.show(buffer)
                return
        await self.open_path(path)
