"""The figures of TPC-H runs as they are kept: one file, complete after every query."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# Of one contender in one cell: {"seconds": […], "bytes": […], "run": number of the run} and where
# it applies "planning" (milliseconds), "moved" (bytes by its own account), "stopped" (why it was
# not measured further), "differs" (how its answer is wrong).
Figures = dict[str, Any]


class Kept:
    """Figures by cell, ``split/link/query``, and contender; and what each run ran on."""

    def __init__(self, path: Path, scale: float) -> None:
        """Takes up what ``path`` holds of the same scale.

        Raises:
            ValueError: the file holds figures of another scale.
        """
        self.path = path
        self.scale = scale
        self.runs: list[dict[str, Any]] = []
        self.cells: dict[str, dict[str, Figures]] = {}
        if path.exists():
            held = json.loads(path.read_text())
            if held["scale"] != scale:
                raise ValueError(
                    f"{path} holds figures of scale {held['scale']:g}; give --results another "
                    "folder, or remove it"
                )
            self.runs, self.cells = held["runs"], held["cells"]

    def begin(self, about: dict[str, Any]) -> int:
        """A new run; its number."""
        self.runs.append(about)
        return len(self.runs) - 1

    def cell(self, split: str, link: str, query: str) -> dict[str, Figures]:
        """Figures of one query over one split and link, by contender; may be written to."""
        return self.cells.setdefault(f"{split}/{link}/{query}", {})

    def write(self) -> None:
        """Replace the file in one step: whoever is cut off leaves the last whole state.

        Runs of which no figure is left are dropped.
        """
        used = sorted({f["run"] for cell in self.cells.values() for f in cell.values()})
        numbers = {old: new for new, old in enumerate(used)}
        cells = []
        for key, cell in sorted(self.cells.items()):
            inner = ",\n  ".join(
                f"{json.dumps(name)}: {json.dumps({**figures, 'run': numbers[figures['run']]})}"
                for name, figures in sorted(cell.items())
            )
            if cell:
                cells.append(f"{json.dumps(key)}: {{\n  {inner}}}")
        runs = ",\n ".join(json.dumps(self.runs[number]) for number in used)
        text = f'{{"scale": {json.dumps(self.scale)}, "runs": [\n {runs}],\n "cells": {{\n '
        new = self.path.with_suffix(".new")
        new.write_text(text + ",\n ".join(cells) + "}}\n")
        new.replace(self.path)
