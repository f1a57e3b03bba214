"""Sizes and times as people write them (``60s``, ``100MB``) and read them."""

from __future__ import annotations

from typing import Any

from dovetail.errors import UsageError


def seconds(flag: str, text: str | None) -> float | None:
    """A time in seconds, written as in the configuration. Raises :class:`UsageError`."""
    if text is None:
        return None
    from dovetail.config import parse_duration

    value = _parsed(flag, text, parse_duration)
    if value <= 0:
        raise UsageError(f"{flag} must be more than nothing, not {text}")
    return float(value)


def size(flag: str, text: str | None) -> int | None:
    """A size in bytes, written as in the configuration. Raises :class:`UsageError`."""
    if text is None:
        return None
    from dovetail.config import parse_size

    return int(_parsed(flag, text, parse_size))


def _parsed(flag: str, text: str, parse: Any) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(f'{flag} "{text}": {error}') from None


def shown_size(count: float) -> str:
    """``1.2 MB``."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"


def shown_time(milliseconds: float) -> str:
    """``12 ms`` or ``3.4 s``."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.1f} s"
