"""Names that stand for tables in SQL: the rule for aliases and source names, and making them up."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from functools import cache
from pathlib import PurePath

from dovetail.workspace.problems import WorkspaceError

_VALID = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_LONGEST = 63
_ENDINGS = (".gz", ".zst")


@cache
def reserved_words() -> frozenset[str]:
    """The words DuckDB refuses as a table name without quotes, asked of DuckDB itself."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(
            "SELECT keyword_name FROM duckdb_keywords() "
            "WHERE keyword_category IN ('reserved', 'type_function') AND json_extract("
            "json_serialize_sql('SELECT * FROM ' || keyword_name), '$.error') = 'true'::JSON"
        ).fetchall()
    return frozenset(word for (word,) in rows)


def require_alias(alias: str) -> None:
    """Raises ``alias-invalid`` or ``alias-reserved``, each with a ``suggestion``."""
    if not _VALID.fullmatch(alias):
        suggestion = alias_of(alias)
        raise WorkspaceError(
            "alias-invalid",
            f'"{alias[:80]}" cannot be a table name: letters, digits and _ only, not beginning '
            f"with a digit, at most {_LONGEST}; such as {suggestion}",
            suggestion=suggestion,
        )
    if alias.lower() in reserved_words():
        suggestion = alias_of(alias)
        raise WorkspaceError(
            "alias-reserved",
            f'"{alias}" is a reserved word of SQL; take {suggestion}',
            suggestion=suggestion,
        )


def alias_of(name: str, taken: Collection[str] = ()) -> str:
    """An alias made from a file name or any text, other than those in ``taken`` ignoring case."""
    stem = PurePath(name.replace("\\", "/")).name
    for ending in _ENDINGS:
        if stem.lower().endswith(ending):
            stem = stem[: -len(ending)]
    head, dot, tail = stem.rpartition(".")
    if dot and head and len(tail) <= 8 and tail.isalnum():
        stem = head
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    alias = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    if not alias:
        alias = "t_1"
    if alias[0].isdigit():
        alias = f"t_{alias}"
    alias = alias[:_LONGEST]
    if alias in reserved_words():
        alias = f"{alias[: _LONGEST - 1]}_"
    used = {other.lower() for other in taken}
    if alias not in used:
        return alias
    number = 2
    base = alias
    if base == "t_1":
        base = "t"
    while f"{base}_{number}" in used:
        number += 1
    ending = f"_{number}"
    return base[: _LONGEST - len(ending)] + ending
