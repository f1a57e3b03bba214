"""What a command has while it runs: a voice on stderr, the interruption, a session."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.interfaces.cli.diagnostics import Diagnostics
from dovetail.interfaces.cli.interrupt import Interruption
from dovetail.interfaces.cli.options import ConfigFlags, MessageFlags, SourceFlags
from dovetail.interfaces.cli.startup import give_back_freed_memory, load_arrow_without_numpy

if TYPE_CHECKING:
    from dovetail.config import Config
    from dovetail.session import Session


# Bytes that the process holds besides the engine, measured: 125 MB of Python, libraries and code,
# and 40 MB of rows on their way into a Parquet file.
_BESIDE_ENGINE = 165_000_000
# What the engine takes at most for each byte that it counts: 1.43, measured while a large sort is
# merged, and a little more for other machines. Large groups and joins take less.
_TAKEN = 1.55
_LEAST_ENGINE = 100_000_000


def engine_memory(limit: int) -> int:
    """The engine's part of a limit for the whole process, in bytes.

    Below 320 MB the engine would have too little for any work on a large file: there it keeps 100
    MB, or what the limit says, and the process takes more.
    """
    return max(int((limit - _BESIDE_ENGINE) / _TAKEN), min(limit, _LEAST_ENGINE))


@dataclass
class Run:
    """One run of one command."""

    diagnostics: Diagnostics
    interruption: Interruption
    ask: bool = True
    """Whether a password that is missing may be asked for."""
    interactive: bool = False

    @contextmanager
    def temporary_folder(self) -> Iterator[Path]:
        """A private folder that is gone at the end of the block."""
        with tempfile.TemporaryDirectory(prefix="dovetail-") as name:
            yield Path(name)

    @contextmanager
    def session(
        self,
        flags: SourceFlags,
        limits: Mapping[str, Any] | None = None,
        ahead: Sequence[str] = (),
        **options: Any,
    ) -> Iterator[Session]:
        """The session of this run: the configuration that the flags name, and their sources.

        What of ``ahead`` are files is looked at while the session is being made.
        ``limits`` that are not None override the configured ones. The command line reads any local
        file with the rights of the user who types; only services are confined to folders.
        """
        load_arrow_without_numpy()
        if ahead:
            from dovetail.local_tables import look_ahead

            look_ahead(ahead)
        config = self.configuration(flags, flags.source)
        given = {name: value for name, value in (limits or {}).items() if value is not None}
        memory = given.get("memory", config.limits.memory)
        if memory is not None:
            give_back_freed_memory()
            given["memory"] = engine_memory(memory)
        if given:
            changed = config.limits.model_copy(update=given)
            config = config.model_copy(update={"limits": changed})
        from dovetail.downloads import Web
        from dovetail.session import Session

        web = Web(flags.allow_http)
        with Session(config, allowed_directories=["/"], web=web, **options) as session:
            # A query that has no rows yet is inside `session.sql`: there is no result to cancel.
            self.interruption.register(session.close)
            yield session

    def configuration(self, flags: ConfigFlags, extra: Sequence[str] = ()) -> Config:
        """The checked configuration that the flags name, with the sources of ``--source`` added.

        A file that is not found is fine, unless it was named: files can be queried without one.
        """
        from dovetail.config_load import find, load

        found, _ = find(flags.config)
        if found is None and flags.profile is None and not extra:
            from dovetail.config_empty import empty_config

            return empty_config()
        config = load(found if found is not None else {}, profile=flags.profile)
        for warning in config.warnings:
            self.diagnostics.warning(warning)
        if extra:
            from dovetail.interfaces.cli.adhoc import parse_source

            sources = load({"sources": dict(parse_source(item) for item in extra)}).sources
            if self.ask:
                sources = self._with_passwords(sources)
            config = config.model_copy(update={"sources": {**config.sources, **sources}})
        return config

    def _with_passwords(self, sources: dict[str, Any]) -> dict[str, Any]:
        from dovetail.interfaces.cli.passwords import asking, can_ask

        if not can_ask():
            return sources
        asked = asking(sources, self.interruption)
        if self.interactive:  # later the terminal belongs to the shell
            for name, settings in asked.items():
                if settings is not sources[name]:
                    settings.password.reveal()
        return asked


@dataclass(frozen=True)
class Job:
    """What a command wants done once its flags are understood. ``work`` may return an exit code.

    ``interactive`` work has the main thread and the keyboard to itself, Ctrl-C included.
    """

    messages: MessageFlags
    work: Callable[[Run], int | None]
    interactive: bool = False
