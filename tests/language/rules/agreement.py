"""Runs a drawn program in both ways; two answers are the same as bags or lists of rows.

Doubles agree within 1e-9, integers exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import assume
from tests.language.rules.generate import Program
from tests.language.rules.interpreter import Answer, TooLarge, run
from tests.language.rules.placed import tables_of
from tests.language.rules.values import Overflow

from dovetail.errors import DovetailError
from dovetail.session import Session


def assert_agreement(session: Session, program: Program, text: str) -> None:
    """Rows and columns are those of the interpreter, whatever the optimizer does."""
    try:
        expected = run("\n".join(program.clauses), program.goal, tables_of(program))
    except (Overflow, TooLarge):
        assume(False)
        raise
    for rules in (True, False):
        shown = f"{text}\n?- {program.goal}.\n(optimizer {'on' if rules else 'off'})"
        try:
            with session.rules(text, program.goal, rules=rules) as result:
                columns = [name for name, _ in result.columns]
                rows = result.rows()
        except DovetailError as error:
            raise AssertionError(f"{shown}\nrefused: {error}") from error
        difference = _difference(columns, rows, expected, program.ordered)
        assert difference is None, f"{shown}\n{difference}"


def _difference(
    columns: list[str], rows: list[tuple[object, ...]], expected: Answer, ordered: bool
) -> str | None:
    if columns != expected.columns:
        return f"columns {columns}, not {expected.columns}"
    return disagreement(rows, expected.rows, ordered=ordered)


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
