"""A light look at SQL text before anything heavy is loaded.

It finds the parameters, the string literals and whether the table ``stdin`` is read, skipping
comments and quoted text. What the SQL means is decided by the session, never here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<line>--[^\n]*)
    | (?P<block>/\*)
    | (?P<dollar>\$(?P<tag>[A-Za-z_]\w*)?\$)
    | (?P<parameter>\$\w+)
    | (?P<named>::?[A-Za-z_]\w*)
    | (?P<string>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<word>[^\W\d]\w*)
    | (?P<number>\d[\w.]*)
    | (?P<symbol>.)
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens(text: str) -> Iterator[tuple[str, str]]:
    """``(kind, text)`` of everything but white space and comments."""
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:  # the last alternative takes any character
            return
        kind, position = match.lastgroup or "symbol", match.end()
        if match["block"]:
            position = _end_of_comment(text, position)
        elif match["dollar"]:
            end = text.find(match["dollar"], position)
            stop = len(text) if end < 0 else end
            yield "string", text[position:stop]
            position = stop + len(match["dollar"])
        elif kind == "string":
            yield kind, match[0][1:-1].replace("''", "'")
        elif kind == "quoted":
            yield kind, match[0][1:-1].replace('""', '"')
        elif kind not in ("space", "line"):
            yield kind, match[0]


def _end_of_comment(text: str, position: int) -> int:
    depth = 1  # comments nest in DuckDB
    for match in re.compile(r"/\*|\*/").finditer(text, position):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    return len(text)


def parameter_names(text: str) -> set[str]:
    """The names after ``$``: parameters that must be given."""
    return {t[1:] for kind, t in tokens(text) if kind == "parameter"}


def possible_parameter_names(text: str) -> set[str]:
    """Also the names after a ``:``, which may be a parameter or part of a slice."""
    named = {t[1:] for kind, t in tokens(text) if kind == "named" and not t.startswith("::")}
    return parameter_names(text) | named


def string_literals(text: str) -> set[str]:
    """The contents of all string literals; a path in FROM is one of them."""
    return {t for kind, t in tokens(text) if kind == "string"}


def reads_stdin(text: str) -> bool:
    """Whether a table ``stdin`` stands in a FROM or JOIN."""
    before = ""
    in_from = False
    for kind, token in tokens(text):
        word = token.lower()
        if kind == "word" and word in ("from", "join"):
            in_from = True
        elif kind == "word" and word in _ENDS_FROM:
            in_from = False
        elif in_from and (kind, word) == ("word", "stdin") and before in _BEFORE_TABLE:
            return True
        before = word if kind in ("word", "symbol") else ""
    return False


_BEFORE_TABLE = ("from", "join", ",", "(")
_ENDS_FROM = ("select", "where", "group", "having", "order", "limit", "qualify", "window", "on")
