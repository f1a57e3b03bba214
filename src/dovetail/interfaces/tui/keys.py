"""Which keys are in force, and what a series of key presses means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dovetail.errors import ConfigError, ConfigProblem, UsageError
from dovetail.interfaces.tui.keymap import (
    CATALOG,
    EDITOR,
    EDITOR_VI,
    EDITORS,
    EVERYWHERE,
    FOCUSES,
    KEYMAPS,
    RESULTS_VIM,
    Key,
)

# Textual's names of keys that people write as a character.
_CHARACTERS = {
    "slash": "/", "question_mark": "?", "backslash": "\\", "comma": ",", "equals_sign": "=",
    "minus": "-", "plus": "+", "less_than_sign": "<", "greater_than_sign": ">", "underscore": "_",
    "left_curly_bracket": "{", "right_curly_bracket": "}", "number_sign": "#", "space": "Space",
    "left_square_bracket": "[", "right_square_bracket": "]", "apostrophe": "'", "colon": ":",
    "quotation_mark": '"', "circumflex_accent": "^", "dollar_sign": "$", "vertical_line": "|",
    "asterisk": "*", "percent_sign": "%", "tilde": "~", "period": ".", "semicolon": ";",
}  # fmt: skip

_SPELLED = _CHARACTERS | {"escape": "Esc", "pageup": "PgUp", "pagedown": "PgDn"}
_KEY_HINT = "such as ctrl+b, f7, / or gg; dovetail tui --keys lists those in force"


def spelled(key: str) -> str:
    """A key as people know it: ``slash`` is ``/``, ``ctrl+d`` is ``Ctrl+D``."""
    if len(key) == 1:
        return key
    *modifiers, last = key.split("+")
    if len(last) == 1:
        last = last.upper()
    return "+".join([*(m.capitalize() for m in modifiers), _SPELLED.get(last, last.capitalize())])


def named_keys(written: str) -> str:
    """Keys as people write them (``/``, ``gg``, ``Ctrl+X E``) or as Textual names them, by the
    latter.

    Raises:
        UsageError: there is no such key.
    """
    found = []
    for part in written.split() or ([" "] if written else []):
        if part.isascii() and len(part) > 1 and not _known_key(part):
            # Letters that are pressed one after another.
            if len(part) > 3 or ("+" in part and len(part) > 2):
                raise UsageError(f'there is no key "{part}"')
            found += [_named_key(letter) for letter in part]
        else:
            found.append(_named_key(part))
    if not found:
        raise UsageError("a key is wanted, such as ctrl+b, / or gg")
    return " ".join(found)


_NAMES = {spelling.lower(): name for name, spelling in _SPELLED.items()} | {"esc": "escape"}
_MODIFIERS = ("ctrl", "alt", "shift", "super", "meta", "hyper")


def _named_key(part: str) -> str:
    if len(part) == 1:
        return "space" if part == " " else _NAMES.get(part, part)
    *modifiers, last = part.lower().split("+") if not part.endswith("++") else [
        *part.lower()[:-2].split("+"), "+",
    ]  # fmt: skip
    return "+".join([*modifiers, _NAMES.get(last, last)])


def _known_key(part: str) -> bool:
    from textual.keys import Keys

    *modifiers, last = _named_key(part).split("+")
    named = {str(key.value) for key in Keys} | set(_CHARACTERS)
    return all(m in _MODIFIERS for m in modifiers) and (
        last in named or (len(last) == 1 and bool(modifiers))
    )


def shown_keys(key: Key) -> str:
    """All spellings of a key: ``gg, Ctrl+Home``."""
    spellings = []
    for sequence in key.keys:
        parts = [spelled(part) for part in sequence.split(" ")]
        spellings.append(("" if all(len(p) == 1 for p in parts) else " ").join(parts))
    return ", ".join(spellings)


def all_keys(
    keymap: str = "vim",
    own: Mapping[str, Mapping[str, str]] | None = None,
    editor: str = "plain",
) -> list[Key]:
    """The keys in force: those of a keymap and an editor, with the user's own laid over them.

    ``own`` is focus → keys → action. A place takes its own actions and those of everywhere;
    everywhere also takes those of the editor and of the results.

    Raises:
        UsageError: no such keymap or action, or a key with two meanings in one focus.
    """
    if keymap not in KEYMAPS:
        raise UsageError(f'no keymap "{keymap}"; there are {", ".join(KEYMAPS)}')
    keys = [*EVERYWHERE, *EDITOR, *EDITORS[editor], *KEYMAPS[keymap], *CATALOG]
    known: dict[str, dict[str, Key]] = {focus: {} for focus in FOCUSES}
    for key in [*keys, *RESULTS_VIM, *EDITOR_VI]:
        known[key.focus].setdefault(key.action, key)
    places = dict(known)
    for focus in FOCUSES:
        lent = ("editor", "results") if focus == "everywhere" else ("everywhere",)
        for other in lent:
            known[focus] = places[other] | known[focus]
    problems = []
    for focus, bindings in (own or {}).items():
        if focus not in FOCUSES:
            problems.append(
                ConfigProblem(f"tui.keys.{focus}", "no such place", f"one of {', '.join(FOCUSES)}")
            )
            continue
        for written, action in bindings.items():
            try:
                sequence = named_keys(written)
            except UsageError as error:
                problems.append(ConfigProblem(f"tui.keys.{focus}", error.message, _KEY_HINT))
                continue
            if focus == "everywhere" and " " in sequence:
                what = f'"{written}" is more than one key'
                problems.append(ConfigProblem(f"tui.keys.{focus}", what, "everywhere takes one"))
                continue
            meant = known[focus].get(action)
            if meant is None:
                near = _near(action, known[focus])
                problems.append(ConfigProblem(f"tui.keys.{focus}", f'no action "{action}"', near))
                continue
            keys = [_without(key, focus, sequence) for key in keys]
            keys.append(Key(focus, (sequence,), action, meant.help))
    problems += [ConfigProblem("tui.keys", text) for text in conflicts(keys)]
    if problems:
        raise ConfigError("the keys of the configuration cannot be used", problems)
    return [key for key in keys if key.keys]


def _without(key: Key, focus: str, sequence: str) -> Key:
    if key.focus != focus or sequence not in key.keys:
        return key
    return Key(key.focus, tuple(k for k in key.keys if k != sequence), key.action, key.help)


def _near(action: str, known: Iterable[str]) -> str:
    from dovetail.catalog.catalogs import near_names

    near = near_names(action, known)
    return f"did you mean {' or '.join(near)}?" if near else "dovetail tui --keys lists them"


def conflicts(keys: Iterable[Key]) -> list[str]:
    """Keys with two meanings in one focus, a key that also begins a longer one among them."""
    found = []
    for focus in FOCUSES:
        meanings: dict[str, str] = {}
        for key in keys:
            if key.focus in (focus, "everywhere"):
                for sequence in key.keys:
                    # A focus may give a key of everywhere a meaning of its own on purpose.
                    if sequence in meanings and key.focus == focus:
                        found.append(f'"{sequence}" is both {meanings[sequence]} and {key.action}')
                    meanings[sequence] = key.action
        for sequence, action in meanings.items():
            for longer, other in meanings.items():
                if longer.startswith(sequence + " "):
                    found.append(f'"{sequence}" is {action} and begins "{longer}", {other}')
    return found


@dataclass(frozen=True)
class Pressed:
    """What a key made: an action with its count, or a sequence that waits for more."""

    action: str | None = None
    count: int | None = None
    waiting: str = ""
    dropped: bool = False


class Sequences:
    """Turns single keys into actions: counts, and keys that are pressed one after another."""

    def __init__(self, keys: Iterable[Key], focus: str, *, counts: bool = False) -> None:
        self._actions = {
            sequence: key.action for key in keys if key.focus == focus for sequence in key.keys
        }
        self._help = {
            sequence: key.help for key in keys if key.focus == focus for sequence in key.keys
        }
        self._counts = counts
        self._digits = ""
        self._begun = ""

    @property
    def pending(self) -> str:
        """What was typed so far: the count and the keys."""
        begun = "".join(spelled(k) for k in self._begun.split(" ") if k)
        return self._digits + begun

    @property
    def waiting(self) -> bool:
        """Whether a sequence has begun."""
        return bool(self._begun or self._digits)

    def continuations(self) -> list[tuple[str, str]]:
        """``(key, help)`` of the keys that may follow."""
        begun = self._begun + " "
        return [
            (spelled(sequence.removeprefix(begun)), self._help[sequence])
            for sequence in self._actions
            if self._begun and sequence.startswith(begun)
        ]

    def reset(self) -> None:
        """Forget what was typed."""
        self._digits = self._begun = ""

    def press(self, key: str) -> Pressed:
        """Take one key, by Textual's name of it or its character."""
        if not self._begun and self._counts and key.isdigit() and (self._digits or key != "0"):
            self._digits += key
            return Pressed(waiting=self.pending)
        if key == "escape" and self.waiting:
            self.reset()
            return Pressed(dropped=True)
        sequence = f"{self._begun} {key}".strip()
        if sequence in self._actions:
            count = int(self._digits) if self._digits else None
            action = self._actions[sequence]
            self.reset()
            return Pressed(action, count)
        if any(known.startswith(sequence + " ") for known in self._actions):
            self._begun = sequence
            return Pressed(waiting=self.pending)
        dropped = self.waiting
        self.reset()
        return Pressed(dropped=dropped)
