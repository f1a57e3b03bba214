"""Put the words of a command line in the order that the parser wants.

A flag that every command has may also stand before the command: ``dovetail --config x query …``
is ``dovetail query --config x …``.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from dovetail.errors import UsageError
from dovetail.interfaces.cli.diagnostics import usage_error


def arrange(arguments: Sequence[str]) -> list[str]:
    """``arguments`` with the command first. Raises :class:`UsageError` for an unknown command."""
    from dovetail.interfaces.cli.app import COMMANDS
    from dovetail.interfaces.cli.options import value_flags

    given = list(arguments)
    takes_value = value_flags()
    before: list[str] = []
    position = 0
    while position < len(given) and given[position].startswith("-") and given[position] != "-":
        if given[position] in takes_value and position + 1 < len(given):
            before.append(given[position])
            position += 1
        before.append(given[position])
        position += 1
    if position == len(given):
        return before
    command, rest = given[position], given[position + 1 :]
    if command not in COMMANDS:
        raise _unknown(command, list(COMMANDS))
    members = COMMANDS[command]
    if members and rest and not rest[0].startswith("-"):
        if rest[0] not in members:
            raise _unknown(f"{command} {rest[0]}", [f"{command} {m}" for m in members])
        return [command, rest[0], *before, *rest[1:]]
    return [command, *before, *rest]


def _unknown(command: str, known: list[str]) -> UsageError:
    if Path(command).suffix and Path(command).exists():
        return UsageError(
            f"{command} is a file, not a command; to look at {command}: dovetail tui {command}; "
            f"to query it: dovetail query \"select * from '{command}'\""
        )
    near = difflib.get_close_matches(command, known, n=2)
    if near:
        return usage_error(f'no command "{command}"', near)
    return UsageError(f'no command "{command}"; the commands are {", ".join(known)}')
