"""What EXPLAIN shows: the fragments with their SQL, the residual plan, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.errors import UsageError
from dovetail.execution.profile import Profile
from dovetail.plan import nodes
from dovetail.plan.diagram import dot, mermaid
from dovetail.plan.explain import explain as plan_text
from dovetail.planning import Planned

# A statement with more keys than this is shown as it was planned, without them: nobody reads them.
_MOST_KEYS_SHOWN = 20


class Explanation:
    """The plan of one query; ``str()`` is the text, :meth:`to_dict` the same as data.

    The text leaves long lists of keys out of the statements that were sent; the data has them.
    """

    def __init__(
        self,
        planned: Planned,
        sent: Mapping[int, str],
        planning_milliseconds: float,
        profile: Profile | None,
        kept: Mapping[str, Any] | None = None,
    ) -> None:
        """``kept`` is what the cache would do with the query: ``Lookup.to_dict``."""
        self._planned = planned
        self._kept = kept
        self._sent = dict(sent)
        self._written = dict(sent)
        self._planning = planning_milliseconds
        self.profile = profile
        if profile is not None:
            self._sent.update({f.number: f.sql for f in profile.fragments})

    @property
    def fragments(self) -> list[dict[str, Any]]:
        """Per fragment: number, source, the SQL as sent, output columns; measured if analyzed."""
        measured = {f.number: f for f in self.profile.fragments} if self.profile else {}
        federated = self._planned.federated
        estimated = federated.rows if federated is not None else ()
        return [
            {
                "number": piece.number,
                "source": piece.source,
                "sql": self._sent[piece.number],
                "columns": [{"name": c.name, "type": c.type.text} for c in piece.request.columns],
                "labels": [c.label for c in piece.request.columns],
                "estimated_rows": round(estimated[piece.number - 1])
                if piece.number <= len(estimated)
                else None,
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
    def dynamic_filters(self) -> list[dict[str, Any]]:
        """Keys that one fragment's rows teach another: from where, to where, how many pay.

        ``share`` is the part of the target's rows expected to be left; ``keys`` how many there
        were, if analyzed (None: the fragment was not asked). From no fragment (None) come the keys
        of rows that the engine has kept.
        """
        if self._planned.federated is None:
            return []
        numbers = {fragment.number for fragment in self._planned.federated.fragments}
        counted: dict[int, int] = {}
        for fragment in self.profile.fragments if self.profile else ():
            counted |= fragment.keys
        return [
            {
                "number": f.number,
                "from_fragment": f.teacher if f.teacher in numbers else None,
                "key": f.key,
                "to_fragment": f.target,
                "column": f.column,
                "most_keys": f.most,
                "share": round(f.share, 6),
                "keys": counted.get(f.number),
            }
            for f in self._planned.federated.filters
        ]

    @property
    def decisions(self) -> tuple[str, ...]:
        """What cost decided, with its figures."""
        return self._planned.federated.decisions if self._planned.federated else ()

    def dot(self) -> str:
        """The plan for Graphviz.

        Raises:
            UsageError: the query takes the fallback road, which has no plan.
        """
        return dot(self._drawn())

    def mermaid(self) -> str:
        """The plan as a Mermaid flowchart.

        Raises:
            UsageError: the query takes the fallback road, which has no plan.
        """
        return mermaid(self._drawn())

    def _drawn(self) -> nodes.Plan:
        if self._planned.federated is None:
            raise UsageError(
                f"there is no plan to draw: the engine runs the query text itself "
                f"({self._planned.reason})"
            )
        return self._planned.federated.plan

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
            "dynamic_filters": self.dynamic_filters,
            "rules": self.rules,
            "decisions": list(self.decisions),
            "not_pushed": list(self.notes),
            "planning_milliseconds": round(self._planning, 3),
            "profile": self.profile.to_dict() if self.profile else None,
            **({} if self._kept is None else {"result_cache": dict(self._kept)}),
        }

    def _shown(self, number: int) -> str:
        taught = [f["keys"] or 0 for f in self.dynamic_filters if f["to_fragment"] == number]
        known = self._written if max(taught, default=0) > _MOST_KEYS_SHOWN else self._sent
        return known[number]

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
            lines += [f"  {line}" for line in self._shown(fragment["number"]).splitlines()]
            lines.append(f"  {_rows(fragment)}")
        if self.dynamic_filters:
            lines += ["", "Dynamic filters", *map(_taught, self.dynamic_filters)]
        if planned.residual:
            lines += ["", "The engine runs", *(f"  {s}" for s in planned.residual.splitlines())]
        if self.decisions:
            lines += ["", "Decided by cost", *(f"  {text}" for text in self.decisions)]
        if self.notes:
            lines += ["", "Not pushed", *(f"  {note}" for note in self.notes)]
        if self.rules:
            lines += ["", f"Rules: {', '.join(self.rules)}"]
        if self._kept is not None:
            lines += ["", f"Result cache: {_kept(self._kept)}"]
        tail = f"Planning {self._planning:.1f} ms"
        if self.profile is not None and self.profile.milliseconds is not None:
            tail += f", running {self.profile.milliseconds:.1f} ms, {self.profile.rows} rows"
        return "\n".join([*lines, "", tail])


def _kept(kept: Mapping[str, Any]) -> str:
    """What the cache would do with the query."""
    if kept["cache"] == "hit":
        return f"hit, a result {kept['age_seconds']:.0f} s old"
    return "miss, nothing is kept of it" if kept["cache"] == "miss" else f"none, {kept['note']}"


def _rows(fragment: Mapping[str, Any]) -> str:
    """Estimated rows against what came."""
    estimated = fragment["estimated_rows"]
    expected = "" if estimated is None else f"estimated {estimated:,} rows"
    if "road" not in fragment:
        return expected
    rows = "?" if fragment["rows"] is None else f"{fragment['rows']:,}"
    size = "?" if fragment["bytes"] is None else f"{fragment['bytes']:,}"
    ms = fragment["milliseconds"]
    took = "with the engine" if ms is None else f"{ms:.1f} ms"
    measured = f"{rows} rows, {size} bytes, {took} ({fragment['road']})"
    return f"{expected}; {measured}" if expected else measured


def _teacher(wanted: Mapping[str, Any]) -> str:
    number = wanted["from_fragment"]
    return "the rows that are kept" if number is None else f"fragment {number}"


def _taught(wanted: Mapping[str, Any]) -> str:
    keys = "" if wanted["keys"] is None else f"; there were {wanted['keys']:,}"
    return (
        f"  keys {wanted['number']}: {wanted['key']} of {_teacher(wanted)} cuts "
        f"down {wanted['column']} of fragment {wanted['to_fragment']} to {wanted['share']:.1%} "
        f"of its rows, by estimate; more than {wanted['most_keys']:,} are sent as a range{keys}"
    )
