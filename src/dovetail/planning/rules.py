"""Rules as queries: finds the tables a program names, and plans its goals."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dovetail.catalog.model import TableInfo
from dovetail.errors import DataError, DovetailError, UnknownNameError
from dovetail.language.rules.compiler import (
    Compiled,
    Compiler,
    choose_goal,
    compile_program,
)
from dovetail.language.rules.diagnostics import (
    Diagnostic,
    RulesError,
    SourceText,
    Span,
    did_you_mean,
    fail,
)
from dovetail.language.rules.directives import SourceDeclaration
from dovetail.language.rules.relations import RuleLimits
from dovetail.language.rules.sources import Used
from dovetail.language.sql.scope import Names, NotModelled
from dovetail.plan import nodes
from dovetail.plan.expressions import transform_plan
from dovetail.planning.planned import Planned
from dovetail.planning.records import (
    Report,
    TooManyErrors,
    checked_lines,
    field_kinds,
    open_lines,
    policy_of,
    record_error,
)
from dovetail.planning.streaming import NeedsAllRows
from dovetail.types import Type

if TYPE_CHECKING:
    from dovetail.planning.planner import Planner
    from dovetail.planning.record_stream import RecordStream


@dataclass(frozen=True)
class RulesText:
    """A program with what it may reach.

    ``folder`` is where ``include`` starts; ``allowed`` are the folders that it may read.
    """

    text: str
    name: str = "rules.pl"
    folder: Path = field(default_factory=Path.cwd)
    allowed: tuple[Path, ...] = ()


@dataclass(frozen=True)
class PlannedRules:
    """A goal that can run. ``reports`` tell of records that were left out.

    ``stream`` is standard input where its rows are read while they come.
    """

    planned: Planned
    compiled: Compiled
    reports: tuple[Report, ...] = ()
    stream: RecordStream | None = None


class RuleTables:
    """Finds what the sources of a program are, through the planner of a session."""

    def __init__(
        self,
        planner: Planner,
        check: Callable[[Used], tuple[Report, TableInfo]],
        open_stream: Callable[[SourceDeclaration], RecordStream | None],
    ) -> None:
        self._planner = planner
        self._check = check
        self._open_stream = open_stream
        self.reports: dict[str, Report] = {}
        self.stream: RecordStream | None = None

    def path(self, path: str, declaration: SourceDeclaration) -> TableInfo:
        """The table of a file, glob or folder; with a schema its columns are the declared."""
        options = dict(declaration.reader)
        kind = options.pop("format", None)
        if declaration.schema and kind is None and _is_lines(path):
            kind = "jsonl"
        table = self._planner.file(path, kind, {**options, **_columns(declaration, kind)})
        return self._without_bad_lines(table, declaration)

    def stdin(self, declaration: SourceDeclaration) -> TableInfo | None:
        """Standard input: as a stream, or all of it."""
        if self.stream is not None:
            raise NeedsAllRows("two sources read it")
        self.stream = self._open_stream(declaration)
        if self.stream is not None:
            return self.stream.table
        table = self._planner.stdin()
        if table is None:
            return None
        return self._without_bad_lines(table, declaration)

    def _without_bad_lines(self, table: TableInfo, declaration: SourceDeclaration) -> TableInfo:
        """Fields can be inferred only from lines that are records."""
        if declaration.schema or declaration.on_error == "fail" or not _has_lines(table):
            return table
        report, clean = self._check(Used(declaration, table))
        self.reports[declaration.name] = report
        return clean

    def declared(self, table: TableInfo, declaration: SourceDeclaration) -> bool:
        """Whether the columns are those of the schema, without a look at the file."""
        return bool(declaration.schema) and _has_lines(table)

    def table(self, parts: tuple[str, ...]) -> TableInfo:
        """A table of a configured source."""
        source = self._planner.source_named(parts[0])
        if source is None and len(parts) > 1:
            listed = self._planner.sources
            from dovetail.catalog.catalogs import near_names

            near = near_names(parts[0], listed)
            raise UnknownNameError(
                f"no source {parts[0]} (the sources are {', '.join(listed) or 'none'})"
                f"{did_you_mean(near)}",
                suggestions=near,
            )
        return self._planner.find(parts)

    def query(self, text: str, names: Names) -> tuple[nodes.Plan, list[str]]:
        """The plan of a SELECT."""
        try:
            return self._planner.bind(text, names)
        except NotModelled as reason:
            raise DataError(f"this query cannot be a source: {reason}") from None

    def kinds(self, table: TableInfo, name: str) -> list[tuple[str, int]]:
        """The kinds of values of a JSON field."""
        files = getattr(table, "files", None)
        if files is None or files.format not in ("json", "jsonl"):
            return []
        return field_kinds(files.paths, name)

    def empty(self, table: TableInfo) -> bool:
        """Whether the table is made of files without a byte in them."""
        files = getattr(table, "files", None)
        return files is not None and all(os.path.getsize(path) == 0 for path in files.paths)


def _is_lines(path: str) -> bool:
    return any(path.lower().removesuffix(".gz").endswith(e) for e in (".jsonl", ".ndjson", ".json"))


def _columns(declaration: SourceDeclaration, kind: str | None) -> dict[str, Any]:
    if not declaration.schema:
        return {}
    types = {s.field: s.type.text for s in declaration.schema}
    return {"columns": types} if kind in ("json", "jsonl") else {"types": types}


class RulesPlanner:
    """Compiles one program and plans its goals."""

    def __init__(
        self,
        planner: Planner,
        program: RulesText,
        parameters: Mapping[str, Any] | None = None,
        limits: RuleLimits | None = None,
        names: Names | None = None,
        stream: bool = False,
    ) -> None:
        """With ``stream`` standard input is not read to its end first, if it is JSON lines.

        Raises:
            RulesError: every mistake of the program.
            NeedsAllRows: standard input is to be read first after all.
        """
        self._planner = planner
        self._program = program
        self.streams = stream
        """Whether standard input is read as it comes, where the goal allows it."""
        self._tables = RuleTables(planner, self._checked, self._open_stream)
        self.compiler: Compiler = compile_program(
            program.text,
            planner.reference,
            self._tables,
            name=program.name,
            include=self._include,
            parameters=parameters,
            limits=limits,
            names=names,
        )

    def _include(self, path: str, span: Span) -> SourceText:
        full = (self._program.folder / path).resolve()
        places = (self._program.folder.resolve(), *self._program.allowed)
        if not any(full.is_relative_to(place) for place in places):
            raise fail("R012", f"{path} lies outside the allowed folders", span)
        try:
            return SourceText(str(path), full.read_text("utf-8-sig"))
        except OSError:
            from dovetail.catalog.catalogs import near_names

            with contextlib.suppress(OSError):
                near = near_names(full.name, [p.name for p in full.parent.iterdir()])
                raise fail("R012", f"no file {path}{did_you_mean(near)}", span, near=near) from None
            raise fail("R012", f"no file {path}", span) from None
        except UnicodeDecodeError as error:
            raise fail("R001", f"{path} is not UTF-8 at byte {error.start}", span) from None

    def compile(self, goal: str | None, number: int | None = None) -> Compiled:
        """One goal as a plan."""
        return self.compiler.compile(choose_goal(self.compiler.program, goal, number))

    def plan(
        self,
        compiled: Compiled,
        *,
        limit: int | None = None,
        rules: bool = True,
        disabled: frozenset[str] = frozenset(),
        read: bool = True,
    ) -> PlannedRules:
        """Optimize and federate. With ``read``, records are checked where a source asks for it.

        Raises:
            RulesError: R014 for a record error, or more of them than allowed.
            NeedsAllRows: standard input is to be read first after all.
        """
        stream = self._stream_of(compiled)
        plan, reports = self.checked(compiled) if read else (compiled.plan, [])
        described = [(name, c.type) for name, c in zip(compiled.names, plan.columns, strict=True)]
        assert compiled.goal.body is not None
        text = compiled.goal.body.span.text
        source = None if stream is None else stream.source
        planned = self._planner.finish(text, plan, described, limit, rules, disabled, stream=source)
        if stream is not None:
            planned = replace(planned, work=replace(planned.work, feed=stream))
            reports.append(stream.report)
        return PlannedRules(planned, compiled, tuple(reports), stream)

    def _stream_of(self, compiled: Compiled) -> RecordStream | None:
        """Standard input, if the goal reads it and it is to stream."""
        stream = self._tables.stream
        for used in compiled.used.values():
            if stream is not None and used.table is stream.table:
                stream.fields = used.fields
                stream.require_settled()
                return stream
        return None

    def checked(self, compiled: Compiled) -> tuple[nodes.Plan, list[Report]]:
        """The plan over clean copies of the sources whose records are to be checked.

        Raises:
            RulesError: R014 for a record error, or more of them than allowed.
        """
        plan = compiled.plan
        reports: list[Report] = []
        for name, used in compiled.used.items():
            if name in self._tables.reports:
                reports.append(self._tables.reports[name])
            elif self._tables.stream is not None and used.table is self._tables.stream.table:
                continue  # its records are checked as they come
            elif used.declaration.schema and _has_lines(used.table):
                report, table = self._checked(used)
                reports.append(report)
                plan = _swapped(plan, used.table, table)
        return plan, reports

    def _checked(self, used: Used) -> tuple[Report, TableInfo]:
        declaration, table = used.declaration, used.table
        files = table.files  # type: ignore[attr-defined]
        policy = policy_of(declaration, "stdin" if table.name == "stdin" else files.shown)
        report = Report(policy)
        schema: dict[str, Type] = {s.field: s.type for s in declaration.schema}
        copy = self._planner.spool_directory / f"records-{uuid.uuid4().hex}.jsonl"
        with contextlib.ExitStack() as stack:
            errors = stack.enter_context(self._open_errors(declaration))
            target = stack.enter_context(copy.open("w", encoding="utf-8"))
            for path in files.paths:
                lines = stack.enter_context(open_lines(Path(path)))
                found = checked_lines(lines, schema, frozenset(used.fields), report, errors)
                try:
                    target.writelines(record + "\n" for record in found)
                except TooManyErrors as stopped:
                    raise record_error(stopped, policy, declaration) from None
        # Else a file of nothing but {} is taken for values, not for records without fields.
        options = {"records": "true", **_columns(declaration, "jsonl")}
        return report, self._planner.file(str(copy), "jsonl", options)

    def _open_stream(self, declaration: SourceDeclaration) -> RecordStream | None:
        opened = self._planner.open_stdin() if self.streams else None
        if opened is None:
            self.streams = False
            return None
        from dovetail.planning.record_stream import RecordStream

        return RecordStream(*opened, declaration, lambda: self._open_errors(declaration))

    def _open_errors(
        self, declaration: SourceDeclaration
    ) -> contextlib.AbstractContextManager[IO[str] | None]:
        """The error file of a source, if it has one."""
        if declaration.error_file is None:
            return contextlib.nullcontext()
        path = Path(declaration.error_file)
        full = path.resolve()
        if not any(full.is_relative_to(p) for p in (*self._program.allowed, Path.cwd())):
            raise fail(
                "R012", f"the error file {path} lies outside the allowed folders", declaration.span
            )
        try:
            return full.open("w", encoding="utf-8")
        except OSError as error:
            raise fail(
                "R012",
                f"the error file {path} cannot be written: {error.strerror}",
                declaration.span,
            ) from None


def _has_lines(table: TableInfo) -> bool:
    files = getattr(table, "files", None)
    return files is not None and files.format in ("json", "jsonl")


def _swapped(plan: nodes.Plan, old: TableInfo, new: TableInfo) -> nodes.Plan:
    def visit(node: nodes.Plan) -> nodes.Plan:
        if isinstance(node, nodes.Scan) and node.table is old:
            return replace(node, source=new.source, label=old.qualified_name, table=new)
        return node

    return transform_plan(plan, visit)


def recursion_error(error: DovetailError, compiled: Compiled) -> RulesError | None:
    """R013 for what the engine raised when a recursion went too far."""
    if not isinstance(error, DataError) or not error.message.startswith("recursion|"):
        return None
    _, predicate, rest = error.message.split("|", 2)
    steps, _, rows = rest.partition("|")
    return RulesError(
        [
            Diagnostic(
                "R013",
                f"{predicate} did not end within {int(steps) - 1} steps ({rows} rows so far); the "
                "limits are limits.rules.max_iterations and limits.rules.max_recursive_rows",
                None,
                "bound it in the recursive clause, for example N < 100, or raise the limit",
            )
        ]
    )
