"""``dovetail help``: the help of a command."""

from __future__ import annotations

from typing import Annotated

from dovetail.interfaces.cli.declare import Argument
from dovetail.interfaces.cli.options import MessageFlags
from dovetail.interfaces.cli.runtime import Job, Run


def help(
    messages: MessageFlags,
    command: Annotated[
        list[str] | None, Argument(metavar="[COMMAND]...", help="A command and its subcommand.")
    ] = None,
) -> Job:
    """Show the help of a command.

    dovetail help sql format
    """

    def work(run: Run) -> int:
        from dovetail.interfaces.cli.app import make_app
        from dovetail.interfaces.cli.arrange import arrange

        words = arrange([*(command or ()), "--help"])
        return int(make_app().main(words, prog_name="dovetail", standalone_mode=False) or 0)

    return Job(messages, work)


COMMANDS = {"help": help}
