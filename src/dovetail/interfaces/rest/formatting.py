"""SQL laid out for reading, when that provably leaves its meaning alone."""

from __future__ import annotations


def layout(sql: str) -> str:
    """``sql`` over several lines; as it is where sqlglot would read it differently afterwards.

    sqlglot does not judge queries here (it reads some of DuckDB's SQL wrongly): the text it makes
    must parse to the very tree of the text it got.
    """
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        trees = sqlglot.parse(sql, read="duckdb")
        if len(trees) != 1 or trees[0] is None:
            return sql
        made = trees[0].sql(dialect="duckdb", pretty=True)
        again = sqlglot.parse_one(made, read="duckdb")
    except (SqlglotError, RecursionError, ValueError):
        return sql
    return made if again == trees[0] else sql
