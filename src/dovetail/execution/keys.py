"""Keys for dynamic filters: looked up in fragments that have been read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dovetail.connectors.capabilities import Keys


@dataclass(frozen=True)
class KeyLookup:
    """Keys that fragment ``teacher`` teaches fragment ``target``.

    ``statement`` gets the SQL for a FROM clause per fragment number and returns a query for the
    distinct values, in its one column ``key``, of DuckDB's ``type``. Beyond ``most`` of them only
    their range is sent.
    """

    number: int
    teacher: int
    target: int
    statement: Callable[[Mapping[int, str]], str]
    type: str
    most: int


def look_up(
    connection: Any, lookup: KeyLookup, relations: Mapping[int, str]
) -> tuple[int, Keys | None]:
    """How many keys there are, and the keys themselves (None: there are none)."""
    statement = lookup.statement(relations)
    count, low, high, values = connection.execute(
        f"WITH keys AS MATERIALIZED (SELECT key FROM ({statement}) WHERE key IS NOT NULL) "
        "SELECT count(*), CAST(min(key) AS VARCHAR), CAST(max(key) AS VARCHAR), "
        f"CASE WHEN count(*) <= {lookup.most} THEN list(CAST(key AS VARCHAR)) END FROM keys"
    ).fetchone()
    if count == 0:
        return 0, None
    return count, Keys(lookup.type, low, high, None if values is None else tuple(values))
