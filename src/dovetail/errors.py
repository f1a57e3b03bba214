"""Every error Dovetail raises, in one tree.

::

    DovetailError                    exit code
    ├── QueryError                   1     the user's mistake in the query, or its data
    │   ├── QuerySyntaxError               the text does not parse (line, column, excerpt)
    │   ├── UnknownNameError               no such source, table, column or function
    │   ├── BindError                      names are fine, the meaning is not (types, grouping, …)
    │   ├── RefusedError                   read-only rule, or out of the query's reach
    │   └── DataError                      a value cannot be converted or carried exactly
    ├── UsageError                   2     a flag, a parameter or a call is wrong
    │   └── ConfigError                    the configuration is wrong; lists every problem
    ├── NotSupportedError            1     a valid wish that Dovetail cannot fulfil (yet)
    ├── SourceError                  3     a source failed; always names it
    │   ├── SourceUnavailableError         cannot be reached, or went away
    │   ├── AuthenticationError            reached, but the login was refused
    │   └── SourceQueryError               the source refused or broke off a fragment (exit 1)
    │       └── StaleCatalogError          table or column gone since the catalog was read
    ├── LimitError                   4     a limit stopped the query
    │   ├── TimeoutExceededError, MemoryExceededError, TempSpaceExceededError,
    │   └── RowsExceededError, BytesExceededError
    ├── ExpectationError             5     the result has not the number of rows it should have
    ├── CancelledError               130   the caller cancelled the query
    └── InternalError                70    a fault of ours

Every message says what is wrong, where (line and column, or source and table), and what would
be valid. No message holds a secret: connectors pass driver messages through
:func:`dovetail.secrets.redact` first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DATA_MARK = "dovetail-data:"
"""SQL of ours that the engine runs raises texts that begin so for what is a :class:`DataError`."""


@dataclass(frozen=True)
class Location:
    """A place in the query text. Lines and columns count from 1, columns in characters."""

    line: int
    column: int
    excerpt: str = ""

    @staticmethod
    def of_offset(text: str, offset: int) -> Location:
        """Turn a 0-based character offset in ``text`` into a location with its source line."""
        offset = max(0, min(offset, len(text)))
        start = text.rfind("\n", 0, offset) + 1
        end = text.find("\n", offset)
        excerpt = text[start : end if end >= 0 else len(text)]
        return Location(text.count("\n", 0, offset) + 1, offset - start + 1, excerpt)

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


class DovetailError(Exception):
    """Base of all errors of this library.

    ``message`` is one sentence; ``location`` the place in the query text; ``suggestions`` what
    would be valid, best first; ``source`` and ``table`` name the place outside the text.
    ``statement`` is the number of the statement in a script, from 1.
    """

    exit_code = 70
    kind = "error"
    statement: int = 1

    def __init__(
        self,
        message: str,
        *,
        location: Location | None = None,
        suggestions: Sequence[str] = (),
        source: str | None = None,
        table: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.location = location
        self.suggestions = tuple(suggestions)
        self.source = source
        self.table = table

    def __str__(self) -> str:
        text = self.message
        if self.location is not None:
            text += f" ({self.location})"
            if self.location.excerpt:
                caret = " " * (self.location.column - 1) + "^"
                text += f"\n  {self.location.excerpt}\n  {caret}"
        return text

    def to_dict(self) -> dict[str, object]:
        """The error as plain data, for ``--errors json`` and the REST service."""
        return {
            "code": self.exit_code,
            "kind": self.kind,
            "message": self.message,
            "line": self.location.line if self.location else None,
            "column": self.location.column if self.location else None,
            "source": self.source,
            "table": self.table,
            "suggestions": list(self.suggestions),
        }


class QueryError(DovetailError):
    """The query or its data is at fault."""

    exit_code = 1
    kind = "query"


class QuerySyntaxError(QueryError):
    """The text is not SQL; carries line, column and the excerpt."""

    kind = "syntax"


class UnknownNameError(QueryError):
    """A source, table, column or function does not exist; ``suggestions`` lists near names."""

    kind = "unknown-name"


class BindError(QueryError):
    """The names are known but the query has no meaning: types, grouping, ambiguity."""

    kind = "bind"


class RefusedError(QueryError):
    """The query would write, configure, or reach beyond the configured sources."""

    kind = "refused"


class DataError(QueryError):
    """A value could not be converted, or a source holds one that cannot be carried exactly."""

    kind = "data"


class UsageError(DovetailError):
    """A flag, parameter or argument is wrong."""

    exit_code = 2
    kind = "usage"


@dataclass(frozen=True)
class ConfigProblem:
    """One mistake in a configuration: where (a dotted path, and a line when read from a file)."""

    path: str
    message: str
    valid: str = ""
    line: int | None = None

    def __str__(self) -> str:
        where = self.path or "the top level"
        at = f" (line {self.line})" if self.line is not None else ""
        tail = f"; {self.valid}" if self.valid else ""
        return f"{where}{at}: {self.message}{tail}"


class ConfigError(UsageError):
    """The configuration is wrong. ``problems`` lists all of them, not only the first."""

    kind = "config"

    def __init__(self, message: str, problems: Sequence[ConfigProblem] = ()) -> None:
        self.problems = tuple(problems)
        lines = [message, *(f"  - {problem}" for problem in self.problems)]
        super().__init__("\n".join(lines))


class NotSupportedError(DovetailError):
    """A valid wish that Dovetail cannot fulfil."""

    exit_code = 1
    kind = "not-supported"


class SourceError(DovetailError):
    """A source failed. ``source`` is always set. ``retryable`` says whether a retry may help."""

    exit_code = 3
    kind = "source"

    def __init__(
        self,
        message: str,
        *,
        source: str,
        table: str | None = None,
        retryable: bool = False,
        suggestions: Sequence[str] = (),
    ) -> None:
        super().__init__(message, source=source, table=table, suggestions=suggestions)
        self.retryable = retryable


class SourceUnavailableError(SourceError):
    """The source cannot be reached, or went away while it was read."""

    kind = "source-unavailable"


class AuthenticationError(SourceError):
    """The source was reached but refused the login."""

    kind = "authentication"


class SourceQueryError(SourceError):
    """The source refused a fragment or broke it off."""

    exit_code = 1
    kind = "source-query"


class StaleCatalogError(SourceQueryError):
    """A table or column is gone or changed since the catalog was read; a refresh may help."""

    kind = "stale-catalog"


class LimitError(DovetailError):
    """A limit of the session stopped the query."""

    exit_code = 4
    kind = "limit"


class TimeoutExceededError(LimitError):
    """The query ran longer than ``limits.timeout``."""

    kind = "timeout"


class MemoryExceededError(LimitError):
    """The query needs more than ``limits.memory`` even with spilling."""

    kind = "memory"


class TempSpaceExceededError(LimitError):
    """The disk, or ``limits.temp_space``, is full while spilling."""

    kind = "temp-space"


class RowsExceededError(LimitError):
    """The result has more rows than ``limits.max_rows``."""

    kind = "max-rows"


class BytesExceededError(LimitError):
    """The fragments moved more bytes than ``limits.max_bytes_moved``."""

    kind = "max-bytes-moved"


class ExpectationError(DovetailError):
    """A query ran, and its result has not the number of rows that was expected."""

    exit_code = 5
    kind = "expectation"


class CancelledError(DovetailError):
    """The caller cancelled the query."""

    exit_code = 130
    kind = "cancelled"


class InternalError(DovetailError):
    """A fault of Dovetail itself: a broken invariant, never the user's mistake."""

    exit_code = 70
    kind = "internal"
