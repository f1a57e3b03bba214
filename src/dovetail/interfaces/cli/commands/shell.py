"""``dovetail shell``: SQL line by line."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from dovetail.interfaces.cli.declare import Argument, Option
from dovetail.interfaces.cli.options import MessageFlags, OutputFlags, SourceFlags
from dovetail.interfaces.cli.output import choose_output
from dovetail.interfaces.cli.runtime import Job, Run

if TYPE_CHECKING:
    from dovetail.interfaces.cli.shell.shell import Shell

INIT_FILE = "shell.sql"


def shell(
    where: SourceFlags,
    out: OutputFlags,
    messages: MessageFlags,
    files: Annotated[
        list[str] | None,
        Argument(metavar="[FILE]...", help="Files that become tables, named after their stem."),
    ] = None,
    vi: Annotated[bool, Option("--vi", help="Keys of vi instead of Emacs.")] = False,
    bail: Annotated[bool, Option("--bail", help="Leave at the first error.")] = False,
    no_init: Annotated[
        bool, Option("--no-init", help="Do not run shell.sql of the configuration folder.")
    ] = False,
) -> Job:
    """Ask line by line, with completion and history.

    dovetail shell

    dovetail shell --config dovetail.yaml exports/products.csv
    """
    from dovetail.interfaces.cli.adhoc import parse_data

    if not sys.stdin.isatty():
        from dovetail.interfaces.cli.commands.query import query

        return query(where, out, messages, file=["-"], data=list(files or []))
    output = choose_output(out, messages.color)
    data = parse_data(list(files or []))
    again = [*_flags(where), *(files or [])]

    def work(run: Run) -> int:
        from dovetail.editing.history import History, workspace_name
        from dovetail.interfaces.cli.shell.shell import LeaveShell, Shell

        signal.signal(signal.SIGTERM, _terminate)
        with run.session(where, data=data) as session:
            history = History(workspace=workspace_name(session.config.path))
            made = Shell(session, run.diagnostics, output, history, bail=bail, again=again)
            for name in data:
                made.schema.add_local(name)
            try:
                if not no_init:
                    _run_init_file(made)
                return made.interact(vi)
            except LeaveShell as leaving:
                return leaving.code
            finally:
                made.close()
                history.close()

    return Job(messages, work, interactive=True)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(143)


def _run_init_file(made: Shell) -> None:
    import platformdirs

    path = Path(platformdirs.user_config_path("dovetail", appauthor=False)) / INIT_FILE
    if path.is_file():
        made.submit(f".read {path}")


def _flags(where: SourceFlags) -> list[str]:
    """The command line that names the same sources again."""
    given: list[Any] = []
    for flag, value in (("--config", where.config), ("--profile", where.profile)):
        if value is not None:
            given += [flag, value]
    for source in where.source:
        given += ["--source", source]
    return [*given, "--allow-http"] if where.allow_http else given


COMMANDS = {"shell": shell}
