"""Going from pane to pane, and how large they are."""

from __future__ import annotations

from dovetail.interfaces.tui.command_base import CommandBase

_PANES = ("catalog", "editor", "results")


class Panes(CommandBase):
    """Keys that choose a pane and give it room."""

    def do_pane(self, name: str) -> None:
        """Give a pane the keyboard."""
        app = self.app
        if name == "catalog":
            app.base.remove_class("hide-catalog")
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
        shown = [p for p in _PANES if p != "catalog" or not self._catalog_hidden]
        place = self.app.place
        at = shown.index(place) if place in shown else 0
        self.do_pane(shown[(at + by) % len(shown)])

    @property
    def _catalog_hidden(self) -> bool:
        return self.app.base.has_class("hide-catalog")

    def do_toggle(self, pane: str) -> None:
        """Show or hide the catalog."""
        self.app.base.toggle_class("hide-catalog")
        if self.app.place == "catalog" and self._catalog_hidden:
            self.do_to_editor()

    def do_full_screen(self) -> None:
        """The pane with the keyboard on the whole screen, and back."""
        screen = self.app.base
        names = [f"full-{pane}" for pane in _PANES]
        if any(screen.has_class(name) for name in names):
            screen.remove_class(*names)
        elif self.app.place in _PANES:
            screen.add_class(f"full-{self.app.place}")

    def do_grow(self, by: str) -> None:
        """A larger or smaller editor."""
        app = self.app
        app.editor_height = max(3, min(app.editor_height + int(by), app.size.height - 10))

    def do_widen(self, by: str) -> None:
        """A wider or narrower catalog."""
        app = self.app
        app.catalog_width = max(12, min(app.catalog_width + int(by), app.size.width - 40))
