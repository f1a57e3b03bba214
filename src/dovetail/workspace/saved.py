"""Saved queries: named texts with parameters, versions and sharing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from dovetail.workspace.access import Actor
from dovetail.workspace.shapes import Page, QueryAnswer, SavedQuery, SavedVersion

Language = Literal["sql", "nl", "builder"]


class SavedQueries:
    """Saved queries. A reader still needs the rights on what a query reads."""

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
        raise NotImplementedError

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
        """One's own and those shared with one."""
        raise NotImplementedError

    def get(self, actor: Actor, saved_id: str) -> SavedQuery:
        """One saved query."""
        raise NotImplementedError

    def update(
        self,
        actor: Actor,
        saved_id: str,
        changes: Mapping[str, Any],
        *,
        if_match: str | None = None,
    ) -> SavedQuery:
        """``changes`` are fields of :meth:`create`; another text or parameters: a new version."""
        raise NotImplementedError

    def delete(self, actor: Actor, saved_id: str) -> None:
        """Remove it with its versions."""
        raise NotImplementedError

    def versions(self, actor: Actor, saved_id: str) -> tuple[SavedVersion, ...]:
        """Up to 50, newest first."""
        raise NotImplementedError

    def restore(self, actor: Actor, saved_id: str, version: int) -> SavedQuery:
        """Make an earlier version the newest one."""
        raise NotImplementedError

    def run(
        self, actor: Actor, saved_id: str, params: Mapping[str, Any] | None = None
    ) -> QueryAnswer:
        """Run an ``sql`` one over its target; its parameters' defaults fill what is missing."""
        raise NotImplementedError

    def share(self, actor: Actor, saved_id: str, *, with_: str, right: str | None) -> SavedQuery:
        """``with_`` is a user (id or name) or ``role:<role>``; ``right`` view, edit, None: end."""
        raise NotImplementedError
