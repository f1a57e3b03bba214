"""What must be known of a text before it is planned: whether its outermost query has a LIMIT."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from typing import Any

from dovetail.workspace.problems import WorkspaceError, invalid

_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_ ]*(\(\s*\d+\s*(,\s*\d+\s*)?\))?(\[\])*")


class Statements:
    """DuckDB's own parser, for questions about a text. Thread-safe."""

    def __init__(self) -> None:
        import duckdb

        self._lock = threading.Lock()
        self._connection = duckdb.connect(
            ":memory:",
            config={"enable_external_access": "false", "python_enable_replacements": "false"},
        )

    def has_limit(self, sql: str) -> bool:
        """Whether the outermost query has a LIMIT; False for a text that cannot be told."""
        with self._lock:
            row = self._connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
        answer: dict[str, Any] = json.loads(row[0]) if row else {"error": True}
        if answer.get("error") or len(answer["statements"]) != 1:
            return False
        modifiers = answer["statements"][0]["node"].get("modifiers") or ()
        return any(
            modifier["type"] in ("LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER")
            and modifier.get("limit") is not None
            for modifier in modifiers
        )

    def parameters(self, params: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Parameters as Python values; ``{"type": …, "value": …}`` is converted by DuckDB.

        Raises:
            WorkspaceError: ``validation``: a value is not of the type it says.
        """
        if params is None:
            return None
        return {
            name: self._typed(name, value)
            if isinstance(value, Mapping) and set(value) == {"type", "value"}
            else value
            for name, value in params.items()
        }

    def _typed(self, name: str, given: Mapping[str, Any]) -> Any:
        import duckdb

        type_, value = given["type"], given["value"]
        if not isinstance(type_, str) or not _TYPE.fullmatch(type_):
            raise invalid(f"params.{name}.type", "must be the name of a DuckDB type")
        try:
            with self._lock:
                row = self._connection.execute(f"SELECT CAST(? AS {type_})", [value]).fetchone()
        except duckdb.Error:
            raise invalid(f"params.{name}", f"is not a value of type {type_}") from None
        assert row is not None
        return row[0]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def require_sql(sql: str, most: int) -> None:
    """Raises ``sql-empty``, or ``validation`` for a text longer than ``most`` characters."""
    if not sql.strip():
        raise WorkspaceError("sql-empty", "the text holds no statement; write a SELECT")
    if len(sql) > most:
        raise invalid("sql", f"must be {most:,} characters at most")
