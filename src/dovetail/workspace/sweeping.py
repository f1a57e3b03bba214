"""Removing what is past its time: results, history, deleted datasets, old versions, audit, keys."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import delete, func, select, update

from dovetail.cache.lookup import store_of
from dovetail.workspace.history import UNFINISHED
from dovetail.workspace.idempotency import LIFE
from dovetail.workspace.models import (
    AuditRow,
    DatasetRow,
    DatasetVersionRow,
    IdempotencyRow,
    QueryRow,
    TokenRow,
    now,
)
from dovetail.workspace.store import Store
from dovetail.workspace.uploads import remove_folder

_VERSION_LIFE = timedelta(days=7)
_DELETED_LIFE = timedelta(days=30)
_AUDIT_LIFE = timedelta(days=365)
_TOKEN_LIFE = timedelta(days=30)


class Sweeper:
    """Sweeps one store. Any number of processes may do so at once."""

    def __init__(self, store: Store, remove_dataset: Callable[[str], None]) -> None:
        self._store = store
        self._remove_dataset = remove_dataset

    def sweep(self) -> None:
        """One round."""
        self._results()
        self._kept_rows()
        self._history()
        self._datasets()
        self._rest()

    def _results(self) -> None:
        """Expired results; then the oldest ones until the rest fits."""
        moment = now()
        with self._store.write() as session:
            gone = list(
                session.scalars(
                    select(QueryRow.id).where(
                        QueryRow.expires_at <= moment, QueryRow.result_bytes.is_not(None)
                    )
                )
            )
            kept = session.execute(
                select(QueryRow.id, QueryRow.result_bytes)
                .where(QueryRow.expires_at > moment, QueryRow.result_bytes.is_not(None))
                .order_by(QueryRow.finished_at.desc())
            ).all()
            left = self._store.limits.result_store_bytes
            for query_id, size in kept:
                left -= size or 0
                if left < 0:
                    gone.append(query_id)
            for start in range(0, len(gone), 500):
                session.execute(
                    update(QueryRow)
                    .where(QueryRow.id.in_(gone[start : start + 500]))
                    .values(result_bytes=None, expires_at=moment)
                )
        self._unlink(gone)

    def _kept_rows(self) -> None:
        """Rows in the cache that are too old to be an answer."""
        cache = self._store.kept_results
        with contextlib.suppress(OSError):
            store_of(cache).clear(older=cache.max_age)

    def _history(self) -> None:
        limits = self._store.limits
        oldest = now() - timedelta(days=limits.history_days)
        with self._store.write() as session:
            removable = (QueryRow.favourite.is_(False), QueryRow.status.not_in(UNFINISHED))
            gone = list(
                session.scalars(select(QueryRow.id).where(QueryRow.created_at < oldest, *removable))
            )
            crowded = session.execute(
                select(QueryRow.user_id, func.count())
                .group_by(QueryRow.user_id)
                .having(func.count() > limits.history_per_user)
            ).all()
            for user_id, count in crowded:
                gone += session.scalars(
                    select(QueryRow.id)
                    .where(QueryRow.user_id == user_id, *removable)
                    .order_by(QueryRow.created_at)
                    .limit(count - limits.history_per_user)
                )
            for start in range(0, len(gone), 500):
                session.execute(delete(QueryRow).where(QueryRow.id.in_(gone[start : start + 500])))
        self._unlink(gone)

    def _unlink(self, queries: list[str]) -> None:
        for query_id in queries:
            (self._store.folders.results / f"{query_id}.arrow").unlink(missing_ok=True)

    def _datasets(self) -> None:
        moment = now()
        with self._store.read() as session:
            deleted = session.scalars(
                select(DatasetRow.id).where(DatasetRow.deleted_at < moment - _DELETED_LIFE)
            ).all()
            retired = session.scalars(
                select(DatasetVersionRow).where(
                    DatasetVersionRow.retired_at < moment - _VERSION_LIFE
                )
            ).all()
        for dataset_id in deleted:
            self._remove_dataset(dataset_id)
        for version in retired:
            with self._store.write() as session:
                row = session.get(DatasetVersionRow, (version.dataset_id, version.version))
                if row is not None:
                    session.delete(row)
            remove_folder(self._store.folders.files / version.folder)

    def _rest(self) -> None:
        moment = now()
        with self._store.write() as session:
            session.execute(delete(AuditRow).where(AuditRow.at < moment - _AUDIT_LIFE))
            session.execute(delete(IdempotencyRow).where(IdempotencyRow.created_at < moment - LIFE))
            session.execute(
                delete(TokenRow).where(
                    (TokenRow.expires_at < moment - _TOKEN_LIFE)
                    | (TokenRow.revoked_at < moment - _TOKEN_LIFE)
                )
            )
