"""What a command has while it runs: a voice on stderr, the interruption, a session."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.interfaces.cli.diagnostics import Diagnostics
from dovetail.interfaces.cli.interrupt import Interruption
from dovetail.interfaces.cli.options import MessageFlags, SourceFlags

if TYPE_CHECKING:
    from dovetail.session import Session


@dataclass
class Run:
    """One run of one command."""

    diagnostics: Diagnostics
    interruption: Interruption

    @contextmanager
    def temporary_folder(self) -> Iterator[Path]:
        """A private folder that is gone at the end of the block."""
        with tempfile.TemporaryDirectory(prefix="dovetail-") as name:
            yield Path(name)

    @contextmanager
    def session(self, flags: SourceFlags, **options: Any) -> Iterator[Session]:
        """The session of this run: the configuration that the flags name, and their sources.

        The command line reads any local file with the rights of the user who types; only
        services are confined to folders.
        """
        from dovetail.interfaces.cli.adhoc import parse_source
        from dovetail.interfaces.cli.location import locate

        extra = dict(parse_source(item) for item in flags.source)
        location = locate(flags.config)
        if extra:
            options["sources"] = extra
        import dovetail

        config: Any = location.path if location.path is not None else {}
        with dovetail.connect(config, allowed_directories=["/"], **options) as session:
            yield session


@dataclass(frozen=True)
class Job:
    """What a command wants done once its flags are understood. ``work`` may return an exit code."""

    messages: MessageFlags
    work: Callable[[Run], int | None]
