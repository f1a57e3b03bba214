"""``'db.sqlite'.table``: a quoted path before a dot, which DuckDB's grammar does not have."""

from __future__ import annotations

import re

from dovetail.language.sql.lexing import tokens_of

_PATH = re.compile(r"'((?:[^']|'')*)'(\s*\.)")


def database_paths(sql: str) -> str:
    """``sql`` with every text constant that stands before a dot as a quoted name.

    Only constants as DuckDB's own lexer sees them are touched, so text inside comments and other
    constants stays as it is.
    """
    result: list[str] = []
    done = 0
    for offset, word in tokens_of(sql):
        match = _PATH.match(sql, offset) if word == "'" and offset >= done else None
        if match is None:
            continue
        path = match[1].replace("''", "'").replace('"', '""')
        result += [sql[done:offset], f'"{path}"', match[2]]
        done = match.end()
    return "".join([*result, sql[done:]])
