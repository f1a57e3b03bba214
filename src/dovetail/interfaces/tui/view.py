"""How a result is looked at: one immutable value, applied to one Arrow table.

Everything speaks of a column's identity (its number in the result), never of its place on screen,
so hiding, pinning and moving columns cannot confuse the cursor or a search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dovetail.present.values import Column
from dovetail.quoting import quote, sql_string


@dataclass(frozen=True)
class Filter:
    """One condition. ``kind`` is ``fuzzy``, ``exact``, ``regex``, ``keep``, ``drop`` or
    ``expression``.

    ``keep`` and ``drop`` are about the value ``literal`` (SQL; None for NULL) of ``column``.
    ``columns`` are those that a text filter looked at when it was made.
    """

    kind: str
    text: str
    columns: tuple[int, ...] = ()
    column: int = -1
    literal: str | None = None

    @property
    def chip(self) -> str:
        """The filter in a few letters."""
        mark = {"fuzzy": "~", "exact": "'", "regex": "/", "expression": "= "}.get(self.kind, "")
        return mark + self.text


@dataclass(frozen=True)
class SortKey:
    """Sort by a column. NULLs come last both ways."""

    column: int
    descending: bool = False


@dataclass(frozen=True)
class View:
    """Columns in order, hidden ones, pinned ones in the order they were pinned, filters, sort."""

    order: tuple[int, ...]
    hidden: frozenset[int] = frozenset()
    pinned: tuple[int, ...] = ()
    filters: tuple[Filter, ...] = ()
    sort: tuple[SortKey, ...] = ()

    @staticmethod
    def of(columns: int) -> View:
        """All columns as they are."""
        return View(tuple(range(columns)))

    @property
    def pinned_columns(self) -> tuple[int, ...]:
        """The pinned columns that are not hidden, first pinned first."""
        return tuple(c for c in self.pinned if c not in self.hidden)

    @property
    def columns(self) -> tuple[int, ...]:
        """The visible columns as they stand on screen: pinned ones first."""
        pinned = self.pinned_columns
        return pinned + tuple(
            c for c in self.order if c not in self.hidden and c not in self.pinned
        )

    def hide(self, columns: Sequence[int]) -> View:
        """Hide columns; the last visible one stays."""
        hidden = self.hidden | set(columns)
        if len(hidden) >= len(self.order):
            hidden -= {self.columns[0]}
        return replace(self, hidden=frozenset(hidden))

    def unhide_all(self) -> View:
        """Show every column again."""
        return replace(self, hidden=frozenset())

    def pin(self, column: int) -> View:
        """Keep a column at the left edge, right of those pinned before; again lets it go."""
        if column in self.pinned:
            return replace(self, pinned=tuple(c for c in self.pinned if c != column))
        return replace(self, pinned=(*self.pinned, column))

    def unpin_all(self) -> View:
        """Let all pinned columns return to their places."""
        return replace(self, pinned=())

    def move(self, column: int, by: int) -> View:
        """Move a column by so many visible places, among pinned ones or among the others."""
        if column in self.pinned:
            return replace(self, pinned=_moved(self.pinned, self.pinned_columns, column, by))
        free = tuple(c for c in self.columns if c not in self.pinned)
        return replace(self, order=_moved(self.order, free, column, by))

    def cycle_sort(self, column: int, *, add: bool = False) -> View:
        """Ascending, descending, none. Without ``add`` the column becomes the only key."""
        old = next((key for key in self.sort if key.column == column), None)
        others = tuple(key for key in self.sort if key.column != column) if add else ()
        if old is None or (not add and len(self.sort) > 1):
            return replace(self, sort=(*others, SortKey(column)))
        if old.descending:
            return replace(self, sort=others)
        changed = SortKey(column, descending=True)
        if not add:
            return replace(self, sort=(changed,))
        return replace(self, sort=tuple(changed if k.column == column else k for k in self.sort))

    def with_filter(self, new: Filter) -> View:
        """Add a condition."""
        return replace(self, filters=(*self.filters, new))

    def without_filter(self, index: int = -1) -> View:
        """Take one condition back, the newest unless said."""
        kept = list(self.filters)
        if kept:
            del kept[index]
        return replace(self, filters=tuple(kept))

    def sort_mark(self, column: int) -> str:
        """``▲`` or ``▼`` for a column that is sorted by, with its rank if there are several."""
        for rank, key in enumerate(self.sort, 1):
            if key.column == column:
                mark = "▼" if key.descending else "▲"
                return mark + (str(rank) if len(self.sort) > 1 else "")
        return ""

    def moves_rows(self) -> bool:
        """Whether rows are left out or stand in another order than they came."""
        return bool(self.filters or self.sort)


def _moved(order: tuple[int, ...], seen: tuple[int, ...], column: int, by: int) -> tuple[int, ...]:
    place = seen.index(column)
    target = seen[max(0, min(len(seen) - 1, place + by))]
    if target == column:
        return order
    kept = [c for c in order if c != column]
    kept.insert(kept.index(target) + (by > 0), column)
    return tuple(kept)


_WHOLE = frozenset(
    ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER",
     "UBIGINT", "UHUGEINT")
)  # fmt: skip
_SMALL = _WHOLE | {"DECIMAL", "FLOAT", "DOUBLE", "BOOLEAN", "TIME", "UUID"}
_OF_WHOLE = frozenset("-0123456789")

# -- the same as SQL --------------------------------------------------------------------------


def as_text(column: Column) -> str:
    """SQL for the text of a column."""
    name = quote(column.name)
    return name if column.type == "VARCHAR" else f"CAST({name} AS VARCHAR)"


def is_plain_case(pattern: str) -> bool:
    """Whether case is ignored: a pattern without capitals."""
    return pattern == pattern.lower()


def _is_small(type_name: str) -> bool:
    """Whether the text of such values never has a capital: ``1e+308``, ``inf``, ``2026-01-05``."""
    return type_name.partition("(")[0] in _SMALL


def condition(filter_: Filter, columns: Sequence[Column]) -> str:
    """The filter as a predicate over the columns by name."""
    if filter_.kind == "expression":
        return f"({filter_.text}\n)"  # a comment at its end must not swallow the bracket
    if filter_.kind in ("keep", "drop"):
        name = quote(columns[filter_.column].name)
        if filter_.literal is None:
            return f"{name} IS {'NOT ' if filter_.kind == 'drop' else ''}NULL"
        word = "IS NOT DISTINCT FROM" if filter_.kind == "keep" else "IS DISTINCT FROM"
        return f"{name} {word} {filter_.literal}"
    tests = [text_test(filter_.kind, filter_.text, columns[c]) for c in filter_.columns]
    possible = [test for test in tests if test != "false"] or ["false"]
    return "(" + " OR ".join(possible) + ")"


def text_test(kind: str, pattern: str, column: Column) -> str:
    """SQL that is true where the text of ``column`` fits: fuzzy, exact or regex; NULL for NULL."""
    text = as_text(column)
    if kind == "regex":
        return f"regexp_matches({text}, {sql_string(pattern)})"
    if column.type in _WHOLE and not _OF_WHOLE.issuperset(pattern):
        return "false"  # no text of it has such letters
    if is_plain_case(pattern) and pattern != pattern.upper() and not _is_small(column.type):
        text = f"lower({text})"
    if kind == "exact":
        return f"contains({text}, {sql_string(pattern)})"
    # Only where it is needed: with ESCAPE it takes DuckDB three times as long.
    escape = any(c in "%_" for c in pattern)
    letters = [f"\\{c}" if escape and c in "%_\\" else c for c in pattern]
    like = sql_string("%" + "%".join(letters) + "%")
    return f"{text} LIKE {like}" + (" ESCAPE '\\'" if escape else "")


def where(view: View, columns: Sequence[Column]) -> str:
    """The filters as a WHERE clause, or nothing."""
    if not view.filters:
        return ""
    return " WHERE " + " AND ".join(condition(f, columns) for f in view.filters)


def order_by(view: View, columns: Sequence[Column], then: str = "") -> str:
    """The sort as an ORDER BY clause, or nothing; ``then`` breaks ties."""
    if not view.sort:
        return ""
    keys = [
        f"{quote(columns[k.column].name)} {'DESC' if k.descending else 'ASC'} NULLS LAST"
        for k in view.sort
    ]
    return " ORDER BY " + ", ".join([*keys, then] if then else keys)


def wrapped(query: str, view: View, columns: Sequence[Column]) -> str:
    """The query with everything that was done to its result: what ``:sql`` shows."""
    shown = view.columns
    if shown == tuple(range(len(columns))) and not view.moves_rows():
        return query
    names = ", ".join(quote(columns[c].name) for c in shown)
    chosen = "*" if shown == tuple(range(len(columns))) else names
    inner = "\n".join("  " + line for line in query.strip().rstrip(";").splitlines())
    clauses = [where(view, columns), order_by(view, columns)]
    tail = "".join("\n" + clause.strip() for clause in clauses if clause)
    return f"SELECT {chosen}\nFROM (\n{inner}\n) AS q{tail}"
