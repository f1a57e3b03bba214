"""``dovetail completion``: the script that makes a shell complete commands, flags and names."""

from __future__ import annotations

from typing import Annotated

from dovetail.errors import UsageError
from dovetail.interfaces.cli.declare import Argument
from dovetail.interfaces.cli.options import MessageFlags
from dovetail.interfaces.cli.output import write_text
from dovetail.interfaces.cli.runtime import Job, Run


def completion(
    messages: MessageFlags,
    shell: Annotated[
        str, Argument(metavar="SHELL", help="bash, zsh, fish or powershell.", complete="shells")
    ],
) -> Job:
    """Print the script that makes a shell complete commands, flags, formats, sources and tables.

    eval "$(dovetail completion bash)"

    dovetail completion fish > ~/.config/fish/completions/dovetail.fish
    """
    from dovetail.interfaces.cli.completion import SHELLS, script

    if shell not in SHELLS:
        raise UsageError(f'no completion for "{shell}"; there is {", ".join(SHELLS)}')

    def work(run: Run) -> None:
        write_text(script(shell))

    return Job(messages, work)


COMMANDS = {"completion": completion}
