"""The prompt: multi-line editing, colours, completion and history, by prompt_toolkit."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer
from prompt_toolkit.completion import Completion as Shown
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import completion_is_selected, has_completions, is_searching
from prompt_toolkit.history import History as PromptHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.output import ColorDepth, Output

from dovetail.editing.complete import complete, opens_by_itself, paths
from dovetail.editing.history import History
from dovetail.editing.schema import Schema

PROMPT = "dovetail> "
CONTINUED = "     ...> "


class SqlCompleter(Completer):
    """What could stand at the cursor, from the names known so far."""

    def __init__(self, schema: Schema, commands: Callable[[str], list[tuple[str, str]]]) -> None:
        """``commands`` gives the names and help of the dot commands that begin with a text."""
        self._schema = schema
        self._commands = commands

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Shown]:
        """Completions at the cursor."""
        text, offset = document.text, document.cursor_position
        if text.startswith((".", "\\")):
            yield from self._of_command(text[:offset])
            return
        if not event.completion_requested and not opens_by_itself(text, offset):
            return
        for item in complete(text, offset, self._schema):
            yield Shown(
                item.text,
                item.start - offset,
                display=item.shown,
                display_meta=f"{item.kind} {item.detail}".strip(),
            )

    def _of_command(self, typed: str) -> Iterable[Shown]:
        head, space, rest = typed.partition(" ")
        if not space:
            for name, help_text in self._commands(head):
                yield Shown(name, -len(head), display_meta=help_text)
        elif head in (".read", "\\i", ".output", "\\o"):
            for path, name, kind in paths(rest):
                yield Shown(path, -len(rest), display=name, display_meta=kind)
        elif head in (".describe", "\\d", ".tables", "\\dt"):
            prefix = "select * from "
            for item in complete(prefix + rest, len(prefix + rest), self._schema):
                if item.kind in ("table", "source", "schema"):
                    start = item.start - len(prefix) - len(rest)
                    yield Shown(item.text, start, display_meta=item.kind)


class KeptHistory(PromptHistory):
    """The history on disk, shown to prompt_toolkit; new queries are added where they are run."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self._kept = history

    def load_history_strings(self) -> Iterable[str]:
        """Newest first."""
        return (entry.sql + ";" for entry in self._kept.entries(limit=2000))

    def store_string(self, string: str) -> None:
        """Nothing: a query is kept with its rows and time, once it has run."""


def make_prompt(
    schema: Schema,
    history: History,
    commands: Callable[[str], list[tuple[str, str]]],
    is_complete: Callable[[str], bool],
    *,
    vi: bool = False,
    color: bool = True,
    input: Input | None = None,
    output: Output | None = None,
) -> PromptSession[str]:
    """A prompt that takes statements of several lines; ``input`` and ``output`` for tests."""
    lexer = None
    if color:
        from pygments.lexers.sql import SqlLexer

        lexer = PygmentsLexer(SqlLexer)
    return PromptSession(
        PROMPT,
        prompt_continuation=lambda width, line, wrapped: CONTINUED,
        multiline=True,
        completer=SqlCompleter(schema, commands),
        complete_in_thread=True,
        complete_while_typing=True,
        history=KeptHistory(history),
        enable_open_in_editor=True,
        editing_mode=EditingMode.VI if vi else EditingMode.EMACS,
        lexer=lexer,
        color_depth=None if color else ColorDepth.DEPTH_1_BIT,
        key_bindings=_keys(is_complete),
        input=input,
        output=output,
    )


def _keys(is_complete: Callable[[str], bool]) -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter", filter=~completion_is_selected & ~is_searching)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_complete(buffer.text):  # wherever the cursor is, as in psql
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=not buffer.document.text.startswith((".", "\\")))

    @keys.add("enter", filter=has_completions & completion_is_selected)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        get_app().current_buffer.validate_and_handle()

    return keys
