"""Editor tabs and their files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dovetail.errors import DovetailError
from dovetail.interfaces.tui.command_panes import Panes

if TYPE_CHECKING:
    from dovetail.interfaces.tui.buffer import BufferPane


class Buffers(Panes):
    """Keys that open, save, choose and close tabs."""

    async def do_new_buffer(self) -> None:
        """A new editor tab."""
        await self.app.tabs.add()

    def do_next_buffer(self) -> None:
        """The next editor tab."""
        self._turn_buffer(1)

    def do_previous_buffer(self) -> None:
        """The previous editor tab."""
        self._turn_buffer(-1)

    def _turn_buffer(self, by: int) -> None:
        buffers = self.app.buffers
        at = buffers.index(self.app.buffer)
        self.app.tabs.show(buffers[(at + by) % len(buffers)])

    def do_buffer(self, number: str) -> None:
        """The editor tab of that number, from 1."""
        buffers = self.app.buffers
        if int(number) <= len(buffers):
            self.app.tabs.show(buffers[int(number) - 1])
        else:
            self.app.tell(f"there is no tab {number}; there are {len(buffers)}")

    def do_last_buffer(self) -> None:
        """Between the last two."""
        self.app.tabs.back()

    async def do_close_buffer(self) -> None:
        """Close this tab; ask if its file is not saved."""
        buffer = self.app.buffer
        if not buffer.unsaved:
            await self._close(buffer)
            return

        def close() -> None:
            self.app.run_worker(self._close(buffer), group="actions")

        self.open_screen("confirm", f"{buffer.name_shown} is not saved. Close it?", close)

    async def _close(self, buffer: BufferPane) -> None:
        await self.app.tabs.close(buffer)
        self.app.keep_drafts()

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
                    self.app.tabs.show(buffer)

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
        buffer = await self.app.tabs.add(text, path)
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
        self.app.tabs.rename(buffer)
        self.app.tell(f"saved {path}")
