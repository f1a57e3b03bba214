"""Writes the bodies of macros in place of their calls.

An argument is put in as text in parentheses, as many times as the body names it, which is what
DuckDB's own macros do. The text that comes out is judged and planned like any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dovetail.errors import BindError, Location, NotSupportedError
from dovetail.functions.macros import Macro, macros
from dovetail.language.sql.lexing import tokens_of

_AFTER = ("over", "filter", "within", "ignore", "respect")
_INSIDE = ("distinct", "order", "ignore", "respect")


@dataclass(frozen=True)
class _Call:
    macro: Macro
    start: int
    end: int
    arguments: tuple[tuple[int, int], ...]


def expand(sql: str) -> str:
    """``sql`` with every call of a macro replaced by the body of the macro.

    Raises:
        BindError: a macro has too few or too many arguments.
        NotSupportedError: a macro is called as a method, or with OVER, FILTER or DISTINCT.
    """
    pieces: list[str] = []
    last = 0
    for call in _calls(sql):
        pieces += [sql[last : call.start], _written(call, sql)]
        last = call.end
    return "".join([*pieces, sql[last:]])


def _written(call: _Call, sql: str) -> str:
    values = {}
    for index, (name, default) in enumerate(call.macro.parameters):
        if index < len(call.arguments):
            start, end = call.arguments[index]
            values[name] = f"({expand(sql[start:end]).strip()})"
        else:
            values[name] = default or ""
    return f"({_filled(call.macro.body, values)})"


def _filled(body: str, values: dict[str, str]) -> str:
    """The body with its parameters replaced, outside of strings and after no dot."""
    pieces: list[str] = []
    last = 0
    tokens = tokens_of(body)
    for index, (offset, word) in enumerate(tokens):
        if word in values and (index == 0 or tokens[index - 1][1] != "."):
            pieces += [body[last:offset], values[word]]
            last = offset + len(word)
    return "".join([*pieces, body[last:]])


def _calls(sql: str) -> list[_Call]:
    """The outermost calls of macros, in order."""
    known = macros()
    tokens = tokens_of(sql)
    found: list[_Call] = []
    index = 0
    while index < len(tokens):
        offset, word = tokens[index]
        name = known.get(word)
        if name is None or index + 1 >= len(tokens) or tokens[index + 1][1] != "(":
            index += 1
            continue
        if index and tokens[index - 1][1] == ".":
            raise NotSupportedError(
                f'"{word}" is a macro and no method: write {name.signature}',
                location=Location.of_offset(sql, offset),
            )
        call, index = _call(sql, tokens, index, name)
        found.append(call)
    return found


def _call(sql: str, tokens: list[tuple[int, str]], index: int, macro: Macro) -> tuple[_Call, int]:
    offset = tokens[index][0]
    where = Location.of_offset(sql, offset)
    start = tokens[index + 1][0] + 1
    arguments: list[tuple[int, int]] = []
    depth = 0
    position = index + 2
    while position < len(tokens):
        place, word = tokens[position]
        if depth == 0 and word in (",", ")"):
            if sql[start:place].strip() or word == ",":
                arguments.append((start, place))
            start = place + 1
            if word == ")":
                break
        if depth == 0 and (
            (word == "distinct" and position == index + 2)
            or (word in _INSIDE[1:] and position > index + 2)
        ):
            raise _refused(macro, word, where)
        depth += (word in ("(", "[", "{")) - (word in (")", "]", "}"))
        position += 1
    end = tokens[position][0] + 1 if position < len(tokens) else len(sql)
    following = tokens[position + 1][1] if position + 1 < len(tokens) else ""
    if following in _AFTER and re.match(rf"\s*{following}\s*\(", sql[end:], re.IGNORECASE):
        raise _refused(macro, following, where)
    least = sum(1 for _, default in macro.parameters if default is None)
    if not least <= len(arguments) <= len(macro.parameters):
        raise BindError(
            f"{macro.name} takes {macro.signature}; {len(arguments)} "
            f"argument{'' if len(arguments) == 1 else 's'} given",
            location=where,
        )
    return _Call(macro, offset, end, tuple(arguments)), position + 1


def _refused(macro: Macro, word: str, where: Location) -> NotSupportedError:
    body = " ".join(macro.body.split())
    shown = body if len(body) < 200 else body[:200] + " …"
    return NotSupportedError(
        f"{macro.name} is a macro, and {word.upper()} belongs to the functions in it: {shown}",
        location=where,
    )
