"""What an error met while running really is: ours, a source's, a limit, or the data."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dovetail.connectors.base import Connector
from dovetail.errors import (
    CancelledError,
    DataError,
    DovetailError,
    InternalError,
    MemoryExceededError,
    TempSpaceExceededError,
)
from dovetail.secrets import redact

_DATA = re.compile(r"dovetail-data:(.*)", re.S)


def translate_run_error(
    error: BaseException, native: Iterable[Connector], streams: Iterable[BaseException | None]
) -> BaseException:
    """The error to raise for what DuckDB or a reader raised.

    ``native`` are the connectors read inside the engine; ``streams`` errors of fragment streams,
    which DuckDB wraps into its own.
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
    for connector in native:
        translated = connector.translate_error(error)
        if translated is not None:
            return translated
    for stream_error in streams:
        if stream_error is not None:
            return InternalError(redact(f"a fragment failed: {stream_error}"))
    return _from_engine(error, redact(text))


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
