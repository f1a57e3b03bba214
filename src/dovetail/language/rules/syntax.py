"""Text → clauses of terms.

The text is first cut at its full stops, and each clause is parsed on its own, so one run reports
the mistakes of all of them. The cut also finds what a grammar reports badly: quotes and brackets
that are never closed, and operators of other languages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from typing import Any

from dovetail.language.rules.builtins import COMPARING
from dovetail.language.rules.diagnostics import Diagnostic, RulesError, SourceText, Span, fail
from dovetail.language.rules.terms import (
    Clause,
    Compound,
    Dotted,
    ListTerm,
    Number,
    Term,
    Text,
    Var,
)

MAX_BYTES = 1 << 20
MAX_CLAUSES = 10_000
MAX_FACTS = 100_000
MAX_NESTING = 200
MAX_ARGUMENTS = 256

_FOREIGN = {
    "<=": "=<",
    "=>": ">=",
    "!=": "\\=",
    "<>": "\\=",
    "&&": ",",
    "||": ";",
    ":=": "is",
}
_TOKENS = re.compile(
    r"""(?P<space>\s+|%[^\n]*)
      | (?P<comment>/\*.*?\*/)
      | (?P<open_comment>/\*)
      | (?P<quoted>'(?:[^'\\\n]|''|\\[^\n])*'|"(?:[^"\\\n]|""|\\[^\n])*")
      | (?P<open_quote>['"])
      | (?P<number>\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][-+]?\d+)?)
      | (?P<word>\w+)
      | (?P<foreign><=(?![<>])|!=|<>|&&|\|\||(?<![=<>@\\:])=>|(?<![=\\]):=(?!=))
      | (?P<end>\.(?=\s|%|\Z))
      | (?P<open>[(\[{])
      | (?P<close>[)\]}])
      | (?P<symbol>[-+*/\\^<>=:.?@,;!|])
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", "'": "'", '"': '"'}
_WORDS = {
    "VARIABLE": "a variable",
    "NUMBER": "a number",
    "NAME": "a name",
    "QUOTED": "a text",
    "DOTTED": "a dotted name",
    "COMPARISON": "a comparison",
    "MULTIPLY": "an operator",
    "STARSTAR": "an operator",
    "CARET": "an operator",
    "PLUS": "an operator",
    "MINUS": "an operator",
    "COMMA": '","',
    "SEMICOLON": '";"',
    "BAR": '"|"',
    "OPEN": '"("',
    "CLOSE": '")"',
    "LIST_END": '"]"',
    "BRACE_END": '"}"',
    "_NECK": '":-"',
    "_END": "a full stop",
}
_OPERANDS = {"VARIABLE", "NUMBER", "NAME", "QUOTED", "DOTTED"}


