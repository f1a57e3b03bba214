"""What binding hands around: bound queries, WITH definitions, names of derived tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from dovetail.catalog.model import distinct_names
from dovetail.language.sql.scope import NotModelled, Scope
from dovetail.plan import nodes


@dataclass(frozen=True)
class Bound:
    """A bound query: its plan and what its columns are called (None: DuckDB's own name)."""

    plan: nodes.Plan
    names: tuple[str | None, ...]


@dataclass(frozen=True)
class Definition:
    """A WITH definition in scope."""

    name: str
    columns: tuple[tuple[str | None, nodes.Column], ...]


Definitions = Mapping[str, Definition]
"""The WITH definitions in scope, by their names in lower case."""

BindQuery = Callable[[exp.Expression, Scope | None, Definitions], Bound]
"""Binds a query, given the scope around it."""


def only(tree: exp.Expression, *known: str) -> None:
    """Refuse a node that carries an argument the binder does not know."""
    for key, value in tree.args.items():
        if value and key not in known:
            raise NotModelled(f"{type(tree).__name__} with {key}")


def alias_columns(item: exp.Expression) -> list[str]:
    """The names that the alias of a FROM item gives its columns."""
    alias = item.args.get("alias")
    return [c.name for c in alias.columns] if isinstance(alias, exp.TableAlias) else []


def column_names(names: Sequence[str | None], given: Sequence[str]) -> list[str | None]:
    """Visible names of a derived table: given aliases first, duplicates made distinct."""
    if len(given) > len(names):
        raise NotModelled("more column aliases than columns")
    merged: list[str | None] = [*given, *names[len(given) :]]
    known = iter(distinct_names([n for n in merged if n is not None]))
    return [next(known) if n is not None else None for n in merged]
