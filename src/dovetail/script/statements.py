"""A script as statements: split by DuckDB's lexer, at ``;`` and at ``GO`` lines, and sorted.

``GO`` alone on a line (in any case, with spaces or a ``--`` comment) ends a statement as ``;``
does. It has to be seen before parsing: ``select 1⏎GO`` is a column called GO to any parser.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from dovetail.errors import Location, QuerySyntaxError, RefusedError
from dovetail.language.sql.lexing import leading_blank, tokens_of

QUERY_WORDS = frozenset(
    """
    select with from values table describe desc summarize show pivot pivot_wider unpivot
    pivot_longer (
    """.split()  # noqa: SIM905 - a row of words
)
_GO = re.compile(r"[ \t]*go[ \t]*(?:--.*)?", re.IGNORECASE)
_GO_WITH_MORE = re.compile(r"[ \t]*go[ \t]+\d+[ \t]*;?[ \t]*(?:--.*)?", re.IGNORECASE)
_NAME = r'(?:"(?:[^"]|"")+"|[^\W\d]\w*)'
_CREATE = re.compile(
    rf"create\s+(?P<replace>or\s+replace\s+)?(?:temp|temporary)\s+(?P<kind>table|view)\s+"
    rf"(?P<name>{_NAME})\s*(?:\([^()]*\)\s*)?as\b\s*",
    re.IGNORECASE,
)
_EXPLAIN = re.compile(r"explain\s+(?P<analyze>analyze\s+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Statement:
    """One statement of a script.

    ``kind`` is ``query``, ``explain``, ``analyze``, ``table`` or ``view``; ``query`` is the SELECT
    in it, which begins at ``query_start`` of ``script``; ``name`` is what a temporary table or
    view is called.
    """

    number: int
    script: str
    start: int
    end: int
    kind: str
    query: str
    query_start: int
    name: str = ""
    replaces: bool = False
    origin: str = ""

    @property
    def text(self) -> str:
        """The statement as it is written."""
        return self.script[self.start : self.end]

    @property
    def first_line(self) -> int:
        """The line of its first word, from 1."""
        return self.script.count("\n", 0, self.start) + 1

    @property
    def last_line(self) -> int:
        """The line of its last word."""
        return self.script.count("\n", 0, self.end) + 1

    @property
    def word(self) -> str:
        """Its first word in capitals."""
        return _first_word(self.text)

    @property
    def has_rows(self) -> bool:
        """Whether it gives a result."""
        return self.kind not in ("table", "view")


def split(script: str, origin: str = "", first: int = 1) -> list[Statement]:
    """The statements of ``script``, numbered from ``first``.

    ``origin`` says where the text is from, for messages. A first line with ``#!`` is skipped.

    Raises:
        QuerySyntaxError: a line such as ``GO 5``.
        RefusedError: a statement that is neither a query nor makes a temporary object.
    """
    text = script
    if script.startswith("#!"):
        # Spaces keep every line and column where it is.
        end = script.find("\n")
        end = len(script) if end < 0 else end
        text = " " * end + script[end:]
    found: list[Statement] = []
    for start, end in _spans(text):
        found.append(_sorted(text, start, end, first + len(found), origin))
    return found


def _spans(text: str) -> list[tuple[int, int]]:
    spans = []
    start = 0
    for offset, length in [*_ends(text), (len(text), 0)]:
        begin = start + leading_blank(text[start:offset])
        body = text[begin:offset].rstrip()
        if body:
            spans.append((begin, begin + len(body)))
        start = offset + length
    return spans


def _ends(text: str) -> list[tuple[int, int]]:
    """``(offset, length)`` of everything that ends a statement."""
    ends = []
    for offset, word in tokens_of(text):
        if word == ";":
            ends.append((offset, 1))
        elif word == "go":
            begin = text.rfind("\n", 0, offset) + 1
            end = text.find("\n", offset)
            line = text[begin : len(text) if end < 0 else end].rstrip("\r")
            if _GO.fullmatch(line):
                ends.append((offset, 2))
            elif _GO_WITH_MORE.fullmatch(line):
                raise QuerySyntaxError(
                    "GO stands alone on its line; a number of repetitions is not supported",
                    location=Location.of_offset(text, offset),
                )
    return ends


def _sorted(text: str, start: int, end: int, number: int, origin: str) -> Statement:
    body = text[start:end]
    plain = Statement(number, text, start, end, "query", body, start, origin=origin)
    made = _CREATE.match(body)
    if made is not None:
        name = made["name"]
        if name.startswith('"'):
            name = name[1:-1].replace('""', '"')
        if re.search(r"\(", body[made.end("name") : made.end()]):
            raise _refused(plain, "a list of columns is not supported; name them in the SELECT")
        return replace(
            plain,
            kind=made["kind"].lower(),
            query=body[made.end() :],
            query_start=start + made.end(),
            name=name,
            replaces=made["replace"] is not None,
        )
    explained = _EXPLAIN.match(body)
    if explained is not None:
        return replace(
            plain,
            kind="analyze" if explained["analyze"] else "explain",
            query=body[explained.end() :],
            query_start=start + explained.end(),
        )
    if plain.word.lower() not in QUERY_WORDS and re.match(r"[A-Za-z]", body):
        _refuse(plain)
    return plain


def _first_word(text: str) -> str:
    match = re.match(r"\w+|\S", text)
    return match[0].upper() if match else ""


# Statements that are SQL and do not belong here; any other first word is a mistake of spelling,
# which DuckDB's parser explains best.
_OTHER_STATEMENTS = frozenset(
    """
    alter analyze attach begin call checkpoint comment commit copy create deallocate delete detach
    drop execute export force grant import insert install load merge pragma prepare replace reset
    revoke rollback set start truncate update upsert use vacuum
    """.split()  # noqa: SIM905 - a row of words
)


def _refuse(statement: Statement) -> None:
    word = statement.word.lower()
    if word not in _OTHER_STATEMENTS:
        return
    hint = "only queries may run, and create temp table or view … as select"
    if word == "create":
        hint = "a script may create temp tables and views only: create temp table … as select …"
    raise _refused(statement, hint)


def _refused(statement: Statement, hint: str) -> RefusedError:
    where = f"statement {statement.number} ({statement.word}) at line {statement.first_line}"
    error = RefusedError(f"read-only: {where} is refused; {hint}")
    error.statement = statement.number
    return error
