"""The keys of vi in the editor: normal and visual mode over a text area.

Which keys there are is data (:data:`~dovetail.interfaces.tui.keymap.EDITOR_VI`), so the help lists
them; what needs more than one key to be known (an operator and its motion, a text object, the
letter of ``f`` or ``r``) is put together here.
"""

from __future__ import annotations

from typing import Protocol

from textual import events
from textual.widgets.text_area import Selection

from dovetail.interfaces.tui.keys import Sequences
from dovetail.interfaces.tui.vi_motions import (
    Span,
    Target,
    covered,
    first_letter,
    line_end,
    line_start,
    motion,
    text_object,
    whole_lines,
)

INSERT, NORMAL, VISUAL, LINES = "INSERT", "NORMAL", "VISUAL", "VISUAL LINE"
_TAKES_LETTER = ("find", "find_back", "till", "till_back", "replace")
_AGAIN = {"find": "find_back", "find_back": "find", "till": "till_back", "till_back": "till"}


class Edited(Protocol):
    """What these keys need of the text area."""

    selection: Selection
    indent_width: int

    @property
    def text(self) -> str:
        """All of the text."""

    @property
    def offset_of_cursor(self) -> int:
        """The cursor as a number of characters from the start."""

    def location_of(self, offset: int) -> tuple[int, int]:
        """A number of characters from the start as row and column."""

    def replace(self, insert: str, start: tuple[int, int], end: tuple[int, int], /) -> object:
        """Put a text in place of another."""

    def undo(self) -> None:
        """Take the last change back."""

    def redo(self) -> None:
        """Make it again."""

    def perform(self, action: str) -> None:
        """Do an action of the editor or of the application."""


