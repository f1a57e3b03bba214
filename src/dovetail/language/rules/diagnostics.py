"""What is wrong with a program, and where: codes, places, the form of a message.

The form is ``file:line:col: error[CODE]: text``, the source line, carets under the exact span and
a ``help:`` line. Columns count characters from 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dovetail.errors import Location, QueryError

_SHOWN = 10
_EXIT_CODES = {"R012": 2, "R016": 2, "R013": 4}


@dataclass(frozen=True)
class SourceText:
    """A text that positions refer to; ``name`` is what messages call it.

    ``written`` is how much of it a person wrote: a goal gets its full stop added.
    """

    name: str
    text: str
    written: int | None = None

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of a character offset, both from 1."""
        end = len(self.text) if self.written is None else self.written
        offset = max(0, min(offset, end))
        start = self.text.rfind("\n", 0, offset) + 1
        return self.text.count("\n", 0, offset) + 1, offset - start + 1

    def line(self, number: int) -> str:
        """The text of one line, without its end."""
        lines = self.text[: self.written].split("\n")
        return lines[number - 1].rstrip("\r") if 0 < number <= len(lines) else ""


@dataclass(frozen=True)
class Span:
    """Characters ``start`` to ``end`` (exclusive) of ``source``."""

    source: SourceText
    start: int
    end: int

    @property
    def line(self) -> int:
        """The line the span begins in, from 1."""
        return self.source.place(self.start)[0]

    @property
    def text(self) -> str:
        """The text itself."""
        return self.source.text[self.start : self.end]

    def __str__(self) -> str:
        line, column = self.source.place(self.start)
        return f"{self.source.name}:{line}:{column}"


@dataclass(frozen=True)
class Diagnostic:
    """One error (``R…``) or warning (``W…``)."""

    code: str
    text: str
    span: Span | None = None
    help: str = ""

    @property
    def is_warning(self) -> bool:
        """Whether it may be ignored."""
        return self.code.startswith("W")

    def render(self) -> str:
        """The message with the source line, carets and help."""
        label = "warning" if self.is_warning else "error"
        place = f"{self.span}: " if self.span is not None else ""
        lines = [f"{place}{label}[{self.code}]: {self.text}"]
        if self.span is not None:
            number, column = self.span.source.place(self.span.start)
            line = self.span.source.line(number)
            width = max(1, min(self.span.end - self.span.start, len(line) - column + 1))
            lead = "".join("\t" if c == "\t" else " " for c in line[: column - 1])
            lines += [f"  {line}", f"  {lead}{'^' * width}"]
        if self.help:
            lines.append(f"  help: {self.help}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, object]:
        """As plain data: for ``--errors json`` and for markers in an editor."""
        start = end = None
        if self.span is not None:
            start = self.span.source.place(self.span.start)
            end = self.span.source.place(self.span.end)
        return {
            "rule": self.code,
            "message": self.text,
            "file": self.span.source.name if self.span else None,
            "line": start[0] if start else None,
            "column": start[1] if start else None,
            "end_line": end[0] if end else None,
            "end_column": end[1] if end else None,
            "help": self.help,
        }


class RulesError(QueryError):
    """A program is refused or stopped. ``diagnostics`` holds all that was found, in file order."""

    kind = "rules"

    def __init__(self, diagnostics: Sequence[Diagnostic], suggestions: Sequence[str] = ()) -> None:
        first = diagnostics[0]
        location = None
        if first.span is not None:
            line, column = first.span.source.place(first.span.start)
            location = Location(line, column, first.span.source.line(line))
        super().__init__(first.text, location=location, suggestions=suggestions)
        self.diagnostics = tuple(diagnostics)
        self.exit_code = _EXIT_CODES.get(first.code, 1)

    @property
    def code(self) -> str:
        """The code of the first error: ``R001`` …"""
        return self.diagnostics[0].code

    def __str__(self) -> str:
        shown = [d.render() for d in self.diagnostics[:_SHOWN]]
        if len(self.diagnostics) > _SHOWN:
            shown.append(f"and {len(self.diagnostics) - _SHOWN} more errors")
        return "\n".join(shown)

    def to_dict(self) -> dict[str, object]:
        """The first error as plain data, and all of them under ``errors``."""
        first = self.diagnostics[0].to_dict()
        return {**super().to_dict(), **first, "errors": [d.to_dict() for d in self.diagnostics]}


def fail(
    code: str, text: str, span: Span | None = None, help: str = "", near: Iterable[str] = ()
) -> RulesError:
    """The error to raise for one mistake; ``near`` are names that would be valid."""
    return RulesError([Diagnostic(code, text, span, help)], list(near))


def did_you_mean(near: Sequence[str]) -> str:
    """``; did you mean a or b?`` or nothing."""
    return f"; did you mean {' or '.join(near)}?" if near else ""
