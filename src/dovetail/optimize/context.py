"""What rules may know besides the plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dovetail.connectors.capabilities import Capabilities
from dovetail.optimize.cardinality import Cardinality, NoFacts
from dovetail.plan.reference import Reference


@dataclass(frozen=True)
class Context:
    """``capabilities`` by source name; ``disabled`` names rules to leave out.

    ``push`` False cuts bare, unfiltered table scans as fragments: the answer of the engine alone.
    ``always_push`` pushes whatever a source can compute, at any cost. ``measured`` gives the bytes
    per second that a source was seen to deliver, or None.
    """

    reference: Reference
    capabilities: Mapping[str, Capabilities] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()
    push: bool = True
    always_push: bool = False
    cardinality: Cardinality = field(default_factory=lambda: Cardinality(NoFacts()))
    measured: Callable[[str], float | None] = field(default=lambda source: None)
