"""Sources as the workspace stores them, besides those of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.workspace.access import Actor
from dovetail.workspace.shapes import Connection, ConnectionTest, Metadata, Page


class Connections:
    """Connections: stored ones, and those of ``dovetail.yaml`` (``managed_by: config``)."""

    def kinds(self) -> tuple[str, ...]:
        """The kinds a connection may have."""
        raise NotImplementedError

    def create(self, actor: Actor, name: str, kind: str, settings: Mapping[str, Any]) -> Connection:
        """``settings`` are those of the kind in ``dovetail.yaml``, ``url`` and ``password`` too.

        A password is a reference (``${env:…}``, admins only) or text, which is encrypted with the
        key from outside the database.

        Raises:
            WorkspaceError: ``validation`` (``valid`` lists kinds or settings; text without a key),
                ``alias-invalid``, ``alias-reserved``, ``name-taken``, ``forbidden``.
        """
        raise NotImplementedError

    def list(
        self, actor: Actor, *, limit: int = 50, cursor: str | None = None, q: str | None = None
    ) -> Page[Connection]:
        """The connections the actor may view."""
        raise NotImplementedError

    def get(self, actor: Actor, connection_id: str) -> Connection:
        """By id; also by name."""
        raise NotImplementedError

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
        raise NotImplementedError

    def delete(self, actor: Actor, connection_id: str, *, force: bool = False) -> None:
        """Raises ``in-use`` (``datasets``: their names); ``force`` marks those FAILED."""
        raise NotImplementedError

    def test(self, actor: Actor, kind: str, settings: Mapping[str, Any]) -> ConnectionTest:
        """Connect with settings that are not stored; 10 s at most."""
        raise NotImplementedError

    def test_saved(self, actor: Actor, connection_id: str) -> ConnectionTest:
        """Connect with a stored connection; its ``status`` is updated."""
        raise NotImplementedError

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
        raise NotImplementedError
