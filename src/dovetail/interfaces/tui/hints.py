"""The main keys of a place in a line, and the ten to begin with: made from the keys in force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dovetail.interfaces.tui.keymap import Key
from dovetail.interfaces.tui.keys import shown_keys

# Place → the actions that its line names, with a word for each.
_LINES: Mapping[str, Sequence[tuple[str, str]]] = {
    "editor": (
        ("run", "run"),
        ("complete", "complete"),
        ("to_results", "results"),
        ("history", "history"),
        ("plan", "plan"),
        ("help", "keys"),
        ("quit", "leave"),
    ),
    "results": (
        ("filter(fuzzy)", "filter"),
        ("search(1)", "search"),
        ("sort", "sort"),
        ("statistics", "statistics"),
        ("yank(row)", "copy"),
        ("export", "export"),
        ("to_editor", "editor"),
        ("help", "keys"),
    ),
    "catalog": (
        ("insert_name", "insert"),
        ("preview", "preview"),
        ("describe", "describe"),
        ("filter", "filter"),
        ("refresh", "refresh"),
        ("help", "keys"),
    ),
    "everywhere": (("help", "keys"), ("quit", "leave")),
}

# The first screen: where, actions, what they do.
_TEN = (
    ("editor", ("run",), "run the selection, or the statement under the cursor"),
    ("editor", ("to_results",), "from the editor to the results"),
    ("results", ("to_editor", "back"), "from the results to the editor"),
    ("results", ("filter(fuzzy)", "filter(regex)"), "filter: letters in order, regular expression"),
    ("results", ("search(1)", "next_match(1)", "next_match(-1)"), "search, next, previous"),
    ("results", ("sort", "statistics"), "sort by this column, its statistics"),
    ("results", ("yank(row)", "export"), "copy the row, export the result"),
    ("everywhere", ("cancel", "quit"), "cancel the query, leave"),
    ("everywhere", ("history", "plan"), "past queries, plan and profile"),
    ("everywhere", ("help", "palette"), "keys of this place, all actions"),
)


def line_of(place: str, keys: Iterable[Key]) -> str:
    """The line of hints for a place: ``f filter · / search …``."""
    first = _first_keys(place, keys)
    named = _LINES.get(place, _LINES["everywhere"])
    return " · ".join(f"{first[action]} {word}" for action, word in named if action in first)


def ten_main_keys(keys: Sequence[Key]) -> list[tuple[str, str]]:
    """``(keys, what they do)`` of the first screen."""
    found = []
    for place, actions, what in _TEN:
        first = _first_keys(place, keys)
        spelled = ", ".join(first[action] for action in actions if action in first)
        if spelled:
            found.append((spelled, what))
    return found


def _first_keys(place: str, keys: Iterable[Key]) -> dict[str, str]:
    """Action → its key in that place, those of everywhere among them; letters before F keys."""
    own: dict[str, str] = {}
    everywhere: dict[str, str] = {}
    for key in keys:
        spelled = shown_keys(Key(key.focus, key.keys[:1], key.action, key.help))
        if key.focus == place:
            own[key.action] = spelled  # a keymap's own keys stand behind those that all share
        elif key.focus == "everywhere":
            everywhere[key.action] = spelled
    run = {a: everywhere[a] for a in ("run",) if a in everywhere}  # more terminals know F5
    return everywhere | own | run
