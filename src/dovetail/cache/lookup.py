"""One query's way through the cache: looked up, else run and recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.cache.identity import Identity, NotKept, identity, versions_of
from dovetail.cache.results import recorded, replayed
from dovetail.cache.store import Kept, ResultStore
from dovetail.execution.profile import FragmentProfile, Profile

if TYPE_CHECKING:
    from dovetail.config import CacheSettings
    from dovetail.connectors.base import Connector
    from dovetail.execution.result import Result
    from dovetail.planning import Planned


def default_directory() -> Path:
    """Where results are kept when nothing is configured."""
    from platformdirs import user_cache_path

    return user_cache_path("dovetail", appauthor=False) / "results"


def store_of(settings: CacheSettings) -> ResultStore:
    """The store that a configuration names. Nothing is made yet."""
    return ResultStore(settings.directory or default_directory(), settings.max_bytes)


class Lookup:
    """A planned query, as the cache knows it. ``note`` says why it does not, if it does not."""

    def __init__(
        self,
        store: ResultStore,
        planned: Planned,
        connectors: Mapping[str, Connector],
        unrepeatable: str,
        *,
        max_age: float,
        scope: str,
    ) -> None:
        """``unrepeatable`` is why the same query may answer otherwise, ``max_age`` in seconds.

        Raises:
            ConfigError: the store's folder cannot be used.
        """
        self._store = store
        self._planned = planned
        self._connectors = connectors
        self._max_age = max_age
        self._identity: Identity | None = None
        self.note = unrepeatable
        # Before the versions are looked at: nothing in the result is older.
        self._began = time.time()
        if unrepeatable:
            return
        salt = store.salt
        try:
            self._identity = identity(planned, connectors, scope=scope, salt=salt)
        except NotKept as reason:
            self.note = str(reason)

    def find(
        self,
        profile: Profile,
        max_rows: int | None,
        on_progress: Callable[[Profile], None] | None,
        on_start: Callable[[Callable[[], None]], None] | None,
    ) -> Result | None:
        """The kept result, or None; ``profile`` says which. Arguments as in ``Session.sql``."""
        profile.cache_note = self.note
        kept = self._kept()
        if self._identity is not None:
            profile.cache = "miss" if kept is None else "hit"
            self._store.count(hit=kept is not None)
        if kept is None:
            return None
        profile.cache_age = time.time() - kept.about.created
        profile.fragments = [
            FragmentProfile(
                piece.number,
                piece.source,
                self._connectors[piece.source].kind,
                self._connectors[piece.source].render(piece.request),
                "cache",
                rows=0,
                bytes=0,
                milliseconds=0.0,
                cache="hit",
                complete=True,
            )
            for piece in self._planned.work.pieces
        ]

        def done() -> None:
            if on_progress is not None:
                on_progress(profile)

        result = replayed(kept, profile, max_rows, done)
        if on_start is not None:
            on_start(result.cancel)
        return result

    def record(self, result: Result) -> Result:
        """``result``, kept once it has been read to its end."""
        if self._identity is None:
            return result
        return recorded(result, self._store.write(self._identity.key), self._began, self._unchanged)

    def to_dict(self) -> dict[str, Any]:
        """What :meth:`find` would do: ``cache`` is hit, miss or none."""
        kept = self._kept()
        if kept is None:
            return {"cache": "miss"} if self._identity else {"cache": "none", "note": self.note}
        kept.close()
        return {"cache": "hit", "age_seconds": round(time.time() - kept.about.created, 3)}

    def _kept(self) -> Kept | None:
        if self._identity is None:
            return None
        return self._store.find(self._identity.key, self._max_age)

    def _unchanged(self) -> bool:
        assert self._identity is not None
        try:
            return versions_of(self._planned, self._connectors) == self._identity.versions
        except NotKept:
            return False
