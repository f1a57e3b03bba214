"""The queries that were run, kept on disk for the command line, the shell and the TUI alike."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dovetail.secrets import redact

if TYPE_CHECKING:
    from dovetail.execution.profile import Profile

_KEPT = 10_000
_OFF = "off"
# Programs from before a column was added go by this number: they drop a table of another one.
_VERSION = 2
# `parts` is a JSON list of one [source, milliseconds, rows, bytes, cache] per fragment.
_COLUMNS = {
    "id": "INTEGER PRIMARY KEY",
    "sql": "TEXT NOT NULL",
    "started": "REAL NOT NULL",
    "interface": "TEXT NOT NULL",
    "parts": "TEXT NOT NULL DEFAULT '[]'",
    "rows": "INTEGER",
    "milliseconds": "REAL",
    "error": "TEXT",
    "workspace": "TEXT",
    "cancelled": "INTEGER NOT NULL DEFAULT 0",
}


class Part(NamedTuple):
    """What one source did for a query; times in milliseconds, sizes in bytes.

    ``cache`` is that of :class:`dovetail.execution.profile.Profile`.
    """

    source: str
    milliseconds: float | None = None
    rows: int | None = None
    bytes: int | None = None
    cache: str = "none"


@dataclass(frozen=True)
class Entry:
    """One query that was run. ``started`` in seconds since the epoch; ``error`` if it failed.

    ``workspace`` is None for a query from before they were told apart. Of one that was
    ``cancelled``, by a key or since nobody took its rows any more, ``rows`` came until then.
    """

    id: int
    sql: str
    started: float
    interface: str
    parts: tuple[Part, ...] = ()
    rows: int | None = None
    milliseconds: float | None = None
    error: str | None = None
    workspace: str | None = None
    cancelled: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that took part, each once."""
        return tuple(dict.fromkeys(part.source for part in self.parts))

    @property
    def cached(self) -> bool:
        """Whether its rows were those of an earlier run."""
        return any(part.cache == "hit" for part in self.parts)

    @property
    def bytes(self) -> int:
        """What came from the sources, in bytes."""
        return sum(part.bytes or 0 for part in self.parts)


def history_path() -> Path | None:
    """Where the history is: ``DOVETAIL_HISTORY`` (None for ``off``), or the user's state folder."""
    named = os.environ.get("DOVETAIL_HISTORY")
    if named:
        return None if named == _OFF else Path(named)
    import platformdirs

    return Path(platformdirs.user_state_path("dovetail")) / "history.sqlite"


def workspace_name(configuration: Path | None) -> str:
    """What the work at a terminal belongs to: the configuration in use, else the working folder."""
    return str(Path.cwd() if configuration is None else configuration.resolve())


