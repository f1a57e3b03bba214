"""The statements of a text: split at ``;`` and at ``GO`` lines, outside strings and comments."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dovetail.editing.tokens import Token, tokens_of

_GO_LINE = re.compile(r"[ \t]*GO[ \t]*(?:--[^\n]*)?$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Statement:
    """One statement: ``text`` without its end mark, from ``start`` to ``end`` of the whole text.

    ``finished`` says whether an end mark follows; ``stop`` is the offset behind that mark.
    """

    text: str
    start: int
    end: int
    stop: int
    finished: bool


def statements_of(text: str) -> list[Statement]:
    """All statements of ``text`` that hold more than comments, in order."""
    found: list[Statement] = []
    start = 0
    held: list[Token] = []
    marks = _marks(text)
    for token in tokens_of(text):
        if token.start in marks:
            end = marks[token.start]
            if token.start >= start:
                _add(found, text, start, held, token.start, end)
                start, held = end, []
        elif token.start >= start and token.kind != "comment":
            held.append(token)
    _add(found, text, start, held, None, len(text))
    return found


def _add(
    found: list[Statement], text: str, start: int, held: list[Token], mark: int | None, stop: int
) -> None:
    if not held:
        return
    first, last = held[0].start, held[-1].end
    found.append(Statement(text[first:last], first, last, stop, mark is not None))


def _marks(text: str) -> dict[int, int]:
    """Where end marks begin → where they end."""
    tokens = tokens_of(text)
    marks = {t.start: t.end for t in tokens if t.kind == "symbol" and t.text == ";"}
    words = {t.start for t in tokens if t.word == "go"}
    for match in _GO_LINE.finditer(text):
        begin = match.start() + len(match[0]) - len(match[0].lstrip())
        if begin in words:  # else it lies inside a string or comment
            marks[begin] = match.end()
    return marks


def statement_at(text: str, offset: int) -> Statement | None:
    """The statement that the cursor is in or just behind; the last one before it otherwise."""
    before: Statement | None = None
    for statement in statements_of(text):
        if statement.start > offset:
            return before or statement
        if offset <= statement.stop:
            return statement
        before = statement
    return before


def is_complete(text: str) -> bool:
    """Whether Enter may run ``text``: it ends with ``;`` or ``GO`` outside strings and comments."""
    tokens = [t for t in tokens_of(text) if t.kind != "comment" or t.open]
    if not tokens or tokens[-1].open:
        return False
    marks = _marks(text)
    return tokens[-1].start in marks
