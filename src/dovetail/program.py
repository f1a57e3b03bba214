"""Logic rules at the front door: a program that runs, explains itself, or shows its SQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.errors import DovetailError
from dovetail.execution.profile import Profile
from dovetail.execution.result import Result
from dovetail.explanation import Explanation
from dovetail.language.rules.compiler import Compiled, RuleLimits
from dovetail.language.rules.diagnostics import Diagnostic, RulesError
from dovetail.language.rules.terms import shown
from dovetail.planning.rules import PlannedRules, RulesPlanner, RulesText, recursion_error
from dovetail.planning.rules_sql import count_work, goal_sql

if TYPE_CHECKING:
    import pyarrow as pa

    from dovetail.planning.planner import Planner
    from dovetail.session import Session


class Program:
    """One program of rules over the sources of a session.

    ``name`` is what messages call the text, ``folder`` where ``include`` starts. ``limits`` are
    ``max_iterations`` and ``max_recursive_rows`` of a recursion. With ``strict`` a warning is an
    error.
    """

    def __init__(
        self,
        session: Session,
        text: str | bytes,
        params: Mapping[str, Any] | None = None,
        *,
        name: str = "rules.pl",
        folder: str | Path | None = None,
        limits: Mapping[str, int] | None = None,
        strict: bool = False,
    ) -> None:
        if isinstance(text, bytes):
            text = decoded(text, name)
        self._session = session
        self._strict = strict
        self._planner: Planner = session._open_planner()
        source = RulesText(
            text,
            name,
            Path(folder) if folder is not None else Path.cwd(),
            session._directories,
        )
        self._rules = RulesPlanner(
            self._planner, source, params, RuleLimits(**limits) if limits else None
        )
        self._check_strict()

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """W101 and its like, as far as they are known."""
        return tuple(self._rules.compiler.relations.warnings)

    @property
    def goals(self) -> list[tuple[str, int]]:
        """The goals of the text with their lines."""
        goals = self._rules.compiler.program.goals
        return [(shown(g.body), g.span.line) for g in goals if g.body is not None]

    @property
    def predicates(self) -> list[tuple[str, int]]:
        """Name and arity of every predicate."""
        return list(self._rules.compiler.program.predicates)

    def compile(self, goal: str | None = None, *, result: int | None = None) -> Compiled:
        """One goal as a plan; ``result`` chooses among the goals of the text, from 1.

        Raises:
            RulesError: the goal has a mistake, or none can be chosen.
        """
        compiled = self._rules.compile(goal, result)
        self._check_strict()
        return compiled

    def run(
        self,
        goal: str | None = None,
        *,
        result: int | None = None,
        limit: int | None = None,
        timeout: float | None = None,
        rules: bool | Collection[str] = True,
        on_progress: Callable[[Profile], None] | None = None,
        on_start: Callable[[Callable[[], None]], None] | None = None,
    ) -> Result:
        """Run one goal and return its rows as a stream; options as in ``Session.sql``."""
        started = time.perf_counter()
        compiled = self.compile(goal, result=result)
        planned = self._planned(compiled, limit, rules, read=True)
        profile = Profile(planning_milliseconds=(time.perf_counter() - started) * 1e3)
        profile.record_errors = {r.policy.source: r.errors for r in planned.reports}
        try:
            found = self._session._run(planned.planned, profile, timeout, on_progress, on_start)
        except DovetailError as error:
            raise recursion_error(error, compiled) or error from None
        notes = [w.render() for w in compiled.warnings]
        notes += [report.summary for report in planned.reports if report.errors]
        return Result(
            found.schema,
            [type_ for _, type_ in found.columns],
            _translated(found.batches(), compiled),
            found.profile,
            found.cancel,
            found.close,
            lambda: [*notes, *found.warnings],
        )

    def sql(
        self, goal: str | None = None, *, result: int | None = None, dialect: str = "duckdb"
    ) -> str:
        """A goal as one SQL statement, with a WITH definition per predicate."""
        return goal_sql(self.compile(goal, result=result), dialect)

    def plan_text(self, goal: str | None = None, *, result: int | None = None) -> str:
        """A goal as the plan, before any optimization."""
        from dovetail.plan.explain import explain

        return explain(self.compile(goal, result=result).plan)

    def explain(
        self,
        goal: str | None = None,
        *,
        result: int | None = None,
        analyze: bool = False,
        rules: bool | Collection[str] = True,
    ) -> Explanation:
        """The plan of a goal; with ``analyze`` it runs and the profile is added."""
        started = time.perf_counter()
        compiled = self.compile(goal, result=result)
        planned = self._planned(compiled, None, rules, read=True).planned
        planning = (time.perf_counter() - started) * 1e3
        connectors = self._session._connectors_of(planned)
        sent = {p.number: connectors[p.source].render(p.request) for p in planned.work.pieces}
        profile = None
        if analyze:
            with self.run(goal, result=result, rules=rules) as ran:
                for _ in ran.batches():
                    pass
                profile = ran.profile
        return RulesExplanation(planned, sent, planning, profile)

    def _planned(
        self, compiled: Compiled, limit: int | None, rules: bool | Collection[str], read: bool
    ) -> PlannedRules:
        left_out = frozenset() if isinstance(rules, bool) else frozenset(rules)
        return self._rules.plan(
            compiled, limit=limit, rules=rules is not False, disabled=left_out, read=read
        )

    def _check_strict(self) -> None:
        if self._strict and self.warnings:
            raise RulesError(self.warnings)


class RulesExplanation(Explanation):
    """The plan of a goal, with how often each table is read and what is grouped."""

    @property
    def scans(self) -> dict[str, int]:
        """Reads per table, by its name."""
        return self._counted()[0]

    @property
    def aggregations(self) -> int:
        """Groupings in the whole plan, those that a source does included."""
        return self._counted()[1]

    @property
    def holistic(self) -> list[str]:
        """Aggregates that hold the values of each group: they need memory, and spill."""
        return self._counted()[2]

    def _counted(self) -> tuple[dict[str, int], int, list[str]]:
        federated = self._planned.federated
        assert federated is not None
        return count_work(federated.plan)

    def to_dict(self) -> dict[str, Any]:
        """The explanation as plain data."""
        scans, aggregations, holistic = self._counted()
        return {
            **super().to_dict(),
            "scans": scans,
            "aggregations": aggregations,
            "holistic": holistic,
        }

    def __str__(self) -> str:
        scans, aggregations, holistic = self._counted()
        read = ", ".join(f"{name} {n}×" for name, n in scans.items()) or "nothing"
        lines = [str(super().__str__()), f"Reads {read}; {aggregations} aggregations"]
        if holistic:
            lines.append(f"Holistic (values are kept per group): {', '.join(holistic)}")
        return "\n".join(lines)


def load(
    planner: Planner,
    name: str,
    text: str,
    params: Mapping[str, Any] | None,
    folder: str | Path | None,
    limits: Mapping[str, int] | None,
    directories: tuple[Path, ...],
) -> list[str]:
    """Offer a program's predicates to SQL; see ``Session.load_rules``."""
    place = Path(folder) if folder is not None else Path.cwd()
    source = RulesText(text, f"{name}.pl", place, directories)
    return planner.rules.load(name, source, params, RuleLimits(**limits) if limits else None)


def decoded(data: bytes, name: str) -> str:
    """The text of a program file. Raises R001 with the byte that is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"{name} is not UTF-8 text: byte {error.start} is 0x{data[error.start]:02x}"
        raise RulesError([Diagnostic("R001", problem)]) from None


def _translated(batches: Iterator[pa.RecordBatch], compiled: Compiled) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except DovetailError as error:
        raise recursion_error(error, compiled) or error from None
