"""What a query may see: the tables of its target, and nothing of anyone else.

A *view* is made for one request, after the rights of the actor on everything in it have been
checked, and names exactly the sources and tables of the target. Sessions are kept warm by the
content of their view (:mod:`dovetail.workspace.sessions`), so two users share one only when both
may see precisely the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session as Transaction

from dovetail.config import FilesSettings, SourceSettings
from dovetail.workspace.access import Actor, Role, covers
from dovetail.workspace.connections import Connections, KnownConnection
from dovetail.workspace.models import DatasetRow, DatasetVersionRow, GroupRow, UserRow
from dovetail.workspace.problems import WorkspaceError, invalid, not_found
from dovetail.workspace.rights import rights_on, visible_dataset
from dovetail.workspace.shapes import Target
from dovetail.workspace.store import Store

DATA_FILE = "data.parquet"
# Names by which a query over one dataset may call it, besides its default alias.
DATASET_NAME = "dataset"
_MOST_CONNECTIONS = 16


@dataclass(frozen=True)
class Behind:
    """What stands behind a source of a view."""

    kind: str
    connection_id: str | None = None
    connection_name: str | None = None
    dataset_id: str | None = None


@dataclass(frozen=True)
class View:
    """Sources and tables of one query.

    ``tables`` None means every table of the sources, as ``source.table``; else only those names.
    ``missing`` maps aliases that cannot be read now to their status; ``reads`` lists what one must
    have the right on, as ``(kind, id)``; ``target`` is the target as the history keeps it.
    """

    sources: Mapping[str, KnownConnection | str]
    tables: Mapping[str, tuple[str, str | None, str]] | None
    behind: Mapping[str, Behind]
    reads: tuple[tuple[str, str], ...]
    target: Mapping[str, Any]
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Equal exactly for views that show the same; holds no secret."""
        sources = {
            name: what if isinstance(what, str) else [what.id, what.revision]
            for name, what in self.sources.items()
        }
        tables = None if self.tables is None else {k: list(v) for k, v in self.tables.items()}
        return json.dumps([sources, tables], sort_keys=True)

    def without_paths(self, text: str, files: Path) -> str:
        """``text`` with the names of datasets in place of where their files lie."""
        for name, what in self.sources.items():
            if isinstance(what, str):
                text = text.replace(str(files / what / DATA_FILE), name)
                text = text.replace(str(files / what), name)
        return text

    @property
    def names(self) -> tuple[str, ...]:
        """What a query may put in FROM, or before the dot."""
        return tuple(self.sources if self.tables is None else self.tables)


