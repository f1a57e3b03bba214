"""What rules may know besides the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dovetail.connectors.capabilities import Capabilities
from dovetail.plan.reference import Reference


@dataclass(frozen=True)
class Context:
    """``capabilities`` by source name; ``disabled`` names rules to leave out.

    ``push`` False cuts bare, unfiltered table scans as fragments: the answer of the engine alone.
    """

    reference: Reference
    capabilities: Mapping[str, Capabilities] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()
    push: bool = True
