"""Where the motions and text objects of vi lead, over plain text and numbers of characters.

A motion answers with a :class:`Target`; an operator covers what lies between it and the cursor. The
rules are those of the POSIX description of ``vi``, words as in its ``w``, ``b`` and ``e``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_WORD = re.compile(r"\w+|[^\w\s]+")
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_QUOTES = "'\"`"


class Target(NamedTuple):
    """``at`` characters from the start; ``kind`` is ``exclusive``, ``inclusive`` or ``lines``."""

    at: int
    kind: str = "exclusive"


class Span(NamedTuple):
    """From ``start`` up to and without ``end``; ``lines`` when it is made of whole lines."""

    start: int
    end: int
    lines: bool = False


def line_start(text: str, at: int) -> int:
    """Where the line of ``at`` begins."""
    return text.rfind("\n", 0, at) + 1


def line_end(text: str, at: int) -> int:
    """Where the line of ``at`` ends, before its line feed."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def first_letter(text: str, at: int) -> int:
    """The first character of the line that is no space."""
    start, end = line_start(text, at), line_end(text, at)
    line = text[start:end]
    return start + len(line) - len(line.lstrip())


def row_start(text: str, row: int) -> int:
    """Where line ``row`` begins, counted from 0; the last line for numbers beyond."""
    at = 0
    for _ in range(row):
        end = text.find("\n", at)
        if end < 0:
            return at
        at = end + 1
    return at


def motion(name: str, text: str, at: int, count: int | None, letter: str = "") -> Target | None:
    """Where the motion ``name`` leads from ``at``; None when it leads nowhere.

    ``letter`` is what ``f``, ``F``, ``t`` and ``T`` look for.
    """
    times = count or 1
    start, end = line_start(text, at), line_end(text, at)
    match name:
        case "left":
            return Target(max(start, at - times))
        case "right":
            return Target(min(end, at + times))
        case "down" | "up":
            return _vertical(text, at, times if name == "down" else -times)
        case "word":
            starts = [m.start() for m in _WORD.finditer(text, at) if m.start() > at]
            return Target(starts[times - 1] if len(starts) >= times else len(text))
        case "back":
            starts = [m.start() for m in _WORD.finditer(text[:at]) if m.start() < at]
            return Target(starts[-times] if len(starts) >= times else 0)
        case "word_end":
            ends = [m.end() - 1 for m in _WORD.finditer(text, at) if m.end() - 1 > at]
            found = ends[times - 1] if len(ends) >= times else max(len(text) - 1, 0)
            return Target(found, "inclusive")
        case "line_start":
            return Target(start)
        case "first_letter":
            return Target(first_letter(text, at))
        case "line_last":
            return Target(max(start, end - 1), "inclusive") if end > start else Target(start)
        case "first_row":
            return Target(first_letter(text, row_start(text, times - 1)), "lines")
        case "last_row":
            row = text.count("\n") if count is None else count - 1
            return Target(first_letter(text, row_start(text, row)), "lines")
        case "paragraph" | "paragraph_back":
            return _paragraph(text, at, times, back=name.endswith("back"))
        case "find" | "find_back" | "till" | "till_back":
            return _letter(name, text, at, times, letter)
        case "pair":
            return _pair(text, at, end)
    return None


def _vertical(text: str, at: int, by: int) -> Target | None:
    row, column = text.count("\n", 0, at), at - line_start(text, at)
    if not 0 <= row + by <= text.count("\n"):
        return None
    start = row_start(text, row + by)
    return Target(min(start + column, line_end(text, start)), "lines")


def _paragraph(text: str, at: int, times: int, *, back: bool) -> Target:
    blank = [m.start() for m in re.finditer(r"^[ \t]*$", text, re.MULTILINE)]
    if back:
        before = [b for b in blank if b < line_start(text, at)]
        return Target(before[-times] if len(before) >= times else 0)
    after = [b for b in blank if b > at]
    return Target(after[times - 1] if len(after) >= times else len(text))


def _letter(name: str, text: str, at: int, times: int, letter: str) -> Target | None:
    start, end = line_start(text, at), line_end(text, at)
    near = 1 if name.startswith("till") else 0
    if name.endswith("back"):
        places = [i for i in range(start, at) if text[i] == letter]
        return Target(places[-times] + near) if len(places) >= times else None
    places = [i for i in range(at + 1, end) if text[i] == letter]
    return Target(places[times - 1] - near, "inclusive") if len(places) >= times else None


def _pair(text: str, at: int, end: int) -> Target | None:
    closing = {close: opening for opening, close in _PAIRS.items()}
    for place in range(at, end):
        letter = text[place]
        if letter in _PAIRS or letter in closing:
            break
    else:
        return None
    step = 1 if letter in _PAIRS else -1
    other = _PAIRS.get(letter) or closing[letter]
    depth, here = 0, place
    while 0 <= here < len(text):
        depth += (text[here] == letter) - (text[here] == other)
        if depth == 0:
            return Target(here, "inclusive")
        here += step
    return None


def text_object(around: bool, letter: str, text: str, at: int) -> Span | None:
    """What ``iw``, ``a(``, ``i'`` and the like cover; ``around`` takes the delimiters along."""
    if letter == "w":
        for found in re.finditer(r"\w+|[^\w\s]+|[^\S\n]+", text):
            if found.start() <= at < found.end():
                spaces = re.compile(r"[^\S\n]*").match(text, found.end()) if around else None
                return Span(found.start(), spaces.end() if spaces else found.end())
        return None
    if letter in _QUOTES:
        start, end = line_start(text, at), line_end(text, at)
        places = [i for i in range(start, end) if text[i] == letter]
        for first, last in zip(places[::2], places[1::2], strict=False):
            if at <= last:
                return Span(first, last + 1) if around else Span(first + 1, last)
        return None
    for opening, close in _PAIRS.items():
        if letter in (opening, close) or (letter == "b" and opening == "("):
            return _enclosed(around, opening, close, text, at)
    return None


def _enclosed(around: bool, opening: str, close: str, text: str, at: int) -> Span | None:
    depth = 0
    for start in range(at, -1, -1):
        depth += (text[start] == close and start != at) if start < len(text) else 0
        if start < len(text) and text[start] == opening:
            if depth == 0:
                break
            depth -= 1
    else:
        return None
    depth = 0
    for end in range(start, len(text)):
        depth += (text[end] == opening) - (text[end] == close)
        if depth == 0:
            return Span(start, end + 1) if around else Span(start + 1, end)
    return None


def covered(text: str, at: int, target: Target) -> Span:
    """What an operator covers from ``at`` to where a motion leads."""
    low, high = sorted((at, target.at))
    if target.kind == "lines":
        return whole_lines(text, low, high)
    return Span(low, high + 1 if target.kind == "inclusive" else high)


def whole_lines(text: str, low: int, high: int) -> Span:
    """The lines from that of ``low`` to that of ``high``, with the line feed of the last."""
    return Span(line_start(text, low), min(line_end(text, high) + 1, len(text)), True)
