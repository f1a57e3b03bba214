"""The shell: reads statements, runs them, remembers how the user likes them shown."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from dovetail.editing.history import History
from dovetail.editing.schema import Schema
from dovetail.editing.statements import is_complete, statements_of
from dovetail.editing.tokens import tokens_of
from dovetail.errors import CancelledError, DovetailError, UsageError
from dovetail.interfaces.cli import sql_text
from dovetail.interfaces.cli.diagnostics import Diagnostics, wants_color
from dovetail.interfaces.cli.output import Output, write_batches, write_rows
from dovetail.interfaces.cli.paging import paged
from dovetail.interfaces.cli.progress import describe_progress
from dovetail.interfaces.cli.quantities import shown_time
from dovetail.interfaces.cli.shell.foreground import Foreground
from dovetail.present.formats import format_named, format_of_path
from dovetail.script.desk import Desk
from dovetail.script.statements import split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.execution.profile import Profile
    from dovetail.session import Session


class LeaveShell(Exception):
    """The user wants to leave, with this exit code."""

    def __init__(self, code: int = 0) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class _Outcome:
    """What is known of a query; ``rows`` came until its end, None of a statement without any."""

    rows: int | None = None
    profile: Profile | None = None
    cancelled: bool = False
    error: str | None = None


class Shell:
    """One shell over one session."""

    def __init__(
        self,
        session: Session,
        diagnostics: Diagnostics,
        output: Output,
        history: History,
        *,
        bail: bool = False,
        again: Sequence[str] = (),
    ) -> None:
        """``bail`` ends the shell at the first error. ``again`` is the command line of another
        program over the same sources, without its name: ``.tui`` starts it.
        """
        self.session = session
        self.told = diagnostics
        self.output = output
        self.history = history
        self.bail = bail
        self.again = tuple(again)
        self.schema = Schema(session)
        self.desk = Desk(session)  # temporary tables and views live as long as the shell
        self.foreground = Foreground()
        self.parameters: dict[str, Any] = {}
        self.limit: int | None = None
        self.timer = True
        self.last = ""  # the last query, for .watch, .edit, .explain and \g
        self.next_text = ""  # what the next prompt begins with
        self.quiet_color = output.layout.color
        self._pages = output.paged or not output.form.for_eyes

    # -- the loop -------------------------------------------------------------------------------

    def interact(self, vi: bool = False) -> int:
        """Prompt until the user leaves; the exit code."""
        from dovetail.interfaces.cli.shell.commands import matching
        from dovetail.interfaces.cli.shell.prompt import make_prompt

        self.schema.load()
        for name in self.schema.local_names:
            self.schema.columns((name,))  # looked up in the background, before the first Tab
        prompt = make_prompt(
            self.schema,
            self.history,
            matching,
            self.is_complete,
            vi=vi,
            color=wants_color(self.told.color, sys.stdout),
        )
        while True:
            begin, self.next_text = self.next_text, ""
            try:
                text = prompt.prompt(default=begin)
            except KeyboardInterrupt:  # Ctrl-C clears what was typed
                continue
            except EOFError:
                return 0
            try:
                self.submit(text)
            except KeyboardInterrupt:  # Ctrl-C before the work began or after its end
                self.told.summary("cancelled")
            except LeaveShell as leaving:
                return leaving.code

    def is_complete(self, text: str) -> bool:
        """Whether Enter runs ``text``: a command, or a statement with its end mark."""
        stripped = text.strip()
        if not stripped or stripped.startswith((".", "\\")):
            return True
        return is_complete(text) or _runs_by_backslash(stripped)

    def submit(self, text: str) -> bool:
        """Run what was typed. False when it failed. Raises :class:`LeaveShell`."""
        try:
            self.run_text(text)
        except CancelledError:
            self.told.end_progress()
            self.told.summary("cancelled")
            return False
        except DovetailError as error:
            self.told.end_progress()
            code = self.told.error(error)
            if self.bail:
                raise LeaveShell(code) from None
            return False
        return True

    def run_text(self, text: str) -> None:
        """Run a command, or each statement of ``text``. Raises :class:`DovetailError`."""
        from dovetail.interfaces.cli.shell.commands import run_command

        stripped = text.strip()
        if stripped.startswith((".", "\\")):
            run_command(self, stripped)
            return
        kept = text[:1] not in (" ", "\t")
        if _runs_by_backslash(stripped):
            body, mark = stripped[:-2].rstrip(), stripped[-2:]
            with self._shown_as("vertical" if mark == "\\G" else None):
                self.run_query(body, kept=kept)
            return
        for statement in statements_of(text):
            self.run_query(statement.text, kept=kept)

    def run_script(self, path: Path) -> None:
        """Run a file of statements and commands, each command on a line of its own."""
        try:
            text = path.expanduser().read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise UsageError(f"cannot read {path}: {reason}") from None
        for piece in script_pieces(text):
            self.run_text(piece)

    # -- queries --------------------------------------------------------------------------------

    def run_query(self, sql: str, *, kept: bool = True, remembered: bool = True) -> None:
        """Run one query and write its rows. Raises :class:`DovetailError`."""
        if remembered:
            self.last = sql
        # Each query has its own clock for progress, and may repeat a note of an earlier one.
        told = self.told
        self.told = Diagnostics(told.quiet, told.errors, told.debug, told.color, told.progress)
        started, began = time.perf_counter(), time.time()
        outcome = _Outcome()
        try:
            self.foreground.run(lambda: self._answer(sql, outcome))
        except CancelledError:
            outcome.cancelled = True
            raise
        except DovetailError as error:
            outcome.error = error.message
            raise
        finally:
            self.told.end_progress()
            milliseconds = (time.perf_counter() - started) * 1000
            if kept and remembered:
                self.history.add(
                    sql,
                    "shell",
                    rows=outcome.rows,
                    milliseconds=milliseconds,
                    error=outcome.error,
                    profile=outcome.profile,
                    started=began,
                    cancelled=outcome.cancelled,
                )
        if self.timer:
            rows = outcome.rows
            count = "done" if rows is None else f"{rows:,} row{'' if rows == 1 else 's'}"
            self.told.summary(f"{count}, {shown_time(milliseconds)}")

    def _answer(self, sql: str, outcome: _Outcome) -> None:
        result = self.desk.run(
            split(sql)[0],
            self.used_parameters(sql),
            limit=self.limit,
            on_progress=lambda profile: self.told.show_progress(describe_progress(profile)),
            on_start=self.foreground.on_cancel,
        )
        if result is None:  # a temporary table or view was made
            for name in self.desk.objects:
                self.schema.add_local(name)
            return
        outcome.rows, outcome.profile = 0, result.profile
        try:
            done = write_batches(
                self.output,
                self._counted(result.batches(), outcome),
                result.schema,
                result.columns,
                self.told,
            )
            outcome.rows = done.rows
            if done.cut:
                result.cancel()
        except BrokenPipeError:  # the pager was left: nobody wants the rest
            outcome.cancelled = True
            result.cancel()
        finally:
            result.close()
        for warning in result.warnings:
            self.told.warning(warning)

    def _counted(self, batches: Iterable[Any], outcome: _Outcome) -> Iterator[Any]:
        for batch in batches:
            self.told.end_progress()
            outcome.rows = (outcome.rows or 0) + batch.num_rows
            yield batch

    def used_parameters(self, sql: str) -> dict[str, Any]:
        """The parameters that ``sql`` uses. Raises :class:`UsageError` if one is not set."""
        used = sql_text.possible_parameter_names(sql)
        missing = sorted(
            n for n in sql_text.parameter_names(sql) if n not in self.parameters and not n.isdigit()
        )
        if missing:
            raise UsageError(
                f'the query needs parameter "{missing[0]}"; set it: .param {missing[0]}=VALUE'
            )
        return {name: value for name, value in self.parameters.items() if name in used}

    # -- how results look ------------------------------------------------------------------------

    def set_format(self, name: str) -> None:
        """Show results in a format from now on. Raises :class:`UsageError`."""
        form = format_named(name)
        if form.binary and self.output.path is None:
            raise UsageError(f"{form.name} is not for a terminal; say where: .output FILE")
        self.output = replace(self.output, form=form)
        if self.output.path is None:
            self.output = self._to_screen(self.output)

    def _to_screen(self, output: Output) -> Output:
        return replace(output, path=None, paged=self._pages and output.form.for_eyes)

    def set_target(self, path: str | None) -> None:
        """Write results to a file from now on, or to the screen (None)."""
        if path is None:
            layout = replace(self.output.layout, color=self.quiet_color)
            form = format_named("table") if self.output.form.binary else self.output.form
            self.output = self._to_screen(replace(self.output, layout=layout, form=form))
            return
        form = format_of_path(path)
        layout = replace(self.output.layout, color=False, max_rows=0, max_width=0)
        target = Path(path).expanduser()
        self.output = replace(self.output, path=target, form=form, layout=layout, paged=False)

    @contextmanager
    def _shown_as(self, name: str | None) -> Iterator[None]:
        before = self.output
        if name is not None:
            self.set_format(name)
        try:
            yield
        finally:
            self.output = before

    def show_rows(self, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]) -> None:
        """Print a listing, through the pager when it is long."""
        form = format_named("table") if self.output.form.binary else self.output.form
        with suppress(BrokenPipeError):
            write_rows(self._to_screen(replace(self.output, form=form)), columns, rows, self.told)

    def close(self) -> None:
        """Forget the temporary tables."""
        self.desk.close()

    def show_text(self, text: str) -> None:
        """Print a text, through the pager when it is long."""
        with paged(_stdout()) as stream, suppress(BrokenPipeError):
            stream.write(text.rstrip("\n").encode("utf-8", "replace") + b"\n")


def script_pieces(text: str) -> Iterator[str]:
    """Commands and statements in order.

    A line that begins with ``.`` or ``\\`` outside any statement is a command.
    """
    held: list[str] = []
    for line in text.split("\n"):
        idle = not [t for t in tokens_of("\n".join(held)) if t.kind != "comment"]
        if idle and line.lstrip().startswith((".", "\\")):
            held = []
            yield line.strip()
            continue
        held.append(line)
        if is_complete("\n".join(held)):
            yield "\n".join(held)
            held = []
    if statements_of("\n".join(held)):
        yield "\n".join(held)


def _runs_by_backslash(text: str) -> bool:
    if not text.endswith(("\\g", "\\G")) or text.startswith("\\"):
        return False
    tokens = tokens_of(text)
    return len(tokens) > 2 and not tokens[-1].open and tokens[-2].text == "\\"


def _stdout() -> BinaryIO:
    sys.stdout.flush()
    return open(sys.stdout.fileno(), "wb", buffering=1 << 16, closefd=False)
