"""``dovetail config``: check it, show it, say where it is."""

from __future__ import annotations

from dovetail.interfaces.cli.options import MessageFlags, SourceFlags
from dovetail.interfaces.cli.output import write_text
from dovetail.interfaces.cli.runtime import Job, Run


def check(where: SourceFlags, messages: MessageFlags) -> Job:
    """Check the configuration: every problem with file, key and line, in one run.

    dovetail config check --config dovetail.yaml
    """

    def work(run: Run) -> None:
        raise NotImplementedError

    return Job(messages, work)


def path(where: SourceFlags, messages: MessageFlags) -> Job:
    """Print which configuration file is used; stderr says why."""

    def work(run: Run) -> int:
        from dovetail.interfaces.cli.location import locate

        location = locate(where.config)
        if location.path is None:
            looked = ", ".join(str(place) for place in location.looked)
            run.diagnostics.note(f"no configuration: {location.reason}; looked for {looked}")
            return 0
        write_text(str(location.path.absolute()))
        run.diagnostics.note(location.reason)
        return 0

    return Job(messages, work)


def show(where: SourceFlags, messages: MessageFlags) -> Job:
    """Print the configuration as it is understood, with every secret masked."""

    def work(run: Run) -> None:
        raise NotImplementedError

    return Job(messages, work)


COMMANDS = {"check": check, "path": path, "show": show}
