"""The profile of the shown query at the right: what each source does, and afterwards has done."""

from __future__ import annotations

from textual.widgets import Static

from dovetail.interfaces.tui.running import QueryRun, duration, size
from dovetail.present.grid import visible


class ProfilePanel(Static):
    """Follows one run; empty without one."""

    DEFAULT_CSS = """
    ProfilePanel {
        width: 34; max-width: 40%; height: 1fr; padding: 0 1; border-left: solid $panel;
    }
    """

    def __init__(self, id: str) -> None:
        super().__init__("", id=id, markup=False)
        self._shown = ""

    def show(self, run: QueryRun | None) -> None:
        """Show the profile of ``run`` as it is now."""
        text = "" if run is None else "\n".join(profile_lines(run))
        if text != self._shown:
            self._shown = text
            self.update(text)


def profile_lines(run: QueryRun) -> list[str]:
    """A few short lines for the run and for each fragment; the slowest one is marked."""
    lines = [f"{run.state} · {duration(run.seconds)}", f"{run.rows:,} rows here"]
    profile = run.profile
    if profile is None:
        return lines
    slowest = max((f.milliseconds or 0.0 for f in profile.fragments), default=0.0)
    for fragment in list(profile.fragments):
        mark = " ← slowest" if slowest and fragment.milliseconds == slowest else ""
        lines += ["", f"{fragment.number} {visible(fragment.source)} ({fragment.road}){mark}"]
        if fragment.rows is None:
            lines.append("  reading" if run.active else "  rows are not known")
            continue
        moved = "" if fragment.bytes is None else f", {size(fragment.bytes)}"
        lines.append(f"  {fragment.rows:,} rows{moved}")
        if fragment.milliseconds is not None:
            lines.append(f"  {duration(fragment.milliseconds / 1000)}")
    lines += ["", f"planning {duration(profile.planning_milliseconds / 1000)}"]
    if profile.peak_memory is not None:
        lines.append(f"memory {size(profile.peak_memory)}")
    if profile.spilled_bytes:
        lines.append(f"spilled {size(profile.spilled_bytes)}")
    return lines
