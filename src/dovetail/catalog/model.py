"""The catalog as data: what a source holds, in Dovetail's types.

A connector fills a :class:`SourceCatalog`; languages bind names to it; the optimizer reads keys
and estimates from it. Names are kept as the source spells them. Since DuckDB folds case, two
names of one scope that differ only in case get distinct *visible* names (``A``, ``A_1``); the
``source_name`` stays what the source wants to read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from dovetail.types import Type


@dataclass(frozen=True)
class ColumnInfo:
    """One column of a table.

    ``type`` is what a query sees; ``native_type`` what the source declares (``bpchar(3)``,
    ``tinyint(1) unsigned``), which decides how a value travels and which predicates may be
    pushed. ``collation`` is the source's collation of a text column where that matters.
    ``unreadable`` holds the reason when values of this column cannot be carried at all; the
    column is listed, and selecting it is a clear error.
    """

    name: str
    type: Type
    native_type: str
    nullable: bool = True
    source_name: str = ""
    comment: str = ""
    collation: str | None = None
    unreadable: str | None = None

    def __post_init__(self) -> None:
        if not self.source_name:
            object.__setattr__(self, "source_name", self.name)


@dataclass(frozen=True)
class ColumnStatistics:
    """What a source's own statistics say of a column; None is unknown.

    ``distinct`` counts different values, ``null_fraction`` is from 0 to 1, ``width`` is the average
    size of a value in bytes. ``correlation``, from -1 to 1, is that of the values with the places
    of their rows.
    """

    distinct: float | None = None
    null_fraction: float | None = None
    width: float | None = None
    correlation: float | None = None


@dataclass(frozen=True)
class ForeignKey:
    """``columns`` of this table refer to ``ref_columns`` of ``ref_schema.ref_table``."""

    columns: tuple[str, ...]
    ref_schema: str
    ref_table: str
    ref_columns: tuple[str, ...]


@dataclass(frozen=True)
class TableInfo:
    """One table or view of a source.

    ``row_estimate`` and ``byte_estimate`` come from the source's statistics (None: unknown, never
    a guess). ``kind`` is ``table``, ``view``, ``materialized view``, ``foreign table`` or
    ``file``.
    """

    source: str
    schema: str
    name: str
    columns: tuple[ColumnInfo, ...]
    kind: str = "table"
    source_schema: str = ""
    source_name: str = ""
    comment: str = ""
    primary_key: tuple[str, ...] = ()
    unique_keys: tuple[tuple[str, ...], ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    row_estimate: int | None = None
    byte_estimate: int | None = None
    details: Mapping[str, object] = field(default_factory=dict, hash=False, compare=False)

    def __post_init__(self) -> None:
        if not self.source_name:
            object.__setattr__(self, "source_name", self.name)
        if not self.source_schema:
            object.__setattr__(self, "source_schema", self.schema)

    @cached_property
    def _by_name(self) -> dict[str, ColumnInfo]:
        return {column.name.lower(): column for column in self.columns}

    def column(self, name: str) -> ColumnInfo | None:
        """The column of that visible name, ignoring case, or None."""
        return self._by_name.get(name.lower())

    def changed(self) -> bool:
        """Whether it is known not to be any more what it was when it was looked at."""
        return False

    @property
    def keys(self) -> tuple[tuple[str, ...], ...]:
        """Columns, by name, whose values no two rows share: the primary key, then unique keys.

        Rows with NULL in one may be alike: unique keys allow it, and SQLite also in a primary key.
        """
        return tuple(key for key in (self.primary_key, *self.unique_keys) if key)

    @property
    def qualified_name(self) -> str:
        """``source.schema.table`` as messages and listings show it."""
        return ".".join(part for part in (self.source, self.schema, self.name) if part)


@dataclass(frozen=True)
class SourceCatalog:
    """All tables of one source as read at ``read_at`` (seconds since the epoch).

    ``default_schema`` is where ``source.table`` looks first. ``stale`` is set when the source was
    down and an older copy stands in.
    """

    source: str
    default_schema: str
    tables: tuple[TableInfo, ...]
    read_at: float
    stale: bool = False

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], TableInfo]:
        return {(table.schema.lower(), table.name.lower()): table for table in self.tables}

    def table(self, schema: str | None, name: str) -> TableInfo | None:
        """The table of that name; without a schema the default one, else the only match."""
        if schema is not None:
            return self._by_name.get((schema.lower(), name.lower()))
        found = self._by_name.get((self.default_schema.lower(), name.lower()))
        if found is not None:
            return found
        matches = [t for (_, n), t in self._by_name.items() if n == name.lower()]
        return matches[0] if len(matches) == 1 else None

    def schemas(self) -> tuple[str, ...]:
        """Schema names, default first."""
        names = dict.fromkeys(table.schema for table in self.tables)
        return tuple(sorted(names, key=lambda s: (s != self.default_schema, s)))


def distinct_names(names: Iterable[str]) -> list[str]:
    """Make names distinct ignoring case, by the product's one rule: ``a, a_1, a_2``.

    A name that is taken gets the lowest free number; names that already end so keep theirs.
    """
    wanted = list(names)
    taken = {name.lower() for name in wanted}
    seen: set[str] = set()
    result = []
    for name in wanted:
        chosen = name
        if name.lower() in seen:
            number = 1
            while f"{name}_{number}".lower() in taken or f"{name}_{number}".lower() in seen:
                number += 1
            chosen = f"{name}_{number}"
        seen.add(chosen.lower())
        result.append(chosen)
    return result