def parse_program(source: SourceText) -> tuple[list[Clause], list[Diagnostic]]:
    """The clauses of a program text, and what is wrong with the others."""
    if len(source.text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise fail("R017", f"the program is longer than {MAX_BYTES} bytes (limits.rules)")
    clauses: list[Clause] = []
    errors: list[Diagnostic] = []
    for start, end, problem in _cut(source):
        if problem is not None:
            errors.append(problem)
            continue
        try:
            clauses.append(_parse(source, start, end))
        except RulesError as error:
            errors.extend(error.diagnostics)
    rules = sum(clause.kind != "fact" for clause in clauses)
    if rules > MAX_CLAUSES or len(clauses) - rules > MAX_FACTS:
        raise fail(
            "R017",
            f"the program has {rules} rules and {len(clauses) - rules} facts; the limits are "
            f"{MAX_CLAUSES} and {MAX_FACTS} (limits.rules)",
        )
    return clauses, errors


def parse_goal(text: str, name: str = "<goal>") -> Clause:
    """One goal: with or without ``?-`` and full stop.

    Raises:
        RulesError: it does not parse, or is more than one goal.
    """
    stripped = text.rstrip()
    ended = stripped.endswith(".")
    source = SourceText(name, text if ended else text + " .", len(text))
    clauses, errors = parse_program(source)
    if errors:
        raise RulesError(errors)
    if len(clauses) != 1 or clauses[0].kind not in ("fact", "goal"):
        raise fail("R016", "one goal is expected here", Span(source, 0, len(stripped)))
    clause = clauses[0]
    return Clause("goal", None, clause.head if clause.kind == "fact" else clause.body, clause.span)


def _cut(source: SourceText) -> Iterator[tuple[int, int, Diagnostic | None]]:
    """``(start, end, problem)`` of each clause; ``end`` is after its full stop."""
    text = source.text
    offset = 1 if text.startswith("﻿") else 0
    start: int | None = None
    opened: list[tuple[str, int]] = []
    problem: Diagnostic | None = None
    while offset < len(text):
        token = _TOKENS.match(text, offset)
        assert token is not None
        kind, word, place = token.lastgroup, token[0], offset
        offset = token.end()
        span = Span(source, place, offset)
        if kind in ("space", "comment"):
            continue
        if start is None:
            start = place
        if kind == "end":
            if opened and problem is None:
                bracket, at = opened[-1]
                line, column = source.place(at)
                problem = Diagnostic(
                    "R001",
                    f'the clause ends here, but "{bracket}" opened at line {line} column {column} '
                    "is not closed",
                    span,
                    f'add "{_PAIRS[bracket]}" before the full stop',
                )
            yield start, offset, problem
            start, opened, problem = None, [], None
        elif problem is not None:
            continue
        elif kind == "open_quote":
            problem = Diagnostic(
                "R001", "this quote is not closed on its line", span, "text may not span lines"
            )
            rest = text.find("\n", place)
            line_end = len(text) if rest < 0 else rest
            # The rest of the line is inside the quote; if it looks ended, the clause is over.
            if text[place:line_end].split("%")[0].rstrip().endswith("."):
                yield start, line_end, problem
                start, opened, problem = None, [], None
            offset = line_end
        elif kind == "open_comment":
            yield start, len(text), Diagnostic("R001", 'this "/*" is never closed by "*/"', span)
            return
        elif kind == "foreign":
            right = _FOREIGN[word]
            problem = Diagnostic("R001", f'"{word}" is written "{right}" here', span)
        elif kind == "open":
            opened.append((word, place))
            if len(opened) > MAX_NESTING:
                problem = Diagnostic(
                    "R017", f"nested deeper than {MAX_NESTING} (limits.rules)", span
                )
        elif kind == "close":
            if not opened:
                problem = Diagnostic("R001", f'"{word}" closes nothing', span)
            elif _PAIRS[opened[-1][0]] != word:
                bracket, at = opened[-1]
                line, column = source.place(at)
                problem = Diagnostic(
                    "R001",
                    f'"{word}" found, "{_PAIRS[bracket]}" expected: "{bracket}" was opened at '
                    f"line {line} column {column}",
                    span,
                )
            else:
                opened.pop()
        elif kind == "other":
            problem = Diagnostic("R001", f"unexpected character {word!r}", span)
    if start is not None:
        line, column = source.place(start)
        span = Span(source, start, min(len(text), start + 1))
        yield (
            start,
            len(text),
            problem
            or Diagnostic(
                "R001",
                f"end of file inside the clause that begins at line {line} column {column}; a "
                "clause ends with a full stop",
                span,
            ),
        )


def _ranges(upper: bool) -> str:
    """The letters that begin a variable, or a name, as the inside of a character class."""
    found: list[tuple[int, int]] = []
    for code in range(0x2000):
        letter = chr(code)
        if not letter.isalpha() or (letter.isupper() or letter.istitle()) is not upper:
            continue
        if found and found[-1][1] == code - 1:
            found[-1] = (found[-1][0], code)
        else:
            found.append((code, code))
    ranges = "".join(f"{chr(a)}-{chr(b)}" if b > a else chr(a) for a, b in found)
    return ranges if upper else ranges + "\u2000-\U0010ffff"


def grammar_text() -> str:
    """The grammar with its letter classes filled in."""
    text = (resources.files("dovetail.language.rules") / "grammar.lark").read_text("utf-8")
    return text.replace("@UPPER@", _ranges(True)).replace("@LOWER@", _ranges(False))


@lru_cache(maxsize=1)
def _parser() -> Any:
    from lark import Lark

    return Lark(grammar_text(), parser="lalr", lexer="contextual")


def _parse(source: SourceText, start: int, end: int) -> Clause:
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

    text = source.text[start:end]
    try:
        tree = _parser().parse(text)
    except UnexpectedToken as error:
        token = error.token
        place = start + (token.start_pos or 0)
        found = Span(source, place, place + max(1, len(str(token))))
        raise RulesError(
            [_unexpected(source, start, found, error.accepts or error.expected)]
        ) from None
    except UnexpectedCharacters as error:
        place = start + (error.pos_in_stream or 0)
        word = re.compile(r"\w+|[-+*/\\^<>=:.?@]+|.", re.DOTALL).match(source.text, place)
        found = Span(source, place, word.end() if word else place + 1)
        raise RulesError([_unexpected(source, start, found, error.allowed or set())]) from None
    return _Builder(source, start).clause(tree, Span(source, start, end))


def _unexpected(source: SourceText, start: int, found: Span, expected: set[str]) -> Diagnostic:
    word = found.text
    before = source.text[start : found.start].rstrip()
    previous = re.search(r"\w+$", before)
    declared = re.match(r":-\s*(op)\s*\(", before)
    if declared is not None:  # the operator that it names is what does not parse
        place = Span(source, start + declared.start(1), start + declared.end(1))
        return Diagnostic("R012", "the directive op is not supported: operators are fixed", place)
    first_on_line = source.place(found.start)[1] == 1
    if "_END" in expected and first_on_line and (word[0].isalpha() or word == ":-"):
        line = source.place(start + len(before) - 1)[0]
        return Diagnostic("R001", f"a full stop is missing after line {line}", found)
    if word == "(" and previous and (previous[0][0].isupper() or previous[0][0] == "_"):
        name = previous[0]
        lower = name.lstrip("_")[:1].lower() + name.lstrip("_")[1:]
        return Diagnostic(
            "R001",
            f'"{name}" is a variable, because it begins with a capital letter; a predicate name '
            f"does not: {lower}(…)",
            found,
        )
    if word == "**" and "**" in before:
        return Diagnostic("R001", '"**" does not chain; write parentheses: (A ** B) ** C', found)
    if word in COMPARING and "COMPARISON" not in expected:
        return Diagnostic("R001", f'"{word}" does not chain; write two comparisons', found)
    words = {"a term" if e in _OPERANDS else _WORDS.get(e, "") for e in expected} - {""}
    if "a term" in words:
        words -= {'"("', "an operator"}
    shown = "the full stop" if re.fullmatch(r"\.", word) else f'"{word}"'
    listed = ", ".join(sorted(words)) or "nothing more"
    return Diagnostic("R001", f"{shown} is not expected here; expected: {listed}", found)


class _Builder:
    """Turns lark's tree of one clause into terms."""

    def __init__(self, source: SourceText, base: int) -> None:
        self._source = source
        self._base = base

    def clause(self, tree: Any, span: Span) -> Clause:
        parts = tree.children
        match tree.data:
            case "fact":
                return Clause("fact", self._term(parts[0]), None, span)
            case "rule":
                return Clause("rule", self._term(parts[0]), self._term(parts[1]), span)
            case "prefix_directive":
                name = self._token_span(parts[0])
                inner = self._term(parts[1])
                both = Span(self._source, name.start, inner.span.end)
                body = Compound(str(parts[0]), (inner,), both, name)
                return Clause("directive", None, body, span)
            case kind:
                return Clause(str(kind), None, self._term(parts[0]), span)

    def _token_span(self, token: Any) -> Span:
        return self._span((token.start_pos, token.end_pos))

    def _span(self, place: tuple[int, int]) -> Span:
        return Span(self._source, self._base + place[0], self._base + place[1])

    def _term(self, tree: Any) -> Term:
        return self._placed(tree)[0]

    def _placed(self, tree: Any) -> tuple[Term, int, int]:
        """A term and where it stands in the clause: parentheses are part of the place, and of the
        terms around it, but not of the term.
        """
        parts = tree.children
        kind = tree.data
        if kind == "binary":
            left, start, _ = self._placed(parts[0])
            right, _, end = self._placed(parts[2])
            span = self._span((start, end))
            term: Term = Compound(str(parts[1]), (left, right), span, self._token_span(parts[1]))
            return term, start, end
        if kind == "unary":
            inner, _, end = self._placed(parts[1])
            start = parts[0].start_pos
            span = self._span((start, end))
            return Compound(str(parts[0]), (inner,), span, self._token_span(parts[0])), start, end
        start, end = parts[0].start_pos, parts[-1].end_pos
        if kind == "parenthesized":
            return self._term(parts[1]), start, end
        return self._closed(kind, parts, self._span((start, end))), start, end

    def _closed(self, kind: str, parts: list[Any], span: Span) -> Term:
        """A term that begins and ends with a token of its own."""
        first = str(parts[0])
        match kind:
            case "variable":
                return Var(first, span)
            case "number":
                return Number(first.replace("_", ""), span)
            case "name":
                return Text(first, span)
            case "quoted":
                return Text(_unquoted(first), span, quoted=True)
            case "dotted":
                return Dotted(_dotted(first), span)
            case "braces":
                return Compound("{}", (self._term(parts[1]),), span, span)
            case "list":
                return ListTerm(self._items(parts), span)
            case "list_with_tail":
                return ListTerm(self._items(parts[:-2]), span, self._term(parts[-2]))
        path = _dotted(first) if kind == "dotted_compound" else ()
        name = ".".join(path)
        if not path:
            name = _unquoted(first) if first[0] in "'\"" else first
        arguments = self._items(parts)
        if len(arguments) > MAX_ARGUMENTS:
            raise fail("R017", f"more than {MAX_ARGUMENTS} arguments (limits.rules)", span)
        return Compound(name, arguments, span, self._token_span(parts[0]), path)

    def _items(self, parts: list[Any]) -> tuple[Term, ...]:
        from lark import Token

        return tuple(self._term(part) for part in parts if not isinstance(part, Token))


def _unquoted(text: str) -> str:
    mark = text[0]
    body = text[1:-1].replace(mark * 2, mark)
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), body)


def _dotted(text: str) -> tuple[str, ...]:
    parts = re.findall(r"'(?:[^'\\\n]|''|\\.)*'|\w+", text)
    return tuple(_unquoted(part) if part[0] == "'" else part for part in parts)
