"""Values for ``$name``: plain JSON, or ``{"type": "DATE", "value": "2024-02-29"}``."""

from __future__ import annotations

import base64
import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from dovetail.interfaces.rest.problems import ProblemError


def _whole(value: Any) -> int:
    if isinstance(value, (bool, float)):
        raise ValueError("not a whole number")
    return int(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


_TYPES: dict[str, Callable[[Any], Any]] = {
    "BOOLEAN": _boolean,
    "TINYINT": _whole,
    "SMALLINT": _whole,
    "INTEGER": _whole,
    "BIGINT": _whole,
    "HUGEINT": _whole,
    "DOUBLE": float,
    "FLOAT": float,
    "DECIMAL": lambda value: Decimal(str(value)),
    "VARCHAR": str,
    "TEXT": str,
    "DATE": lambda value: dt.date.fromisoformat(value),
    "TIME": lambda value: dt.time.fromisoformat(value),
    "TIMESTAMP": lambda value: dt.datetime.fromisoformat(value).replace(tzinfo=None),
    "TIMESTAMPTZ": lambda value: dt.datetime.fromisoformat(value).astimezone(dt.UTC),
    "UUID": lambda value: uuid.UUID(value),
    "BLOB": lambda value: base64.b64decode(value, validate=True),
}


def parse(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Python values of the parameters of a request.

    Raises:
        ProblemError: ``parameters``, naming the parameter and what it may be.
    """
    return None if given is None else {name: _value(name, value) for name, value in given.items()}


def _value(name: str, given: Any) -> Any:
    if not isinstance(given, dict):
        return given
    if set(given) != {"type", "value"} or not isinstance(given["type"], str):
        raise ProblemError("parameters", f'{name}: a value, or {{"type": …, "value": …}}')
    type_ = given["type"].upper().partition("(")[0].strip()
    convert = _TYPES.get(type_)
    if convert is None:
        raise ProblemError("parameters", f"{name}: no type {given['type']}", valid=list(_TYPES))
    if given["value"] is None:
        return None
    try:
        return convert(given["value"])
    except (ValueError, TypeError, ArithmeticError):
        raise ProblemError("parameters", f"{name}: the value is no {type_}") from None
