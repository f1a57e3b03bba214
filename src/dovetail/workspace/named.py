"""What has a name that is its own, ignoring case: users, teams, groups and connections."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from dovetail.workspace.problems import WorkspaceError, invalid

LONGEST_NAME = 100

R = TypeVar("R")


def checked_name(name: str) -> str:
    """``name`` without spaces around it; raises ``validation`` unless it has 1–100 characters."""
    name = name.strip()
    if not 1 <= len(name) <= LONGEST_NAME:
        raise invalid("name", f"must be 1 to {LONGEST_NAME} characters")
    return name


def find_named(session: Session, rows: type[R], name_or_id: str) -> R | None:
    """The row of that id, or else of that name, or None."""
    table: Any = rows
    return session.get(rows, name_or_id) or session.scalar(
        select(rows).where(table.name_key == name_or_id.lower())
    )


def require_free(
    session: Session,
    rows: type[Any],
    kind: str,
    name: str,
    *among: ColumnElement[bool],
    but: str = "",
) -> None:
    """Raises ``name-taken`` if another ``kind`` than the one with the id ``but`` has the name.

    ``among`` are conditions on those that count.
    """
    taken = select(rows.id).where(rows.name_key == name.lower(), rows.id != but, *among)
    if session.scalar(taken) is not None:
        raise WorkspaceError("name-taken", f'there is a {kind} "{name}" already')
