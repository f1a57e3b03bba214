"""Datasets: uploaded files, kept results, and tables of sources by reference."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session as Transaction

from dovetail.catalog.catalogs import near_names
from dovetail.workspace.access import Actor
from dovetail.workspace.aliases import alias_of
from dovetail.workspace.audit import record
from dovetail.workspace.connections import Connections, KnownConnection, require_match
from dovetail.workspace.conversion import private_duckdb, write_parquet
from dovetail.workspace.models import DatasetRow, DatasetVersionRow, new_id, now
from dovetail.workspace.paging import contains, page, require_limit
from dovetail.workspace.problems import WorkspaceError, invalid, not_found
from dovetail.workspace.profiling import parquet_relation, profile
from dovetail.workspace.rights import (
    forget_grants,
    right_on_dataset,
    rights_on,
    visible,
    visible_dataset,
)
from dovetail.workspace.sessions import Sessions
from dovetail.workspace.shapes import (
    Column,
    ColumnProfile,
    Dataset,
    DatasetSchema,
    Page,
    Problem,
    Rows,
    SchemaColumn,
    TableProfile,
    Target,
)
from dovetail.workspace.store import Store
from dovetail.workspace.uploads import Incoming, Uploads, remove_folder
from dovetail.workspace.views import DATA_FILE, View, Views

if TYPE_CHECKING:
    from dovetail.catalog.model import TableInfo

_MOST_PREVIEWED = 1_000
_SAMPLE_ROWS = 1_000_000
_FRESH_SECONDS = 60.0
_POLL_SECONDS = 0.1


class Upload:
    """A file on its way in. Use it in a ``with`` block: without ``finish`` nothing is left."""

    def __init__(self, datasets: Datasets, actor: Actor, incoming: Incoming) -> None:
        self._datasets = datasets
        self._actor = actor
        self._incoming = incoming

    @property
    def dataset_id(self) -> str:
        """The id the dataset will have."""
        return self._incoming.dataset_id

    def write(self, chunk: bytes) -> None:
        """Append; raises ``too-large`` or ``store-full`` as soon as it is too much."""
        self._incoming.write(chunk)

    def finish(
        self,
        *,
        name: str | None = None,
        description: str | None = None,
        options: Mapping[str, Any] | None = None,
        wait: float = 10.0,
    ) -> Dataset:
        """Read, check and convert; the dataset is READY, or PROCESSING after ``wait`` seconds.

        Raises:
            WorkspaceError: ``unsupported-media-type`` (``valid``), ``file-empty``,
                ``file-unreadable`` (``lines``), ``validation`` for ``options``.
        """
        self._incoming.finish(name, description, options, wait)
        return self._datasets.get(self._actor, self.dataset_id)

    def abort(self) -> None:
        """Drop what was written. Idempotent, and nothing after ``finish``."""
        self._incoming.abort()

    def __enter__(self) -> Upload:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()


class Datasets:
    """The datasets of the workspace."""

    def __init__(
        self,
        store: Store,
        connections: Connections,
        views: Views,
        sessions: Sessions,
        uploads: Uploads,
    ) -> None:
        self._store = store
        self._connections = connections
        self._views = views
        self._sessions = sessions
        self._uploads = uploads

    # -- coming in ------------------------------------------------------------------------------

    def begin_upload(self, actor: Actor, filename: str, *, replaces: str | None = None) -> Upload:
        """Begin an upload; ``replaces`` is a dataset id that gets a new version (``manage``).

        ``filename`` is data: it names the dataset and hints at the format, never a path.
        """
        return Upload(self, actor, self._uploads.begin(actor, filename, replaces))

    def register(
        self,
        actor: Actor,
        connection: str,
        table: str,
        *,
        schema: str | None = None,
        name: str | None = None,
        description: str | None = None,
    ) -> Dataset:
        """A source's table by reference (id or name of the connection); needs ``query`` there."""
        actor.require("upload")
        with self._store.read() as session:
            known = self._connections.find(session, actor, connection, "query")
        found = self._table(known, schema, table)
        shown = (name or found.name).strip()
        _require_name(shown)
        with self._store.write() as session:
            row = DatasetRow(
                id=new_id(),
                name=shown,
                description=description or None,
                owner_id=actor.user_id,
                source_type="TABLE",
                status="READY",
                default_alias=alias_of(shown),
                columns=_columns_of(found),
                connection_id=known.id,
                source_schema=found.schema,
                source_table=found.name,
            )
            session.add(row)
            session.flush()
            record(session, actor, "register dataset", "dataset", row.id)
            return show_dataset(row, "manage")

    def _table(self, known: KnownConnection, schema: str | None, table: str) -> TableInfo:
        _, tables = self._connections.tables_of(known, max_age=_FRESH_SECONDS)
        matches = [
            t
            for t in tables
            if t.name.lower() == table.lower()
            and (schema is None or t.schema.lower() == schema.lower())
        ]
        if len(matches) == 1:
            return matches[0]
        if matches:
            schemas = sorted(t.schema for t in matches)
            default = [t for t in matches if t.schema in ("public", "main")]
            if len(default) == 1:
                return default[0]
            raise invalid("schema", f"{table} is in several schemas; say which", valid=schemas)
        near = near_names(table, [t.name for t in tables])
        raise invalid(
            "table",
            f"{known.name} has no table {table}"
            + (f"; did you mean {' or '.join(near)}?" if near else ""),
            candidates=near,
        )

    # -- looking --------------------------------------------------------------------------------

    def list(
        self,
        actor: Actor,
        *,
        limit: int = 50,
        cursor: str | None = None,
        q: str | None = None,
        deleted: bool = False,
    ) -> Page[Dataset]:
        """The datasets the actor may view, newest first; ``deleted`` lists his deleted ones."""
        actor.require("read")
        statement = select(DatasetRow).where(
            DatasetRow.deleted_at.is_not(None) if deleted else DatasetRow.deleted_at.is_(None)
        )
        condition = visible(actor, "dataset", DatasetRow.id, DatasetRow.owner_id)
        if deleted and not actor.is_admin:
            condition = DatasetRow.owner_id == actor.user_id
        if condition is not None:
            statement = statement.where(condition)
        if q:
            statement = statement.where(contains(DatasetRow.name, q))
        with self._store.read() as session:
            rows = page(
                session,
                statement,
                DatasetRow.created_at,
                DatasetRow.id,
                lambda row: row,
                limit=limit,
                cursor=cursor,
            )
            rights = rights_on(session, actor, "dataset", {r.id: r.owner_id for r in rows.items})
        items = tuple(show_dataset(row, rights[row.id]) for row in rows.items)
        return Page(items, rows.next_cursor, rows.total)

    def get(self, actor: Actor, dataset_id: str, *, wait: float = 0.0) -> Dataset:
        """One dataset; ``wait`` seconds at most while it is PROCESSING."""
        actor.require("read")
        until = time.monotonic() + wait
        while True:
            with self._store.read() as session:
                row, right = visible_dataset(session, actor, dataset_id)
            if row.status != "PROCESSING" or time.monotonic() >= until:
                return show_dataset(row, right)
            time.sleep(_POLL_SECONDS)  # another process may be the one that reads it in

    def schema(self, actor: Actor, dataset_id: str) -> DatasetSchema:
        """Columns with types, keys and descriptions; of a source's table as they are now."""
        actor.require("read")
        with self._store.read() as session:
            row, _ = visible_dataset(session, actor, dataset_id)
        return self.schema_of(row)

    def schema_of(self, row: DatasetRow) -> DatasetSchema:
        """The schema of a dataset that the actor may see.

        Raises:
            SourceError: the source of a table by reference cannot be reached.
            WorkspaceError: ``dataset-not-ready``.
        """
        if row.status != "READY":
            from dovetail.workspace.views import not_ready

            raise not_ready(row.name, row.status)
        columns, keys, computed = list(row.columns), None, row.updated_at
        if row.connection_id is not None:
            live = self._live(row)
            if live is not None:
                columns, keys, computed = _columns_of(live), live, now()
        return DatasetSchema(
            row.id,
            tuple(
                SchemaColumn(
                    column["name"],
                    column["type"],
                    column["nullable"],
                    row.column_notes.get(column["name"]) or column.get("comment") or None,
                    keys is not None and column["name"] in keys.primary_key,
                    _foreign_key(keys, column["name"]),
                )
                for column in columns
            ),
            row.row_count,
            computed,
        )

    def _live(self, row: DatasetRow) -> TableInfo | None:
        """The table as its source has it now; what changed is written down as ``schema_drift``."""
        with self._store.read() as session:
            known = self._connections.known(session, row.connection_id or "")
        if known is None:
            return None
        _, tables = self._connections.tables_of(known, max_age=_FRESH_SECONDS)
        live = next(
            (t for t in tables if (t.schema, t.name) == (row.source_schema, row.source_table)), None
        )
        drift = _drift(row, live)
        if drift != row.notes.get("schema_drift"):
            with self._store.write() as session:
                stored = session.get(DatasetRow, row.id)
                if stored is not None:
                    stored.notes = {**stored.notes, "schema_drift": drift}
                    stored.revision += 1
        return live

    def profile(self, actor: Actor, dataset_id: str) -> TableProfile:
        """Figures per column; kept until the content changes. Needs ``query``."""
        actor.require("read")
        with self._store.read() as session:
            row, _ = visible_dataset(session, actor, dataset_id, "query")
            view = self._views.of(session, actor, Target(dataset_id=dataset_id))
            version = session.get(DatasetVersionRow, (row.id, row.version))
        if version is None:
            return self._profile_of_view(view)
        if version.profile is not None:
            return _profile_from(version.profile)
        path = self._store.folders.files / version.folder / DATA_FILE
        columns = [(column["name"], column["type"]) for column in row.columns]
        with private_duckdb(self._store.scratch) as connection:
            found = profile(connection, parquet_relation(str(path)), columns)
        with self._store.write() as session:
            stored = session.get(DatasetVersionRow, (row.id, version.version))
            if stored is not None:
                stored.profile = _profile_to(found)
        return found

    def _profile_of_view(self, view: View) -> TableProfile:
        """Of a source's table: computed here, over a sample when it is large."""
        path = self._store.scratch / f"profile-{new_id()}.parquet"
        try:
            with self._sessions.lease(view) as session:
                result = session.sql("FROM dataset", limit=_SAMPLE_ROWS)
                with result:
                    columns = result.columns
                    write_parquet(result.reader(), path, self._store.scratch)
            with private_duckdb(self._store.scratch) as connection:
                found = profile(connection, parquet_relation(str(path)), columns)
        finally:
            path.unlink(missing_ok=True)
        if found.total_rows < _SAMPLE_ROWS:
            return found
        return TableProfile(found.columns, found.total_rows, _SAMPLE_ROWS, found.computed_at)

    def preview(self, actor: Actor, dataset_id: str, *, limit: int = 100, offset: int = 0) -> Rows:
        """Rows as they lie in the file; ``limit`` 1–1,000."""
        actor.require("read")
        require_limit(limit, _MOST_PREVIEWED)
        if offset < 0:
            raise invalid("offset", "must be 0 or more")
        with self._store.read() as session:
            row, _ = visible_dataset(session, actor, dataset_id)
            view = self._view(session, row)
        return self.preview_of(view, row, limit, offset)

    def _view(self, session: Transaction, row: DatasetRow) -> View:
        """The view of a dataset that the actor may see; a preview needs no more than that."""
        reads = (("dataset", row.id),)
        return self._views.of_rows(session, {"dataset": row}, {"dataset_id": row.id}, reads)

    def preview_of(self, view: View, row: DatasetRow, limit: int, offset: int) -> Rows:
        """Rows of the dataset that ``view`` shows as ``dataset``."""
        text = f"FROM dataset LIMIT {limit}" + (f" OFFSET {offset}" if offset else "")
        with self._sessions.lease(view) as session, session.sql(text) as result:
            columns = tuple(Column(name, type_, name) for name, type_ in result.columns)
            return Rows(columns, result.arrow(), offset, row.row_count)

    # -- changing -------------------------------------------------------------------------------

    def update(
        self,
        actor: Actor,
        dataset_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        columns: Mapping[str, str | None] | None = None,
        if_match: str | None = None,
    ) -> Dataset:
        """``columns`` maps column → description; an empty ``description`` removes it."""
        with self._store.write() as session:
            row, right = visible_dataset(session, actor, dataset_id, "manage")
            actor.require("edit datasets")
            require_match(if_match, str(row.revision))
            if name is not None:
                _require_name(name.strip())
                row.name = name.strip()
            if description is not None:
                row.description = description or None
            for column, note in (columns or {}).items():
                known = [entry["name"] for entry in row.columns]
                if column not in known:
                    raise invalid(f"columns.{column}", "there is no such column", valid=known)
                row.column_notes = {**row.column_notes, column: note}
            row.updated_at = now()
            row.revision += 1
            record(session, actor, "change dataset", "dataset", row.id)
            return show_dataset(row, right)

    def delete(self, actor: Actor, dataset_id: str) -> None:
        """Soft: :meth:`restore` brings it back for 30 days."""
        with self._store.write() as session:
            row, _ = visible_dataset(session, actor, dataset_id, "manage")
            actor.require("edit datasets")
            row.deleted_at = now()
            row.revision += 1
            record(session, actor, "delete dataset", "dataset", row.id)

    def restore(self, actor: Actor, dataset_id: str) -> Dataset:
        """Undo :meth:`delete`."""
        with self._store.write() as session:
            row, right = visible_dataset(session, actor, dataset_id, "manage", deleted=True)
            actor.require("edit datasets")
            row.deleted_at = None
            row.revision += 1
            record(session, actor, "restore dataset", "dataset", row.id)
            return show_dataset(row, right)

    def purge(self, actor: Actor, dataset_id: str) -> None:
        """Remove a deleted dataset with its files for good; admins only."""
        with self._store.read() as session:
            row = session.get(DatasetRow, dataset_id)
            if row is None or right_on_dataset(session, actor, row) is None:
                raise not_found("dataset", title="Dataset not found")
        actor.require("administer")
        if row.deleted_at is None:
            raise WorkspaceError("in-use", "only a deleted dataset can be purged; delete it first")
        self.remove(dataset_id, actor)

    def remove(self, dataset_id: str, actor: Actor | None = None) -> None:
        """Remove a dataset, its memberships, grants and files; whoever asks has been checked."""
        with self._store.write() as session:
            row = session.get(DatasetRow, dataset_id)
            if row is None:
                return
            folders = [version.folder for version in row.versions]
            forget_grants(session, "dataset", row.id)
            record(session, actor, "purge dataset", "dataset", row.id)
            session.delete(row)
        for folder in folders:
            remove_folder(self._store.folders.files / folder)


