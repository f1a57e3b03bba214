"""From the arguments to an exit code."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from dovetail.interfaces.cli.diagnostics import Diagnostics

_HELP_FLAGS = ("-h", "--help")


def run() -> NoReturn:
    """The ``dovetail`` command: never returns."""
    from dovetail.interfaces.cli.startup import prepare

    prepare()
    code = main(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (BrokenPipeError, ValueError):
            from dovetail.interfaces.cli.output import abandon_stdout

            abandon_stdout()
            code = code or 141
    # Sessions are closed and files complete; taking the interpreter apart would only take time.
    os._exit(code)


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code (0, 1, 2, 3, 4, 5, 70, 130, 141 or 143)."""
    given = list(arguments)
    if given in (["--version"], ["-V"]):
        return _print_version()
    from dovetail.interfaces.cli.diagnostics import Diagnostics

    # The flags that decide how errors look must be known before the flags are parsed.
    diagnostics = Diagnostics(
        errors="json" if _wants_json_errors(given) else "text", debug="--debug" in given
    )
    try:
        return _run(given, diagnostics)
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":  # a group without a subcommand
            return diagnostics.short_help(str(error))
        code = diagnostics.error(_as_usage_error(error))
        if isinstance(error, BrokenPipeError):
            from dovetail.interfaces.cli.output import abandon_stdout

            abandon_stdout()
        return code


def _print_version() -> int:
    from dovetail.faults import version

    sys.stdout.write(f"dovetail {version()}\n")
    return 0


def _wants_json_errors(given: list[str]) -> bool:
    if "--errors=json" in given:
        return True
    return any(pair == ("--errors", "json") for pair in itertools.pairwise(given))


def _run(given: list[str], diagnostics: Diagnostics) -> int:
    from dovetail.interfaces.cli.app import make_app
    from dovetail.interfaces.cli.arrange import arrange
    from dovetail.interfaces.cli.runtime import Job

    arranged = arrange(given) or ["--help"]
    if arranged[0] in ("--version", "-V"):
        return _print_version()
    job: Any = make_app().main(arranged, prog_name="dovetail", standalone_mode=False)
    if not isinstance(job, Job):
        return int(job or 0)  # help was printed, or a short help and exit code 2
    return _work(job, diagnostics)


def _work(job: Any, diagnostics: Diagnostics) -> int:
    from dovetail.errors import UsageError
    from dovetail.interfaces.cli.interrupt import Interruption, run_interruptibly
    from dovetail.interfaces.cli.output import abandon_stdout
    from dovetail.interfaces.cli.runtime import Run

    messages = job.messages
    if messages.errors not in ("text", "json"):
        raise UsageError(f'--errors takes text or json, not "{messages.errors}"')
    if messages.color not in ("auto", "always", "never"):
        raise UsageError(f'--color takes auto, always or never, not "{messages.color}"')
    diagnostics.quiet, diagnostics.color = messages.quiet, messages.color
    if job.interactive:
        run = Run(diagnostics, Interruption(), not messages.no_input, interactive=True)
        return job.work(run) or 0
    caught: list[BaseException] = []

    def work(interruption: Interruption) -> int:
        try:
            return job.work(Run(diagnostics, interruption, not messages.no_input)) or 0
        except BaseException as error:
            caught.append(error)
            raise

    try:
        code, signal = run_interruptibly(work, _remove_unfinished)
    except BrokenPipeError:
        abandon_stdout()
        return 141
    finally:
        diagnostics.end_progress()
    if signal is not None:
        diagnostics.note("cancelled")
        if any(isinstance(error, BrokenPipeError) for error in caught):
            abandon_stdout()
    return code


def _remove_unfinished() -> None:
    destination = sys.modules.get("dovetail.present.destination")
    if destination is not None:
        destination.remove_unfinished()


def _as_usage_error(error: BaseException) -> BaseException:
    """Click's complaints about the command line as one of our errors."""
    if not hasattr(error, "format_message"):
        return error
    import difflib
    import re

    from dovetail.interfaces.cli.diagnostics import usage_error

    command = getattr(getattr(error, "ctx", None), "command_path", "dovetail")
    wanted = str(getattr(error, "option_name", ""))
    near = difflib.get_close_matches(wanted, getattr(error, "possibilities", None) or (), n=2)
    message = getattr(error, "message", "") if near else error.format_message()
    message = re.sub(r"^No such option:? '?(-[^ '.]*)'?", r"no flag \1", message.rstrip("."))
    return usage_error(f"{message} (see {command} --help)", near)
