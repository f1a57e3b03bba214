"""Runs the statements of one command line and writes their results."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.errors import DovetailError, ExpectationError, UsageError
from dovetail.interfaces.cli.expectation import Expectation
from dovetail.interfaces.cli.output import Output, add_batches, open_document, write_text
from dovetail.interfaces.cli.runtime import Run

if TYPE_CHECKING:
    import pyarrow as pa

    from dovetail.present.write import Document
    from dovetail.script.desk import Desk
    from dovetail.script.statements import Statement
    from dovetail.session import Session

_NUMBER = "{n}"


@dataclass(frozen=True)
class Wishes:
    """What the flags of ``query`` ask for."""

    output: Output
    result: str = "all"
    statement: int | None = None
    go_on: bool = False
    precheck: bool = True
    expect: Expectation | None = None
    statistics: bool = False
    dialect: str = "duckdb"
    limit: int | None = None
    timeout: float | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    cache: bool | float | None = None


def choose_statements(script: Sequence[Statement], wishes: Wishes) -> list[Statement]:
    """The statements that will run: all, or the wanted one after those that it needs.

    Raises:
        UsageError: there is no such statement or result, or the format holds one result only.
    """
    from dovetail.script.depends import with_needed

    results = [statement for statement in script if statement.has_rows]
    if wishes.statement is not None:
        if not 1 <= wishes.statement <= len(script):
            raise UsageError(f"there is no statement {wishes.statement}; there are {len(script)}")
        return with_needed(script[wishes.statement - 1], script)
    if wishes.result == "all":
        several = wishes.output.form.several or _NUMBER in str(wishes.output.path)
        if len(results) > 1 and not several:
            form = wishes.output.form
            example = f"out-{_NUMBER}{form.extensions[0] if form.extensions else '.arrow'}"
            raise UsageError(
                f"there are {len(results)} results and {form.name} holds one: choose with "
                f"--result last or --result N, or write a file for each with -o '{example}'"
            )
        return list(script)
    if not results:
        raise UsageError("no statement has a result")
    number = len(results) if wishes.result == "last" else int(wishes.result)
    if not 1 <= number <= len(results):
        raise UsageError(f"there is no result {number}; there are {len(results)}")
    return with_needed(results[number - 1], script)


def check_result(text: str) -> str:
    """The value of ``--result``. Raises :class:`UsageError`."""
    if text not in ("all", "last") and not text.isdigit():
        raise UsageError(f'--result takes all, last or a number, not "{text}"')
    return text


def dry_run(session: Session, script: Sequence[Statement], wishes: Wishes) -> None:
    """Print what each statement would do; nothing runs."""
    from dovetail.script.depends import needed_objects
    from dovetail.script.desk import Desk

    parts = []
    with Desk(session) as desk:
        for statement in script:
            plan = desk.plan(
                statement, wishes.parameters, dialect=wishes.dialect, before=script
            ).to_dict()
            lines = f"line {statement.first_line}"
            if statement.last_line != statement.first_line:
                lines = f"lines {statement.first_line}–{statement.last_line}"
            origin = f" of {statement.origin}" if statement.origin else ""
            kind = statement.kind if statement.has_rows else f"temp {statement.kind}"
            rows = [f"statement {statement.number}: {kind}, {lines}{origin}"]
            if not statement.has_rows:
                rows.append(f"  makes: {statement.name}")
            needs = [other.name for other in needed_objects(statement, script)]
            if needs:
                rows.append(f"  needs: {', '.join(needs)}")
            columns = [f"{c['name']} {c['type']}" for c in plan["columns"]]
            rows.append(f"  columns: {', '.join(columns) or 'known when it runs'}")
            for fragment in plan["fragments"]:
                rows.append(f"  fragment {fragment['number']} on {fragment['source']}")
                rows += [f"    {line}" for line in str(fragment["sql"]).splitlines()]
            if plan["fallback_reason"]:
                rows.append(f"  the engine runs the text itself: {plan['fallback_reason']}")
            parts.append("\n".join(rows))
    write_text("\n\n".join(parts))


class Answering:
    """One run of a script."""

    def __init__(self, run: Run, session: Session, wishes: Wishes) -> None:
        self._run = run
        self._told = run.diagnostics
        self._session = session
        self._wishes = wishes
        self._results = 0
        self._past: list[dict[str, Any]] = []
        self._unmet: ExpectationError | None = None

    def answer(self, script: Sequence[Statement]) -> int:
        """Run ``script`` and write its results; the exit code.

        Raises:
            DovetailError: the first failure, unless the run goes on after errors.
            BrokenPipeError: nobody reads the output any more, and it was no pager that was left.
        """
        try:
            return self._run_script(script)
        except BrokenPipeError:
            if self._wishes.output.paged:  # the pager was left: nobody wants the rest
                return 0
            raise

    def _run_script(self, script: Sequence[Statement]) -> int:
        from dovetail.script.desk import Desk

        wishes = self._wishes
        chosen = choose_statements(script, wishes)
        with ExitStack() as stack:
            desk = stack.enter_context(Desk(self._session))
            if wishes.precheck and len(chosen) > 1:
                code = self._report(desk.check(chosen, wishes.parameters, dialect=wishes.dialect))
                if code and not wishes.go_on:
                    return code
            shared: Document | None = None
            if _NUMBER not in str(wishes.output.path) and any(s.has_rows for s in chosen):
                shared = stack.enter_context(open_document(wishes.output))
            try:
                code = self._answer_each(desk, chosen, shared)
            finally:
                stack.callback(self._remember)  # once the results are complete
        if self._unmet is not None:
            raise self._unmet
        return code

    def _answer_each(self, desk: Desk, chosen: Sequence[Statement], shared: Document | None) -> int:
        # Of a chosen statement the earlier ones are only what it needs.
        only = self._wishes.statement is not None or self._wishes.result != "all"
        code = 0
        for statement in chosen:
            shown = statement.has_rows and (not only or statement is chosen[-1])
            began, clock = time.time(), time.perf_counter()
            entry: dict[str, Any] = {"sql": statement.text, "started": began}
            self._past.append(entry)
            try:
                self._answer(desk, statement, shared, entry, shown=shown)
            except Exception as error:
                if isinstance(error, BrokenPipeError) or self._run.interruption.signal is not None:
                    entry["cancelled"] = True
                    raise
                if not isinstance(error, DovetailError):
                    entry["error"] = type(error).__name__
                    raise
                entry["error"] = error.message
                if not self._wishes.go_on:
                    raise
                if len(chosen) > 1:
                    self._told.warning(
                        f"statement {statement.number} at line {statement.first_line} failed"
                    )
                self._told.error(error)
                code = 1
            finally:
                entry["milliseconds"] = (time.perf_counter() - clock) * 1000
        return code

    def _report(self, errors: Sequence[DovetailError]) -> int:
        """Report what is wrong before anything runs; the exit code of the first error."""
        if self._wishes.go_on:
            return 0  # each is reported when its turn comes
        for error in errors:
            self._told.error(error)
        return errors[0].exit_code if errors else 0

    def _answer(
        self,
        desk: Desk,
        statement: Statement,
        shared: Document | None,
        entry: dict[str, Any],
        *,
        shown: bool,
    ) -> None:
        """Run one statement and write its result; ``entry`` is what the history keeps of it."""
        wishes, told = self._wishes, self._told
        started = time.perf_counter()
        result = desk.run(
            statement,
            wishes.parameters,
            limit=wishes.limit,
            timeout=wishes.timeout,
            dialect=wishes.dialect,
            cache=wishes.cache,
            on_progress=self._progress() if told.wants_progress else None,
            on_start=self._run.interruption.register,
        )
        if result is None:
            return
        self._run.interruption.register(result.cancel)
        entry.update(rows=0, profile=result.profile)

        def counted() -> Iterator[pa.RecordBatch]:
            for batch in result.batches():
                entry["rows"] += batch.num_rows  # of what ends early the history says how far
                yield batch

        try:
            with self._document(shared, shown) as document:
                done = add_batches(document, counted(), result.schema, result.columns, told)
            entry["rows"] = done.rows
            if done.cut:
                result.cancel()
        except BaseException:
            result.cancel()
            raise
        finally:
            result.close()
            told.end_progress()
        milliseconds = (time.perf_counter() - started) * 1000
        for warning in result.warnings:
            told.warning(warning)
        from dovetail.interfaces.cli.quantities import shown_time

        plural = "" if done.rows == 1 else "s"
        age = result.profile.cache_age
        kept = "" if age is None else f", kept {shown_time(age * 1000)} ago"
        told.summary(f"{done.rows:,} row{plural}, {shown_time(milliseconds)}{kept}")
        if wishes.statistics:
            told.statistics({"rows": done.rows, **result.profile.to_dict()})
        if wishes.expect is not None:
            try:
                wishes.expect.check(done.rows)
            except ExpectationError as error:  # raised once the rows are written
                self._unmet = self._unmet or error

    def _remember(self) -> None:
        """Keep what was run, for `dovetail history`."""
        from dovetail.editing.history import History, workspace_name

        history = History(workspace=workspace_name(self._session.config.path))
        for entry in self._past:
            history.add(entry.pop("sql"), "query", **entry)
        history.close()

    def _document(self, shared: Document | None, shown: bool) -> AbstractContextManager[Document]:
        """Where the next result goes."""
        if not shown:
            from dovetail.present.formats import format_named

            nowhere = replace(self._wishes.output, form=format_named("none"), path=None)
            return open_document(nowhere)
        self._results += 1
        if shared is not None:
            return nullcontext(shared)
        path = Path(str(self._wishes.output.path).replace(_NUMBER, str(self._results)))
        return open_document(replace(self._wishes.output, path=path))

    def _progress(self) -> Any:
        from dovetail.interfaces.cli.progress import describe_progress

        def show(progress: Any) -> None:
            self._told.show_progress(describe_progress(progress))

        return show
