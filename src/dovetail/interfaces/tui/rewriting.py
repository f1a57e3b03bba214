"""Stars written out in the text of the editor."""

from __future__ import annotations

from dovetail.editing.schema import Schema
from dovetail.editing.scope import columns_of, scope_at
from dovetail.editing.statements import statement_at
from dovetail.editing.tokens import quote_name, tokens_of


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
