"""``sql format``: one layout for SQL, with its comments, and never another meaning."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import duckdb

from dovetail.errors import NotSupportedError
from dovetail.language.sql.meaning import same_meaning
from dovetail.script.statements import Statement, split
from dovetail.sqltools.text import read, write


def formatted(sql: str, dialect: str = "duckdb") -> str:
    """``sql``, which may hold several statements, in the one layout; ends with a line feed.

    Raises:
        QuerySyntaxError: a statement does not parse.
        NotSupportedError: a statement cannot be laid out without changing it.
    """
    script = split(sql)
    parts = []
    for statement in script:
        lead = _comments_before(sql, statement.start, script[: statement.number - 1])
        parts.append(lead + _formatted(statement.text, dialect))
    ending = ";\n" if len(parts) > 1 or sql.rstrip().endswith(";") else "\n"
    return ";\n\n".join(parts) + ending


def _comments_before(sql: str, start: int, before: Sequence[Statement]) -> str:
    """The lines of comments right above a statement."""
    end = before[-1].end if before else 0
    lines = sql[end:start].lstrip(";").strip()
    return f"{lines}\n" if lines and not lines.lower().startswith("go") else ""


def _formatted(sql: str, dialect: str) -> str:
    tree = read(sql, dialect)
    text = write(tree, sql, dialect)
    if dialect == "duckdb":
        same = same_meaning(sql, text, _parser())
    else:
        same = read(text, dialect) == tree
    if not same:
        raise NotSupportedError("this statement cannot be laid out without changing its meaning")
    return text


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """A database that only parses."""
    return duckdb.connect(config={"enable_external_access": "false", "threads": "1"})
