"""What is done to the text of the editor as a whole."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from textual.app import SuspendNotSupported

from dovetail.editing.statements import statements_of
from dovetail.errors import DovetailError
from dovetail.interfaces.tui.command_panes import Panes


class Editing(Panes):
    """Keys that rewrite the text or bring text from elsewhere."""

    def do_format(self) -> None:
        """Format the buffer."""
        from dovetail.sqltools.format import formatted

        editor = self.app.buffer.editor
        if not statements_of(editor.text):
            return
        try:
            text = formatted(editor.text).rstrip("\n")
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
            self.app.tell(
                "no translator is configured, so a question cannot become SQL; write SQL, or take "
                "an earlier query from the history (F8)",
                error=True,
            )
            return

        def submit(text: str) -> None:
            self.app.buffer.editor.focus()
            if text.strip():
                self._beside(lambda: str(getattr(ask(text), "sql", "")), self._put)

        self.app.prompt.ask("ASK", "question:", submit, cancel=self.do_to_editor)
