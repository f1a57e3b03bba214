"""Screens as text, which is compared, and as pictures, which ``make regen`` puts into the docs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.interfaces.tui.conftest import Tui

HERE = Path(__file__).parent
IMAGES = HERE.parents[2] / "docs" / "images"
SIZE = (100, 26)

# Every screen and state that a user meets, in the order of the documentation.
CAPTIONS = {
    "start": "Without a file or a source: how to open a file and add a source",
    "welcome": "The first start: the main keys",
    "small": "A terminal that is too small says what is needed",
    "results": "A file, its rows filtered and sorted",
    "full-screen": "The results on the whole screen (F10)",
    "only-editor": "Catalog and results hidden (F9, Ctrl+F9)",
    "tabs": "Several editors and several results as tabs; a changed file has a star",
    "buffers": "The list of editor tabs (Ctrl+X B)",
    "completion": "Completion knows tables, columns and their types",
    "brackets": "Brackets have the colour of their depth; one without its partner is underlined",
    "vi": "The editor with the modes of vi",
    "find": "Find and replace (Ctrl+F)",
    "save": "Saving under a name (Ctrl+S)",
    "confirm": "A tab whose file is not saved asks before it closes",
    "parameters": "`$name` asks for its value, which is bound",
    "error": "An error, its place underlined; the result before stays",
    "errors": "Several errors of one run",
    "catalog": "The catalog: sources, tables with estimates, columns with types and keys",
    "catalog-filter": "The catalog filtered by a few letters (`/`)",
    "saved": "Saved queries (Ctrl+X Q)",
    "catalog-failed": "A source that is down says so on its own node",
    "joins": "A join of two tables, by foreign keys and by the names of keys (`m`, `j`)",
    "typing": "A filter is tried while it is typed (`f`)",
    "filters": "Taking one of several filters back (`zx`)",
    "no-match": "No row is left",
    "search": "Search, with the count of matches (`/`, `n`)",
    "sequence": "A begun sequence shows how it goes on",
    "row-mode": "Rows selected (`v`, `V`)",
    "selection": "A selection of numbers with count, sum, average, least and greatest",
    "columns-moved": "A pinned, a hidden and a moved column; row numbers; sorted by two",
    "columns": "The list of columns (`C`)",
    "statistics": "Statistics of a column of numbers (`S`)",
    "statistics-text": "Statistics of a column of text",
    "all-statistics": "Statistics of all columns (Alt+S)",
    "frequencies": "How often each value comes (Alt+F)",
    "value-json": "A whole value (Enter): JSON laid out",
    "value-blob": "A whole value: bytes with their number",
    "hostile": "Values are never read as markup or control codes",
    "empty": "A result without rows",
    "diff": "Two results compared (`:diff id`)",
    "chart": "A bar chart (Alt+C)",
    "chart-line": "A line chart",
    "chart-histogram": "A histogram",
    "export": "Export (Ctrl+S)",
    "command": "Any action by name (`:`)",
    "running": "A query runs: rows by source, rows so far",
    "cancelled": "Cancelled: the rows that came stay",
    "capped": "At the cap fetching stops; the status says `of more`",
    "plan": "Plan and profile (F6)",
    "plan-folded": "Sections of the plan folded (Enter, `z`)",
    "profile": "The profile beside the results (Shift+F6), also while a query runs",
    "history": "History (F8)",
    "history-failed": "History: what failed (`:failed`)",
    "help": "The keys of a place (F1), searchable",
    "palette": "All actions with their keys (Ctrl+P)",
    "facts": "Facts for a report (F12): no secrets, no data",
    "fault": "A fault of ours ends one action and says where its report is",
}


class Camera:
    """Compares the screens of one application with the kept ones, or writes them again."""

    def __init__(self, check: Callable[[Path, str], None], *, regen: bool) -> None:
        self._check, self._regen = check, regen

    async def take(self, tui: Tui, name: str, *, calm: bool = True) -> None:
        """Look at the screen under its ``name``, by default when all is quiet."""
        assert name in CAPTIONS
        if calm:
            await tui.settle()  # a screen that has just opened takes the keyboard a moment later
        tui.app.clear_notifications()  # they go by themselves, sooner or later
        tui.app.update_status()
        await (tui.settle() if calm else tui.pilot.pause())
        text = re.sub(r"\d\d-\d\d \d\d:\d\d", "01-05 10:00", tui.screen())
        text = re.sub(r"read \d[\d:]*", "read 10:00", text)  # a narrow pane cuts it
        text = re.sub(r"[\d.,]+ (ms|s|B|kB|MB)\b", r"N \1", text)
        text = re.sub(r" {2,}", "  ", text)  # places of what stands behind such figures
        self._check(HERE / "screens" / f"{name}.txt", text + "\n")
        picture = IMAGES / f"tui-{name}.svg"
        if self._regen:
            IMAGES.mkdir(exist_ok=True)
            picture.write_text(tui.app.export_screenshot(simplify=True))
        assert picture.stat().st_size < 150_000


@pytest.fixture
def camera(
    check_file: Callable[[Path, str], None],
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> Camera:
    """A camera; what differs from run to run stays off its screens."""
    monkeypatch.setattr("dovetail.interfaces.tui.status._memory", lambda: "180 MB")
    for module in ("result_base", "status"):
        monkeypatch.setattr(f"dovetail.interfaces.tui.{module}.duration", lambda seconds: "12 ms")
    return Camera(check_file, regen=pytestconfig.getoption("--regen"))


def gallery() -> str:
    """The page of the documentation with all pictures."""
    lines = ["# Screens of the full-screen interface", ""]
    lines.append("Made by the tests from the program itself. [tui.md](tui.md) has the keys.")
    for name, caption in CAPTIONS.items():
        lines += ["", f"## {caption}", "", f"![{name}](images/tui-{name}.svg)"]
    return "\n".join(lines) + "\n"
