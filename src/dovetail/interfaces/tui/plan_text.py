"""The plan as text, with what a run of it measured."""

from __future__ import annotations

from dovetail.interfaces.tui.running import QueryRun, size


def with_profile(plan: str, run: QueryRun) -> str:
    """The text of EXPLAIN, then the profile of the run; the slowest part is marked."""
    profile = run.profile
    if profile is None:
        return plan
    lines = ["", "", "Profile", f"  {run.state}, {run.rows:,} rows here in {run.seconds:.2f} s"]
    slowest = max((f.milliseconds or 0.0 for f in profile.fragments), default=0.0)
    for fragment in profile.fragments:
        rows = "?" if fragment.rows is None else f"{fragment.rows:,}"
        moved = "?" if fragment.bytes is None else size(fragment.bytes)
        took = "" if fragment.milliseconds is None else f", {fragment.milliseconds:,.1f} ms"
        mark = "  ← slowest" if slowest and fragment.milliseconds == slowest else ""
        lines.append(
            f"  {fragment.number} {fragment.source}: {rows} rows, {moved}{took} "
            f"({fragment.road}){mark}"
        )
    lines.append(f"  planning {profile.planning_milliseconds:,.1f} ms")
    if profile.peak_memory is not None:
        lines.append(f"  memory of the engine {size(profile.peak_memory)}")
    if profile.spilled_bytes:
        lines.append(f"  spilled {size(profile.spilled_bytes)}")
    return plan + "\n".join(lines)
