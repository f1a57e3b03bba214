"""``dovetail cache``: results that are kept for the next time the same is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from dovetail.errors import UsageError
from dovetail.interfaces.cli.declare import Option
from dovetail.interfaces.cli.options import ConfigFlags, MessageFlags, OutputFlags
from dovetail.interfaces.cli.output import choose_output, write_rows, write_text
from dovetail.interfaces.cli.quantities import seconds, shown_size
from dovetail.interfaces.cli.runtime import Job, Run

if TYPE_CHECKING:
    from dovetail.cache.store import ResultStore


def _store(run: Run, where: ConfigFlags) -> ResultStore:
    from dovetail.cache.lookup import store_of

    return store_of(run.configuration(where).cache)


def info(where: ConfigFlags, out: OutputFlags, messages: MessageFlags) -> Job:
    """Show where results are kept, how many and how large, and how often one was used.

    dovetail cache info
    """
    output = choose_output(out, messages.color)

    def work(run: Run) -> None:
        try:
            held = _store(run, where).contents()
        except OSError as error:
            raise UsageError(f"the kept results cannot be listed: {error}") from None
        oldest = None if held.oldest is None else datetime.fromtimestamp(held.oldest, UTC)
        columns = [("directory", "VARCHAR"), ("entries", "BIGINT"), ("bytes", "BIGINT")]
        columns += [("oldest", "VARCHAR"), ("hits", "BIGINT"), ("misses", "BIGINT")]
        shown = None if oldest is None else oldest.strftime("%Y-%m-%d %H:%M:%S")
        row = (str(held.directory), held.entries, held.bytes, shown, held.hits, held.misses)
        write_rows(output, columns, [row], run.diagnostics)

    return Job(messages, work)


def clear(
    where: ConfigFlags,
    messages: MessageFlags,
    older: Annotated[
        str | None,
        Option("--older", metavar="AGE", help="Only what was kept longer ago: 30m, 12h, 1d."),
    ] = None,
) -> Job:
    """Remove the kept results, or those older than an age.

    dovetail cache clear --older 1d
    """
    age = seconds("--older", older)

    def work(run: Run) -> None:
        try:
            entries, freed = _store(run, where).clear(age)
        except OSError as error:
            raise UsageError(f"the kept results cannot be removed: {error}") from None
        plural = "" if entries == 1 else "s"
        write_text(f"removed {entries:,} result{plural}, {shown_size(freed)}")

    return Job(messages, work)


COMMANDS = {"info": info, "clear": clear}
