"""The catalog: sources, schemas, tables and columns as a tree that never waits for a source."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static, Tree
from textual.widgets.tree import TreeNode

from dovetail.editing.schema import Schema, SourceNames
from dovetail.editing.tokens import quote_name
from dovetail.interfaces.tui.dragging import Edged
from dovetail.interfaces.tui.keys import Sequences
from dovetail.present.grid import visible

if TYPE_CHECKING:
    from dovetail.catalog.model import TableInfo

_FOUND = 200  # tables that a filter shows
_SHOWN = 1_000  # tables of one schema that are listed without a filter


@dataclass(frozen=True)
class Node:
    """What a node of the tree stands for."""

    kind: str  # source, schema, table, local, column, queries, query, error
    name: str
    source: str = ""
    table: TableInfo | None = None


class CatalogTree(Tree[Node]):
    """The tree itself; its keys come from the keymap. Names can be dragged out of it."""

    class Dropped(Message):
        """A node was let go at this place of the screen."""

        def __init__(self, node: Node, x: int, y: int) -> None:
            super().__init__()
            self.node = node
            self.x, self.y = x, y

    _held: Node | None = None

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the node under the mouse."""
        line = event.style.meta.get("line")
        node = self.get_node_at_line(line) if line is not None else None
        self._held = node.data if node is not None else None

    def on_leave(self, event: events.Leave) -> None:
        """Keep the mouse as soon as it leaves: until then it may be a click."""
        if self._held is not None:
            self.capture_mouse()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Let go."""
        held, self._held = self._held, None
        self.release_mouse()
        if held is not None and not self.region.contains(*event.screen_offset):
            self.post_message(self.Dropped(held, *event.screen_offset))


class Catalog(Vertical, Edged):
    """The tree with its filter."""

    DEFAULT_CSS = """
    Catalog { width: 32; border-right: vkey $panel; }
    Catalog Input { display: none; border: none; height: 1; padding: 0 1; }
    Catalog Input.open { display: block; }
    Catalog CatalogTree { height: 1fr; padding: 0 1; }
    Catalog .whole { height: auto; max-height: 8; color: $text-error; padding: 0 1; }
    Catalog .empty { padding: 1; color: $text-muted; display: none; }
    Catalog.nothing .empty { display: block; }
    Catalog.nothing CatalogTree { display: none; }
    """

    class Acted(Message):
        """A key asks for something about the node under the cursor."""

        def __init__(self, action: str, node: Node | None) -> None:
            super().__init__()
            self.action = action
            self.node = node

    def __init__(
        self,
        schema: Schema,
        keys: Sequences,
        saved: Callable[[], Sequence[str]],
        id: str | None = None,
    ) -> None:
        """``saved`` gives the names of the saved queries."""
        super().__init__(id=id)
        self._saved = saved
        self._schema = schema
        self._keys = keys
        self._wanted = ""
        self.marked: TableInfo | None = None
        self._whole = Static("", classes="whole", markup=False)
        self._whole.display = False

    def compose(self) -> ComposeResult:
        """Filter, tree, and what to do when there is nothing."""
        yield Input(placeholder="filter", compact=True)
        tree = CatalogTree("sources", Node("root", ""))
        tree.show_root = False
        tree.guide_depth = 2
        yield tree
        yield self._whole
        yield Static(
            "No sources.\n\nQuery a file:\nfrom 'trades.csv'\n\nAdd a source:\n"
            "dovetail config init",
            classes="empty",
            markup=False,
        )

    def is_edge(self, event: events.MouseEvent) -> bool:
        """Whether the mouse is on the border at the right."""
        return int(event.screen_x) == self.region.right - 1

    @property
    def names_tree(self) -> CatalogTree:
        """The tree."""
        return self.query_one(CatalogTree)

    def on_mount(self) -> None:
        """Show the sources at once, the rest as it is read."""
        self.update_names()

    def update_names(self) -> None:
        """More is known: show it, keeping open what was open."""
        opened = {self._path(n) for n in self._all(self.names_tree.root) if n.is_expanded}
        cursor = self.names_tree.cursor_node
        at = self._path(cursor) if cursor is not None else None
        self.names_tree.clear()
        local = self._schema.local_names
        for name in local:
            if self._fits(name):
                node = self.names_tree.root.add(Text(visible(name)), Node("local", name))
                for column, type_ in self._schema.columns((name,)):
                    self._add_column(node, column, type_)
        for source in self._schema.sources:
            self._add_source(source)
        has_queries = self._add_queries()
        self.names_tree.root.expand()
        for node in self._all(self.names_tree.root):
            if self._path(node) in opened:
                node.expand()
        if at is not None:
            for node in self._all(self.names_tree.root):
                if self._path(node) == at:
                    self.names_tree.move_cursor(node)
        self.set_class(not (self._schema.sources or local or has_queries), "nothing")

    def _add_source(self, source: SourceNames) -> None:
        label = Text(visible(source.name), "bold")
        state = {"loading": " …", "failed": " ✗"}.get(source.state, "")
        label.append(f"{state} {source.kind}, read-only", "dim")
        node = self.names_tree.root.add(label, Node("source", source.name, source.name))
        note = Node("error", source.name, source.name)
        if source.state == "failed":
            text = f"{visible(source.error)} (r tries again)"
            node.add_leaf(Text(text, "red"), note)
        if source.state == "ready":
            node.add_leaf(Text(_summary(source), "dim"), note)
        if source.state == "loading" and not source.tables:
            node.add_leaf(Text("reading the catalog", "dim"), note)
        schemas: dict[str, list[TableInfo]] = {}
        for table in self._tables(source):
            schemas.setdefault(table.schema, []).append(table)
        for name, tables in schemas.items():
            parent = node
            if len(schemas) > 1 and name:
                parent = node.add(Text(visible(name)), Node("schema", name, source.name))
                if self._wanted:
                    parent.expand()
            for table in tables[:_SHOWN]:
                shown = Text(visible(table.name))
                if table.row_estimate is not None:
                    shown.append(f" ~{table.row_estimate:,}", "dim")
                # Its columns are added when it is opened.
                parent.add(shown, Node("table", table.name, source.name, table))
            if len(tables) > _SHOWN:
                more = f"{len(tables) - _SHOWN:,} more; / finds them"
                parent.add_leaf(Text(more, "dim"), note)
        if self._wanted and schemas:
            node.expand()

    def _add_queries(self) -> bool:
        saved = self._saved()
        names = [name for name in saved if self._fits(name)]
        if names:
            label = Text.assemble(("saved queries", "bold"), (f" {len(names)}", "dim"))
            node = self.names_tree.root.add(label, Node("queries", ""), expand=bool(self._wanted))
            for name in names:
                node.add_leaf(Text(visible(name)), Node("query", name))
        return bool(saved)

    def _tables(self, source: SourceNames) -> list[TableInfo]:
        if not self._wanted:
            return list(source.tables)
        letters = _fuzzy(self._wanted)
        found = [
            (_rank(name, self._wanted), table)
            for table, name, _ in source.searchable
            if letters.search(name)
        ]
        if not found:  # by the names of columns
            hits = (table for table, _, columns in source.searchable if letters.search(columns))
            return list(islice(hits, _FOUND))
        found.sort(key=lambda pair: pair[0])
        return [table for _, table in found[:_FOUND]]

    def _fits(self, name: str) -> bool:
        return not self._wanted or _fuzzy(self._wanted).search(name.lower()) is not None

    def on_tree_node_highlighted(self, event: Tree.NodeHighlighted[Node]) -> None:
        """Under the tree stands why a source failed: its node has no room for all of it."""
        event.stop()
        data = event.node.data
        errors = {s.name: s.error for s in self._schema.sources if s.state == "failed"}
        error = errors.get(data.source or data.name) if data is not None else None
        self._whole.display = error is not None
        self._whole.update(visible(error) if error is not None else "")

    def _add_column(self, node: TreeNode[Node], name: str, type_: str, note: str = "") -> None:
        label = Text(visible(name))
        label.append(f" {type_.lower()}{note}", "dim")
        node.add_leaf(label, Node("column", name))

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[Node]) -> None:
        """Add the columns of a table that is opened."""
        event.stop()
        data = event.node.data
        if data is None or data.table is None or event.node.children:
            return
        for column in data.table.columns:
            key = " key" if column.name in data.table.primary_key else ""
            comment = f" {visible(column.comment)}" if column.comment else ""
            self._add_column(event.node, column.name, column.type.text, key + comment)

    def _all(self, node: TreeNode[Node]) -> list[TreeNode[Node]]:
        found = []
        for child in node.children:
            found.append(child)
            found += self._all(child)
        return found

    @staticmethod
    def _path(node: TreeNode[Node]) -> tuple[str, ...]:
        path: list[str] = []
        at: TreeNode[Node] | None = node
        while at is not None and at.data is not None:
            path.append(f"{at.data.kind}:{at.data.name}")
            at = at.parent
        return tuple(path)

    # -- keys --------------------------------------------------------------------------------------

    def on_key(self, event: events.Key) -> None:
        """Keys of the tree, and Escape in the filter."""
        field = self.query_one(Input)
        if field.has_focus:
            if event.key in ("escape", "down", "enter"):
                event.stop()
                event.prevent_default()
                if event.key == "escape":
                    field.value = ""
                    field.remove_class("open")
                self.names_tree.focus()
            return
        pressed = self._keys.press(event.key)
        if pressed.action is None:
            return
        event.stop()
        event.prevent_default()
        if pressed.action == "filter":
            field.add_class("open")
            field.focus()
            return
        node = self.names_tree.cursor_node
        if pressed.action == "mark" and node is not None and node.data is not None:
            self.marked = node.data.table
        self.post_message(self.Acted(pressed.action, node.data if node else None))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter by what is typed."""
        event.stop()
        self._wanted = event.value.lower().strip()
        self.update_names()

    def sql_name(self, node: Node) -> str:
        """The node's name as SQL."""
        if node.table is not None:
            return ".".join(quote_name(part) for part in self._schema.short_name(node.table))
        if node.kind == "schema":
            return f"{quote_name(node.source)}.{quote_name(node.name)}"
        return quote_name(node.name)


def _summary(source: SourceNames) -> str:
    """How much there is in a source, and how old that knowledge is."""
    known = [t.row_estimate for t in source.tables if t.row_estimate is not None]
    rows = f", ~{sum(known):,} rows" if known else ""
    count = len(source.tables)
    read = datetime.fromtimestamp(source.read_at).strftime("%H:%M")
    return f"{count:,} table{'' if count == 1 else 's'}{rows}, read {read}"


def _fuzzy(wanted: str) -> re.Pattern[str]:
    """The letters in order, within one line."""
    return re.compile(r"[^\n]*?".join(re.escape(letter) for letter in wanted))


def _rank(name: str, wanted: str) -> int:
    """How well a name that has the letters fits: it begins with them, holds them, or neither."""
    return 0 if name.startswith(wanted) else 1 if wanted in name else 2
