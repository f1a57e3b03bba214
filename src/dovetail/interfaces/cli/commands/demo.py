"""``dovetail demo``: a small company in five kinds of source."""

from __future__ import annotations

from dovetail.interfaces.cli.options import MessageFlags
from dovetail.interfaces.cli.runtime import Job, Run


def demo(messages: MessageFlags) -> Job:
    """Generate a small company over five kinds of source and join them all in one query."""

    def work(run: Run) -> None:
        raise NotImplementedError

    return Job(messages, work)


COMMANDS = {"demo": demo}
