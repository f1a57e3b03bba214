"""A lexer for SQL that is still being typed.

DuckDB's own lexer refuses an open string or comment, which is what text at a cursor mostly holds.
This one never refuses: a string, quoted name or comment without its end reaches to the end of the
text and says so. What SQL *means* is decided elsewhere, by DuckDB.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dovetail.quoting import quote

_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<comment>--[^\n]*)
    | (?P<block>/\*)
    | (?P<dollar>\$(?:[A-Za-z_]\w*)?\$)
    | (?P<parameter>\$\w+)
    | (?P<string>'(?:[^']|'')*(?P<string_end>'?))
    | (?P<quoted>"(?:[^"]|"")*(?P<quoted_end>"?))
    | (?P<word>[^\W\d]\w*)
    | (?P<number>\d[\w.]*)
    | (?P<symbol>::|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


@dataclass(frozen=True)
class Token:
    """A piece of the text from ``start`` to ``end`` (character offsets).

    ``kind`` is ``word``, ``quoted``, ``string``, ``number``, ``parameter``, ``comment`` or
    ``symbol``. ``open`` is set when its end is missing.
    """

    kind: str
    text: str
    start: int
    end: int
    open: bool = False

    @property
    def word(self) -> str:
        """The lower-case word, or nothing: for comparing with key words."""
        return self.text.lower() if self.kind == "word" else ""

    @property
    def name(self) -> str:
        """The name or string value that is meant, without its quotes."""
        if self.kind in ("quoted", "string") and self.text[0] in "\"'":
            quote = self.text[0]
            inner = self.text[1:] if self.open else self.text[1:-1]
            return inner.replace(quote * 2, quote)
        return self.text


def tokens_of(text: str) -> list[Token]:
    """The tokens of ``text``, comments among them, white space left out."""
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        assert match is not None  # the last alternative takes any character
        start, position = position, match.end()
        kind = match.lastgroup or "symbol"
        if match["space"] is not None:
            continue
        is_open = False
        if match["block"] is not None:
            position, is_open = _end_of_comment(text, position)
            kind = "comment"
        elif match["dollar"] is not None:
            end = text.find(match["dollar"], position)
            is_open = end < 0
            position = len(text) if is_open else end + len(match["dollar"])
            kind = "string"
        elif match["string"] is not None:
            kind, is_open = "string", not match["string_end"]
        elif match["quoted"] is not None:
            kind, is_open = "quoted", not match["quoted_end"]
        found.append(Token(kind, text[start:position], start, position, is_open))
    return found


def _end_of_comment(text: str, position: int) -> tuple[int, bool]:
    depth = 1  # comments nest in DuckDB
    for match in _COMMENT_EDGE.finditer(text, position):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end(), False
    return len(text), True


def quote_name(name: str) -> str:
    """``name`` as SQL: bare when it can stand so, else in double quotes."""
    if re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in RESERVED:
        return name
    return quote(name)


def words(text: str) -> tuple[str, ...]:
    """The words of a list that is written as text."""
    return tuple(text.split())


# DuckDB's reserved key words (duckdb_keywords() where keyword_category = 'reserved').
RESERVED = frozenset(
    words(
        """
        all analyse analyze and any array as asc asymmetric both case cast check collate
        column constraint create default deferrable desc describe distinct do else end
        except false fetch for foreign from group having in initially intersect into lambda
        lateral leading limit not null offset on only or order pivot pivot_longer
        pivot_wider placing primary qualify references returning select show some summarize
        symmetric table then to trailing true union unique unpivot using variadic when where
        window with
        """
    )
)
