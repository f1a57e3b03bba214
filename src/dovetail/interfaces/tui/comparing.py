"""Two results compared by key: rows that are added, removed and changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dovetail.errors import UsageError
from dovetail.interfaces.tui.analyst import Analyst
from dovetail.quoting import quote

if TYPE_CHECKING:
    import pyarrow as pa


def difference(old: Analyst, new: Analyst, keys: Sequence[str]) -> pa.Table:
    """One row per key that differs: what happened, the key, then old and new values as text.

    Raises:
        UsageError: a key is no column of both; a key comes twice in one of them.
    """
    import duckdb

    names = {c.name.lower(): c.name for c in new.columns}
    known = {c.name.lower() for c in old.columns} & set(names)
    for key in keys:
        if key.lower() not in known:
            raise UsageError(f'"{key}" is no column of both; those are {", ".join(sorted(known))}')
    key_names = [names[key.lower()] for key in keys]
    rest = [c.name for c in new.columns if c.name.lower() in known and c.name not in key_names]
    columns = [c.name for c in old.columns], [c.name for c in new.columns]
    with duckdb.connect() as connection:
        connection.register("old_rows", old.table.rename_columns(columns[0]))
        connection.register("new_rows", new.table.rename_columns(columns[1]))
        using = ", ".join(quote(k) for k in key_names)
        for name in ("old_rows", "new_rows"):
            twice = connection.sql(
                f"SELECT 1 FROM {name} GROUP BY {using} HAVING count(*) > 1 LIMIT 1"
            ).fetchone()
            if twice is not None:
                raise UsageError(f"the key {', '.join(key_names)} is not unique")
        pairs = " AND ".join(f"o.{quote(k)} IS NOT DISTINCT FROM n.{quote(k)}" for k in key_names)
        differs = " OR ".join(f"o.{quote(c)} IS DISTINCT FROM n.{quote(c)}" for c in rest)
        shown = ", ".join(_change(quote(c)) for c in rest)
        key_list = ", ".join(
            f"coalesce(n.{quote(k)}, o.{quote(k)}) AS {quote(k)}" for k in key_names
        )
        return connection.sql(
            "SELECT CASE WHEN o.here IS NULL THEN 'added' WHEN n.here IS NULL THEN 'removed' "
            f"ELSE 'changed' END AS what, {key_list}{', ' + shown if shown else ''} "
            "FROM (SELECT *, true AS here FROM old_rows) o FULL JOIN "
            f"(SELECT *, true AS here FROM new_rows) n ON {pairs} "
            f"WHERE o.here IS NULL OR n.here IS NULL OR ({differs or 'false'}) ORDER BY ALL"
        ).to_arrow_table()


def _change(name: str) -> str:
    old, new = f"o.{name}", f"n.{name}"
    texts = [f"coalesce({value}::VARCHAR, 'NULL')" for value in (old, new)]
    return (
        f"CASE WHEN {old} IS NOT DISTINCT FROM {new} THEN {new}::VARCHAR "
        f"ELSE concat({texts[0]}, ' → ', {texts[1]}) END AS {name}"
    )
