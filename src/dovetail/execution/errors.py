"""What an error met while running really is: ours, a source's, a limit, or the data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from dovetail.connectors.base import Connector, connection_lost
from dovetail.errors import (
    DATA_MARK,
    BytesExceededError,
    CancelledError,
    DataError,
    DovetailError,
    InternalError,
    MemoryExceededError,
    RowsExceededError,
    SourceQueryError,
    SourceUnavailableError,
    StaleCatalogError,
    TempSpaceExceededError,
)
from dovetail.secrets import redact

# Raised by a fragment's decoding; after a quote it is only the SQL that an error repeats.
_DATA = re.compile(rf"(?<!'){DATA_MARK}(.*)", re.S)
# A fragment's column received as what the catalog says it is.
_RECEIVED = re.compile(r'CAST\(("(?:[^"]|"")+") AS [^()]+(?:\([\d, ]+\))?\) AS \1')


class BrokenOffError(SourceQueryError):
    """A native scan ended, and the engine did not keep what the source said."""

    @staticmethod
    def of(sources: Sequence[str]) -> BrokenOffError:
        """For a query that read these sources natively; the first is taken to be the one."""
        named = f"source {' or '.join(sources)}"
        return BrokenOffError(
            f"{named}: the statement was broken off there; the server's log says why",
            source=sources[0],
            retryable=True,
        )

    def connection_lost(self) -> SourceUnavailableError:
        """The same, once it is known that the connection is gone."""
        return connection_lost(self.message.partition(":")[0], self.source or "")


class RefusedPlanError(InternalError):
    """The engine refuses the statement that the planner made, before it has read a row.

    DuckDB has bound the query's own text by then, so it is the plan's form that it does not like
    (a correlated subquery that it cannot flatten): without rules it runs.
    """


def closed_early() -> CancelledError:
    """For whoever reads on in a result that was closed."""
    return CancelledError("the result was closed before it was read to the end")


def too_many_rows(limit: int) -> RowsExceededError:
    """For a result of more rows than ``limits.max_rows``."""
    return RowsExceededError(
        f"the result has more than {limit} rows (limits.max_rows); add a LIMIT or raise it"
    )


def moved_too_much(limit: int) -> BytesExceededError:
    """For fragments of more bytes than ``limits.max_bytes_moved``."""
    return BytesExceededError(
        f"the sources sent more than {limit} bytes (limits.max_bytes_moved); filter more, select "
        "fewer columns or raise the limit"
    )


# What DuckDB raises of a statement's form, not of its data: it refuses the form, or loses its way
# in it ("Failed to bind column reference").
_FORM = (
    "BinderException",
    "NotImplementedException",
    "ParserException",
    "CatalogException",
    "InternalException",
)


def refuses_the_plan(error: BaseException) -> bool:
    """Whether the engine refused the form of a statement."""
    return type(error).__name__ in _FORM


def refuses_the_stream(error: BaseException) -> bool:
    """Whether the engine has put a filter on a stream that it cannot apply to Arrow data.

    DuckDB 1.5.5 does so with ``IS [NOT] DISTINCT FROM`` and its like; of a table it can.
    """
    return "Arrow Scan Pushdown" in str(error)


def was_interrupted(error: BaseException) -> bool:
    """Whether the engine says that it was interrupted, directly or through Arrow."""
    return type(error).__name__ == "InterruptException" or "INTERRUPT Error" in str(error)


def translate_run_error(
    error: BaseException,
    native: Iterable[Connector],
    streams: Iterable[BaseException | None],
    relations: Mapping[str, Sequence[str]],
) -> BaseException:
    """The error to raise for what DuckDB or a reader raised.

    ``native`` are the connectors read inside the engine, ``relations`` the SQL that reads them by
    source; ``streams`` errors of fragment streams, which DuckDB wraps into its own.
    """
    for stream_error in streams:
        if isinstance(stream_error, DovetailError):
            return stream_error
    if isinstance(error, DovetailError | KeyboardInterrupt | SystemExit | GeneratorExit):
        return error
    text = str(error)
    match = _DATA.search(text)
    if match is not None:
        message = match[1].split("\n")[0].strip()
        return DataError(redact(message))
    if text.startswith("Conversion Error"):
        return _misfit(text, relations) or _from_engine(error, redact(text))
    if type(error).__name__ == "OutOfMemoryException":
        return _from_engine(error, redact(text))  # no source's, whatever file it was reading
    for connector in native:
        translated = connector.translate_error(error)
        if translated is not None:
            return translated
    for stream_error in streams:
        if stream_error is not None:
            return InternalError(redact(f"a fragment failed: {stream_error}"))
    return _from_engine(error, redact(text))


def _misfit(text: str, relations: Mapping[str, Sequence[str]]) -> StaleCatalogError | None:
    """A value that is not of the type that the catalog gives its column, or None.

    DuckDB excerpts the statement and marks the cast that failed.
    """
    lines = text.split("\n")
    for line, marks in pairwise(lines):
        if line.startswith("LINE ") and marks.strip() == "^":
            found = _RECEIVED.match(line, marks.index("^"))
            for source, texts in relations.items():
                if found is not None and any(found[0] in text for text in texts):
                    return StaleCatalogError(
                        f"source {source}: column {found[1]} changed its type since the catalog "
                        f"was read: {redact(_first_line(text))}",
                        source=source,
                        retryable=True,
                    )
    return None


def _first_line(text: str) -> str:
    return text.partition("\n")[0].removeprefix("Conversion Error: ")


def _from_engine(error: BaseException, text: str) -> BaseException:
    name = type(error).__name__
    lowered = text.lower()
    if name == "OutOfMemoryException" or "out of memory" in lowered:
        if "max_temp_directory_size" in lowered or ("temp" in lowered and "director" in lowered):
            return TempSpaceExceededError(
                "the temporary folder is full while spilling; raise limits.temp_space or narrow "
                "the query"
            )
        return MemoryExceededError(
            "the query needs more memory than limits.memory allows; raise it or narrow the query"
        )
    if "no space left" in lowered or "max_temp_directory_size" in lowered:
        return TempSpaceExceededError(
            "the disk of the temporary folder is full while spilling; free space or set "
            "limits.temp_directory"
        )
    if name == "InterruptException":
        return CancelledError("the query was cancelled")
    from dovetail.execution.messages import from_engine_text

    return from_engine_text(error, text)
