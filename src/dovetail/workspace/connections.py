"""Sources as the workspace stores them, besides those of the configuration."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session as Transaction

from dovetail.config import KINDS, Config, SourceSettings
from dovetail.config_url import compose
from dovetail.errors import DovetailError
from dovetail.session import Session
from dovetail.workspace.access import Actor, Right
from dovetail.workspace.aliases import require_alias
from dovetail.workspace.audit import record
from dovetail.workspace.connection_settings import (
    CheckedSettings,
    checked_settings,
)
from dovetail.workspace.models import ConnectionRow, DatasetRow, now
from dovetail.workspace.named import find_named
from dovetail.workspace.paging import slice_page
from dovetail.workspace.problems import WorkspaceError, not_found, problem_of
from dovetail.workspace.rights import forget_grants, require, rights_on
from dovetail.workspace.sealing import Sealer
from dovetail.workspace.shapes import (
    Connection,
    ConnectionTest,
    Metadata,
    MetadataColumn,
    MetadataTable,
    Page,
)
from dovetail.workspace.store import Store

if TYPE_CHECKING:
    from dovetail.catalog.model import TableInfo

_CONFIGURED = uuid.UUID("0b8c1c64-53a4-4f43-9d6e-5f1c1f1f6f5e")
_METADATA_SECONDS = 3_600.0
_TEST_SECONDS = 8.0


@dataclass(frozen=True)
class KnownConnection:
    """A connection of either kind, with all it takes to open it. ``row`` is None if configured."""

    id: str
    name: str
    kind: str
    row: ConnectionRow | None
    configured: SourceSettings | None

    @property
    def owner_id(self) -> str | None:
        """The owner's id; configured ones have none."""
        return self.row.owner_id if self.row is not None else None

    @property
    def revision(self) -> int:
        """Changes whenever its settings do."""
        return self.row.revision if self.row is not None else 0


