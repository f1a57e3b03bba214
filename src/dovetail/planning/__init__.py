"""From a text to something that can run."""

from dovetail.planning.planned import Planned
from dovetail.planning.planner import Planner

__all__ = ["Planned", "Planner"]