def show_dataset(row: DatasetRow, right: str | None) -> Dataset:
    """A dataset as the workspace hands it out."""
    return Dataset(
        id=row.id,
        name=row.name,
        description=row.description,
        source_type=row.source_type,
        status="DELETED" if row.deleted_at is not None else row.status,
        row_count=row.row_count,
        column_count=len(row.columns) if row.columns else None,
        size_bytes=row.size_bytes,
        dataset_version=row.version,
        default_alias=row.default_alias,
        owner_id=row.owner_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        error=Problem.from_dict(row.error) if row.error else None,
        rejected_rows=row.rejected_rows,
        notes={k: v for k, v in row.notes.items() if k != "schema_drift"},
        connection_id=row.connection_id,
        source_schema=row.source_schema,
        source_table=row.source_table,
        schema_drift=row.notes.get("schema_drift"),
        right=right or "view",
        etag=str(row.revision),
    )


def _require_name(name: str) -> None:
    if not 1 <= len(name) <= 255:
        raise invalid("name", "must be 1 to 255 characters")


def _columns_of(table: TableInfo) -> list[dict[str, Any]]:
    return [
        {"name": c.name, "type": c.type.text, "nullable": c.nullable, "comment": c.comment}
        for c in table.columns
    ]


def _foreign_key(table: TableInfo | None, column: str) -> str | None:
    for key in table.foreign_keys if table is not None else ():
        if column in key.columns:
            place = key.columns.index(column)
            return f"{key.ref_table}.{key.ref_columns[place]}"
    return None


