"""``--expect``: how many rows a result should have, for data tests in scheduled jobs."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from dovetail.errors import ExpectationError, UsageError

_OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "": operator.eq,
    "=": operator.eq,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Expectation:
    """A number of rows."""

    text: str
    compare: Callable[[int, int], bool]
    rows: int

    def check(self, rows: int) -> None:
        """Raise :class:`ExpectationError` unless ``rows`` is as expected."""
        if not self.compare(rows, self.rows):
            plural = "" if rows == 1 else "s"
            raise ExpectationError(f"expected {self.text} rows; {rows:,} row{plural} found")


def parse_expectation(text: str | None) -> Expectation | None:
    """``none``, ``some``, ``5`` or ``>=5``. Raises :class:`UsageError`."""
    if text is None:
        return None
    if text.strip().lower() == "none":
        return Expectation("no", operator.eq, 0)
    if text.strip().lower() == "some":
        return Expectation("some", operator.gt, 0)
    match = re.fullmatch(r"\s*(>=|<=|>|<|=|)\s*(\d+)\s*", text)
    if match is None:
        raise UsageError(f"--expect takes none, some, a number, or one such as '>=5', not {text!r}")
    return Expectation(text.strip(), _OPERATORS[match[1]], int(match[2]))
