"""Logic rules at the front door: a program that runs, explains itself, or shows its SQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.errors import DataError, DovetailError
from dovetail.execution.profile import Profile
from dovetail.execution.result import Result
from dovetail.explanation import Explanation
from dovetail.language.rules.compiler import Compiled
from dovetail.language.rules.diagnostics import Diagnostic, RulesError
from dovetail.language.rules.relations import RuleLimits
from dovetail.language.rules.terms import shown
from dovetail.planning.rules import PlannedRules, RulesPlanner, RulesText, recursion_error
from dovetail.planning.rules_sql import count_work, goal_sql
from dovetail.planning.streaming import NeedsAllRows, NotSettled

if TYPE_CHECKING:
    import pyarrow as pa

    from dovetail.planning.planned import Planned
    from dovetail.planning.planner import Planner
    from dovetail.session import Session


class Program:
    """One program of rules over the sources of a session.

    ``name`` is what messages call the text, ``folder`` where ``include`` starts. ``limits`` are
    ``max_iterations`` and ``max_recursive_rows`` of a recursion. With ``strict`` a warning is an
    error. With ``stream`` a goal reads JSON lines of standard input as they come, where it can;
    only one goal can then be run. ``tell`` is told when a goal that could stream has to wait.
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
        stream: bool = False,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        if isinstance(text, bytes):
            text = decoded(text, name)
        self._session = session
        self._strict = strict
        self._tell = tell
        self._planner: Planner = session._open_planner()
        source = RulesText(
            text,
            name,
            Path(folder) if folder is not None else Path.cwd(),
            session._directories,
        )
        self._open = partial(
            RulesPlanner, self._planner, source, params, RuleLimits(**limits) if limits else None
        )
        self._waited_for = ""  # why standard input was read to its end first
        try:
            self._rules = self._open(stream=stream)
        except (NeedsAllRows, RulesError) as reason:
            self._read_all(reason)
        self._check_strict()

    def read_all(self) -> None:
        """Read standard input to its end, so that several goals can be run over it."""
        if self._rules.streams:
            self._read_all(NeedsAllRows("several goals read it"))

    def _read_all(self, reason: NeedsAllRows | RulesError) -> None:
        """Compile anew over all of standard input; what it began with cannot be streamed.

        Raises:
            RulesError: ``reason`` itself, if what is still to come would not change it.
        """
        if isinstance(reason, RulesError):
            if not {d.code for d in reason.diagnostics} <= _BY_DATA or not self._planner.has_more():
                raise reason
            reason = NotSettled(reason.diagnostics[0].text)
        self._waited_for = str(reason)
        if isinstance(reason, NotSettled):
            self._tell(f"standard input is read to its end first: {reason}")
        self._rules = self._open(stream=False)

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
        planned = self._planned(goal, result, limit, rules)
        profile = Profile(planning_milliseconds=(time.perf_counter() - started) * 1e3)
        profile.streamed = planned.stream is not None
        try:
            found = self._session._run(planned.planned, profile, timeout, on_progress, on_start)
        except DovetailError as error:
            raise _explained(error, planned) from None
        finally:
            _count_errors(planned, profile)
        warnings = [w.render() for w in planned.compiled.warnings]
        return Result(
            found.schema,
            [type_ for _, type_ in found.columns],
            _rows(found.batches(), planned, profile),
            found.profile,
            found.cancel,
            found.close,
            lambda: [
                *warnings,
                *(report.summary for report in planned.reports if report.errors),
                *found.warnings,
            ],
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
        made = self._planned(goal, result, None, rules)
        planned = made.planned
        planning = (time.perf_counter() - started) * 1e3
        connectors = self._session._connectors_of(planned)
        sent = {p.number: connectors[p.source].render(p.request) for p in planned.work.pieces}
        profile = None
        if analyze:
            with self.run(goal, result=result, rules=rules) as ran:
                for _ in ran.batches():
                    pass
                profile = ran.profile
        stdin = ""
        if made.stream is not None:
            stdin = "Standard input is streamed: rows come out while it is still open"
        elif self._waited_for:
            stdin = f"Standard input is read to its end first: {self._waited_for}"
        return RulesExplanation(planned, sent, planning, profile, stdin)

    def _planned(
        self,
        goal: str | None,
        result: int | None,
        limit: int | None,
        rules: bool | Collection[str],
    ) -> PlannedRules:
        left_out = frozenset() if isinstance(rules, bool) else frozenset(rules)
        while True:
            try:
                return self._rules.plan(
                    self.compile(goal, result=result),
                    limit=limit,
                    rules=rules is not False,
                    disabled=left_out,
                )
            except (NeedsAllRows, RulesError) as reason:
                if not self._rules.streams:
                    raise
                self._read_all(reason)

    def _check_strict(self) -> None:
        if self._strict and self.warnings:
            raise RulesError(self.warnings)


class RulesExplanation(Explanation):
    """The plan of a goal, with how often each table is read and what is grouped.

    ``stdin`` tells how standard input is read, if it may be streamed.
    """

    def __init__(
        self,
        planned: Planned,
        sent: dict[int, str],
        planning_milliseconds: float,
        profile: Profile | None,
        stdin: str,
    ) -> None:
        super().__init__(planned, sent, planning_milliseconds, profile)
        self.stdin = stdin

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
            "standard_input": self.stdin or None,
        }

    def __str__(self) -> str:
        scans, aggregations, holistic = self._counted()
        read = ", ".join(f"{name} {n}×" for name, n in scans.items()) or "nothing"
        lines = [str(super().__str__()), f"Reads {read}; {aggregations} aggregations"]
        if self.stdin:
            lines.append(self.stdin)
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


# Mistakes that further records may undo: a field, a number of columns, a type.
_BY_DATA = frozenset(["R004", "R005", "R009"])


def _rows(
    batches: Iterator[pa.RecordBatch], planned: PlannedRules, profile: Profile
) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except DovetailError as error:
        raise _explained(error, planned) from None
    finally:
        _count_errors(planned, profile)


def _count_errors(planned: PlannedRules, profile: Profile) -> None:
    profile.record_errors = {r.policy.source: r.errors for r in planned.reports}


def _explained(error: DovetailError, planned: PlannedRules) -> DovetailError:
    """What went wrong in words of the program, where that can be told."""
    if planned.stream is not None and isinstance(error, DataError):
        return planned.stream.culprit() or error
    return recursion_error(error, planned.compiled) or error
