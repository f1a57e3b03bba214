"""The editor: SQL with colours, completion, several keys of a shell, and the place of an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar, NamedTuple

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.geometry import Offset
from textual.message import Message
from textual.widgets import OptionList, TextArea
from textual.widgets.option_list import Option
from textual.widgets.text_area import Selection

from dovetail.editing.complete import Completion, complete, opens_by_itself
from dovetail.editing.schema import Schema
from dovetail.editing.statements import Statement, statement_at, statements_of
from dovetail.editing.tokens import tokens_of
from dovetail.errors import Location
from dovetail.interfaces.tui.highlighting import Highlighted
from dovetail.interfaces.tui.keys import Sequences
from dovetail.interfaces.tui.vi import INSERT, ViKeys

_LISTED = 8
_NEAR = 10_000  # characters before and behind the cursor that completion looks at in a long text


class Mark(NamedTuple):
    """The place of an error, counted from 0, and how many characters it takes."""

    line: int
    column: int
    width: int


class CompletionList(OptionList, can_focus=False):
    """What could stand at the cursor; lies over the editor."""

    DEFAULT_CSS = """
    CompletionList {
        layer: overlay; display: none; width: 52; height: auto; max-height: 10; border: none;
        background: $panel; position: absolute; scrollbar-size-vertical: 1; padding: 0;
    }
    CompletionList.open { display: block; }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)
        self.items: list[Completion] = []

    def offer(self, items: list[Completion]) -> None:
        """Show these."""
        self.items = items
        self.clear_options()
        for item in items:
            text = Text(item.shown)
            text.append(f"  {item.kind} {item.detail}".rstrip(), Style(dim=True))
            self.add_option(Option(text))
        self.highlighted = 0 if items else None
        self.set_class(bool(items), "open")

    @property
    def is_open(self) -> bool:
        """Whether there is something to choose from."""
        return self.has_class("open")

    def chosen(self) -> Completion | None:
        """The highlighted one."""
        return self.items[self.highlighted] if self.highlighted is not None else None


