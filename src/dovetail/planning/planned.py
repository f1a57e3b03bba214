"""A query ready to run, as the planner hands it to the session."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from dovetail.catalog.model import TableInfo
from dovetail.connectors.base import Connector
from dovetail.execution.work import Work
from dovetail.language.sql.judge import Judged
from dovetail.optimize.federated import FederatedPlan
from dovetail.optimize.optimizer import Step
from dovetail.plan import nodes

TableKey = tuple[str, str, str]
"""``(catalog, schema, name)`` of a table as the query writes it; parts not written are empty."""


@dataclass(frozen=True)
class Planned:
    """A query ready to run. ``columns`` are its output names and types.

    ``road`` is ``plan`` or ``fallback`` (then ``reason`` says why). ``bound`` is the plan before
    the rules, ``trace`` what each rule made of it. ``judged`` and ``tables`` are what it was made
    from, macros replaced; None and nothing for a goal of rules.
    """

    text: str
    work: Work
    columns: list[tuple[str, str]]
    road: str
    reason: str = ""
    bound: nodes.Plan | None = None
    trace: list[Step] = field(default_factory=list)
    federated: FederatedPlan | None = None
    connectors: Mapping[str, Connector] = field(default_factory=dict)
    residual: str = ""
    judged: Judged | None = None
    tables: tuple[TableInfo, ...] = ()


def new_tag() -> str:
    """A name for one query, unique over processes: sources are told it in a comment."""
    return f"dovetail-{uuid.uuid4().hex[:16]}"
