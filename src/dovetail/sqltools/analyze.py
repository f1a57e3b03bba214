"""``sql analyze``: what a script does, as data: statements, tables, columns and their origin."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import build_scope

from dovetail.errors import DovetailError
from dovetail.script.desk import Desk
from dovetail.script.statements import Statement, split
from dovetail.sqltools.stars import qualified
from dovetail.sqltools.text import read

if TYPE_CHECKING:
    from sqlglot.optimizer.scope import Scope

    from dovetail.session import Session


def analyzed(sql: str, session: Session) -> dict[str, Any]:
    """The statements of ``sql`` as plain data; what is wrong with one stands in its ``error``."""
    try:
        script = split(sql)
    except DovetailError as error:
        return {"statements": [], "error": error.to_dict()}
    with Desk(session) as desk:
        return {"statements": [_statement(s, script, desk, session) for s in script], "error": None}


def _statement(
    statement: Statement, script: Sequence[Statement], desk: Desk, session: Session
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "number": statement.number,
        "kind": statement.kind,
        "lines": [statement.first_line, statement.last_line],
        "makes": statement.name or None,
        "parameters": sorted(set(re.findall(r"\$([A-Za-z_]\w*)", statement.query))),
        "tables": [],
        "ctes": [],
        "columns": [],
        "error": None,
    }
    try:
        tree = read(statement.query)
    except DovetailError as error:
        found["error"] = error.to_dict()
        return found
    ctes = [cte.alias_or_name for cte in tree.find_all(exp.CTE)]
    found["ctes"] = ctes
    lowered = {name.lower() for name in ctes}
    names = [
        ".".join(part.name for part in table.parts)
        for table in tree.find_all(exp.Table)
        if isinstance(table.this, exp.Identifier)
        and (table.args.get("db") or table.name.lower() not in lowered)
    ]
    found["tables"] = list(dict.fromkeys(names))
    if found["parameters"]:
        return found  # its columns depend on the types of the values
    try:
        plan = desk.plan(statement, before=script).to_dict()
        found["columns"] = [{"name": c["name"], "type": c["type"]} for c in plan["columns"]]
        origins = _origins(statement.query, session)
        for column, origin in zip(found["columns"], origins, strict=False):
            column["from"] = origin
    except DovetailError as error:
        found["error"] = error.to_dict()
    return found


def _origins(sql: str, session: Session) -> list[list[str]]:
    """Of each output column the columns of tables that it is made of; empty where not known."""
    try:
        tree, _ = qualified(sql, session)
        root = build_scope(tree)
        if root is None or not isinstance(tree, exp.Query):
            return []
        return [sorted(set(_sources(item, root))) for item in tree.selects]
    except (DovetailError, SqlglotError):
        return []


def _sources(item: Any, scope: Scope) -> Iterator[str]:
    for column in item.find_all(exp.Column):
        source = scope.sources.get(column.table)
        if isinstance(source, exp.Table):
            yield f"{column.table}.{column.name}"
        elif source is not None:
            inner = source.expression
            if isinstance(inner, exp.Query):
                for select in inner.selects:
                    if select.alias_or_name == column.name:
                        yield from _sources(select, source)
