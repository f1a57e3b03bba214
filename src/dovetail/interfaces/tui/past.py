"""The history as the screen searches it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from dovetail.present.grid import cut, visible

if TYPE_CHECKING:
    from dovetail.editing.history import Entry, History

_SLOW_MILLISECONDS = 1_000
_LISTED = 200
_SEARCHED = 10_000  # what the history keeps
_ERROR = 44  # characters of an error beside its query


def past_queries(history: History, wanted: str) -> list[Entry]:
    """Newest first: ``:failed``, ``:slow`` and ``@source`` narrow it, ``:all`` takes those of all
    workspaces in, other words must stand in the text; where none has them all, their letters in
    order will do."""
    words = wanted.split()
    source = next((word[1:] for word in words if word.startswith("@")), None)
    text = " ".join(word for word in words if word[0] not in ":@")

    def entries(text: str, limit: int) -> list[Entry]:
        return history.entries(
            text,
            limit=limit,
            failed=":failed" in words,
            slower_than=_SLOW_MILLISECONDS if ":slow" in words else None,
            source=source,
            everywhere=":all" in words,
        )

    found = entries(text, _LISTED)
    if found or not text:
        return found
    letters = text.replace(" ", "").lower()
    fuzzy = (e for e in entries("", _SEARCHED) if _in_order(letters, e.sql.lower()))
    return [entry for entry, _ in zip(fuzzy, range(_LISTED), strict=False)]


def _in_order(letters: str, text: str) -> bool:
    place = 0
    for letter in letters:
        place = text.find(letter, place) + 1
        if not place:
            return False
    return True


def note_of(entry: Entry) -> str:
    """When, how many rows or how else it ended, how long."""
    when = datetime.fromtimestamp(entry.started).strftime("%m-%d %H:%M")
    took = f"{entry.milliseconds or 0:,.0f} ms"
    if entry.error is not None:
        said = cut(visible(" ".join(entry.error.split())), _ERROR)
        return f"{when} {'error':>12} {took:>9}  {said} ·"
    rows = "cancelled" if entry.cancelled else f"{entry.rows or 0:,} rows"
    return f"{when} {rows:>12} {took:>9}"