class History:
    """The history in one file. Several programs may use it at once; threads too.

    A history that cannot be written is no reason to stop work: it then holds nothing.
    """

    def __init__(self, path: str | Path | None = None, *, workspace: str | None = None) -> None:
        """``path`` is the file, :func:`history_path` otherwise; it is made when missing.

        Queries are kept for ``workspace``, and only its own are found, and those from before
        workspaces were told apart; None finds those of all.
        """
        self._workspace = workspace
        file = Path(path) if path is not None else history_path()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        if file is None:
            return
        with suppress(OSError, sqlite3.Error):
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            connection = sqlite3.connect(file, timeout=2, check_same_thread=False)
            _prepare(connection)
            file.chmod(0o600)
            self._connection = connection

    def add(
        self,
        sql: str,
        interface: str,
        *,
        rows: int | None = None,
        milliseconds: float | None = None,
        error: str | None = None,
        profile: Profile | None = None,
        started: float | None = None,
        cancelled: bool = False,
    ) -> None:
        """Keep a query, unless it begins with a space. A repetition replaces its neighbour."""
        if sql[:1] in (" ", "\t") or not sql.strip() or self._connection is None:
            return
        text = redact(sql.strip())
        fragments = profile.fragments if profile is not None else ()
        values = (
            text,
            time.time() if started is None else started,
            interface,
            json.dumps([[f.source, f.milliseconds, f.rows, f.bytes, f.cache] for f in fragments]),
            rows,
            milliseconds,
            None if error is None else redact(error),
            self._workspace,
            cancelled,
        )
        with self._lock, suppress(sqlite3.Error):
            last = self._connection.execute(
                "SELECT id, sql FROM queries WHERE workspace IS ? ORDER BY id DESC LIMIT 1",
                (self._workspace,),
            ).fetchone()
            if last is not None and last[1] == text:
                self._connection.execute("DELETE FROM queries WHERE id = ?", (last[0],))
            self._connection.execute(
                "INSERT INTO queries (sql, started, interface, parts, rows, milliseconds, error,"
                " workspace, cancelled) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
        since: float | None = None,
        until: float | None = None,
        everywhere: bool = False,
    ) -> list[Entry]:
        """Queries, newest first. ``text`` must stand in them, its words in any order.

        ``slower_than`` is in milliseconds, ``since`` and ``until`` in seconds since the epoch.
        ``everywhere`` finds those of all workspaces.
        """
        here, values = self._narrowed(everywhere)
        conditions = [here]
        for word in text.split():
            conditions.append("instr(lower(sql), ?) > 0")
            values.append(word.lower())
        if failed:
            conditions.append("error IS NOT NULL")
        for test, bound in (
            ("milliseconds > ?", slower_than),
            ("started >= ?", since),
            ("started < ?", until),
        ):
            if bound is not None:
                conditions.append(test)
                values.append(bound)
        if source is not None:
            conditions.append(
                "EXISTS (SELECT 1 FROM json_each(parts) WHERE json_extract(value, '$[0]') = ?)"
            )
            values.append(source)
        return self._read(
            f"WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT {limit}", values
        )

    def entry(self, id: int) -> Entry | None:
        """The query of that number, of whatever workspace."""
        found = self._read("WHERE id = ?", [id])
        return found[0] if found else None

    def _narrowed(self, everywhere: bool = False) -> tuple[str, list[str | float]]:
        """The condition of what is found, and its values."""
        if everywhere or self._workspace is None:
            return "true", []
        return "(workspace = ? OR workspace IS NULL)", [self._workspace]

    def _read(self, condition: str, values: list[str | float]) -> list[Entry]:
        if self._connection is None:
            return []
        with self._lock:
            try:
                found = self._connection.execute(
                    "SELECT id, sql, started, interface, parts, rows, milliseconds, error,"
                    f" workspace, cancelled FROM queries {condition}",
                    values,
                ).fetchall()
            except sqlite3.Error:
                return []
        return [
            Entry(id, sql, began, where, _parts(parts), rows, took, error, workspace, bool(cut))
            for id, sql, began, where, parts, rows, took, error, workspace, cut in found
        ]

    def clear(self) -> int:
        """Forget what can be found; how many queries it was."""
        if self._connection is None:
            return 0
        here, values = self._narrowed()
        with self._lock:
            count = self._connection.execute(f"DELETE FROM queries WHERE {here}", values).rowcount
            self._connection.commit()
            self._connection.execute("VACUUM")  # what was deleted would stay readable in the file
        return count

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _parts(text: str) -> tuple[Part, ...]:
    return tuple(Part(*values) for values in json.loads(text))


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the table, or a new one for what a table of an earlier form holds."""
    if _has_all(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    if not _has_all(connection):  # another program was not faster
        kept = ", ".join(name for name in _columns(connection) if name in _COLUMNS)
        if kept:
            connection.execute("ALTER TABLE queries RENAME TO earlier")
        columns = ", ".join(f"{name} {type_}" for name, type_ in _COLUMNS.items())
        connection.execute(f"CREATE TABLE queries ({columns})")
        if kept:
            connection.execute(f"INSERT INTO queries ({kept}) SELECT {kept} FROM earlier")
            connection.execute("DROP TABLE earlier")
        connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.commit()


def _has_all(connection: sqlite3.Connection) -> bool:
    """Whether the table has every column; a later program's may have more."""
    return _COLUMNS.keys() <= set(_columns(connection))


def _columns(connection: sqlite3.Connection) -> list[str]:
    return [row[1] for row in connection.execute("PRAGMA table_info(queries)")]