class SqlEditor(Highlighted):
    """SQL text. Keys that it does not know itself are actions of the application."""

    BINDINGS: ClassVar[list[BindingType]] = []

    # Lines are drawn while the text area is still being made.
    errors: tuple[Mark, ...] = ()

    class Acted(Message):
        """A key asks for an action of the application."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    class Pending(Message):
        """A sequence of keys has begun, gone on or ended."""

        def __init__(self, shown: str, continuations: list[tuple[str, str]]) -> None:
            super().__init__()
            self.shown = shown
            self.continuations = continuations

    def __init__(
        self,
        text: str,
        schema: Schema,
        keys: Sequences,
        completions: CompletionList,
        is_running: Callable[[], bool],
        vi_keys: Sequences | None = None,
    ) -> None:
        """``vi_keys`` makes it an editor with modes."""
        super().__init__(
            text,
            soft_wrap=False,
            tab_behavior="indent",
            show_line_numbers=True,
            max_checkpoints=500,
        )
        self.indent_width = 2
        self._schema = schema
        self._keys = keys
        self._completions = completions
        self._is_running = is_running
        self._killed = ""
        self._typed = False
        self._vi = ViKeys(self, vi_keys) if vi_keys is not None else None

    @property
    def mode(self) -> str:
        """What typing does: ``INSERT``, or one of the modes of vi."""
        return self._vi.mode if self._vi is not None else INSERT

    # -- keys -------------------------------------------------------------------------------------

    def on_key(self, event: events.Key) -> None:
        """Completion first, then our own keys, then those of the text area."""
        if self._completions.is_open and self._on_completion_key(event.key):
            event.stop()
            event.prevent_default()
            return
        if event.key == "ctrl+c" and not self.selected_text and not self._is_running():
            event.prevent_default()
            return
        if event.key == "ctrl+c" and self._is_running():
            event.stop()
            event.prevent_default()
            self.post_message(self.Acted("cancel"))
            return
        if event.key == "f6":  # the text area would select the line
            event.stop()
            event.prevent_default()
            self.post_message(self.Acted("plan"))
            return
        if self._vi is not None and not self._keys.waiting and self._vi.press(event):
            event.stop()
            event.prevent_default()
            self.post_message(self.Pending(self._vi.shown, []))
            return
        if event.is_printable and not self._keys.waiting:
            self._typed = True
            return
        pressed = self._keys.press(event.key)
        if pressed.action is None and not pressed.waiting and not pressed.dropped:
            self._typed = event.key == "backspace"
            if event.key == "enter":
                self._indent_line(event)
            return
        event.stop()
        event.prevent_default()
        self.post_message(self.Pending(self._keys.pending, self._keys.continuations()))
        if pressed.action is not None:
            self.perform(pressed.action)

    def perform(self, action: str) -> None:
        """Do an action of the editor, or hand it to the application."""
        name, _, argument = action.rstrip(")").partition("(")
        method = getattr(self, f"edit_{name}", None)
        if method is None:
            self.post_message(self.Acted(action))
        elif argument:
            method(argument)
        else:
            method()

    def _on_completion_key(self, key: str) -> bool:
        if key in ("tab", "enter"):
            self.take_completion()
        elif key == "escape":
            self._completions.offer([])
        elif key == "down":
            self._completions.action_cursor_down()
        elif key == "up":
            self._completions.action_cursor_up()
        else:
            return False
        return True

    def _indent_line(self, event: events.Key) -> None:
        line = self.get_line(self.cursor_location[0]).plain
        margin = line[: len(line) - len(line.lstrip())]
        if margin and self.selection.is_empty:
            event.stop()
            event.prevent_default()
            self.insert("\n" + margin)

    # -- places -----------------------------------------------------------------------------------

    @property
    def offset_of_cursor(self) -> int:
        """The cursor as a number of characters from the start."""
        return self.offset_of(self.cursor_location)

    def offset_of(self, location: tuple[int, int]) -> int:
        """A row and column as a number of characters from the start."""
        row, column = location
        lines = self.document.lines[:row]
        return sum(len(line) + 1 for line in lines) + column

    def location_of(self, offset: int) -> tuple[int, int]:
        """A number of characters from the start as a row and column."""
        before = self.text[:offset]
        return before.count("\n"), len(before) - (before.rfind("\n") + 1)

    def wanted(self) -> Statement | None:
        """What F5 runs: the selection, else the statement under the cursor."""
        if self.selected_text.strip():
            first = min(self.selection.start, self.selection.end)
            start = self.offset_of(first)
            text = self.selected_text
            lead = len(text) - len(text.lstrip())
            body = text.strip().rstrip(";").rstrip()
            return Statement(body, start + lead, start + lead + len(body), start + len(text), True)
        return statement_at(self.text, self.offset_of_cursor)

    def show_errors(self, found: Sequence[tuple[int, Location]]) -> None:
        """Mark the places of errors, each in the statement that begins at its offset."""
        self.errors = tuple(self._placed(start, location) for start, location in found)
        self._line_cache.clear()
        self.refresh()

    def _placed(self, start: int, location: Location) -> Mark:
        row, column = self.location_of(start)
        line = row + location.line - 1
        column = location.column - 1 + (column if location.line == 1 else 0)
        text = self.document.get_line(line) if line < self.document.line_count else ""
        word = re.match(r"\w*", text[column:])
        return Mark(line, column, max(1, len(word[0]) if word else 1))

    def get_line(self, line_index: int) -> Text:
        """A line, with the places of errors underlined."""
        line = super().get_line(line_index)
        for mark in self.errors:
            if mark.line == line_index:
                style = Style(color="red", underline=True, bold=True)
                line.stylize(style, mark.column, mark.column + mark.width)
        return line

    def drop(self, text: str, x: int, y: int) -> None:
        """Insert a text at a place of the screen."""
        row = min(y - self.region.y + self.scroll_offset.y, self.document.line_count - 1)
        column = x - self.region.x - self.gutter_width + self.scroll_offset.x
        at = (row, max(0, min(column, len(self.document.get_line(row)))))
        self.insert(text, at)

    # -- completion -------------------------------------------------------------------------------

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """Open or narrow the list while something is typed."""
        if self.errors:
            self.show_errors(())
        if not self._typed or not self.has_focus:
            self._completions.offer([])
            return
        self._typed = False
        text, base, offset = self._around_cursor()
        if self._completions.is_open or opens_by_itself(text, offset - base):
            self._offer()

    def edit_complete(self) -> None:
        """Open the list."""
        self._offer()

    def _around_cursor(self) -> tuple[str, int, int]:
        """The text to complete in, where it begins, and the cursor, both as offsets of the whole.

        Of a long text it is what stands near; a mark that seems to end the statement before, but
        stands in a string, costs no more than a poorer list.
        """
        text, offset = self.text, self.offset_of_cursor
        if len(text) <= _NEAR:
            return text, 0, offset
        base = text.rfind(";\n", max(0, offset - _NEAR), offset) + 1
        base = base or max(0, offset - _NEAR)
        return text[base : offset + _NEAR], base, offset

    def _offer(self) -> None:
        text, base, offset = self._around_cursor()
        found = complete(text, offset - base, self._schema)[: _LISTED * 8]
        items = [replace(item, start=item.start + base) for item in found]
        self._completions.offer(items)
        if items:
            row, column = self.location_of(items[0].start)
            x = column - self.scroll_offset.x + self.gutter_width
            y = row - self.scroll_offset.y + 1
            self._completions.styles.offset = Offset(
                max(0, min(x, self.size.width - 52)), max(0, y)
            )

    def take_completion(self) -> None:
        """Put the highlighted text in."""
        item = self._completions.chosen()
        self._completions.offer([])
        if item is not None:
            end = self.cursor_location
            self.replace(item.text, self.location_of(item.start), end)

    # -- editing ----------------------------------------------------------------------------------

    def edit_clause(self, word: str) -> None:
        """To a clause of the statement under the cursor."""
        statement = statement_at(self.text, self.offset_of_cursor)
        if statement is None:
            return
        for token in tokens_of(statement.text):
            if token.word == word:
                self.move_cursor(self.location_of(statement.start + token.start))
                return

    def edit_statement(self, by: str) -> None:
        """To the start of the next or previous statement."""
        offset = self.offset_of_cursor
        starts = [s.start for s in statements_of(self.text)]
        after = [s for s in starts if s > offset]
        before = [s for s in starts if s < offset]
        if int(by) > 0 and after:
            self.move_cursor(self.location_of(after[0]))
        elif int(by) < 0 and before:
            self.move_cursor(self.location_of(before[-1]))

    def edit_word(self, by: str) -> None:
        """By SQL tokens: a quoted name or a string is one word."""
        offset = self.offset_of_cursor
        tokens = [t for t in tokens_of(self.text) if t.kind != "symbol"]
        if int(by) > 0:
            after = [t.end for t in tokens if t.end > offset]
            self.move_cursor(self.location_of(after[0] if after else len(self.text)))
        else:
            before = [t.start for t in tokens if t.start < offset]
            self.move_cursor(self.location_of(before[-1] if before else 0))

    def edit_kill_word(self) -> None:
        """Delete to the end of the word."""
        start = self.cursor_location
        self.edit_word("1")
        self._kill(start, self.cursor_location)

    def edit_kill_word_back(self) -> None:
        """Delete to the start of the word."""
        end = self.cursor_location
        self.edit_word("-1")
        self._kill(self.cursor_location, end)

    def edit_kill_line(self) -> None:
        """Delete to the end of the line."""
        row, column = self.cursor_location
        end = (row, len(self.document.get_line(row)))
        if end[1] == column and row + 1 < self.document.line_count:
            end = (row + 1, 0)
        self._kill((row, column), end)

    def edit_kill_to_start(self) -> None:
        """Delete to the start of the line."""
        row, _ = self.cursor_location
        self._kill((row, 0), self.cursor_location)

    def _kill(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        self._killed = self.get_text_range(start, end)
        self.delete(start, end)

    def edit_put_back(self) -> None:
        """Insert what was deleted last."""
        self.insert(self._killed)

    def edit_undo_edit(self) -> None:
        """Take the last change back."""
        self.undo()

    def edit_redo_edit(self) -> None:
        """Make it again."""
        self.redo()

    def edit_line_start(self) -> None:
        """To the start of the line."""
        self.action_cursor_line_start()

    def edit_line_end(self) -> None:
        """To the end of the line."""
        self.action_cursor_line_end()

    def edit_comment(self) -> None:
        """Make comments of the selected lines, or take the marks away."""
        first, last = sorted((self.selection.start[0], self.selection.end[0]))
        lines = [self.document.get_line(row) for row in range(first, last + 1)]
        kept = self.selection
        if all(line.lstrip().startswith("--") or not line.strip() for line in lines):
            changed = [re.sub(r"^(\s*)-- ?", r"\1", line) for line in lines]
        else:
            changed = [f"-- {line}" if line.strip() else line for line in lines]
        self.replace("\n".join(changed), (first, 0), (last, len(lines[-1])))
        self.selection = Selection(
            (kept.start[0], min(kept.start[1], len(self.document.get_line(kept.start[0])))),
            (kept.end[0], min(kept.end[1], len(self.document.get_line(kept.end[0])))),
        )

    def edit_goto_error(self) -> None:
        """To the place of the error, or of the next of several."""
        places = [(mark.line, mark.column) for mark in self.errors]
        if places:
            behind = [place for place in places if place > self.cursor_location]
            self.move_cursor((behind or places)[0])

    def select_next(self, text: str, *, replace_with: str | None = None) -> bool:
        """Select the next place of ``text``, after replacing the one that is selected."""
        if not text:
            return False
        if replace_with is not None and self.selected_text.lower() == text.lower():
            self.replace(replace_with, *sorted((self.selection.start, self.selection.end)))
        offset = self.offset_of(max(self.selection.start, self.selection.end))
        low, wanted = self.text.lower(), text.lower()
        at = low.find(wanted, offset)
        at = low.find(wanted) if at < 0 else at
        if at < 0:
            return False
        self.selection = Selection(self.location_of(at), self.location_of(at + len(text)))
        self.scroll_cursor_visible()
        return True
