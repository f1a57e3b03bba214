"""The catalogs of a session: read on first use, kept for a while, searched by name."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from dovetail.catalog.model import SourceCatalog, TableInfo
from dovetail.errors import BindError, Location, SourceError, UnknownNameError

_MAX_SUGGESTIONS = 5


class Catalogs:
    """All catalogs of a session. Thread-safe.

    ``readers`` read one source's catalog each. A catalog older than ``max_age`` seconds is read
    again; when its source is down then, the old copy stands in, marked stale.
    """

    def __init__(
        self, readers: Mapping[str, Callable[[], SourceCatalog]], max_age: float = 300.0
    ) -> None:
        self._readers = dict(readers)
        self._max_age = max_age
        self._catalogs: dict[str, SourceCatalog] = {}
        self._locks = {name: threading.Lock() for name in readers}
        self._expired: set[str] = set()

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the configured sources."""
        return tuple(self._readers)

    def get(self, source: str) -> SourceCatalog:
        """The catalog of a source.

        Raises:
            UnknownNameError: there is no such source.
            SourceError: it cannot be read and no older copy exists.
        """
        name = self.source_name(source)
        if name is None:
            raise UnknownNameError(
                f'no source "{source}"{self._listed(self._readers)}',
                suggestions=near_names(source, self._readers),
            )
        with self._locks[name]:
            known = self._catalogs.get(name)
            old = known is None or time.time() - known.read_at > self._max_age
            if known is not None and not old and name not in self._expired:
                return known
            try:
                fresh = self._readers[name]()
            except SourceError:
                if known is None:
                    raise
                fresh = replace(known, stale=True, read_at=time.time())
            self._expired.discard(name)
            self._catalogs[name] = fresh
            return fresh

    def all(self) -> tuple[SourceCatalog, ...]:
        """Every catalog, read in parallel; the first failure is raised."""
        if len(self._readers) <= 1:
            return tuple(self.get(name) for name in self._readers)
        with ThreadPoolExecutor(max_workers=min(8, len(self._readers))) as pool:
            return tuple(pool.map(self.get, self._readers))

    def readable(self) -> tuple[tuple[SourceCatalog, ...], tuple[SourceError, ...]]:
        """The catalogs that can be read, and the errors of the others."""
        found: list[SourceCatalog] = []
        failed: list[SourceError] = []

        def read(name: str) -> SourceCatalog | SourceError:
            try:
                return self.get(name)
            except SourceError as error:
                return error

        if not self._readers:
            return (), ()
        with ThreadPoolExecutor(max_workers=min(8, len(self._readers))) as pool:
            for outcome in pool.map(read, self._readers):
                if isinstance(outcome, SourceError):
                    failed.append(outcome)
                else:
                    found.append(outcome)
        return tuple(found), tuple(failed)

    def refresh(self, source: str | None = None) -> None:
        """Read a catalog (or all) anew on next use; the copy is kept in case its source is down."""
        if source is None:
            self._expired.update(self._readers)
        else:
            name = self.source_name(source)
            if name is not None:
                self._expired.add(name)

    def source_name(self, name: str) -> str | None:
        """The configured spelling of a source name, or None."""
        if name in self._readers:
            return name
        return next((known for known in self._readers if known.lower() == name.lower()), None)

    def find(self, parts: tuple[str, ...], location: Location | None = None) -> TableInfo:
        """The table that ``name``, ``source.name``, ``schema.name`` or all three parts mean.

        A bare name must be unique over all sources.

        Raises:
            UnknownNameError: no such table; near names are listed.
            BindError: a bare name is found in several sources.
        """
        if len(parts) == 3:
            table = self.get_table(parts[0], parts[1], parts[2])
        elif len(parts) == 2:
            table = self._two_parts(parts[0], parts[1])
        else:
            table = self._bare(parts[-1], location)
        if table is None:
            raise self._unknown(parts, location)
        return table

    def get_table(self, source: str, schema: str | None, name: str) -> TableInfo | None:
        """The table, or None; None also for an unknown source."""
        known = self.source_name(source)
        return None if known is None else self.get(known).table(schema, name)

    def _two_parts(self, first: str, name: str) -> TableInfo | None:
        if self.source_name(first) is not None:
            return self.get_table(first, None, name)
        found = [t for c in self.all() if (t := c.table(first, name)) is not None]
        return found[0] if len(found) == 1 else None

    def _bare(self, name: str, location: Location | None) -> TableInfo | None:
        catalogs, failed = self.readable()
        # A table of a source's default schema comes before one that is merely the only one of its
        # name in some other schema.
        found = [t for c in catalogs if (t := c.table(c.default_schema, name)) is not None]
        if not found:
            found = [t for c in catalogs if (t := c.table(None, name)) is not None]
        if len(found) > 1:
            names = [t.qualified_name for t in found]
            raise BindError(
                f'table "{name}" is in several sources: {", ".join(names)}; say which',
                location=location,
                suggestions=names,
            )
        if not found and failed:
            raise failed[0]
        return found[0] if found else None

    def _unknown(self, parts: tuple[str, ...], location: Location | None) -> UnknownNameError:
        written = ".".join(parts)
        first = self.source_name(parts[0]) if len(parts) > 1 else None
        if first is not None:
            pool = {t.name: t.qualified_name for t in self.get(first).tables}
        else:
            pool = {t.name: t.qualified_name for c in self.readable()[0] for t in c.tables}
        near = [pool[n] for n in near_names(parts[-1], pool)]
        if near:
            tail = "; did you mean " + " or ".join(near) + "?"
        elif first is not None:
            tail = (
                f"; {first} has{self._listed(pool.values())[1:]}"
                if pool
                else (f"; {first} has no tables")
            )
        else:
            tail = self._listed(self._readers)
        return UnknownNameError(
            f'no table "{written}"{tail}',
            location=location,
            suggestions=near,
            source=first,
            table=written,
        )

    @staticmethod
    def _listed(names: Iterable[str]) -> str:
        listed = sorted(names)
        if not listed:
            return "; no sources are configured"
        shown = ", ".join(listed[:_MAX_SUGGESTIONS])
        more = (
            f" and {len(listed) - _MAX_SUGGESTIONS} more" if len(listed) > _MAX_SUGGESTIONS else ""
        )
        return f"; there is {shown}{more}"


def near_names(name: str, pool: Iterable[str], limit: int = 3) -> list[str]:
    """The names of ``pool`` that look like ``name``, best first."""
    from rapidfuzz import fuzz, process

    found = process.extract(
        name.lower(),
        list(dict.fromkeys(pool)),
        scorer=fuzz.ratio,
        processor=str.lower,
        score_cutoff=60,
        limit=limit,
    )
    return [choice for choice, _, _ in found]
