"""Names of tables and columns as far as they are known. Reading them never waits for a source."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from dovetail.errors import DovetailError
from dovetail.quoting import sql_string

if TYPE_CHECKING:
    from dovetail.catalog.model import TableInfo
    from dovetail.session import Session

Columns = tuple[tuple[str, str], ...]
"""``(name, type)`` of each column."""


@dataclass(frozen=True)
class SourceNames:
    """What is known of one source. ``state`` is ``loading``, ``ready`` or ``failed``; ``read_at``
    in seconds since the epoch."""

    name: str
    kind: str
    state: str
    tables: tuple[TableInfo, ...] = ()
    error: str = ""
    read_at: float = 0.0

    @cached_property
    def searchable(self) -> tuple[tuple[TableInfo, str, str], ...]:
        """Each table with its name and the names of its columns (a line each), in small letters."""
        return tuple(
            (table, table.name.lower(), "\n".join(c.name for c in table.columns).lower())
            for table in self.tables
        )


class Schema:
    """The names of a session, read in threads of their own; one slow source delays no other.

    ``on_change`` is called, from those threads, whenever more is known.
    """

    def __init__(self, session: Session, on_change: Callable[[], None] = lambda: None) -> None:
        self._session = session
        self._on_change = on_change
        self._lock = threading.Lock()
        self._known = {s.name: SourceNames(s.name, s.kind, "loading") for s in session.sources()}
        self._relations: dict[str, Columns | None] = {}
        self._local: dict[str, Columns] = {}
        self._threads: list[threading.Thread] = []
        self._by_name: dict[tuple[str, ...], list[TableInfo]] | None = None

    def load(self, source: str | None = None, *, again: bool = False) -> None:
        """Begin to read one source or all; ``again`` reads anew what is cached."""
        for name in [source] if source is not None else list(self._known):
            if name not in self._known:
                continue
            if again:
                self._session.refresh(name)
                with self._lock:
                    old = self._known[name]
                    self._known[name] = SourceNames(name, old.kind, "loading", old.tables)
            thread = threading.Thread(
                target=self._read, args=(name,), name=f"dovetail-names-{name}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Wait for what is being read; for tests and for a first answer that may take a moment."""
        for thread in list(self._threads):
            thread.join(seconds)

    def _read(self, name: str) -> None:
        kind = self._known[name].kind
        try:
            tables = tuple(self._session.tables(name))
            found = SourceNames(name, kind, "ready", tables, read_at=time.time())
            _ = found.searchable  # made here rather than while somebody types
        except DovetailError as error:
            found = SourceNames(name, kind, "failed", self._known[name].tables, error.message)
        with self._lock:
            self._known[name] = found
            self._by_name = None
        self._on_change()

    @property
    def macros(self) -> tuple[str, ...]:
        """The names of the user's own macros."""
        return tuple(name.lower() for name in self._session.config.macros)

    @property
    def sources(self) -> tuple[SourceNames, ...]:
        """What is known of each source, in the order of the configuration."""
        return tuple(self._known.values())

    @property
    def tables(self) -> tuple[TableInfo, ...]:
        """All tables known so far."""
        return tuple(table for source in self._known.values() for table in source.tables)

    @property
    def local_names(self) -> dict[str, Columns]:
        """Names that exist for this session only: ``--data`` files and temporary tables."""
        return dict(self._local)

    def add_local(self, name: str, columns: Columns = ()) -> None:
        """Make a name of this session known; without columns they are looked up when asked for."""
        self._local[name] = columns

    def drop_local(self, name: str) -> None:
        """Forget a name of this session."""
        self._local.pop(name, None)

    def find(self, parts: Sequence[str]) -> TableInfo | None:
        """The table of that name, if it is known and the name is unique."""
        with self._lock:
            if self._by_name is None:
                index: dict[tuple[str, ...], list[TableInfo]] = {}
                for table in self.tables:
                    full = (table.source.lower(), table.schema.lower(), table.name.lower())
                    for key in {full, (full[0], full[2]), full[1:], full[2:]}:
                        index.setdefault(key, []).append(table)
                self._by_name = index
            found = self._by_name.get(tuple(part.lower() for part in parts), [])
        return found[0] if len(found) == 1 else None

    def columns(self, parts: Sequence[str]) -> Columns:
        """The columns of a table, a name of this session, or a file (``parts`` is its path).

        What is not known yet is looked up in the background, and is nothing until then.
        """
        table = self.find(parts)
        if table is not None:
            return tuple((c.name, c.type.text) for c in table.columns)
        if len(parts) != 1:
            return ()
        name = parts[0]
        local = next((v for k, v in self._local.items() if k.lower() == name.lower()), None)
        if local:
            return local
        with self._lock:
            if name in self._relations:
                return self._relations[name] or ()
            if local is None and not ({"/", "."} & set(name)):
                return ()
            self._relations[name] = None
        thread = threading.Thread(
            target=self._describe, args=(name,), name="dovetail-names-file", daemon=True
        )
        self._threads.append(thread)
        thread.start()
        return ()

    def _describe(self, name: str) -> None:
        quoted = sql_string(name) if {"/", "."} & set(name) else name
        try:
            found = self._session.describe(quoted)
        except DovetailError:
            return
        self._relations[name] = tuple((c.column, c.type) for c in found)
        self._on_change()

    def short_name(self, table: TableInfo) -> tuple[str, ...]:
        """The parts that name a table without doubt: ``source.table`` where that is enough."""
        short = (table.source, table.name)
        return short if self.find(short) is not None else (table.source, table.schema, table.name)
