"""How large the panes are, and which of them are hidden."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual.geometry import Size

if TYPE_CHECKING:
    from dovetail.interfaces.tui.app import DovetailApp

PANES = ("catalog", "editor", "results")
HIDEABLE = (*PANES, "profile")
LEAST_SIZE = (80, 24)
_CATALOG_WIDTH, _EDITOR_HEIGHT = 32, 10

CSS = """
Screen { layers: base overlay; }
#main { height: 1fr; }
#buffers { width: 1fr; }
#status { height: 1; background: $panel; padding: 0 1; }
#hints { height: 1; color: $text-muted; padding: 0 1; }
#too-small { display: none; width: 1fr; height: 1fr; content-align: center middle; }
Screen.small #too-small { display: block; }
Screen.small #main, Screen.small #status, Screen.small #hints { display: none; }
Screen.hide-catalog Catalog, Screen.hide-profile ProfilePanel { display: none; }
Screen.hide-editor SqlEditor, Screen.hide-editor #buffer-tabs { display: none; }
Screen.hide-results ContentSwitcher ContentSwitcher, Screen.hide-results .results,
Screen.hide-results .empty { display: none; }
Screen.full-editor Catalog, Screen.full-editor ContentSwitcher ContentSwitcher,
Screen.full-editor .results, Screen.full-editor .empty { display: none; }
Screen.full-results Catalog, Screen.full-results SqlEditor,
Screen.full-results #buffer-tabs { display: none; }
Screen.full-catalog #buffers, Screen.full-catalog ProfilePanel { display: none; }
Screen.full-catalog Catalog { min-width: 100%; }
"""


class Layout:
    """The panes of one application: sizes here, what is hidden as classes of the base screen."""

    def __init__(self, app: DovetailApp) -> None:
        self._app = app
        self._catalog_width = _CATALOG_WIDTH
        self._editor_height = _EDITOR_HEIGHT

    @property
    def catalog_width(self) -> int:
        """Columns that the catalog takes."""
        return self._catalog_width

    @catalog_width.setter
    def catalog_width(self, width: int) -> None:
        self._catalog_width = max(12, min(width, self._app.size.width - 40))
        self._app.catalog.styles.width = self._catalog_width

    @property
    def editor_height(self) -> int:
        """Lines that the editors take."""
        return self._editor_height

    @editor_height.setter
    def editor_height(self, height: int) -> None:
        self._editor_height = max(3, min(height, self._app.size.height - 10))
        self.fit_editors()

    def fit_editors(self) -> None:
        """Give the editors their lines: all there are while no result is beside them."""
        base = self._app.base
        alone = base.has_class("full-editor") or base.has_class("hide-results")
        for buffer in self._app.buffers:
            buffer.editor.styles.height = "1fr" if alone else self._editor_height

    def is_hidden(self, pane: str) -> bool:
        """Whether a pane is hidden."""
        return self._app.base.has_class(f"hide-{pane}")

    def saved(self) -> dict[str, Any]:
        """What is remembered."""
        return {
            "hidden": [pane for pane in PANES if self.is_hidden(pane)],
            "profile": not self.is_hidden("profile"),
            "catalog_width": self._catalog_width,
            "editor_height": self._editor_height,
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Lay the panes out as they were remembered."""
        for pane in PANES:
            self._app.base.set_class(pane in saved.get("hidden", ()), f"hide-{pane}")
        self._app.base.set_class(not saved.get("profile", False), "hide-profile")
        self._catalog_width = int(saved.get("catalog_width", _CATALOG_WIDTH))
        self._editor_height = int(saved.get("editor_height", _EDITOR_HEIGHT))
        self._app.catalog.styles.width = self._catalog_width

    def resized(self, size: Size) -> str | None:
        """The terminal has this size now; what to say if it is too small."""
        width, height = LEAST_SIZE
        small = size.width < width or size.height < height
        self._app.base.set_class(small, "small")
        needed = f"{width}×{height} characters are needed"
        return f"{needed}; this is {size.width}×{size.height}" if small else None
