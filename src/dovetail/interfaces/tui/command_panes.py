"""Going from pane to pane, and how large they are."""

from __future__ import annotations

from dovetail.interfaces.tui.command_base import CommandBase
from dovetail.interfaces.tui.layout import HIDEABLE, PANES


class Panes(CommandBase):
    """Keys that choose a pane and give it room."""

    def do_pane(self, name: str) -> None:
        """Give a pane the keyboard."""
        app = self.app
        if name == "results" and app.buffer.pane is None:
            name = "editor"
        app.base.remove_class(f"hide-{name}")
        app.layout.fit_editors()
        if name == "catalog":
            tree = app.catalog.names_tree
            tree.cursor_line = max(tree.cursor_line, 0)
            tree.focus()
        elif name == "editor" or app.buffer.pane is None:
            app.buffer.editor.focus()
        else:
            app.buffer.pane.focus_grid()

    def do_to_editor(self) -> None:
        """To the editor."""
        self.do_pane("editor")

    def do_to_results(self) -> None:
        """To the results."""
        self.do_pane("results")

    def do_next_pane(self) -> None:
        """The next pane."""
        self._turn(1)

    def do_previous_pane(self) -> None:
        """The previous pane."""
        self._turn(-1)

    def _turn(self, by: int) -> None:
        shown = [pane for pane in PANES if not self.app.layout.is_hidden(pane)]
        place = self.app.place
        at = shown.index(place) if place in shown else 0
        self.do_pane(shown[(at + by) % len(shown)])

    def do_toggle(self, pane: str) -> None:
        """Show or hide a pane; of the editor and the results one stays."""
        if pane not in HIDEABLE:
            self.app.tell(f'no pane "{pane}"; there are {", ".join(HIDEABLE)}', error=True)
            return
        base = self.app.base
        base.toggle_class(f"hide-{pane}")
        other = {"editor": "results", "results": "editor"}.get(pane)
        if other is not None and self.app.layout.is_hidden(pane):
            base.remove_class(f"hide-{other}")
        self.app.layout.fit_editors()
        self.app.update_status()
        if self.app.layout.is_hidden(self.app.place):
            self.do_pane(other or "editor")

    def do_full_screen(self) -> None:
        """The pane with the keyboard on the whole screen, and back."""
        screen = self.app.base
        names = [f"full-{pane}" for pane in PANES]
        if any(screen.has_class(name) for name in names):
            screen.remove_class(*names)
        elif self.app.place in PANES:
            screen.add_class(f"full-{self.app.place}")
        self.app.layout.fit_editors()

    def do_grow(self, by: str) -> None:
        """A larger or smaller editor."""
        self.app.layout.editor_height += int(by)

    def do_widen(self, by: str) -> None:
        """A wider or narrower catalog."""
        self.app.layout.catalog_width += int(by)
