"""How two tables may be joined, from what their sources declare and from the names of columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dovetail.editing.tokens import quote_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.catalog.model import TableInfo


@dataclass(frozen=True)
class Suggestion:
    """A join of one table to another: its line of SQL, and what speaks for it."""

    sql: str
    evidence: str


def suggest_joins(left: TableInfo, right: TableInfo, right_name: Sequence[str]) -> list[Suggestion]:
    """Joins of ``right``, whose name in SQL is ``right_name``, to ``left``, which is in FROM under
    its bare name; the best evidence first.

    A declared foreign key comes first, then a key of one whose columns are in the other under the
    same names, or as ``customer_id`` for ``id`` of ``customers``.
    """
    found: dict[tuple[tuple[str, str], ...], str] = {}
    for of, to in ((left, right), (right, left)):
        for key in of.foreign_keys:
            if of.source == to.source and (key.ref_schema, key.ref_table) == _place(to):
                pairs = tuple(zip(key.columns, key.ref_columns, strict=True))
                found.setdefault(_turned(pairs, of is right), f"foreign key of {of.name}")
    for of, to in ((left, right), (right, left)):
        for unique in to.keys:
            is_common = [name.lower() for name in unique] == ["id"]  # says nothing: all have it
            if not is_common and all(of.column(name) is not None for name in unique):
                pairs = tuple((name, name) for name in unique)
                found.setdefault(_turned(pairs, of is right), f"key of {to.name}, the same names")
            if len(unique) == 1:
                for word in (to.name, to.name.removesuffix("s")):
                    column = of.column(f"{word}_{unique[0]}")
                    if column is not None:
                        pairs = ((column.name, unique[0]),)
                        found.setdefault(_turned(pairs, of is right), f"key of {to.name}, by name")
    alias = right.name if right.name.lower() != left.name.lower() else f"{right.name}_2"
    named = ".".join(quote_name(part) for part in right_name)
    return [
        Suggestion(
            f"join {named} as {quote_name(alias)} on "
            + " and ".join(
                f"{quote_name(left.name)}.{quote_name(a)} = {quote_name(alias)}.{quote_name(b)}"
                for a, b in pairs
            ),
            evidence,
        )
        for pairs, evidence in found.items()
    ]


def _place(table: TableInfo) -> tuple[str, str]:
    return table.source_schema, table.source_name


def _turned(pairs: tuple[tuple[str, str], ...], is_turned: bool) -> tuple[tuple[str, str], ...]:
    return tuple((b, a) for a, b in pairs) if is_turned else pairs
