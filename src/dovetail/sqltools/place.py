"""``sql at``: what stands at a place of a text, and what could."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail.editing.schema import Schema
from dovetail.editing.scope import columns_of, scope_at
from dovetail.editing.statements import statement_at, statements_of
from dovetail.editing.tokens import tokens_of
from dovetail.errors import UsageError

if TYPE_CHECKING:
    from dovetail.session import Session

_CLAUSES = (
    *("with", "select", "from", "where", "group by", "having", "qualify", "window"),
    *("order by", "limit", "offset"),
)


def place_at(text: str, line: int, column: int, session: Session) -> dict[str, Any]:
    """Statement, clause, tables and columns at a place; lines and columns count from 1.

    Raises:
        UsageError: the text has no such place.
    """
    lines = text.split("\n")
    if not 1 <= line <= len(lines) or not 1 <= column <= len(lines[line - 1]) + 1:
        raise UsageError(f"the text has no place {line}:{column}")
    offset = sum(len(one) + 1 for one in lines[: line - 1]) + column - 1
    statement = statement_at(text, offset)
    if statement is None:
        return {"statement": None, "clause": None, "tables": [], "ctes": [], "columns": []}
    tokens = [t for t in tokens_of(text) if statement.start <= t.start < max(statement.end, offset)]
    schema = Schema(session)
    schema.load()
    schema.wait()
    scope = scope_at(tokens, offset, statement.end, schema)
    for relation in scope.relations:  # files are described when they are asked for
        columns_of(relation, schema)
    schema.wait()
    scope = scope_at(tokens, offset, statement.end, schema)
    columns = [
        {"name": name, "type": type_, "table": relation.alias}
        for relation in scope.relations
        for name, type_ in columns_of(relation, schema)
    ]
    return {
        "statement": statements_of(text).index(statement) + 1,
        "clause": _clause([t.word for t in tokens if t.start < offset and t.kind != "comment"]),
        "names_a_table": scope.in_from,
        "tables": [r.alias or ".".join(r.parts) for r in scope.relations],
        "ctes": list(scope.ctes),
        "columns": columns,
    }


def _clause(words: list[str]) -> str | None:
    """The key word of the clause that the words end in, at their own depth of brackets."""
    depth = 0
    for index in range(len(words) - 1, -1, -1):
        word = words[index]
        depth += (word == ")") - (word == "(")
        if depth < 0:
            depth = 0  # the place is inside a bracket: its own clause comes first, then around it
        if depth == 0:
            pair = " ".join(words[index : index + 2])
            if pair in _CLAUSES:
                return pair
            if word in _CLAUSES:
                return word
    return None
