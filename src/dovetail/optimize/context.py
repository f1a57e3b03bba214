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
    ``pushdown`` says by source name what cost must not decide: ``always`` pushes whatever the
    source can compute, ``never`` leaves it bare scans. ``measured`` gives the bytes per second
    that a source was seen to deliver, or None.
    """

    reference: Reference
    capabilities: Mapping[str, Capabilities] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()
    push: bool = True
    pushdown: Mapping[str, str] = field(default_factory=dict)
    cardinality: Cardinality = field(default_factory=lambda: Cardinality(NoFacts()))
    measured: Callable[[str], float | None] = field(default=lambda source: None)
