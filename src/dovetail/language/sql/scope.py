"""Names in scope while a SELECT is bound.

A bound column is a plan column (unique name); a *visible name* is what the query calls it. The
rules follow DuckDB: names ignore case, a USING column is visible once, and what cannot be decided
here with certainty raises :class:`NotModelled`, which sends the query down the fallback road
instead of risking another meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from dovetail.plan import nodes
from dovetail.plan.expressions import column as column_reference
from dovetail.types import Type


class NotModelled(Exception):
    """The binder does not model this; the engine runs the original text instead."""


@dataclass(frozen=True)
class Visible:
    """A name that can be used unqualified, and what it stands for."""

    name: str | None
    expression: exp.Expression


@dataclass(frozen=True)
class Relation:
    """A FROM item: its alias and its columns by visible name, in order."""

    alias: str
    columns: tuple[Visible, ...]
    qualifiers: tuple[tuple[str, ...], ...] = ()


@dataclass
class Scope:
    """What a SELECT can see: its relations, and outward the scopes around it."""

    relations: list[Relation] = field(default_factory=list)
    visible: list[Visible] = field(default_factory=list)
    parent: Scope | None = None

    def add(self, relation: Relation) -> None:
        """Add a FROM item joined without USING."""
        self.relations.append(relation)
        self.visible.extend(relation.columns)

    def find_local(self, parts: list[str]) -> exp.Expression | None:
        """The expression for a column name (last part) with optional qualifiers, or None."""
        name = parts[-1].lower()
        if len(parts) == 1:
            found = [v.expression for v in self.visible if v.name and v.name.lower() == name]
        else:
            relation = self.relation(parts[:-1])
            if relation is None:
                return None
            found = [v.expression for v in relation.columns if v.name and v.name.lower() == name]
        if len(found) > 1:
            raise NotModelled(f"{'.'.join(parts)} is ambiguous")
        return found[0] if found else None

    def relation(self, parts: list[str]) -> Relation | None:
        """The relation that qualifiers ``parts`` name, or None."""
        wanted = tuple(part.lower() for part in parts)
        found = [
            r
            for r in self.relations
            if (len(wanted) == 1 and r.alias.lower() == wanted[0]) or wanted in r.qualifiers
        ]
        if len(found) > 1:
            raise NotModelled(f"{'.'.join(parts)} names two tables")
        return found[0] if found else None

    def find_outer(self, parts: list[str]) -> exp.Expression | None:
        """The same in the scopes around this one, innermost first."""
        scope = self.parent
        while scope is not None:
            found = scope.find_local(parts)
            if found is not None:
                return found
            scope = scope.parent
        return None


class Names:
    """Gives out plan-unique column names and remembers every column made."""

    def __init__(self) -> None:
        self.columns: dict[str, nodes.Column] = {}
        self._taken: set[str] = set()
        self._withs: set[str] = set()

    def column(
        self,
        base: str,
        type_: Type,
        *,
        label: str = "",
        native_type: str | None = None,
        collation: str | None = None,
        nullable: bool = True,
    ) -> nodes.Column:
        """A new column called ``base``, or ``base_1`` … when that is taken."""
        base = base or "column"
        name, number = base, 0
        while name.lower() in self._taken:
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name.lower())
        column = nodes.Column(name, type_, label or base, native_type, collation, nullable)
        self.columns[name] = column
        return column

    def like(self, column: nodes.Column, base: str | None = None) -> nodes.Column:
        """A new column with the properties of ``column``."""
        return self.column(
            base or column.name,
            column.type,
            label=column.label,
            native_type=column.native_type,
            collation=column.collation,
            nullable=column.nullable,
        )

    def definition(self, base: str) -> str:
        """A new name for a WITH definition."""
        name, number = base, 0
        while name.lower() in self._withs:
            number += 1
            name = f"{base}_{number}"
        self._withs.add(name.lower())
        return name


def relation_of(alias: str, columns: list[tuple[str | None, nodes.Column]]) -> Relation:
    """A relation over plan columns with their visible names."""
    return Relation(
        alias, tuple(Visible(name, column_reference(column.name)) for name, column in columns)
    )
