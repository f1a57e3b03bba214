"""SQL text to sqlglot's tree and back. Paths in FROM stay in single quotes, as they were written.

sqlglot reads ``FROM 'a.csv'`` as a quoted name and writes ``"a.csv"``, which is a table of that
name and no file.
"""

from __future__ import annotations

import re
from typing import cast

from sqlglot import exp, parse
from sqlglot.errors import ParseError, SqlglotError, TokenError

from dovetail.errors import Location, QuerySyntaxError
from dovetail.language.sql.lexing import tokens_of
from dovetail.quoting import sql_string

_MARK = "dovetail_path_{}_"


def read(sql: str, dialect: str = "duckdb") -> exp.Expression:
    """The tree of one statement.

    Raises:
        QuerySyntaxError: the text does not parse, or is not one statement.
    """
    try:
        trees = [tree for tree in parse(sql, dialect=dialect) if tree is not None]
    except ParseError as error:
        found = error.errors[0] if error.errors else {}
        place = None
        if found.get("line"):
            lines = sql.split("\n")
            line, column = int(found["line"]), int(found.get("col") or 1)
            column = max(1, column - len(str(found.get("highlight") or "")) + 1)
            excerpt = lines[line - 1] if line <= len(lines) else ""
            place = Location(line, column, excerpt)
        what = str(found.get("description") or "the text does not parse").rstrip(".")
        what = re.sub(r" but got <Token .*text: ([^,]*),.*", r' and not "\1"', what)
        what = re.sub(r" <Token .*", "", what).replace('"SENTINEL"', "the end of the text")
        raise QuerySyntaxError(f"syntax error: {what}", location=place) from None
    except TokenError as error:
        raise QuerySyntaxError(f"syntax error: {str(error).splitlines()[0]}") from None
    except SqlglotError as error:
        raise QuerySyntaxError(f"the text cannot be read: {error}") from None
    if len(trees) != 1:
        raise QuerySyntaxError(f"one statement is wanted; there are {len(trees)}")
    return cast(exp.Expression, trees[0])


def write(tree: exp.Expression, sources: str, dialect: str = "duckdb", pretty: bool = True) -> str:
    """The text of ``tree``; names that are string constants in ``sources`` are paths."""
    paths = _strings(sources)
    tree = tree.copy()
    marks: dict[str, str] = {}
    for table in tree.find_all(exp.Table):
        name = table.this
        if isinstance(name, exp.Identifier) and name.args.get("quoted") and name.this in paths:
            mark = _MARK.format(len(marks))
            marks[mark] = name.this
            table.set("this", exp.Identifier(this=mark, quoted=False))
    text = tree.sql(dialect=dialect, pretty=pretty, comments=True)
    for mark, path in marks.items():
        text = text.replace(mark, sql_string(path))
    return text


def _strings(sql: str) -> set[str]:
    found = set()
    for offset, word in tokens_of(sql):
        if word == "'":
            match = re.compile(r"'((?:[^']|'')*)'").match(sql, offset)
            if match is not None:
                found.add(match[1].replace("''", "'"))
    return found
