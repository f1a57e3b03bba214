"""What the keys of the catalog do."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from dovetail.editing.joins import Suggestion, suggest_joins
from dovetail.interfaces.tui.catalog import Node
from dovetail.interfaces.tui.command_saved import Saved

_PREVIEW_ROWS = 200


class CatalogKeys(Saved):
    """Names, previews and joins of the node under the cursor."""

    def catalog(self, action: str, node: Node | None) -> Awaitable[None] | None:
        """A key of the catalog, about a node."""
        app = self.app
        if action == "to_editor":
            self.do_to_editor()
            return None
        if node is None or node.kind == "root":
            return None
        if node.kind == "error" and action != "refresh":
            return None
        if node.kind in ("queries", "query"):
            return self._saved_query(action, node)
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

    def _saved_query(self, action: str, node: Node) -> Awaitable[None] | None:
        if action == "refresh":
            self.app.catalog.update_names()
        elif node.kind == "query" and action == "insert_name":
            return self.open_query(node.name)
        elif node.kind == "query" and action == "copy_name":
            self.app.copy(node.name, f"copied {node.name}")
        else:
            self.app.tell("Enter opens a saved query; F5 runs it there")
        return None

    async def _run_text(self, sql: str) -> None:
        from dovetail.editing.statements import Statement

        statement = Statement(sql, 0, len(sql), len(sql), True)
        await self.app.runner.run([statement], focus_results=True)

    def _suggest_join(self, node: Node) -> None:
        marked, this = self.app.catalog.marked, node.table
        if marked is None or this is None or marked == this:
            self.app.tell("mark one table with m, then press j on another")
            return
        name = self.app.schema.short_name(this)
        found = suggest_joins(marked, this, name)
        if not found:
            self.app.tell(f"no key of {marked.name} or {this.name} is in the other")
        elif len(found) == 1:
            self._insert_join(found[0].sql)
        else:
            self._choose_join(found)

    def _insert_join(self, sql: str) -> None:
        self.do_to_editor()
        self._put(sql)

    def _choose_join(self, found: Sequence[Suggestion]) -> None:
        from dovetail.interfaces.tui.screens.listing import ListScreen

        def find(wanted: str) -> list[tuple[str, str, str]]:
            low = wanted.lower()
            return [
                (str(number), item.sql, item.evidence)
                for number, item in enumerate(found)
                if low in item.sql.lower()
            ]

        def chosen(answer: tuple[str, str] | None) -> None:
            if answer is not None:
                self._insert_join(found[int(answer[0])].sql)

        self.app.push_screen(ListScreen("joins", find, "Enter inserts"), chosen)
