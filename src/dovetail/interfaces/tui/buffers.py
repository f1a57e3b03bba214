"""The editors as tabs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import ContentSwitcher, Tab, Tabs

from dovetail.interfaces.tui.buffer import BufferPane

# How to make one: its number, its text and its file.
Make = Callable[[int, str, "Path | None"], BufferPane]


class Buffers(Vertical):
    """All buffers, of which one is at the front."""

    DEFAULT_CSS = """
    Buffers > ContentSwitcher { height: 1fr; }
    """

    class Fronted(Message):
        """Another buffer was brought to the front."""

    def __init__(self, make: Make, id: str) -> None:
        super().__init__(id=id)
        self._make = make
        self._numbers = 0
        self._previous: str | None = None
        # Kept, not searched for: news may come while a screen lies over them, or while they go.
        self._tabs = Tabs(id="buffer-tabs")
        self._switcher = ContentSwitcher()

    def compose(self) -> ComposeResult:
        """Names above the editors."""
        yield self._tabs
        yield self._switcher

    @property
    def all(self) -> list[BufferPane]:
        """All buffers, first tab first; none while the application ends."""
        return [pane for pane in self._switcher.children if isinstance(pane, BufferPane)]

    @property
    def front(self) -> BufferPane:
        """The buffer that is shown."""
        shown = [b for b in self.all if b.id == self._switcher.current]
        return shown[0] if shown else self.all[-1]

    async def add(self, text: str = "", path: Path | None = None) -> BufferPane:
        """A new buffer, brought to the front."""
        self._numbers += 1
        buffer = self._make(self._numbers, text, path)
        await self._switcher.mount(buffer)
        await self._tabs.add_tab(Tab(buffer.name_shown, id=f"tab-{buffer.id}"))
        self.show(buffer)
        return buffer

    def show(self, buffer: BufferPane) -> None:
        """Bring a buffer to the front."""
        if self._switcher.current != buffer.id:
            self._previous = self._switcher.current
            self._switcher.current = buffer.id
        self._tabs.active = f"tab-{buffer.id}"
        buffer.editor.focus()
        self.post_message(self.Fronted())

    async def close(self, buffer: BufferPane) -> None:
        """Close a buffer; the last one is emptied instead."""
        for run in buffer.runs:
            run.cancel()
        if len(self.all) == 1:
            await self.add()
        await self._tabs.remove_tab(f"tab-{buffer.id}")
        await buffer.remove()
        self.show(self.all[-1])

    def back(self) -> None:
        """Between the last two buffers."""
        for buffer in self.all:
            if buffer.id == self._previous:
                self.show(buffer)
                return

    def rename(self, buffer: BufferPane) -> None:
        """Show a buffer's name on its tab again: it may have changed."""
        for tab in self._tabs.query(Tab):
            if tab.id == f"tab-{buffer.id}":
                tab.label = buffer.name_shown

    def on_tabs_tab_activated(self, event: Tabs.TabActivated) -> None:
        """A tab was chosen."""
        event.stop()
        if event.tab is not None and event.tab.id is not None:
            wanted = event.tab.id.removeprefix("tab-")
            for buffer in self.all:
                if buffer.id == wanted:
                    self.show(buffer)
