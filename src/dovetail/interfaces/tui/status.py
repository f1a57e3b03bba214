"""The two lines at the bottom: what is going on, and the keys of the place."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual.widgets import Static

from dovetail.interfaces.tui.hints import line_of
from dovetail.interfaces.tui.keymap import Key
from dovetail.interfaces.tui.running import duration

if TYPE_CHECKING:
    from textual.timer import Timer

    from dovetail.interfaces.tui.buffer import BufferPane
    from dovetail.session import Session

_SOURCES = 3  # that the status line names
_CONTINUATIONS_SECONDS = 0.3


class StatusLine(Static):
    """Mode, place, rows, what is in force, what runs. Its place does not depend on its text, so
    a new one asks for no layout, which would cost more than a key may."""

    def __init__(self, id: str) -> None:
        super().__init__("", id=id, markup=False)

    def show(self, parts: Iterable[str]) -> None:
        """Show these, without those that are empty."""
        self.update(" · ".join(part for part in parts if part), layout=False)


def status_of(
    buffer: BufferPane, session: Session, sources: Sequence[str], limit: int | None
) -> list[str]:
    """What the status line says of the front buffer; ``sources`` are those that are open."""
    pane = buffer.pane
    running = [run for run in buffer.runs if run.active]
    parts = [f"running {duration(running[-1].seconds)}"] if running else []
    parts += pane.status() if pane is not None else []
    if limit is not None:
        parts.append(f"limit {limit:,}")
    # The sources that the shown result came from, else those that are open; the profile.
    run = pane.run if pane is not None else None
    fragments = run.profile.fragments if run is not None and run.profile is not None else ()
    names = list(dict.fromkeys(f.source for f in fragments)) or list(sources)
    shown = ", ".join(names[:_SOURCES]) + (" …" if len(names) > _SOURCES else "")
    parts.append(" ".join(part for part in (shown, session.config.profile) if part))
    return [*parts, _memory()]


class HintLine(Static):
    """The main keys of a place; while keys of a sequence are typed, these and how it goes on."""

    def __init__(self, keys: Sequence[Key], id: str) -> None:
        super().__init__("", id=id, markup=False)
        self._keys = keys
        self._timer: Timer | None = None
        self.typed = ""  # the count and the keys of a sequence that has begun
        self.place = ""  # whose keys are shown

    def show(self, place: str) -> None:
        """The main keys of ``place``."""
        self.place = place
        self._say(line_of(place, self._keys))

    def follow(self, place: str) -> None:
        """The keyboard may be in another place, unless a sequence is being typed."""
        if place != self.place and self._timer is None:
            self.show(place)

    def pending(self, typed: str, continuations: Sequence[tuple[str, str]], place: str) -> bool:
        """A sequence has begun, gone on or ended; whether that changes what is shown."""
        if typed == self.typed == "":  # a key by itself
            return False
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self.typed = typed
        if not typed:
            self.show(place)
            return True
        self._say(typed)
        if continuations:
            text = f"{typed}   " + " · ".join(f"{key} {what}" for key, what in continuations)
            self._timer = self.set_timer(_CONTINUATIONS_SECONDS, lambda: self._say(text))
        return True

    def _say(self, text: str) -> None:
        self.update(text, layout=False)


def _memory() -> str:
    try:
        with Path("/proc/self/statm").open() as file:
            pages = int(file.read().split()[1])
    except (OSError, ValueError, IndexError):
        return ""
    return f"{pages * os.sysconf('SC_PAGE_SIZE') / 1e6:,.0f} MB"
