"""The plan as text, with what a run of it measured."""

from __future__ import annotations

from dovetail.interfaces.tui.profile_panel import profile_lines
from dovetail.interfaces.tui.running import QueryRun


def with_profile(plan: str, run: QueryRun) -> str:
    """The text of EXPLAIN, then the profile of the run; the slowest part is marked."""
    if run.profile is None:
        return plan
    lines = [f"  {line}" for line in profile_lines(run) if line]
    return "\n".join([plan, "", "Profile", *lines])