class Connections:
    """Connections: stored ones, and those of ``dovetail.yaml`` (``managed_by: config``)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sealer = Sealer(store.settings.secret_key)
        config = store.settings.config
        self._configured = {
            _configured_id(name): KnownConnection(
                _configured_id(name), name, settings.kind, None, settings
            )
            for name, settings in (config.sources if config else {}).items()
        }
        self._opened_at = now()
        self._lock = threading.Lock()
        self._metadata: dict[tuple[str, int], tuple[float, Sequence[TableInfo]]] = {}

    # -- for the rest of the workspace ------------------------------------------------------------

    def find(
        self, session: Transaction, actor: Actor, id_or_name: str, needed: Right = "view"
    ) -> KnownConnection:
        """A connection on which the actor has a right.

        Raises:
            WorkspaceError: ``not-found``, ``forbidden``.
        """
        known = self.known(session, id_or_name)
        right = None
        if known is not None:
            right = rights_on(session, actor, "connection", {known.id: known.owner_id})[known.id]
        if known is None or right is None:
            raise not_found("connection", title="Connection not found")
        require(right, needed, "connection")
        return known

    def known(self, session: Transaction, id_or_name: str) -> KnownConnection | None:
        """A connection by id or name, whoever asks."""
        if id_or_name in self._configured:
            return self._configured[id_or_name]
        for known in self._configured.values():
            if known.name.lower() == id_or_name.lower():
                return known
        row = find_named(session, ConnectionRow, id_or_name)
        return None if row is None else _stored(row)

    def usable(self, session: Transaction, actor: Actor) -> Sequence[KnownConnection]:
        """Every connection the actor may query, by name."""
        from dovetail.workspace.access import covers

        return [known for known, right in self._visible(session, actor) if covers(right, "query")]

    def settings_of(self, known: KnownConnection) -> SourceSettings:
        """What a session needs to open it; the password is looked up or opened here.

        Raises:
            WorkspaceError: ``configuration``: the key is missing or another one.
        """
        if known.configured is not None:
            return known.configured
        row = known.row
        assert row is not None
        return _stored_settings(row, self._sealer).model

    # -- for interfaces -------------------------------------------------------------------------

    def kinds(self) -> tuple[str, ...]:
        """The kinds a connection may have."""
        return tuple(KINDS)

    def create(self, actor: Actor, name: str, kind: str, settings: Mapping[str, Any]) -> Connection:
        """``settings`` are those of the kind in ``dovetail.yaml``, ``url`` and ``password`` too.

        A password is a reference (``${env:…}``, admins only) or text, which is encrypted with the
        key from outside the database.

        Raises:
            WorkspaceError: ``validation`` (``valid`` lists kinds or settings; text without a key),
                ``alias-invalid``, ``alias-reserved``, ``name-taken``, ``forbidden``.
        """
        actor.require("edit connections")
        require_alias(name)
        checked = self._checked(actor, kind, settings)
        with self._store.write() as session:
            self._require_free(session, name)
            row = ConnectionRow(
                id=str(uuid.uuid4()),
                name=name,
                name_key=name.lower(),
                kind=kind,
                owner_id=actor.user_id,
            )
            self._fill(row, checked)
            session.add(row)
            session.flush()
            record(session, actor, "create connection", "connection", row.id)
            return self._show(_stored(row), "manage")

    def list(
        self, actor: Actor, *, limit: int = 50, cursor: str | None = None, q: str | None = None
    ) -> Page[Connection]:
        """The connections the actor may view, by name."""
        actor.require("read")
        with self._store.read() as session:
            found = [
                self._show(known, right)
                for known, right in self._visible(session, actor)
                if not q or q.lower() in known.name.lower()
            ]
        return slice_page(found, limit=limit, cursor=cursor)

    def get(self, actor: Actor, connection_id: str) -> Connection:
        """By id; also by name."""
        actor.require("read")
        with self._store.read() as session:
            known = self.find(session, actor, connection_id)
            right = rights_on(session, actor, "connection", {known.id: known.owner_id})[known.id]
            return self._show(known, right)

    def update(
        self,
        actor: Actor,
        connection_id: str,
        *,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        if_match: str | None = None,
    ) -> Connection:
        """``settings`` are laid over the stored ones; a value None removes one."""
        if name is not None:
            require_alias(name)
        with self._store.write() as session:
            row = self._editable(session, actor, connection_id)
            require_match(if_match, str(row.revision))
            if name is not None and name != row.name:
                self._require_free(session, name, but=row.id)
                row.name, row.name_key = name, name.lower()
            if settings is not None:
                before = _stored_settings(row, self._sealer, reveal="password" not in settings)
                merged = {**before.plain, **settings}
                if "url" in settings:
                    # An address replaces the parts that addresses are made of.
                    merged = {**settings}
                kept = "password" not in settings and "url" not in settings
                checked = self._checked(actor, row.kind, merged)
                if kept:
                    checked = CheckedSettings(
                        row.kind, checked.plain, before.reference, before.text
                    )
                self._fill(row, checked)
                row.status = "unknown"
            row.revision += 1
            row.updated_at = now()
            record(session, actor, "change connection", "connection", row.id)
            return self._show(_stored(row), "manage")

    def delete(self, actor: Actor, connection_id: str, *, force: bool = False) -> None:
        """Raises ``in-use`` (``datasets``: their names); ``force`` marks those FAILED."""
        with self._store.write() as session:
            row = self._editable(session, actor, connection_id)
            using = session.scalars(
                select(DatasetRow).where(
                    DatasetRow.connection_id == row.id, DatasetRow.deleted_at.is_(None)
                )
            ).all()
            if using and not force:
                names = [dataset.name for dataset in using]
                raise WorkspaceError(
                    "in-use",
                    f"{row.name} is used by {len(names)} dataset(s): {', '.join(names[:10])}",
                    datasets=names,
                )
            for dataset in using:
                gone = WorkspaceError("source-unavailable", f"connection {row.name} was deleted")
                dataset.status, dataset.error = "FAILED", problem_of(gone).to_dict()
                dataset.revision += 1
            forget_grants(session, "connection", row.id)
            record(session, actor, "delete connection", "connection", row.id)
            session.delete(row)

    def test(self, actor: Actor, kind: str, settings: Mapping[str, Any]) -> ConnectionTest:
        """Connect with settings that are not stored; 10 s at most."""
        actor.require("edit connections")
        return _test(self._checked(actor, kind, settings).model)

    def test_saved(self, actor: Actor, connection_id: str) -> ConnectionTest:
        """Connect with a stored connection; its ``status`` is updated."""
        actor.require("query")
        with self._store.read() as session:
            known = self.find(session, actor, connection_id, "query")
        tested = _test(self.settings_of(known))
        if known.row is not None:
            self.note_state(known.id, tested.ok)
        return tested

    def metadata(
        self,
        actor: Actor,
        connection_id: str,
        *,
        refresh: bool = False,
        limit: int = 100,
        cursor: str | None = None,
        q: str | None = None,
    ) -> Metadata:
        """A page of its tables; read at most once an hour unless ``refresh``."""
        actor.require("read")
        with self._store.read() as session:
            known = self.find(session, actor, connection_id, "query")
        read_at, tables = self.tables_of(known, max_age=0.0 if refresh else _METADATA_SECONDS)
        found = [
            _table(table) for table in tables if not q or q.lower() in table.qualified_name.lower()
        ]
        page = slice_page(found, limit=limit, cursor=cursor)
        schemas = [table.schema for table in tables]
        default = next(
            (s for s in ("public", "main") if s in schemas), schemas[0] if schemas else ""
        )
        moment = datetime.fromtimestamp(read_at, UTC)
        return Metadata(known.id, default, page, moment, False)

    def tables_of(
        self, known: KnownConnection, *, max_age: float = _METADATA_SECONDS
    ) -> tuple[float, Sequence[TableInfo]]:
        """When its catalog was read, and its tables; read again when older than ``max_age`` s.

        Raises:
            SourceError: it cannot be read.
        """
        key = (known.id, known.revision)
        with self._lock:
            kept = self._metadata.get(key)
        if kept is not None and time.time() - kept[0] < max_age:
            return kept
        config = Config(sources={known.name: self.settings_of(known)})
        with Session(config, temporary_directory=self._store.scratch) as session:
            tables = session.tables(known.name)
        kept = (time.time(), tables)
        with self._lock:
            for old in [other for other in self._metadata if other[0] == known.id]:
                del self._metadata[old]
            self._metadata[key] = kept
        return kept

    def note_state(self, connection_id: str, ok: bool) -> None:
        """Write down how the last use of a stored connection went."""
        values: dict[str, Any] = {"status": "ok" if ok else "failed"}
        if ok:
            values["last_ok_at"] = now()
        with self._store.write() as session:
            session.execute(
                update(ConnectionRow).where(ConnectionRow.id == connection_id).values(**values)
            )

    # -- inside ---------------------------------------------------------------------------------

    def _checked(self, actor: Actor, kind: str, settings: Mapping[str, Any]) -> CheckedSettings:
        return checked_settings(
            actor,
            kind,
            settings,
            roots=self._store.settings.file_roots,
            store=self._store.folders.root,
        )

    def _fill(self, row: ConnectionRow, checked: CheckedSettings) -> None:
        row.settings = dict(checked.plain)
        row.password_reference = checked.reference
        row.password_sealed = (
            None if checked.text is None else self._sealer.seal(checked.text, row.id)
        )

    def _editable(self, session: Transaction, actor: Actor, connection_id: str) -> ConnectionRow:
        known = self.find(session, actor, connection_id, "view")
        actor.require("edit connections")
        if known.row is None:
            raise WorkspaceError(
                "forbidden",
                f"{known.name} comes from the configuration file and is changed there",
                missing="managed_by workspace",
            )
        self.find(session, actor, connection_id, "manage")
        return known.row

    def _require_free(self, session: Transaction, name: str, but: str = "") -> None:
        other = self.known(session, name)
        if other is not None and other.id != but and other.name.lower() == name.lower():
            raise WorkspaceError("name-taken", f'there is a connection "{name}" already')

    def _visible(self, session: Transaction, actor: Actor) -> Sequence[tuple[KnownConnection, str]]:
        everything = [
            *self._configured.values(),
            *(_stored(row) for row in session.scalars(select(ConnectionRow))),
        ]
        rights = rights_on(session, actor, "connection", {k.id: k.owner_id for k in everything})
        everything.sort(key=lambda known: known.name.lower())
        return [(k, right) for k in everything if (right := rights[k.id]) is not None]

    def _show(self, known: KnownConnection, right: str | None) -> Connection:
        row = known.row
        if row is None:
            assert known.configured is not None
            plain = known.configured.model_dump(
                mode="json", exclude={"kind", "password"}, exclude_defaults=True
            )
            has_password = getattr(known.configured, "password", None) is not None
        else:
            plain = row.settings
            has_password = bool(row.password_reference or row.password_sealed)
        url, options = compose(known.kind, plain)
        return Connection(
            id=known.id,
            name=known.name,
            kind=known.kind,
            settings=plain,
            url=url,
            options=options,
            password_set=has_password,
            status=row.status if row else "unknown",
            managed_by="workspace" if row else "config",
            read_only=True,
            owner_id=known.owner_id,
            created_at=row.created_at if row else self._opened_at,
            last_ok_at=row.last_ok_at if row else None,
            right=right or "view",
            etag=str(known.revision),
        )


def require_match(given: str | None, current: str) -> None:
    """Raises ``stale`` (``etag``: the current one) unless ``given`` is None, ``*`` or current."""
    if given is not None and given.strip('"') not in ("*", current):
        raise WorkspaceError("stale", "someone changed it since you read it", etag=current)


def _configured_id(name: str) -> str:
    """The same id for the same name, in every process."""
    return str(uuid.uuid5(_CONFIGURED, name))


def _stored(row: ConnectionRow) -> KnownConnection:
    return KnownConnection(row.id, row.name, row.kind, row, None)


def _stored_settings(row: ConnectionRow, sealer: Sealer, *, reveal: bool = True) -> CheckedSettings:
    sealed = row.password_sealed
    text = sealer.open(sealed, row.id) if sealed is not None and reveal else None
    return CheckedSettings(row.kind, row.settings, row.password_reference, text)


def _test(settings: SourceSettings) -> ConnectionTest:
    if hasattr(settings, "connect_timeout"):
        shorter = min(settings.connect_timeout, _TEST_SECONDS)
        settings = settings.model_copy(update={"connect_timeout": shorter})
    started = time.perf_counter()
    try:
        with Session(Config(sources={"connection": settings})) as session:
            health = session.check("connection")
    except DovetailError as error:
        elapsed = (time.perf_counter() - started) * 1e3
        return ConnectionTest(False, elapsed, None, True, _stage(error.message), problem_of(error))
    elapsed = (time.perf_counter() - started) * 1e3
    if health.problem is None:
        # Whatever the login may do, Dovetail's sessions are opened read-only.
        return ConnectionTest(True, elapsed, health.version or None, True)
    stage = "auth" if health.reachable and not health.authenticated else _stage(health.problem)
    if health.authenticated:
        stage = "query"
    problem = problem_of(WorkspaceError("source-unavailable", health.problem))
    return ConnectionTest(False, elapsed, health.version or None, True, stage, problem)


def _stage(message: str) -> str:
    lowered = message.lower()
    if any(word in lowered for word in ("resolve", "name or service", "name resolution")):
        return "resolve"
    if any(word in lowered for word in ("ssl", "tls", "certificate")):
        return "tls"
    if any(word in lowered for word in ("password", "authentication", "access denied", "login")):
        return "auth"
    return "connect"


def _table(table: TableInfo) -> MetadataTable:
    return MetadataTable(
        table.schema,
        table.name,
        table.kind,
        table.comment,
        tuple(
            MetadataColumn(c.name, c.type.text, c.native_type, c.nullable, c.comment)
            for c in table.columns
        ),
        table.primary_key,
        tuple(
            {
                "columns": list(key.columns),
                "schema": key.ref_schema,
                "table": key.ref_table,
                "ref_columns": list(key.ref_columns),
            }
            for key in table.foreign_keys
        ),
        table.row_estimate,
    )