class Views:
    """Makes views, checking rights."""

    def __init__(self, store: Store, connections: Connections) -> None:
        self._store = store
        self._connections = connections

    def settings(self, view: View) -> dict[str, SourceSettings]:
        """The sources of a view as a session takes them; passwords are opened here."""
        return {
            name: FilesSettings(kind="files", path=self._store.folders.files / what)
            if isinstance(what, str)
            else self._connections.settings_of(what)
            for name, what in view.sources.items()
        }

    def of(self, session: Transaction, actor: Actor, target: Target) -> View:
        """The view of a target that the actor may query.

        Raises:
            WorkspaceError: ``target-missing``, ``target-ambiguous``, ``not-found``, ``forbidden``,
                ``dataset-not-ready``, ``group-empty``, ``validation``.
        """
        given = [
            name
            for name in ("dataset_id", "group_id", "connection_ids")
            if getattr(target, name) is not None
        ]
        if len(given) > 1:
            title = None
            if given != ["dataset_id", "group_id"]:
                title = f"Cannot specify both {' and '.join(given)}"
            raise WorkspaceError(
                "target-ambiguous", f"a query has one target, not {', '.join(given)}", title=title
            )
        if target.dataset_id is not None:
            return self._dataset(session, actor, target.dataset_id)
        if target.group_id is not None:
            return self.group(session, actor, target.group_id)
        if target.connection_ids is not None:
            return self._of_connections(session, actor, target)
        raise WorkspaceError(
            "target-missing", "say what to query: one of dataset_id, group_id, connection_ids"
        )

    # -- one dataset ----------------------------------------------------------------------------

    def _dataset(self, session: Transaction, actor: Actor, dataset_id: str) -> View:
        row, _ = visible_dataset(session, actor, dataset_id, "query")
        names = dict.fromkeys((DATASET_NAME, row.default_alias))
        return self.of_rows(
            session, dict.fromkeys(names, row), {"dataset_id": row.id}, (("dataset", row.id),)
        )

    def of_rows(
        self,
        session: Transaction,
        rows: Mapping[str, DatasetRow],
        target: Mapping[str, Any],
        reads: tuple[tuple[str, str], ...],
        missing: Mapping[str, str] | None = None,
    ) -> View:
        """The view of datasets under names; the rights on them have been checked.

        Raises:
            WorkspaceError: ``dataset-not-ready``.
        """
        sources: dict[str, KnownConnection | str] = {}
        tables: dict[str, tuple[str, str | None, str]] = {}
        behind: dict[str, Behind] = {}
        of_connection: dict[str, str] = {}
        for alias, row in rows.items():
            if row.status != "READY":
                raise not_ready(alias, row.status)
            if row.connection_id is None:
                name = _free(alias, sources)
                sources[name] = _folder(session, row)
                behind[name] = Behind(row.source_type, dataset_id=row.id)
                tables[alias] = (name, None, "data")
                continue
            known = self._connection_of(session, row)
            if known.id not in of_connection:
                name = _free(known.name, sources)
                of_connection[known.id] = name
                sources[name] = known
                behind[name] = Behind(known.kind, known.id, known.name)
            tables[alias] = (of_connection[known.id], row.source_schema, row.source_table or "")
        return View(sources, tables, behind, reads, target, missing or {})

    def _connection_of(self, session: Transaction, row: DatasetRow) -> KnownConnection:
        """The connection of a dataset by reference, which its owner must still be able to query."""
        known = self._connections.known(session, row.connection_id or "")
        owner = session.get(UserRow, row.owner_id)
        if known is None or owner is None:
            raise not_ready(row.name, "FAILED")
        role: Role = "admin" if owner.role == "admin" else "viewer"
        as_owner = Actor(owner.id, owner.name, role)
        right = rights_on(session, as_owner, "connection", {known.id: known.owner_id})[known.id]
        if not covers(right, "query"):
            raise WorkspaceError(
                "dataset-not-ready",
                f"{row.name}: its owner may no longer query {known.name}",
                members=[{"alias": row.name, "status": "FAILED"}],
            )
        return known

    # -- a group --------------------------------------------------------------------------------

    def group(self, session: Transaction, actor: Actor, group_id: str) -> View:
        """The view of a group: needs ``query`` on every live member."""
        row = visible_group(session, actor, group_id)
        live = [member for member in row.members if member.dataset.deleted_at is None]
        if not live:
            raise WorkspaceError("group-empty", f'the group "{row.name}" has no datasets')
        owners: dict[str, str | None] = {m.dataset_id: m.dataset.owner_id for m in live}
        rights = rights_on(session, actor, "dataset", owners)
        for member in live:
            if not covers(rights[member.dataset_id], "query"):
                raise WorkspaceError(
                    "forbidden",
                    f"querying this group needs the right to query {member.alias}",
                    missing="right query",
                )
        ready = {m.alias: m.dataset for m in live if m.dataset.status == "READY"}
        missing = {
            m.alias: "DELETED" if m.dataset.deleted_at is not None else m.dataset.status
            for m in row.members
            if m.alias not in ready
        }
        reads = (("group", row.id), *(("dataset", key) for key in owners))
        return self.of_rows(session, ready, {"group_id": row.id}, reads, missing)

    # -- connections ----------------------------------------------------------------------------

    def _of_connections(self, session: Transaction, actor: Actor, target: Target) -> View:
        listed = target.connection_ids or ()
        aliases = target.database_aliases or {}
        if not listed:
            raise invalid("connection_ids", "must name at least one connection")
        if len(listed) > _MOST_CONNECTIONS:
            raise invalid("connection_ids", f"must name {_MOST_CONNECTIONS} at most")
        known: dict[str, KnownConnection] = {}
        if listed == ("*",):
            known = {one.name: one for one in self._connections.usable(session, actor)}
            if not known:
                raise not_found("connection that you may query", title="Connection not found")
        else:
            for name in listed:
                known[name] = self._connections.find(session, actor, name, "query")
        sources: dict[str, KnownConnection | str] = {}
        by_any = {key: one for one in known.values() for key in (one.id, one.name.lower())}
        for alias, meant in aliases.items():
            found = known.get(meant) or by_any.get(meant) or by_any.get(meant.lower())
            if found is None:
                raise invalid(
                    f"database_aliases.{alias}", f"{meant} is not listed", valid=list(known)
                )
            if alias.lower() in (name.lower() for name in sources):
                raise invalid(f"database_aliases.{alias}", "differs from another in case only")
            sources[alias] = found
        aliased = {one.id for one in sources.values() if isinstance(one, KnownConnection)}
        for name, one in known.items():
            if one.id not in aliased and name.lower() not in (n.lower() for n in sources):
                sources[name] = one
        behind = {
            name: Behind(one.kind, one.id, one.name)
            for name, one in sources.items()
            if isinstance(one, KnownConnection)
        }
        shown: dict[str, Any] = {"connection_ids": list(listed)}
        if aliases:
            shown["database_aliases"] = dict(aliases)
        reads = tuple(
            ("connection", key)
            for key in dict.fromkeys(b.connection_id or "" for b in behind.values())
        )
        return View(sources, None, behind, reads, shown)


def visible_group(session: Transaction, actor: Actor, group_id: str) -> GroupRow:
    """A group of the actor's own, or all of whose live members he may view.

    Raises:
        WorkspaceError: ``not-found``.
    """
    row = session.get(GroupRow, group_id)
    if row is None or not (
        row.owner_id == actor.user_id or actor.is_admin or _sees_all(session, actor, row)
    ):
        raise not_found("dataset group", title="Dataset group not found")
    return row


def _sees_all(session: Transaction, actor: Actor, row: GroupRow) -> bool:
    owners: dict[str, str | None] = {
        m.dataset_id: m.dataset.owner_id for m in row.members if m.dataset.deleted_at is None
    }
    # Of an empty group there is nothing to have a right on: it is its owner's alone.
    return bool(owners) and all(rights_on(session, actor, "dataset", owners).values())


def not_ready(alias: str, status: str) -> WorkspaceError:
    """The error for a dataset that cannot be read now."""
    return WorkspaceError(
        "dataset-not-ready",
        f"{alias} cannot be queried: it is {status}",
        members=[{"alias": alias, "status": status}],
    )


def _folder(session: Transaction, row: DatasetRow) -> str:
    found = session.scalar(
        select(DatasetVersionRow.folder).where(
            DatasetVersionRow.dataset_id == row.id, DatasetVersionRow.version == row.version
        )
    )
    if found is None:
        raise not_ready(row.name, "FAILED")
    return found


def _free(name: str, taken: Mapping[str, object]) -> str:
    """``name``, or with a number when a source of the view has it already."""
    used = {other.lower() for other in taken}
    candidate, number = name, 1
    while candidate.lower() in used:
        number += 1
        candidate = f"{name}_{number}"
    return candidate
