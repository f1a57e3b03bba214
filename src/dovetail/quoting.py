"""Names and texts as SQL writes them."""

from __future__ import annotations


def quote(name: str) -> str:
    """A quoted identifier of standard SQL, as DuckDB and PostgreSQL read it."""
    return '"' + name.replace('"', '""') + '"'


def backticked(name: str) -> str:
    """A quoted identifier for MySQL, and for SQLite, which takes both forms.

    A double-quoted name that SQLite does not know it takes for a string: a dropped column would be
    read as its own name.
    """
    return "`" + name.replace("`", "``") + "`"


def sql_string(text: str) -> str:
    """A string literal of standard SQL; MySQL would take a backslash in it for an escape."""
    return "'" + text.replace("'", "''") + "'"
