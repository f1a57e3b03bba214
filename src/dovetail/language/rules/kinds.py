"""Kinds of values: what a rule may compare with what.

DuckDB converts between text and numbers on its own (``'40' = 40``); rules never do.
"""

from __future__ import annotations

from dovetail.types import Type

_KINDS = {
    "integer": "number",
    "decimal": "number",
    "float": "number",
    "text": "text",
    "enum": "text",
    "uuid": "text",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamp",
    "list": "list",
    "null": "null",
}

NULL = Type('"NULL"')


def kind_of(type_: Type) -> str:
    """number, text, boolean, date, timestamp, list, null, or the name of the type's family."""
    return _KINDS.get(type_.family, type_.family)


def comparable(left: Type, right: Type) -> bool:
    """Whether two values may be compared: of one kind, or both points in time, or one NULL."""
    kinds = {kind_of(left), kind_of(right)}
    return len(kinds) == 1 or "null" in kinds or kinds == {"date", "timestamp"}


def element_type(list_type: Type) -> Type:
    """The type of the elements of a list type."""
    from dovetail.types import parse_type

    text = list_type.text
    return parse_type(text[: text.rindex("[")])
