"""``sql expand``: ``*``, ``t.*``, ``EXCLUDE`` and ``COLUMNS`` written out as columns."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from dovetail.errors import NotSupportedError, UnknownNameError
from dovetail.sqltools.text import read, write

if TYPE_CHECKING:
    from dovetail.session import Session


def expanded(sql: str, session: Session) -> str:
    """``sql`` with every star written out and every column qualified.

    Raises:
        UnknownNameError: a table or column does not exist.
    """
    tree, restore = qualified(sql, session)
    restore()
    return write(tree, sql, pretty=False)


def qualified(sql: str, session: Session) -> tuple[exp.Expression, Callable[[], None]]:
    """The tree with qualified columns, and a function that puts the tables' own names back.

    Tables go by names of one part while sqlglot works: its schemas have one depth, and ours two.
    """
    session.explain(sql)  # names, types and grouping are right from here on
    tree = read(sql)
    schema = MappingSchema(dialect="duckdb")
    originals: dict[str, exp.Table] = {}
    ctes = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    for table in list(tree.find_all(exp.Table)):
        if not isinstance(table.this, exp.Identifier):
            continue
        if not table.args.get("db") and table.name.lower() in ctes:
            continue
        columns = {c.column: c.type for c in session.describe(_named(table, sql))}
        mark = f"dovetail_table_{len(originals)}"
        originals[mark] = table.copy()
        if not table.alias:
            alias = re.sub(r"\W+", "_", table.name.rsplit("/", 1)[-1].split(".")[0])
            table.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
        table.set("this", exp.to_identifier(mark))
        table.set("db", None)
        table.set("catalog", None)
        schema.add_table(mark, columns, dialect="duckdb")
    _expand_columns(tree)
    try:
        tree = qualify(
            tree,
            schema=schema,
            dialect="duckdb",
            quote_identifiers=False,
            validate_qualify_columns=False,
            expand_alias_refs=False,
        )
    except SqlglotError as error:
        raise NotSupportedError(f"the stars cannot be written out: {error}") from None
    tables = [t for t in tree.find_all(exp.Table) if t.name in originals]

    def restore() -> None:
        for table in tables:
            original = originals[table.name]
            for part in ("this", "db", "catalog"):
                table.set(part, original.args.get(part))

    return tree, restore


def _named(table: exp.Table, sql: str) -> str:
    """The table as ``describe`` takes it."""
    return write(exp.Table(**{k: table.args.get(k) for k in ("this", "db", "catalog")}), sql)


def _expand_columns(tree: exp.Expression) -> None:
    """``COLUMNS(*)`` is a star; with a pattern it stays, and that is said."""
    for columns in list(tree.find_all(exp.Columns)):
        if isinstance(columns.this, exp.Star):
            columns.replace(columns.this)
        else:
            raise NotSupportedError(
                "COLUMNS with a pattern is written out by DuckDB when the query runs; "
                "`dovetail describe` shows the columns"
            )


def unknown_cte(name: str, known: list[str]) -> UnknownNameError:
    """The error for a common table expression that is not there."""
    said = f"; there is {', '.join(known)}" if known else "; there is none"
    return UnknownNameError(f'no common table expression "{name}"{said}', suggestions=known[:3])
