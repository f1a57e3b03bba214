"""``dovetail users``: who may use the service with --auth users."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

from dovetail.errors import UsageError
from dovetail.interfaces.cli.declare import Argument, Option
from dovetail.interfaces.cli.options import MessageFlags, OutputFlags
from dovetail.interfaces.cli.output import choose_output, write_rows, write_text
from dovetail.interfaces.cli.runtime import Job, Run
from dovetail.interfaces.cli.store import StoreFlags, store_settings

if TYPE_CHECKING:
    from dovetail.workspace import Workspace

_VARIABLE = "DOVETAIL_NEW_PASSWORD"


def _open(where: StoreFlags) -> Workspace:
    """The workspace, made if there is none yet: its first admin comes before its first start."""
    from dataclasses import replace

    from dovetail.workspace import Workspace

    return Workspace.open(replace(store_settings(where), migrate=True))


def create(
    where: StoreFlags,
    messages: MessageFlags,
    name: Annotated[str, Argument(metavar="NAME", help="The new user's name.")],
    admin: Annotated[bool, Option("--admin", help="With every right.")] = False,
    role: Annotated[
        str, Option("--role", metavar="ROLE", help="viewer, analyst, editor or admin.")
    ] = "analyst",
) -> Job:
    """Add a user. The password is asked for, or read from DOVETAIL_NEW_PASSWORD or stdin.

    dovetail users create ana --admin
    """

    def work(run: Run) -> None:
        password = _password(ask=not messages.no_input)
        with _open(where) as workspace:
            if admin:
                made = workspace.users.create_admin(name, password)
            else:
                local = workspace.users.local_actor()
                made = workspace.users.create(
                    local,
                    name,
                    role=role,  # type: ignore[arg-type]
                    password=password,
                )
        write_text(f"{made.name} ({made.role})")

    return Job(messages, work)


def listed(where: StoreFlags, out: OutputFlags, messages: MessageFlags) -> Job:
    """List the users."""
    output = choose_output(out, messages.color)

    def work(run: Run) -> None:
        with _open(where) as workspace:
            users = workspace.users.list(workspace.users.local_actor(), limit=500).items
        columns = [("name", "VARCHAR"), ("role", "VARCHAR"), ("disabled", "BOOLEAN")]
        columns += [("last_login", "VARCHAR"), ("id", "VARCHAR")]
        rows = [
            (
                user.name,
                user.role,
                user.disabled,
                None if user.last_login_at is None else f"{user.last_login_at:%Y-%m-%d %H:%M}",
                user.id,
            )
            for user in users
        ]
        write_rows(output, columns, rows, run.diagnostics)

    return Job(messages, work)


def _password(*, ask: bool) -> str:
    given = os.environ.get(_VARIABLE)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    if not ask:
        raise UsageError(f"--no-input: give the password in {_VARIABLE}, or on standard input")
    import getpass

    first = getpass.getpass("Password (12 characters or more): ")
    if getpass.getpass("Once more: ") != first:
        raise UsageError("the two passwords differ")
    return first


COMMANDS = {"create": create, "list": listed}
