"""``dovetail db``: the schema of the workspace's store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from dovetail.interfaces.cli.declare import Argument
from dovetail.interfaces.cli.options import MessageFlags
from dovetail.interfaces.cli.output import write_text
from dovetail.interfaces.cli.runtime import Job, Run
from dovetail.interfaces.cli.store import StoreFlags, store_settings

if TYPE_CHECKING:
    from dovetail.workspace import StoreSchema


def _schema(where: StoreFlags) -> StoreSchema:
    from dovetail.workspace import StoreSchema

    return StoreSchema.of(store_settings(where))


def upgrade(where: StoreFlags, messages: MessageFlags) -> Job:
    """Bring the store to the schema of this version. An SQLite store is copied first.

    dovetail db upgrade
    """

    def work(run: Run) -> None:
        with _schema(where) as schema:
            before = schema.current()
            schema.upgrade(keep_copy=True)
            write_text(f"{before or 'empty'} -> {schema.current()}")

    return Job(messages, work)


def downgrade(
    where: StoreFlags,
    messages: MessageFlags,
    revision: Annotated[
        str, Argument(metavar="REVISION", help="Such as 0002; `base` removes everything.")
    ],
) -> Job:
    """Take the store back to an earlier schema. What later tables hold is lost.

    dovetail db downgrade 0002
    """

    def work(run: Run) -> None:
        with _schema(where) as schema:
            before = schema.current()
            schema.downgrade(revision)
            write_text(f"{before or 'empty'} -> {schema.current() or 'empty'}")

    return Job(messages, work)


def current(where: StoreFlags, messages: MessageFlags) -> Job:
    """Print the schema that the store has, and the one that this version wants."""

    def work(run: Run) -> None:
        with _schema(where) as schema:
            write_text(f"{schema.current() or 'empty'} (this version: {schema.newest()})")

    return Job(messages, work)


def check(where: StoreFlags, messages: MessageFlags) -> Job:
    """Check that the store has the schema of this version; exit code 1 if not."""

    def work(run: Run) -> int:
        with _schema(where) as schema:
            schema.require_current()
            differences = schema.drift()
            for difference in differences:
                run.diagnostics.note(difference)
            write_text("differs" if differences else "ok")
            return 1 if differences else 0

    return Job(messages, work)


COMMANDS = {"upgrade": upgrade, "downgrade": downgrade, "current": current, "check": check}
