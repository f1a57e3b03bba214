"""When two answers are the same: bags of rows, or lists of rows; doubles within 1e-9."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any


def disagreement(
    found: Sequence[Sequence[Any]], wanted: Sequence[Sequence[Any]], *, ordered: bool
) -> str | None:
    """What differs, or None. Integers agree only with integers; NULL only with NULL."""
    if len(found) != len(wanted):
        return f"{len(found)} rows, not {len(wanted)}: {list(found)[:20]} {list(wanted)[:20]}"
    if not ordered:
        found, wanted = sorted(found, key=_order), sorted(wanted, key=_order)
    for number, (row, expected) in enumerate(zip(found, wanted, strict=True), 1):
        if not same(list(row), list(expected)):
            return f"row {number} is {row!r}, not {expected!r}"
    return None


def same(a: Any, b: Any) -> bool:
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, bool) or isinstance(b, bool) or None in (a, b):
        return a is b
    if isinstance(a, (float, Decimal)) and isinstance(b, (float, Decimal)):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    # The interpreter has no types, so its sum of nothing is the integer 0 for any column.
    return (isinstance(a, int) == isinstance(b, int) or a == 0) and bool(a == b)


def _order(row: Sequence[Any]) -> str:
    return repr([_shown(value) for value in row])


def _shown(value: Any) -> Any:
    """Neighbours within the tolerance sort alike, and so do the kinds of numbers."""
    if isinstance(value, (list, tuple)):
        return [_shown(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return value
    return f"{float(value):.6e}"
