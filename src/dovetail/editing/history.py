"""The queries that were run, kept on disk for the command line, the shell and the TUI alike."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dovetail.secrets import redact

_KEPT = 10_000
_TABLE = """
CREATE TABLE IF NOT EXISTS queries (
  id INTEGER PRIMARY KEY, sql TEXT NOT NULL, started REAL NOT NULL, interface TEXT NOT NULL,
  sources TEXT NOT NULL DEFAULT '', rows INTEGER, milliseconds REAL, error TEXT
)
"""


@dataclass(frozen=True)
class Entry:
    """One query that was run. ``started`` in seconds since the epoch; ``error`` if it failed."""

    id: int
    sql: str
    started: float
    interface: str
    sources: str = ""
    rows: int | None = None
    milliseconds: float | None = None
    error: str | None = None


def history_path() -> Path:
    """Where the history is: ``DOVETAIL_HISTORY``, or the user's folder for such things."""
    named = os.environ.get("DOVETAIL_HISTORY")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_state_path("dovetail")) / "history.sqlite"


class History:
    """The history in one file. Several programs may use it at once; threads too.

    A history that cannot be written is no reason to stop work: it then holds nothing.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        """``path`` is the file, :func:`history_path` otherwise; it is made when missing."""
        self._path = Path(path) if path is not None else history_path()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        with suppress(OSError, sqlite3.Error):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            connection = sqlite3.connect(self._path, timeout=2, check_same_thread=False)
            connection.execute(_TABLE)
            connection.commit()
            self._path.chmod(0o600)
            self._connection = connection

    def add(
        self,
        sql: str,
        interface: str,
        *,
        rows: int | None = None,
        milliseconds: float | None = None,
        error: str | None = None,
        sources: Sequence[str] = (),
        started: float | None = None,
    ) -> None:
        """Keep a query, unless it begins with a space. A repetition replaces its neighbour."""
        if sql[:1] in (" ", "\t") or not sql.strip() or self._connection is None:
            return
        text = redact(sql.strip())
        values = (
            text,
            time.time() if started is None else started,
            interface,
            ", ".join(sources),
            rows,
            milliseconds,
            None if error is None else redact(error),
        )
        with self._lock, suppress(sqlite3.Error):
            last = self._connection.execute(
                "SELECT id, sql FROM queries ORDER BY id DESC LIMIT 1"
            ).fetchone()
            if last is not None and last[1] == text:
                self._connection.execute("DELETE FROM queries WHERE id = ?", (last[0],))
            self._connection.execute(
                "INSERT INTO queries (sql, started, interface, sources, rows, milliseconds, error)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            self._connection.execute(
                "DELETE FROM queries WHERE id <= (SELECT max(id) FROM queries) - ?", (_KEPT,)
            )
            self._connection.commit()

    def entries(
        self,
        text: str = "",
        *,
        limit: int = 200,
        failed: bool = False,
        slower_than: float | None = None,
        source: str | None = None,
    ) -> list[Entry]:
        """Queries, newest first. ``text`` must stand in them, its words in any order.

        ``slower_than`` is in milliseconds.
        """
        if self._connection is None:
            return []
        conditions = ["true"]
        values: list[str | float] = []
        for word in text.split():
            conditions.append("instr(lower(sql), ?) > 0")
            values.append(word.lower())
        if failed:
            conditions.append("error IS NOT NULL")
        if slower_than is not None:
            conditions.append("milliseconds > ?")
            values.append(slower_than)
        if source is not None:
            conditions.append("(', ' || sources || ',') LIKE ?")
            values.append(f"%, {source},%")
        with self._lock:
            try:
                found = self._connection.execute(
                    "SELECT id, sql, started, interface, sources, rows, milliseconds, error "
                    f"FROM queries WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT {limit}",
                    values,
                ).fetchall()
            except sqlite3.Error:
                return []
        return [Entry(*row) for row in found]

    def clear(self) -> None:
        """Forget everything."""
        if self._connection is not None:
            with self._lock:
                self._connection.execute("DELETE FROM queries")
                self._connection.commit()

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
