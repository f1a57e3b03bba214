"""The built-in goals by name and arity, and what the plain ones compute."""

from __future__ import annotations

import re
from typing import Any

from tests.language.rules.values import Value

Key = tuple[str, int]

COMPARISONS = frozenset(
    [
        "\\=",
        "==",
        "\\==",
        "=:=",
        "=\\=",
        "<",
        ">",
        "=<",
        ">=",
        "=@=",
        "\\=@=",
        "@<",
        "@>",
        "@=<",
        "@>=",
    ]
)
TESTS = frozenset(
    {("contains", 2), ("starts_with", 2), ("ends_with", 2), ("like", 2), ("ilike", 2)}
    | {("matches", 2), ("is_null", 1), ("is_not_null", 1), ("true", 0), ("false", 0), ("fail", 0)}
)
WINDOWS = frozenset(
    [
        "row_number",
        "rank",
        "dense_rank",
        "percent_rank",
        "cume_dist",
        "ntile",
        "lag",
        "lead",
        "first_value",
        "last_value",
        "nth_value",
        "running_sum",
        "running_avg",
        "running_min",
        "running_max",
        "running_count",
        "moving_sum",
        "moving_avg",
        "moving_min",
        "moving_max",
        "moving_count",
    ]
)


def _like(text: str, pattern: str, flags: int = 0) -> bool:
    parts = {"%": ".*", "_": "."}
    regex = "".join(parts.get(mark, re.escape(mark)) for mark in pattern)
    return re.fullmatch(regex, text, re.DOTALL | flags) is not None


TEXT_TESTS = {
    "contains": lambda s, t: t in s,
    "starts_with": lambda s, t: s.startswith(t),
    "ends_with": lambda s, t: s.endswith(t),
    "like": _like,
    "ilike": lambda s, p: _like(s, p, re.IGNORECASE),
    "matches": lambda s, r: re.search(r, s) is not None,
}


def _null_safe(function: Any) -> Any:
    return lambda *args: [None if None in args else function(*args)]


def _atom_number(text: str | None) -> list[Value]:
    try:
        return [None] if text is None else [float(text)]
    except ValueError:
        return []


# Name and arity → the results that a function goal gives for its arguments but the last.
FUNCTIONS: dict[Key, Any] = {
    ("string_lower", 2): _null_safe(str.lower),
    ("string_upper", 2): _null_safe(str.upper),
    ("string_length", 2): _null_safe(len),
    ("trim", 2): _null_safe(lambda s: s.strip(" ")),
    ("string_concat", 3): _null_safe(lambda a, b: a + b),
    ("substring", 4): _null_safe(lambda s, start, n: s[start - 1 : start - 1 + n]),
    ("replace", 4): _null_safe(lambda s, a, b: s.replace(a, b) if a else s),
    ("atom_number", 2): _atom_number,
    ("coalesce", 2): lambda items: [next((i for i in items if i is not None), None)],
}
# Aggregates that are not a function of whole columns.
OTHER_OPERATIONS = {"percentile", "string_agg", "collect_list", "collect_set", "count_if", "filter"}
