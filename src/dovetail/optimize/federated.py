"""A plan cut into fragments, with all that is known of them: what federation makes step by step."""

from __future__ import annotations

from dataclasses import dataclass

from dovetail.optimize.dynamic_filters import DynamicFilter
from dovetail.plan import nodes


@dataclass(frozen=True)
class FederatedPlan:
    """``plan`` has :class:`~dovetail.plan.nodes.Fragment` leaves, numbered in ``fragments``.

    ``filters`` are the keys that fragments learn from each other; ``rows`` the estimated rows per
    fragment number, dynamic filters counted. ``notes`` say what was not pushed and why,
    ``decisions`` what cost decided, with its figures.
    """

    plan: nodes.Plan
    fragments: tuple[nodes.Fragment, ...]
    notes: tuple[str, ...] = ()
    filters: tuple[DynamicFilter, ...] = ()
    rows: tuple[float, ...] = ()
    decisions: tuple[str, ...] = ()
