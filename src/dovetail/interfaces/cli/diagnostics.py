"""The one module that writes to stderr: notes, warnings, errors, progress, statistics.

stdout carries data and nothing else, so every word for people comes through here, and so do the
exit codes.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dovetail.errors import DovetailError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
TERMINATED = 143
CLOSED_PIPE = 141
INTERNAL = 70

_RED, _YELLOW, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[0m"
_PROGRESS_AFTER = 1.0  # seconds
_PROGRESS_EVERY = 0.2
_PLAIN_EVERY = 5.0


def wants_color(choice: str, stream: Any) -> bool:
    """Whether to colour: the flag beats FORCE_COLOR, which beats NO_COLOR and TERM=dumb."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("FORCE_COLOR"):
        return True
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(stream.isatty())


@dataclass
class Diagnostics:
    """How this run talks to stderr. ``errors`` is ``text`` or ``json``."""

    quiet: bool = False
    errors: str = "text"
    debug: bool = False
    color: str = "auto"
    progress: str = "auto"
    _told: set[str] = field(default_factory=set)
    _line: bool = False
    _started: float = field(default_factory=time.monotonic)
    _last: float = 0.0

    def note(self, text: str) -> None:
        """Say something once; silent under ``--quiet``."""
        if not self.quiet and text not in self._told:
            self._told.add(text)
            self._write(text)

    def warning(self, text: str) -> None:
        """Warn once; silent under ``--quiet``."""
        if not self.quiet and text not in self._told:
            self._told.add(text)
            self._write(f"{self._paint('warning:', _YELLOW)} {text}")

    def summary(self, text: str) -> None:
        """Row count and time: only for someone who looks at a terminal."""
        if not self.quiet and sys.stderr.isatty():
            self._write(text)

    def statistics(self, values: dict[str, Any]) -> None:
        """One JSON line for ``--stats``."""
        self._write(json.dumps(values, default=str, ensure_ascii=False))

    def short_help(self, text: str) -> int:
        """Print the help of a command that lacks what it needs; the exit code of a usage error."""
        self._write(text)
        return UsageError.exit_code

    def error(self, error: BaseException) -> int:
        """Report ``error`` and return the exit code it stands for."""
        if isinstance(error, KeyboardInterrupt):
            return INTERRUPTED
        if isinstance(error, BrokenPipeError):
            return CLOSED_PIPE
        if self.debug:
            self._write("".join(traceback.format_exception(error)).rstrip("\n"))
        if not isinstance(error, DovetailError):
            from dovetail.faults import fault_of_ours

            error = fault_of_ours(error, "; --debug shows the trace")
        if self.errors == "json":
            self._write(json.dumps(_as_data(error), ensure_ascii=False))
        else:
            # A program's errors come with file, line and column in front, one after the other.
            lead = "" if error.kind == "rules" else f"{self._paint('error:', _RED)} "
            self._write(f"{lead}{error}")
            missing = [s for s in error.suggestions if s not in str(error)]
            if missing:
                self._write(f"did you mean {' or '.join(missing[:3])}?")
        return error.exit_code

    def show_progress(self, text: str) -> None:
        """Show how far the run is: one line that is redrawn, or a line every five seconds."""
        if self.quiet or self.progress == "never":
            return
        now = time.monotonic()
        if now - self._started < _PROGRESS_AFTER:
            return
        if self.progress == "plain":
            if now - self._last >= _PLAIN_EVERY:
                self._last = now
                self._write(text)
        elif sys.stderr.isatty() and now - self._last >= _PROGRESS_EVERY:
            self._last = now
            columns = os.get_terminal_size(sys.stderr.fileno()).columns
            self._raw(f"\r\x1b[2K{text[: max(columns - 1, 10)]}")
            self._line = True

    @property
    def wants_progress(self) -> bool:
        """Whether anybody would see progress; a run is spared the calls otherwise."""
        return not self.quiet and (
            self.progress == "plain" or (self.progress == "auto" and sys.stderr.isatty())
        )

    def end_progress(self) -> None:
        """Erase the progress line."""
        if self._line:
            self._line = False
            self._raw("\r\x1b[2K")

    def _paint(self, text: str, code: str) -> str:
        return f"{code}{text}{_PLAIN}" if wants_color(self.color, sys.stderr) else text

    def _write(self, text: str) -> None:
        self.end_progress()
        self._raw(text + "\n")

    def _raw(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (BrokenPipeError, ValueError):
            pass  # nobody listens any more; the exit code still tells


def usage_error(message: str, suggestions: Sequence[str] = ()) -> UsageError:
    """A usage error whose suggestions stand in its message."""
    if suggestions:
        message += "; did you mean " + " or ".join(suggestions) + "?"
    return UsageError(message, suggestions=suggestions)


def _as_data(error: DovetailError) -> dict[str, object]:
    data = error.to_dict()
    return {
        "code": data.pop("code"),
        "kind": data.pop("kind"),
        "message": data.pop("message"),
        "statement": error.statement,
        **data,
    }
