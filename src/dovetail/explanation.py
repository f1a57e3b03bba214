"""What EXPLAIN shows: the fragments with their SQL, the residual plan, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.execution.profile import Profile
from dovetail.plan.explain import explain as plan_text
from dovetail.planning import Planned


class Explanation:
    """The plan of one query; ``str()`` is the text, :meth:`to_dict` the same as data."""

    def __init__(
        self,
        planned: Planned,
        sent: Mapping[int, str],
        planning_milliseconds: float,
        profile: Profile | None,
    ) -> None:
        self._planned = planned
        self._sent = dict(sent)
        self._planning = planning_milliseconds
        self.profile = profile
        if profile is not None:
            self._sent.update({f.number: f.sql for f in profile.fragments})

    @property
    def fragments(self) -> list[dict[str, Any]]:
        """Per fragment: number, source, the SQL as sent, output columns; measured if analyzed."""
        measured = {f.number: f for f in self.profile.fragments} if self.profile else {}
        return [
            {
                "number": piece.number,
                "source": piece.source,
                "sql": self._sent[piece.number],
                "columns": [{"name": c.name, "type": c.type.text} for c in piece.request.columns],
                "labels": [c.label for c in piece.request.columns],
                **(
                    {
                        "road": measured[piece.number].road,
                        "rows": measured[piece.number].rows,
                        "bytes": measured[piece.number].bytes,
                        "milliseconds": measured[piece.number].milliseconds,
                    }
                    if piece.number in measured
                    else {}
                ),
            }
            for piece in self._planned.work.pieces
        ]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was not pushed, and why."""
        return self._planned.federated.notes if self._planned.federated else ()

    @property
    def rules(self) -> list[str]:
        """The rules that changed the plan, in order."""
        return [step.rule for step in self._planned.trace]

    def trace(self) -> str:
        """The bound plan and the plan after each rule that fired."""
        if self._planned.bound is None:
            return ""
        parts = ["bound", plan_text(self._planned.bound, "  ")]
        for step in self._planned.trace:
            parts += [step.rule, plan_text(step.plan, "  ")]
        return "\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """The explanation as plain data."""
        planned = self._planned
        return {
            "road": planned.road,
            "fallback_reason": planned.reason or None,
            "columns": [{"name": name, "type": type_} for name, type_ in planned.columns],
            "plan": plan_text(planned.federated.plan) if planned.federated else None,
            "residual_sql": planned.residual or None,
            "fragments": self.fragments,
            "rules": self.rules,
            "not_pushed": list(self.notes),
            "planning_milliseconds": round(self._planning, 3),
            "profile": self.profile.to_dict() if self.profile else None,
        }

    def __str__(self) -> str:
        planned = self._planned
        lines: list[str] = []
        if planned.federated is not None:
            lines += ["Plan", plan_text(planned.federated.plan, "  ")]
        else:
            lines += [
                f"The engine runs the query text itself over pruned scans: {planned.reason}.",
            ]
        for fragment in self.fragments:
            lines += ["", f"Fragment {fragment['number']} on {fragment['source']}"]
            lines += [f"  {line}" for line in str(fragment["sql"]).splitlines()]
            if "road" in fragment:
                lines.append(f"  {_measured(fragment)}")
        if planned.residual:
            lines += ["", "The engine runs", f"  {planned.residual}"]
        if self.notes:
            lines += ["", "Not pushed", *(f"  {note}" for note in self.notes)]
        if self.rules:
            lines += ["", f"Rules: {', '.join(self.rules)}"]
        tail = f"Planning {self._planning:.1f} ms"
        if self.profile is not None and self.profile.milliseconds is not None:
            tail += f", running {self.profile.milliseconds:.1f} ms, {self.profile.rows} rows"
        return "\n".join([*lines, "", tail])


def _measured(fragment: Mapping[str, Any]) -> str:
    rows = "?" if fragment["rows"] is None else f"{fragment['rows']:,}"
    size = "?" if fragment["bytes"] is None else f"{fragment['bytes']:,}"
    ms = fragment["milliseconds"]
    took = "with the engine" if ms is None else f"{ms:.1f} ms"
    return f"{rows} rows, {size} bytes, {took} ({fragment['road']})"
