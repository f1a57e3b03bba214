"""A query that has been judged, and what it refers to, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dovetail.errors import InternalError, Location
from dovetail.language.sql import judge_functions as lists
from dovetail.language.sql.lexing import names_of


@dataclass(frozen=True)
class TableRef:
    """A table as the query writes it; parts that were not written are empty.

    ``span`` is where its name stands in the text: character offsets, the end exclusive.
    """

    catalog: str
    schema: str
    name: str
    location: Location | None = None
    span: tuple[int, int] | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """``(catalog, schema, name)`` as written."""
        return (self.catalog, self.schema, self.name)

    @property
    def text(self) -> str:
        """The name as a message shows it."""
        return ".".join(part for part in self.key if part)


@dataclass(frozen=True)
class FileFunction:
    """A call of a file-reading table function with constant arguments.

    ``arguments`` and ``options`` hold Python values: str, int, float, bool, None, lists and dicts.
    ``span`` is where the call stands in the text: character offsets, the end exclusive.
    """

    name: str
    arguments: tuple[Any, ...]
    options: dict[str, Any] = field(hash=False)
    location: Location | None = None
    span: tuple[int, int] | None = None


@dataclass(frozen=True)
class Judged:
    """A query that may run, and what is known of it before it is bound.

    ``sql`` is the text to run (``:name`` parameters turned into ``$name``); ``checked_sql`` is the
    text the tree was made of, which differs only for a PIVOT without an IN list
    (``dynamic_pivot``), whose columns are not known before it runs. ``call_qualifiers`` are the
    words before function names (``shop.upper(x)``, but also the column of ``name.upper()``): they
    must not name an attached database, whose macros nobody has judged. ``macro_calls`` are the
    places of the calls of Dovetail's macros, as ``(character offset, name)``.
    """

    sql: str
    statement_kind: str
    ast: dict[str, Any] = field(repr=False, hash=False)
    tables: tuple[TableRef, ...] = ()
    files: tuple[FileFunction, ...] = ()
    functions: frozenset[str] = frozenset()
    table_functions: frozenset[str] = frozenset()
    parameters: tuple[str, ...] = ()
    positional: bool = False
    has_star: bool = False
    has_sample: bool = False
    dynamic_pivot: bool = False
    checked_sql: str = ""
    call_qualifiers: frozenset[str] = frozenset()
    macro_calls: frozenset[tuple[int, str]] = frozenset()

    @property
    def volatile(self) -> bool:
        """Whether two runs over the same data may differ: random values, samples."""
        return self.has_sample or bool(self.functions & lists.VOLATILE)

    @property
    def unrepeatable(self) -> str:
        """Why a later run over the same data may answer otherwise; empty when it may not.

        A column called ``current_date`` counts as the word: only a text without it is sure.
        """
        if self.has_sample:
            return "it takes a sample"
        called = self.functions & (lists.VOLATILE | lists.CLOCK)
        called |= names_of(self.sql) & lists.CLOCK & lists.BARE_WORDS
        return f"it calls {min(called)}" if called else ""

    def with_files(self, replacements: Sequence[str]) -> str:
        """The text with each file function, in order of ``files``, replaced by other SQL."""
        text = self.sql
        for file, sql in sorted(
            zip(self.files, replacements, strict=True), key=lambda pair: pair[0].span or (0, 0)
        )[::-1]:
            if file.span is None:
                raise InternalError(f"the place of {file.name} in the query is not known")
            text = text[: file.span[0]] + sql + text[file.span[1] :]
        return text
