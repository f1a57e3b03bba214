"""Run-time errors of DuckDB in words for people."""

from __future__ import annotations

import re

from dovetail.errors import DataError, DovetailError, InternalError, QueryError

_PREFIX = re.compile(r"^[A-Z][A-Za-z ]*Error: ")


def from_engine_text(error: BaseException, text: str) -> DovetailError:
    """A :class:`DataError` for values that cannot be computed, else an internal error."""
    kind = type(error).__name__
    if text.startswith(("Conversion Error", "Out of Range Error", "Invalid Input Error")):
        kind = "ConversionException"  # it came through Arrow, as text alone
    message = _PREFIX.sub("", text.strip()).split("\n\nLINE")[0].split("\n")[0].strip()
    if kind in ("ConversionException", "OutOfRangeException", "InvalidInputException"):
        return DataError(message)
    if kind in ("BinderException", "ParserException", "NotImplementedException", "IOException"):
        return QueryError(message)
    return InternalError(f"the engine failed: {message} ({kind})")
