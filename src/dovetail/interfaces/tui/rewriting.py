"""Rewrites of the text in the editor: formatting, and stars written out."""

from __future__ import annotations

from dovetail.editing.schema import Schema
from dovetail.editing.scope import columns_of, scope_at
from dovetail.editing.statements import statement_at, statements_of
from dovetail.editing.tokens import quote_name, tokens_of
from dovetail.errors import QuerySyntaxError


def formatted(text: str) -> str:
    """Every statement of ``text`` laid out anew, its end marks kept.

    Raises:
        QuerySyntaxError: a statement does not parse; the text is left as it is.
    """
    import sqlglot
    from sqlglot.errors import SqlglotError

    parts, place = [], 0
    for statement in statements_of(text):
        try:
            [tree] = sqlglot.parse(statement.text, read="duckdb")
        except (SqlglotError, ValueError):
            raise QuerySyntaxError("the statement cannot be formatted: it does not parse") from None
        if tree is None:
            continue
        for path in [t for t in tree.find_all(sqlglot.exp.Table) if _is_path(t.name)]:
            # A file stays in single quotes; sqlglot would write it as a name.
            path.set("this", sqlglot.exp.Literal.string(path.name))
        parts += [text[place : statement.start], tree.sql("duckdb", pretty=True)]
        place = statement.end
    return "".join([*parts, text[place:]])


def _is_path(name: str) -> bool:
    return bool({"/", ".", "*"} & set(name))


def star_at(text: str, offset: int, schema: Schema) -> tuple[int, int, str] | None:
    """The ``*`` or ``t.*`` nearest to the cursor in its statement: from where to where, and the
    names of its columns. None if there is none, or its columns are not known."""
    statement = statement_at(text, offset)
    if statement is None:
        return None
    tokens = [t for t in tokens_of(text) if statement.start <= t.start < statement.end]
    stars = []
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else None
        if token.text != "*" or before is None:
            continue
        if before.word in ("select", "distinct") or before.text in (",", "."):
            stars.append(index)
    if not stars:
        return None
    index = min(stars, key=lambda i: abs(tokens[i].start - offset))
    scope = scope_at(tokens, tokens[index].start, statement.end, schema)
    start, prefix = tokens[index].start, ""
    if tokens[index - 1].text == "." and index > 1:
        start, prefix = tokens[index - 2].start, tokens[index - 2].name
    names = []
    relations = [r for r in scope.relations if not prefix or r.alias.lower() == prefix.lower()]
    for relation in relations:
        found = columns_of(relation, schema)
        if not found:
            return None
        qualified = relation.alias if prefix or len(relations) > 1 else ""
        head = f"{quote_name(qualified)}." if qualified else ""
        names += [head + quote_name(name) for name, _ in found]
    return (start, tokens[index].end, ", ".join(names)) if names else None
