"""Figures over the history."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from dovetail.workspace.access import Actor
from dovetail.workspace.shapes import QueryStats


class Stats:
    """Averages, percentiles, slowest, bytes; over one's own runs, or all as admin."""

    def queries(
        self,
        actor: Actor,
        *,
        by: Literal["day", "source", "user"] = "day",
        since: datetime | None = None,
        until: datetime | None = None,
        user: str | None = None,
    ) -> QueryStats:
        """``user`` (id, name or ``*`` for everyone) is for admins."""
        raise NotImplementedError
