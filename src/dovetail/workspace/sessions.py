"""Warm sessions: one per view, shared by whoever may see exactly that view.

Opening a session costs tens of milliseconds and its engine instances and catalogs get faster with
use, so a few are kept. Nothing can leak through a shared one: it has no table that the view does
not name, and the rights to the view are checked anew for every query before a session is asked
for.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dovetail.config import Config, Limits
from dovetail.session import Session
from dovetail.workspace.store import Store
from dovetail.workspace.views import View, Views


@dataclass
class _Kept:
    session: Session
    users: int = 0


class Sessions:
    """The sessions of one process. Thread-safe."""

    def __init__(self, store: Store, views: Views) -> None:
        self._store = store
        self._views = views
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._closed = False

    @contextmanager
    def lease(self, view: View) -> Iterator[Session]:
        """The session of a view, for as long as the block lasts."""
        key = view.key
        kept = self._take(key)
        if kept is None:
            kept = self._add(key, self._open(view))
        try:
            yield kept.session
        finally:
            for session in self._give_back(kept):
                session.close()

    def close(self) -> None:
        """Close them all, cancelling what runs."""
        with self._lock:
            self._closed = True
            kept, self._kept = self._kept, OrderedDict()
        for one in kept.values():
            one.session.close()

    def _open(self, view: View) -> Session:
        limits = self._store.limits
        config = Config(
            sources=self._views.settings(view),
            limits=Limits(
                memory=limits.memory,
                threads=limits.threads,
                temp_space=limits.temp_space,
                max_bytes_moved=limits.max_bytes_moved,
            ),
            cache=self._store.kept_results,
        )
        return Session(
            config,
            only_tables=view.tables,
            temporary_directory=self._store.scratch,
            cache_scope=view.key,
        )

    def _take(self, key: str) -> _Kept | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                kept.users += 1
                self._kept.move_to_end(key)
            return kept

    def _add(self, key: str, session: Session) -> _Kept:
        with self._lock:
            other = self._kept.get(key)
            if other is None:
                kept = self._kept[key] = _Kept(session, 1)
                return kept
            other.users += 1
        session.close()  # somebody else was quicker
        return other

    def _give_back(self, kept: _Kept) -> list[Session]:
        """Sessions that are to be closed now: the longest unused ones beyond the number kept."""
        with self._lock:
            kept.users -= 1
            idle = [key for key, one in self._kept.items() if one.users == 0]
            beyond = max(0, len(self._kept) - self._store.limits.kept_sessions)
            return [self._kept.pop(key).session for key in idle[:beyond]]
