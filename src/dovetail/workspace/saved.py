"""Saved queries: named texts with parameters, versions and sharing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session as Transaction

from dovetail.workspace.access import ROLES, Actor
from dovetail.workspace.audit import record
from dovetail.workspace.connections import require_match
from dovetail.workspace.models import SavedQueryRow, SavedShareRow, SavedVersionRow, new_id, now
from dovetail.workspace.paging import contains, page
from dovetail.workspace.problems import WorkspaceError, invalid, not_found
from dovetail.workspace.shapes import (
    Page,
    QueryAnswer,
    QueryRequest,
    SavedQuery,
    SavedVersion,
    Target,
)
from dovetail.workspace.store import Store
from dovetail.workspace.users import user_named

if TYPE_CHECKING:
    from dovetail.workspace.queries import Queries

Language = Literal["sql", "nl", "builder"]

_LANGUAGES = ("sql", "nl", "builder")
_TARGET_KEYS = ("dataset_id", "group_id", "connection_ids", "database_aliases")
_FIELDS = (
    "name",
    "text",
    "language",
    "target",
    "params",
    "description",
    "tags",
    "folder",
    "chart",
)
_VERSIONS = 50


class SavedQueries:
    """Saved queries. A reader still needs the rights on what a query reads."""

    def __init__(self, store: Store, queries: Queries) -> None:
        self._store = store
        self._queries = queries

    def create(
        self,
        actor: Actor,
        name: str,
        text: str,
        *,
        language: Language = "sql",
        target: Mapping[str, Any] | None = None,
        params: Sequence[Mapping[str, Any]] = (),
        description: str | None = None,
        tags: Sequence[str] = (),
        folder: str | None = None,
        chart: Mapping[str, Any] | None = None,
    ) -> SavedQuery:
        """``target`` has the keys of :class:`~dovetail.workspace.shapes.Target`."""
        actor.require("save")
        with self._store.write() as session:
            row = SavedQueryRow(id=new_id(), owner_id=actor.user_id, version=1)
            self._fill(
                row,
                {
                    "name": name,
                    "text": text,
                    "language": language,
                    "target": target or {},
                    "params": params,
                    "description": description,
                    "tags": tags,
                    "folder": folder,
                    "chart": chart,
                },
            )
            _keep_version(row, actor)
            session.add(row)
            session.flush()
            record(session, actor, "save query", "saved query", row.id)
            return _show(row, "own")

    def list(
        self,
        actor: Actor,
        *,
        limit: int = 50,
        cursor: str | None = None,
        q: str | None = None,
        folder: str | None = None,
        tag: str | None = None,
    ) -> Page[SavedQuery]:
        """One's own and those shared with one, newest first."""
        actor.require("read")
        statement = select(SavedQueryRow)
        if not actor.is_admin:
            shared = select(SavedShareRow.saved_id).where(
                SavedShareRow.grantee.in_(_grantees(actor))
            )
            statement = statement.where(
                (SavedQueryRow.owner_id == actor.user_id) | SavedQueryRow.id.in_(shared)
            )
        if q:
            statement = statement.where(contains(SavedQueryRow.name, q))
        if folder is not None:
            statement = statement.where(SavedQueryRow.folder == folder)
        with self._store.read() as session:
            if tag is not None:
                tagged = [
                    key
                    for key, tags in session.execute(select(SavedQueryRow.id, SavedQueryRow.tags))
                    if tag in tags
                ]
                statement = statement.where(SavedQueryRow.id.in_(tagged))
            return page(
                session,
                statement,
                SavedQueryRow.created_at,
                SavedQueryRow.id,
                lambda row: _show(row, _right(actor, row) or "view"),
                limit=limit,
                cursor=cursor,
            )

    def get(self, actor: Actor, saved_id: str) -> SavedQuery:
        """One saved query."""
        actor.require("read")
        with self._store.read() as session:
            row, right = _visible(session, actor, saved_id)
            return _show(row, right)

    def update(
        self,
        actor: Actor,
        saved_id: str,
        changes: Mapping[str, Any],
        *,
        if_match: str | None = None,
    ) -> SavedQuery:
        """``changes`` are fields of :meth:`create`; another text or parameters: a new version."""
        unknown = [name for name in changes if name not in _FIELDS]
        if unknown:
            raise invalid(unknown[0], "there is no such field", valid=list(_FIELDS))
        with self._store.write() as session:
            row, right = _editable(session, actor, saved_id)
            require_match(if_match, str(row.revision))
            before = (row.text, list(row.params))
            self._fill(row, changes)
            if (row.text, list(row.params)) != before:
                row.version += 1
                _keep_version(row, actor)
            row.updated_at = now()
            row.revision += 1
            record(session, actor, "change saved query", "saved query", row.id)
            return _show(row, right)

    def delete(self, actor: Actor, saved_id: str) -> None:
        """Remove it with its versions."""
        with self._store.write() as session:
            row, right = _visible(session, actor, saved_id)
            actor.require("save")
            if right != "own":
                raise WorkspaceError(
                    "forbidden", "only its owner may delete a saved query", missing="ownership"
                )
            record(session, actor, "delete saved query", "saved query", row.id)
            session.delete(row)

    def versions(self, actor: Actor, saved_id: str) -> tuple[SavedVersion, ...]:
        """Up to 50, newest first."""
        actor.require("read")
        with self._store.read() as session:
            row, _ = _visible(session, actor, saved_id)
            return tuple(
                SavedVersion(v.version, v.text, v.params, v.saved_at, v.saved_by)
                for v in reversed(row.versions)
            )

    def restore(self, actor: Actor, saved_id: str, version: int) -> SavedQuery:
        """Make an earlier version the newest one."""
        with self._store.write() as session:
            row, right = _editable(session, actor, saved_id)
            found = next((v for v in row.versions if v.version == version), None)
            if found is None:
                raise not_found("version of this saved query")
            row.text, row.params = found.text, list(found.params)
            row.version += 1
            _keep_version(row, actor)
            row.updated_at = now()
            row.revision += 1
            record(session, actor, "restore saved query", "saved query", row.id)
            return _show(row, right)

    def run(
        self, actor: Actor, saved_id: str, params: Mapping[str, Any] | None = None
    ) -> QueryAnswer:
        """Run an ``sql`` one over its target; its parameters' defaults fill what is missing."""
        actor.require("run saved query")
        with self._store.read() as session:
            row, _ = _visible(session, actor, saved_id)
        if row.language != "sql":
            raise invalid("language", f"a saved query of language {row.language} is not run here")
        given = dict(params or {})
        for one in row.params:
            if one["name"] not in given and one.get("default") is not None:
                given[one["name"]] = one["default"]
            elif one["name"] in given and one.get("type"):
                given[one["name"]] = {"type": one["type"], "value": given[one["name"]]}
        request = QueryRequest(row.text, _target(row.target), params=given or None, origin="saved")
        return self._queries.run_saved(actor, request)

    def share(self, actor: Actor, saved_id: str, *, with_: str, right: str | None) -> SavedQuery:
        """``with_`` is a user (id or name) or ``role:<role>``; ``right`` view, edit, None: end."""
        if right not in ("view", "edit", None):
            raise invalid("right", "must be one of these", valid=["view", "edit", None])
        with self._store.write() as session:
            row, mine = _visible(session, actor, saved_id)
            actor.require("save")
            if mine != "own":
                raise WorkspaceError(
                    "forbidden", "only its owner may share a saved query", missing="ownership"
                )
            if with_.startswith("role:"):
                if with_.removeprefix("role:") not in ROLES:
                    raise invalid("with", "must name a role", valid=[f"role:{r}" for r in ROLES])
                grantee = with_
            else:
                grantee = user_named(session, with_).id
            row.shares = [share for share in row.shares if share.grantee != grantee]
            session.flush()
            if right is not None:
                row.shares.append(SavedShareRow(grantee=grantee, right=right))
            row.revision += 1
            record(session, actor, "share saved query", "saved query", row.id)
            return _show(row, mine)

    @staticmethod
    def _fill(row: SavedQueryRow, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            _CHECKS.get(name, lambda value: None)(value)
            if name in ("tags", "params"):
                value = [dict(v) if isinstance(v, Mapping) else v for v in value]
            elif name in ("target", "chart") and value is not None:
                value = dict(value)
            setattr(row, name, value)


def _check_name(value: Any) -> None:
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= 100:
        raise invalid("name", "must be 1 to 100 characters")


def _check_text(value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise invalid("text", "must not be empty")


def _check_language(value: Any) -> None:
    if value not in _LANGUAGES:
        raise invalid("language", "must be one of these", valid=list(_LANGUAGES))


def _check_target(value: Any) -> None:
    unknown = [key for key in value if key not in _TARGET_KEYS]
    if unknown:
        raise invalid(f"target.{unknown[0]}", "there is no such key", valid=list(_TARGET_KEYS))


def _check_params(value: Any) -> None:
    for number, one in enumerate(value):
        if not isinstance(one, Mapping) or not isinstance(one.get("name"), str):
            raise invalid(f"params.{number}", "must be an object with a name")


_CHECKS = {
    "name": _check_name,
    "text": _check_text,
    "language": _check_language,
    "target": _check_target,
    "params": _check_params,
}


def _keep_version(row: SavedQueryRow, actor: Actor) -> None:
    row.versions.append(
        SavedVersionRow(
            version=row.version, text=row.text, params=list(row.params), saved_by=actor.name
        )
    )
    del row.versions[:-_VERSIONS]


def _target(data: Mapping[str, Any]) -> Target:
    listed = data.get("connection_ids")
    return Target(
        data.get("dataset_id"),
        data.get("group_id"),
        None if listed is None else tuple(listed),
        data.get("database_aliases"),
    )


def _grantees(actor: Actor) -> tuple[str, str]:
    return (actor.user_id, f"role:{actor.role}")


def _right(actor: Actor, row: SavedQueryRow) -> str | None:
    if actor.is_admin or row.owner_id == actor.user_id:
        return "own"
    rights = {share.right for share in row.shares if share.grantee in _grantees(actor)}
    return "edit" if "edit" in rights else "view" if rights else None


def _visible(session: Transaction, actor: Actor, saved_id: str) -> tuple[SavedQueryRow, str]:
    row = session.get(SavedQueryRow, saved_id)
    right = None if row is None else _right(actor, row)
    if row is None or right is None:
        raise not_found("saved query", title="Saved query not found")
    return row, right


def _editable(session: Transaction, actor: Actor, saved_id: str) -> tuple[SavedQueryRow, str]:
    row, right = _visible(session, actor, saved_id)
    actor.require("save")
    if right == "view":
        raise WorkspaceError(
            "forbidden", "this saved query is shared with you for viewing", missing="right edit"
        )
    return row, right


def _show(row: SavedQueryRow, right: str) -> SavedQuery:
    return SavedQuery(
        row.id,
        row.name,
        row.description,
        row.text,
        row.language,
        row.target,
        row.params,
        tuple(row.tags),
        row.folder,
        row.chart,
        row.version,
        row.owner_id,
        row.created_at,
        row.updated_at,
        right,
        str(row.revision),
    )
