"""Which statements of a script one statement needs."""

from __future__ import annotations

from collections.abc import Sequence

from dovetail.language.sql.lexing import names_of
from dovetail.script.statements import Statement


def needed_objects(statement: Statement, before: Sequence[Statement]) -> list[Statement]:
    """The statements of ``before`` that make the temporary objects which ``statement`` names."""
    latest: dict[str, Statement] = {}
    for other in before:
        if other.number < statement.number and not other.has_rows:
            latest[other.name.lower()] = other
    names = names_of(statement.query)
    return [other for name, other in latest.items() if name in names]


def with_needed(statement: Statement, script: Sequence[Statement]) -> list[Statement]:
    """``statement`` after all those that it needs, directly or not, in the order of the script."""
    found: dict[int, Statement] = {}
    open_ = [statement]
    while open_:
        one = open_.pop()
        if one.number not in found:
            found[one.number] = one
            open_ += needed_objects(one, script)
    return [found[number] for number in sorted(found)]