class ViKeys:
    """The mode, and what has been typed of a command."""

    def __init__(self, editor: Edited, keys: Sequences) -> None:
        self._editor = editor
        self._keys = keys
        self.mode = INSERT
        self._anchor = 0  # where visual mode began
        self._operator = ""
        self._count: int | None = None  # the one before the operator
        self._waiting = ""  # an action that takes the next letter, or `around`, `inside`
        self._waiting_count: int | None = None
        self._found = ("", "")  # what `;` looks for again
        self._register = ("", False)  # what was deleted or copied, and whether as whole lines

    @property
    def shown(self) -> str:
        """What has been typed of a command."""
        count = str(self._count) if self._count else ""
        return f"{count}{self._operator}{self._keys.pending}"

    def press(self, event: events.Key) -> bool:
        """Take a key; False leaves it to the editor."""
        key = event.key
        if self.mode == INSERT:
            if key != "escape":
                return False
            self._to_normal(step_back=True)
            return True
        if key == "escape" and (self.shown or self._waiting or self.mode != NORMAL):
            self._to_normal()
            return True
        if self._waiting:
            self._take_letter(event.character or "")
            return True
        pending = self._operator or self.mode != NORMAL
        if pending and key in ("i", "a") and not self._keys.waiting:
            self._waiting = "inside" if key == "i" else "around"
            return True
        pressed = self._keys.press(key)
        if pressed.action is not None:
            self._act(pressed.action, pressed.count)
            return True
        if pressed.waiting or pressed.dropped:
            return True
        self._forget()
        return event.is_printable or key in ("enter", "backspace", "tab")

    # -- commands ---------------------------------------------------------------------------------

    def _act(self, action: str, count: int | None) -> None:
        name, _, argument = action.rstrip(")").partition("(")
        if argument in _TAKES_LETTER or name == "replace":
            self._waiting, self._waiting_count = argument or name, count
        elif name == "motion":
            self._move(argument, count)
        elif name == "operator":
            self._operate(argument, count)
        elif name == "vi":
            getattr(self, f"_do_{argument}")(count or 1)
            self._forget()
        else:
            self._forget()
            self._editor.perform(action)

    def _take_letter(self, letter: str) -> None:
        waiting, self._waiting = self._waiting, ""
        if waiting in ("inside", "around"):
            at = self._editor.offset_of_cursor
            span = text_object(waiting == "around", letter, self._editor.text, at)
            if span is not None:
                self._cover(span)
            elif self.mode == NORMAL:
                self._forget()
        elif waiting == "replace":
            self._do_replace(letter, self._waiting_count or 1)
            self._forget()
        else:
            self._found = (waiting, letter)
            self._move(waiting, self._waiting_count, letter)

    def _move(self, name: str, count: int | None, letter: str = "") -> None:
        if name in ("again", "again_back"):
            back = name == "again_back"
            name, letter = self._found
            name = _AGAIN.get(name, "") if back else name
        text, at = self._editor.text, self._editor.offset_of_cursor
        if self._count is not None:
            count = self._count * (count or 1)
        if self._operator == "c" and name == "word" and text[at : at + 1].strip():
            name = "word_end"  # cw leaves the space behind the word
        target = motion(name, text, at, count, letter)
        if target is None:
            self._forget()
        elif self._operator:
            self._cover(covered(text, at, self._kept_in_line(name, text, at, target)))
        else:
            self._go(target.at)

    @staticmethod
    def _kept_in_line(name: str, text: str, at: int, target: Target) -> Target:
        # dw on the last word of a line leaves the line feed.
        end = line_end(text, at)
        return Target(end) if name == "word" and at < end < target.at else target

    def _cover(self, span: Span) -> None:
        """An operator has what it works on; visual mode selects it."""
        if self.mode != NORMAL:
            self._anchor = span.start
            self._go(max(span.start, span.end - 1))
            return
        operator = self._operator
        self._forget()
        self._apply(operator, span)

    def _operate(self, operator: str, count: int | None) -> None:
        if self.mode != NORMAL:
            span = self._selected()
            self._to_normal()
            self._apply(operator, span)
        elif self._operator == operator:  # dd, yy, cc, >>
            times = (self._count or 1) * (count or 1)
            text, at = self._editor.text, self._editor.offset_of_cursor
            last = motion("down", text, at, times - 1) if times > 1 else None
            self._forget()
            self._apply(operator, whole_lines(text, at, last.at if last else at))
        else:
            self._forget()
            self._operator, self._count = operator, count

    def _apply(self, operator: str, span: Span) -> None:
        text = self._editor.text
        part = text[span.start : span.end]
        match operator:
            case "y":
                self._register = (part, span.lines)
                self._go(span.start)
            case "d":
                self._register = (part, span.lines)
                start = span.start
                if span.lines and span.end == len(text) and not part.endswith("\n") and start:
                    start -= 1  # the last line takes the line feed before it along
                self._put("", start, span.end)
                self._go(first_letter(self._editor.text, start) if span.lines else start)
            case "c":
                self._register = (part, span.lines)
                end = span.end - 1 if span.lines and part.endswith("\n") else span.end
                start = first_letter(text, span.start) if span.lines else span.start
                self._put("", start, max(start, end))
                self._insert_at(start)
            case "indent" | "outdent":
                self._put(self._shifted(part, operator), span.start, span.end)
                self._go(first_letter(self._editor.text, span.start))

    def _shifted(self, part: str, operator: str) -> str:
        margin = " " * self._editor.indent_width
        if operator == "indent":
            return "".join(margin + li if li.strip() else li for li in part.splitlines(True))
        kept = part.splitlines(True)
        return "".join(
            li[min(len(margin), len(li) - len(li.lstrip(" "))) :] if li.strip() else li
            for li in kept
        )

    # -- commands without an operator -------------------------------------------------------------

    def _do_insert(self, count: int) -> None:
        self._insert_at(self._editor.offset_of_cursor)

    def _do_insert_first(self, count: int) -> None:
        self._insert_at(first_letter(self._editor.text, self._editor.offset_of_cursor))

    def _do_append(self, count: int) -> None:
        at = self._editor.offset_of_cursor
        self._insert_at(min(at + 1, line_end(self._editor.text, at)))

    def _do_append_last(self, count: int) -> None:
        self._insert_at(line_end(self._editor.text, self._editor.offset_of_cursor))

    def _do_open_below(self, count: int) -> None:
        self._open(line_end(self._editor.text, self._editor.offset_of_cursor), "\n{}")

    def _do_open_above(self, count: int) -> None:
        self._open(line_start(self._editor.text, self._editor.offset_of_cursor), "{}\n")

    def _open(self, at: int, form: str) -> None:
        text, here = self._editor.text, self._editor.offset_of_cursor
        margin = text[line_start(text, here) : first_letter(text, here)]
        self._put(form.format(margin), at, at)
        self._insert_at(at + len(margin) + (form[0] == "\n"))

    def _do_delete_letter(self, count: int) -> None:
        if self.mode != NORMAL:
            self._operate("d", None)
            return
        at = self._editor.offset_of_cursor
        end = min(at + count, line_end(self._editor.text, at))
        if end > at:
            self._apply("d", Span(at, end))

    def _do_delete_rest(self, count: int) -> None:
        at = self._editor.offset_of_cursor
        self._apply("d", Span(at, line_end(self._editor.text, at)))

    def _do_change_rest(self, count: int) -> None:
        at = self._editor.offset_of_cursor
        self._apply("c", Span(at, line_end(self._editor.text, at)))

    def _do_substitute(self, count: int) -> None:
        at = self._editor.offset_of_cursor
        self._apply("c", Span(at, min(at + count, line_end(self._editor.text, at))))

    def _do_copy_line(self, count: int) -> None:
        at = self._editor.offset_of_cursor
        self._apply("y", whole_lines(self._editor.text, at, at))
        self._go(at)

    def _do_put_after(self, count: int) -> None:
        self._put_register(count, after=True)

    def _do_put_before(self, count: int) -> None:
        self._put_register(count, after=False)

    def _put_register(self, count: int, *, after: bool) -> None:
        part, lines = self._register
        text, at = self._editor.text, self._editor.offset_of_cursor
        if not part:
            return
        if lines:
            body = (part if part.endswith("\n") else part + "\n") * count
            place = line_end(text, at) + 1 if after else line_start(text, at)
            if place > len(text):
                place, body = len(text), "\n" + body[:-1]
            self._put(body, place, place)
            self._go(first_letter(self._editor.text, place + (body[0] == "\n")))
            return
        place = min(at + 1, line_end(text, at)) if after else at
        self._put(part * count, place, place)
        self._go(place + len(part) * count - 1)

    def _do_join(self, count: int) -> None:
        at = self._editor.offset_of_cursor
        for _ in range(max(1, count - 1)):
            text = self._editor.text
            end = line_end(text, at)
            if end == len(text):
                return
            following = first_letter(text, end + 1)
            self._put(" " if text[following : following + 1].strip() else "", end, following)
            self._go(end)

    def _do_swap_case(self, count: int) -> None:
        text, at = self._editor.text, self._editor.offset_of_cursor
        end = min(at + count, line_end(text, at))
        if self.mode != NORMAL:
            at, end, _ = self._selected()
            self._to_normal()
        self._put(text[at:end].swapcase(), at, end)
        self._go(end)

    def _do_replace(self, letter: str, count: int) -> None:
        text, at = self._editor.text, self._editor.offset_of_cursor
        if letter and at + count <= line_end(text, at):
            self._put(letter * count, at, at + count)
            self._go(at + count - 1)

    def _do_undo(self, count: int) -> None:
        for _ in range(count):
            self._editor.undo()
        self._go(self._editor.offset_of_cursor)

    def _do_redo(self, count: int) -> None:
        for _ in range(count):
            self._editor.redo()
        self._go(self._editor.offset_of_cursor)

    def _do_visual(self, count: int) -> None:
        self._toggle(VISUAL)

    def _do_visual_lines(self, count: int) -> None:
        self._toggle(LINES)

    def _toggle(self, mode: str) -> None:
        if self.mode == mode:
            self._to_normal()
            return
        if self.mode == NORMAL:
            self._anchor = self._editor.offset_of_cursor
        at = self._editor.offset_of_cursor
        self.mode = mode
        self._go(at)

    # -- state ------------------------------------------------------------------------------------

    def _selected(self) -> Span:
        low, high = sorted((self._anchor, self._editor.offset_of_cursor))
        text = self._editor.text
        return whole_lines(text, low, high) if self.mode == LINES else Span(low, high + 1)

    def _go(self, at: int) -> None:
        """Put the cursor there; in normal mode it stands on a character, not behind the last."""
        text = self._editor.text
        at = max(0, min(at, len(text)))
        end = line_end(text, at)
        if at == end and at > line_start(text, at) and self.mode != INSERT:
            at -= 1
        there = self._editor.location_of(at)
        start = self._editor.location_of(self._anchor) if self.mode in (VISUAL, LINES) else there
        self._editor.selection = Selection(start, there)

    def _insert_at(self, at: int) -> None:
        self.mode = INSERT
        self._forget()
        self._go(at)

    def _to_normal(self, *, step_back: bool = False) -> None:
        at = self._editor.offset_of_cursor
        self.mode = NORMAL
        self._forget()
        if step_back and at > line_start(self._editor.text, at):
            at -= 1
        self._go(at)

    def _forget(self) -> None:
        self._operator, self._count, self._waiting = "", None, ""
        self._keys.reset()

    def _put(self, text: str, start: int, end: int) -> None:
        where = self._editor.location_of(start), self._editor.location_of(end)
        self._editor.replace(text, *where)