def _drift(row: DatasetRow, live: TableInfo | None) -> str | None:
    """What is different at the source since the dataset was registered, in a sentence."""
    if live is None:
        return "the table is gone"
    before = {column["name"]: column["type"] for column in row.columns}
    after = {column.name: column.type.text for column in live.columns}
    parts = []
    if gone := [name for name in before if name not in after]:
        parts.append(f"columns gone: {', '.join(gone)}")
    if new := [name for name in after if name not in before]:
        parts.append(f"columns new: {', '.join(new)}")
    if other := [n for n in before if n in after and before[n] != after[n]]:
        parts.append("types changed: " + ", ".join(f"{n} {before[n]} → {after[n]}" for n in other))
    return "; ".join(parts) or None


def _profile_to(found: TableProfile) -> dict[str, Any]:
    data = asdict(found)
    data["computed_at"] = found.computed_at.isoformat()
    return data


def _profile_from(data: Mapping[str, Any]) -> TableProfile:
    columns = tuple(
        ColumnProfile(
            **{
                **column,
                "top": tuple(tuple(pair) for pair in column["top"]),
                "histogram": tuple(tuple(bucket) for bucket in column["histogram"]),
            }
        )
        for column in data["columns"]
    )
    computed = datetime.fromisoformat(data["computed_at"])
    return TableProfile(columns, data["total_rows"], data["sampled_rows"], computed)
