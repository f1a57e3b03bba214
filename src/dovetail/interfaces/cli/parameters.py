"""``-p name=value``: query parameters. They are bound, never pasted into SQL text."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from dovetail.errors import UsageError
from dovetail.interfaces.cli.sql_text import parameter_names, possible_parameter_names


def _boolean(text: str) -> bool:
    known = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
    return known[text.strip().lower()]


# Without a type a value is text and takes the type of what it meets, like a literal in quotes.
_TYPES: dict[str, Callable[[str], Any]] = {
    "text": str,
    "int": int,
    "decimal": Decimal,
    "double": float,
    "bool": _boolean,
    "date": lambda text: date.fromisoformat(text.strip()),
    "timestamp": lambda text: datetime.fromisoformat(text.strip()),
    "json": json.loads,
}


def parse_parameters(given: Sequence[str]) -> dict[str, Any]:
    """``name=value``, ``name:type=value``, ``name=@file`` and ``name=@-`` as Python values.

    Raises :class:`UsageError` for a missing ``=``, an unknown type, a value that is not of its
    type, a file that cannot be read, and a name given twice.
    """
    values: dict[str, Any] = {}
    for item in given:
        left, equals, text = item.partition("=")
        name, colon, kind = left.partition(":")
        name = name.removeprefix("$")
        if not equals or not name.isidentifier():
            raise UsageError(f'-p takes name=value or name:type=value, not "{item}"')
        if name in values:
            raise UsageError(f'parameter "{name}" is given twice')
        if colon and kind not in _TYPES:
            raise UsageError(
                f'parameter "{name}": no type "{kind}"; the types are {", ".join(_TYPES)}'
            )
        text = _read(name, text)
        try:
            values[name] = _TYPES[kind or "text"](text)
        except (ValueError, KeyError, InvalidOperation):
            raise UsageError(f'parameter "{name}": "{text[:80]}" is no {kind}') from None
    return values


def _read(name: str, text: str) -> str:
    if not text.startswith("@"):
        return text
    if text == "@-":
        return sys.stdin.read()
    try:
        return Path(text[1:]).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f'parameter "{name}": cannot read {text[1:]}: {reason}') from None


def check_parameters(sql: str, values: dict[str, Any]) -> None:
    """Name the parameters that are missing or not used. Raises :class:`UsageError`."""
    missing = sorted(name for name in parameter_names(sql) - set(values) if not name.isdigit())
    if missing:
        raise UsageError(
            f"the query needs {_listed(missing)}; give {'it' if len(missing) == 1 else 'them'} "
            f"with -p {missing[0]}=VALUE",
            suggestions=missing,
        )
    unused = sorted(set(values) - possible_parameter_names(sql))
    if unused:
        raise UsageError(f"the query does not use {_listed(unused)}; write it as ${unused[0]}")


def _listed(names: Sequence[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"parameter{'s' if len(names) > 1 else ''} {quoted}"
