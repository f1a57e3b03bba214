"""What the rule language means by a value: equality, order, arithmetic. NULL is ``None``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

Value = Any


class Overflow(Exception):
    """An integer left 64 bits: an error, never a wrap (RL-NUM-2)."""


def alike(a: Value, b: Value) -> tuple[Value, Value]:
    """Both values in a form that Python compares as the language does."""
    if isinstance(a, float) and isinstance(b, Decimal):
        return a, float(b)
    if isinstance(a, Decimal) and isinstance(b, float):
        return float(a), b
    if isinstance(a, date) and isinstance(b, str):
        return a, type(a).fromisoformat(b)
    if isinstance(a, str) and isinstance(b, date):
        return type(b).fromisoformat(a), b
    return a, b


def equal(a: Value, b: Value) -> bool:
    """SQL equality; unknown counts as no."""
    if a is None or b is None:
        return False
    a, b = alike(a, b)
    return bool(a == b)


def identical(a: Value, b: Value) -> bool:
    """Null-safe equality."""
    return equal(a, b) or (a is None and b is None)


def compare(operator: str, a: Value, b: Value) -> bool:
    """One of ``< > =< >=``; unknown counts as no."""
    if a is None or b is None:
        return False
    a, b = alike(a, b)
    tests: dict[str, Callable[[], bool]] = {
        "<": lambda: a < b,
        ">": lambda: a > b,
        "=<": lambda: a <= b,
        ">=": lambda: a >= b,
    }
    return bool(tests[operator]())


def arrange(rows: Iterable[Any], keys: Sequence[tuple[Callable[[Any], Value], bool]]) -> list[Any]:
    """``rows`` by keys of (value of a row, descending); NULLs last in both directions."""
    arranged = list(rows)
    for value, descending in reversed(keys):
        known = [row for row in arranged if value(row) is not None]
        known.sort(key=value, reverse=descending)
        arranged = known + [row for row in arranged if value(row) is None]
    return arranged


def hashable(value: Value) -> Value:
    """A value for dictionaries: booleans stay apart from integers."""
    return (type(value).__name__, value) if isinstance(value, bool) else value


def calculate(name: str, args: Sequence[Value]) -> Value:
    """One arithmetic operation; NULL in, NULL out."""
    if any(arg is None for arg in args):
        return None
    floating = any(isinstance(arg, float) for arg in args)
    numbers = [float(arg) for arg in args] if floating else list(args)
    return _in_range(_FUNCTIONS[name, len(args)](*numbers))


def _in_range(value: Value) -> Value:
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise Overflow(value)
    return value


def _truncated(a: Any, b: Any) -> Any:
    return None if b == 0 else math.trunc(Fraction(a) / Fraction(b))


def _modulo(a: Any, b: Any) -> Any:
    return None if b == 0 else a - b * math.floor(Fraction(a) / Fraction(b))


def _remainder(a: Any, b: Any) -> Any:
    return None if b == 0 else a - b * _truncated(a, b)


def _divided(a: Any, b: Any) -> Any:
    return None if b == 0 else float(a) / float(b)


def _rounded(a: Any, places: int) -> Any:
    if isinstance(a, int):
        return a
    exact = Decimal(repr(a)) if isinstance(a, float) else a
    result = exact.quantize(Decimal(1).scaleb(-int(places)), ROUND_HALF_UP)
    return float(result) if isinstance(a, float) else result


_FUNCTIONS: dict[tuple[str, int], Callable[..., Any]] = {
    ("+", 2): lambda a, b: a + b,
    ("-", 2): lambda a, b: a - b,
    ("*", 2): lambda a, b: a * b,
    ("/", 2): _divided,
    ("//", 2): _truncated,
    ("mod", 2): _modulo,
    ("rem", 2): _remainder,
    ("**", 2): lambda a, b: float(a) ** float(b),
    ("^", 2): lambda a, b: float(a) ** float(b),
    ("-", 1): lambda a: -a,
    ("abs", 1): abs,
    ("sign", 1): lambda a: (a > 0) - (a < 0),
    ("min", 2): min,
    ("max", 2): max,
    ("sqrt", 1): lambda a: math.sqrt(a),
    ("exp", 1): lambda a: math.exp(a),
    ("log", 1): lambda a: math.log(a),
    ("log", 2): lambda b, a: math.log(a) / math.log(b),
    ("log2", 1): lambda a: math.log2(a),
    ("sin", 1): lambda a: math.sin(a),
    ("cos", 1): lambda a: math.cos(a),
    ("atan", 1): lambda a: math.atan(a),
    ("floor", 1): lambda a: math.floor(a),
    ("ceiling", 1): lambda a: math.ceil(a),
    ("truncate", 1): lambda a: math.trunc(a),
    ("round", 1): lambda a: int(_rounded(a, 0)),
    ("round", 2): _rounded,
    ("integer", 1): lambda a: int(_rounded(a, 0)),
    ("float", 1): lambda a: float(a),
    ("pi", 0): lambda: math.pi,
    ("e", 0): lambda: math.e,
}


def arithmetic(name: str, count: int) -> bool:
    """Whether ``name/count`` is an arithmetic operation."""
    return (name, count) in _FUNCTIONS


def moment(text: str) -> datetime:
    """``timestamp('2024-01-31 10:00:00')``."""
    return datetime.fromisoformat(text)
