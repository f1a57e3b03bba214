"""Which constant expressions may be folded while planning, and values as SQL literals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from dovetail.language.sql import judge_functions
from dovetail.language.sql.aggregates import AGGREGATES
from dovetail.quoting import sql_string
from dovetail.types import Type

_NOT_FOLDED: Final = (
    judge_functions.VOLATILE | judge_functions.GROWING | AGGREGATES | frozenset(("unnest",))
)
_FOLDED_NODES: Final = judge_functions.names(
    "BETWEEN CASE CAST COLLATE COMPARISON CONJUNCTION CONSTANT FUNCTION OPERATOR"
)
# Text of these types, cast back, is known to give the same value; others are checked.
EXACT_AS_TEXT: Final = judge_functions.names("boolean integer decimal float text date timestamp")


def expressions_of(value: Any) -> Iterator[dict[str, Any]]:
    """Every expression node inside a part of DuckDB's tree."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if "class" in item:
                yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def functions_of_constant(node: dict[str, Any]) -> frozenset[str] | None:
    """The functions of an expression tree, or None when it may not be folded."""
    functions = set()
    for part in expressions_of(node):
        if part["class"] not in _FOLDED_NODES:
            return None
        if part["class"] == "FUNCTION":
            name = part["function_name"].lower()
            unary = len(part.get("children") or ()) == 1
            if name not in judge_functions.ALLOWED or name in _NOT_FOLDED:
                return None
            if unary and name in judge_functions.CONSTANT_PER_QUERY_UNARY:
                return None
            functions.add(name)
    return frozenset(functions)


def is_quick(functions: frozenset[str] | None) -> bool:
    """Whether an expression consists of operators and interval units only."""
    return functions is not None and all(
        not name.isidentifier() or name.startswith("to_") or name == "trunc" for name in functions
    )


def probe(text: str) -> str:
    """Two SELECT items: the type of an expression, and its value as text."""
    return f"typeof({text}), CAST({text} AS VARCHAR)"


def literal_of(type_: Type, value: str) -> str:
    """The value, given as DuckDB's text of it, as a literal of exactly this type."""
    if type_.text == "VARCHAR":
        return sql_string(value)
    if type_.text == "BOOLEAN":
        return value.upper()
    if type_.text == "INTEGER" and value != "-2147483648":
        return value
    return f"CAST({sql_string(value)} AS {type_})"
