"""Writes the bodies of macros in place of their calls.

Where the calls stand, and where a body names its parameters, DuckDB's own tree says. An argument is
put in as text in parentheses, as many times as the body names it, which is what DuckDB's own macros
do. The text that comes out is judged and planned like any other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dovetail.engines.constants import expressions_of
from dovetail.errors import BindError, Location, NotSupportedError
from dovetail.functions.library import Library
from dovetail.functions.macros import Macro
from dovetail.language.sql.errors import char_offset
from dovetail.language.sql.judged import Judged
from dovetail.language.sql.lexing import names_of, tokens_of

_SELECT = "SELECT "
_NAME = re.compile(r'"(?:[^"]|"")*"|\w+')
_AFTER = ("over", "filter", "within", "ignore", "respect")
_INSIDE = ("distinct", "order", "ignore", "respect")

Judge = Callable[[str], Judged]


@dataclass(frozen=True)
class _Call:
    """A call in the text: its macro, its span, and the span of each argument by parameter."""

    macro: Macro
    start: int
    end: int
    arguments: dict[str, tuple[int, int]]
    location: Location


def expand(judged: Judged, library: Library, judge: Judge) -> str:
    """The text of ``judged`` with every call of a macro replaced by the body of the macro.

    ``judge`` is asked for the trees of the bodies.

    Raises:
        BindError: a macro has too few or too many arguments, or a name that it does not have.
        NotSupportedError: a macro is called as a method, or with OVER, FILTER or DISTINCT; or an
            argument names a column as the macro's body names a value inside a lambda.
    """
    tokens = tokens_of(judged.sql)
    index = {offset: number for number, (offset, _) in enumerate(tokens)}
    calls = [
        _call(judged.sql, tokens, index.get(offset), offset, library[name])
        for offset, name in sorted(judged.macro_calls)
    ]

    def rewritten(start: int, end: int) -> str:
        pieces: list[str] = []
        last = start
        for call in calls:
            if last <= call.start < end:  # what is nested is written with its argument
                pieces += [judged.sql[last : call.start], written(call)]
                last = call.end
        return "".join([*pieces, judged.sql[last:end]])

    def written(call: _Call) -> str:
        values = {}
        for name, default in call.macro.parameters:
            span = call.arguments.get(name)
            values[name] = f"({default if span is None else rewritten(*span).strip()})"
        tree = judge(_SELECT + call.macro.body).ast
        _refuse_capture(call, tree, [judged.sql[slice(*span)] for span in call.arguments.values()])
        return f"({_filled(call.macro.body, tree, values)})"

    return rewritten(0, len(judged.sql))


def columns_in(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of a tree that name a column, or a value inside a lambda."""
    return (node for node in expressions_of(tree) if node["class"] == "COLUMN_REF")


def lambda_names(tree: dict[str, Any]) -> set[str]:
    """The names, in small letters, that the lambdas in a tree give to values."""
    return {
        node["column_names"][0].lower()
        for part in expressions_of(tree)
        if part["class"] == "LAMBDA"
        for node in columns_in(part["lhs"])
    }


def _filled(body: str, tree: dict[str, Any], values: dict[str, str]) -> str:
    """The body with its parameters replaced wherever its tree names a column like one."""
    text = _SELECT + body
    places = {
        char_offset(text, node["query_location"])
        for node in columns_in(tree)
        if node["column_names"][0].lower() in values
    }
    pieces: list[str] = []
    last = len(_SELECT)
    for place in sorted(places):
        match = _NAME.match(text, place)
        assert match is not None, text
        name = match[0].strip('"').replace('""', '"').lower()
        pieces += [text[last:place], values[name]]
        last = match.end()
    return "".join([*pieces, text[last:]])


def _refuse_capture(call: _Call, tree: dict[str, Any], arguments: Sequence[str]) -> None:
    for name in sorted(lambda_names(tree)):
        if any(name in names_of(argument) for argument in arguments):
            raise NotSupportedError(
                f'{call.macro.name} calls a value "{name}" inside it (in a lambda), and the '
                "argument would be mistaken for it: rename the column in a subquery, or the value "
                "in the macro",
                location=call.location,
            )


def _call(
    sql: str, tokens: list[tuple[int, str]], index: int | None, offset: int, macro: Macro
) -> _Call:
    where = Location.of_offset(sql, offset)
    # The tree puts a.f(x) where "a" stands, and (a + b).f(x) where "f" does.
    if (
        index is None
        or tokens[index][1] != macro.name
        or tokens[index + 1][1] != "("
        or (index and tokens[index - 1][1] == ".")
    ):
        raise NotSupportedError(
            f'"{macro.name}" is a macro and no method: write {macro.signature}', location=where
        )
    start = tokens[index + 1][0] + 1
    spans: list[tuple[int, int]] = []
    depth = 0
    position = index + 2
    while position < len(tokens):
        place, word = tokens[position]
        if depth == 0 and word in (",", ")"):
            if sql[start:place].strip() or word == ",":
                spans.append((start, place))
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
    return _Call(macro, offset, end, _arguments(sql, spans, macro, where), where)


def _arguments(
    sql: str, spans: Sequence[tuple[int, int]], macro: Macro, where: Location
) -> dict[str, tuple[int, int]]:
    """The span of each argument, by position or by ``name := value``."""
    names = [name for name, _ in macro.parameters]
    given: dict[str, tuple[int, int]] = {}
    for number, (start, end) in enumerate(spans):
        named = re.match(r"\s*(\w+)\s*(?::=|=>)", sql[start:end])
        name = named[1].lower() if named else names[number] if number < len(names) else ""
        if name not in names or name in given:
            word = f'"{name}" is {"given twice" if name in given else "no parameter of it"}'
            raise BindError(
                f"{macro.name} takes {macro.signature}; "
                + (word if named else f"{len(spans)} arguments given"),
                location=where,
            )
        given[name] = (start + named.end() if named else start, end)
    missing = [name for name, default in macro.parameters if default is None and name not in given]
    if missing:
        raise BindError(
            f"{macro.name} takes {macro.signature}; {len(spans)} "
            f"argument{'' if len(spans) == 1 else 's'} given",
            location=where,
        )
    return given


def _refused(macro: Macro, word: str, where: Location) -> NotSupportedError:
    body = " ".join(macro.body.split())
    shown = body if len(body) < 200 else body[:200] + " …"
    return NotSupportedError(
        f"{macro.name} is a macro, and {word.upper()} belongs to the functions in it: {shown}",
        location=where,
    )
