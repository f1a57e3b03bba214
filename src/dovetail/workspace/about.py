"""Statements about a query or a target: EXPLAIN and SHOW TABLES.

The engine's own answers would be about its private catalog and its residual plan; ours are about
the whole query and about what its target shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.execution.profile import Profile
from dovetail.session import Session
from dovetail.workspace.views import View

if TYPE_CHECKING:
    import pyarrow as pa

_BLANK = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_EXPLAIN = re.compile(rf"(?is){_BLANK}explain\b(?P<analyze>{_BLANK}analyze\b)?")
_SHOW_TABLES = re.compile(rf"(?is){_BLANK}show\b{_BLANK}tables{_BLANK};?{_BLANK}")

EXPLAINED = (("explain_key", "VARCHAR"), ("explain_value", "VARCHAR"))
LISTED = (("name", "VARCHAR"),)


@dataclass(frozen=True)
class Told:
    """An answer of ours, in the shape of an engine's result."""

    columns: tuple[tuple[str, str], ...]
    table: pa.Table
    profile: Profile
    warnings: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """Of the rows."""
        return self.table.schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows."""
        yield from self.table.to_batches()

    def close(self) -> None:
        """Nothing is held open."""


@dataclass(frozen=True)
class Explain:
    """``query`` is the text with blanks in place of the EXPLAIN: places in it stay the user's."""

    query: str
    analyze: bool


def explain_of(sql: str) -> Explain | None:
    """What the text wants explained, if that is what it wants."""
    found = _EXPLAIN.match(sql)
    if found is None:
        return None
    blank = re.sub(r"[^\n]", " ", found[0])
    return Explain(blank + sql[found.end() :], found["analyze"] is not None)


def shows_tables(sql: str) -> bool:
    """Whether the text is SHOW TABLES."""
    return _SHOW_TABLES.fullmatch(sql) is not None


def tell(
    session: Session,
    view: View,
    sql: str,
    params: dict[str, Any] | None,
    *,
    files: Path,
    timeout: float,
    on_start: Callable[[Callable[[], None]], None],
) -> Told | None:
    """The answer to a statement of this module; None for any other text.

    ``files`` is the folder whose paths no answer may show.

    Raises:
        DovetailError: what the explained query meets.
    """
    import pyarrow as pa

    explain = explain_of(sql)
    if explain is not None:
        explanation = session.explain(
            explain.query, params, analyze=explain.analyze, timeout=timeout, on_start=on_start
        )
        keys = ["analyzed_plan" if explain.analyze else "plan"]
        text = view.without_paths(str(explanation), files)
        table = pa.table({"explain_key": keys, "explain_value": [text]})
        return Told(EXPLAINED, table, explanation.profile or Profile())
    if shows_tables(sql):
        if view.tables is not None:
            names = sorted(view.tables)
        else:
            names = sorted(table.qualified_name for table in session.tables())
        return Told(LISTED, pa.table({"name": pa.array(names, pa.string())}), Profile())
    return None
