"""Reads the text of a rule program into terms: a hand-written operator-precedence reader.

It shares nothing with the compiler's grammar, so that a mistake in one shows against the other.
Only valid programs are read well; anything else raises ``SyntaxError`` without ceremony.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Var:
    """A variable. Each ``_`` gets a name of its own that no program can write."""

    name: str

    @property
    def wild(self) -> bool:
        """Whether it was written ``_``."""
        return "#" in self.name


@dataclass(frozen=True)
class Term:
    """``name(args)``, an operator with its operands, or a bare name (no arguments)."""

    name: str
    args: tuple[Any, ...] = ()

    @property
    def key(self) -> tuple[str, int]:
        """Name and arity."""
        return self.name, len(self.args)


@dataclass(frozen=True)
class Path:
    """``user.address.city``."""

    parts: tuple[str, ...]


@dataclass(frozen=True)
class Clause:
    """``head :- body``; a fact has the body ``true``."""

    head: Term
    body: Any


@dataclass(frozen=True)
class Text:
    """What a program file holds, in file order."""

    clauses: tuple[Clause, ...]
    directives: tuple[Any, ...]
    goals: tuple[Any, ...]


_TOKEN = re.compile(
    r"""(?P<skip>\s+|%[^\n]*|/\*.*?\*/)
      | (?P<number>\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)
      | (?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
      | (?P<word>[^\W\d]\w*)
      | (?P<end>\.(?=\s|%|$))
      | (?P<sign>:-|\?-|->|\\\+|=:=|=\\=|\\=@=|=@=|\\==|==|\\=|@=<|@>=|@<|@>|=<|>=|//|\*\*
                |[-+*/^=<>;,()[\]|.])
    """,
    re.VERBOSE | re.DOTALL,
)
_COMPARISONS = [
    "=",
    "\\=",
    "==",
    "\\==",
    "=:=",
    "=\\=",
    "<",
    ">",
    "=<",
    ">=",
    "is",
    "=@=",
    "\\=@=",
    "@<",
    "@=<",
    "@>",
    "@>=",
]
# Operator → (level, level of the left operand, level of the right operand).
_INFIX: dict[str, tuple[int, int, int]] = {
    ";": (1100, 1099, 1100),
    "->": (1050, 1049, 1050),
    ",": (1000, 999, 1000),
    **dict.fromkeys(_COMPARISONS, (700, 699, 699)),
    **dict.fromkeys(("+", "-"), (500, 500, 499)),
    **dict.fromkeys(("*", "/", "//", "mod", "rem"), (400, 400, 399)),
    "**": (200, 199, 199),
    "^": (200, 199, 200),
}
_ESCAPES = {"n": "\n", "t": "\t"}
_DECLARATIONS = ("table", "dynamic", "discontiguous", "multifile", "initialization")


def read(text: str) -> Text:
    """The clauses, directives and goals of a program."""
    reader = _Reader(text)
    clauses: list[Clause] = []
    directives: list[Any] = []
    goals: list[Any] = []
    while not reader.at("eof"):
        if reader.take(":-"):
            directives.append(reader.directive())
        elif reader.take("?-"):
            goals.append(reader.term(1200))
        else:
            head = reader.term(999)
            body = reader.term(1200) if reader.take(":-") else Term("true")
            clauses.append(Clause(head, body))
        reader.expect("end")
    return Text(tuple(clauses), tuple(directives), tuple(goals))


def read_goal(text: str) -> Any:
    """One goal, with or without its full stop."""
    reader = _Reader(text)
    goal = reader.term(1200)
    if reader.at("end"):
        reader.expect("end")
    reader.expect("eof")
    return goal


def variables(term: Any) -> list[Var]:
    """The variables of a term in order of first appearance, wildcards included."""
    return list(dict.fromkeys(_walk(term)))


def _walk(term: Any) -> Iterator[Var]:
    if isinstance(term, Var):
        yield term
    parts = term if isinstance(term, tuple) else term.args if isinstance(term, Term) else ()
    for part in parts:
        yield from _walk(part)


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._place = 0
        self._fresh = itertools.count(1)

    def at(self, kind: str) -> bool:
        return self._tokens[self._place][0] == kind

    def take(self, sign: str) -> bool:
        if self._tokens[self._place] == ("sign", sign):
            self._place += 1
            return True
        return False

    def expect(self, kind: str, value: str | None = None) -> str:
        found, text = self._tokens[self._place]
        if found != kind or value not in (None, text):
            raise SyntaxError(f"{value or kind} expected, {text!r} found")
        self._place += 1
        return text

    def directive(self) -> Any:
        if self._tokens[self._place][1] in _DECLARATIONS:
            name = self.expect("word")
            return Term(name, (self.term(1200),))
        return self.term(1200)

    def term(self, level: int) -> Any:
        left, left_level = self._prefix(level)
        while True:
            kind, text = self._tokens[self._place]
            if kind not in ("sign", "word") or text not in _INFIX:
                return left
            own, left_most, right_most = _INFIX[text]
            if own > level or left_level > left_most:
                return left
            self._place += 1
            left, left_level = Term(text, (left, self.term(right_most))), own

    def _prefix(self, level: int) -> tuple[Any, int]:
        kind, text = self._tokens[self._place]
        self._place += 1
        if kind in ("number", "tight"):
            return _number(text), 0
        if kind == "text":
            return self._dotted(_unquoted(text)), 0
        if kind == "word":
            return self._named(text), 0
        if text == "(":
            inner = self.term(1200)
            self.expect("sign", ")")
            return inner, 0
        if text == "[":
            return self._list(), 0
        if text == "\\+":
            return Term("\\+", (self.term(900),)), 900
        if text == "-":
            following, number = self._tokens[self._place]
            if following == "tight":
                self._place += 1
                return -_number(number), 0
            return Term("-", (self.term(200),)), 200
        raise SyntaxError(f"{text!r} cannot begin a term")

    def _named(self, word: str) -> Any:
        if word == "_":
            return Var(f"_#{next(self._fresh)}")
        if word[0] == "_" or word[0].isupper():
            return Var(word)
        if self.take("("):
            args = [self.term(999)]
            while self.take(","):
                args.append(self.term(999))
            self.expect("sign", ")")
            return Term(word, tuple(args))
        dotted = self._dotted(word)
        return dotted if isinstance(dotted, Path) else Term(word)

    def _dotted(self, first: str) -> Any:
        parts = [first]
        while self.take("."):
            kind, text = self._tokens[self._place]
            self._place += 1
            parts.append(_unquoted(text) if kind == "text" else text)
        return Path(tuple(parts)) if len(parts) > 1 else first

    def _list(self) -> tuple[Any, ...]:
        items: list[Any] = []
        while not self.take("]"):
            items.append(self.term(999))
            if not self.take(","):
                self.expect("sign", "]")
                break
        return tuple(items)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise SyntaxError(f"unreadable: {text[place : place + 20]!r}")
        # A minus directly before a digit may belong to the number.
        tight = found.lastgroup == "number" and text[place - 1 : place] == "-"
        place = found.end()
        if found.lastgroup != "skip":
            yield "tight" if tight else str(found.lastgroup), found.group()
    yield "eof", ""


def _number(text: str) -> Any:
    plain = text.replace("_", "")
    if "e" in plain.lower():
        return float(plain)
    return Decimal(plain) if "." in plain else int(plain)


def _unquoted(text: str) -> str:
    quote = text[0]

    def escaped(found: re.Match[str]) -> str:
        mark = found.group()
        return quote if mark == quote * 2 else _ESCAPES.get(mark[1], mark[1])

    return re.sub(rf"\\.|{quote}{quote}", escaped, text[1:-1], flags=re.DOTALL)
