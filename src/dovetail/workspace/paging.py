"""Lists by pages: newest first, the cursor being the last item seen.

A cursor stays right while items are added and removed, which an offset would not.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from dovetail.workspace.problems import invalid
from dovetail.workspace.shapes import Page

R = TypeVar("R")
T = TypeVar("T")

MAX_PAGE = 500


def page(
    session: Session,
    statement: Select[R],
    time: InstrumentedAttribute[datetime],
    key: InstrumentedAttribute[Any],
    show: Callable[[R], T],
    *,
    limit: int,
    cursor: str | None,
) -> Page[T]:
    """One page of ``statement``, ordered by ``(time, key)`` downwards.

    Raises:
        WorkspaceError: ``validation``: limit is not 1–500, or the cursor is not one of ours.
    """
    require_limit(limit, MAX_PAGE)
    total = session.scalar(select(func.count()).select_from(statement.order_by(None).subquery()))
    if cursor is not None:
        statement = statement.where(tuple_(time, key) < tuple_(*_position(cursor, time, key)))
    found = list(
        session.scalars(statement.order_by(time.desc(), key.desc()).limit(limit + 1)).unique()
    )
    following = None
    if len(found) > limit:
        last = found[limit - 1]
        following = _cursor(getattr(last, time.key), getattr(last, key.key))
    return Page(tuple(show(row) for row in found[:limit]), following, total or 0)


def require_limit(limit: int, most: int) -> None:
    """Raises ``validation`` unless ``limit`` is 1–``most``."""
    if not 1 <= limit <= most:
        raise invalid("limit", f"must be 1 to {most:,}")


def contains(column: InstrumentedAttribute[str], q: str) -> ColumnElement[bool]:
    """Whether the text holds ``q``, ignoring case; ``%`` and ``_`` are ordinary characters."""
    return column.icontains(q, autoescape=True)


def numbered(position: str | None) -> int:
    """The offset that a cursor of :func:`slice_page` stands for."""
    if position is None:
        return 0
    value = _decoded(position)
    if not isinstance(value, int) or value < 0:
        raise invalid("cursor", "is not one that a list gave")
    return value


def slice_page(items: list[T], *, limit: int, cursor: str | None) -> Page[T]:
    """A page of a list that is whole in memory."""
    require_limit(limit, MAX_PAGE)
    start = numbered(cursor)
    rest = start + limit < len(items)
    following = _encoded(start + limit) if rest else None
    return Page(tuple(items[start : start + limit]), following, len(items))


def _cursor(time: datetime, key: object) -> str:
    return _encoded([time.isoformat(), key])


def _position(cursor: str, time: Any, key: Any) -> list[Any]:
    value = _decoded(cursor)
    try:
        moment = datetime.fromisoformat(value[0])
        if moment.tzinfo is None or not isinstance(value[1], key.type.python_type):
            raise ValueError
    except (TypeError, ValueError, KeyError, IndexError):
        raise invalid("cursor", "is not one that a list gave") from None
    from sqlalchemy import literal

    return [literal(moment, time.type), literal(value[1], key.type)]


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _decoded(text: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, UnicodeError):
        raise invalid("cursor", "is not one that a list gave") from None
