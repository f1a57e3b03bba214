"""The configuration of somebody who has none, without the library that checks configurations.

Checking takes 60 ms to load, and a query over files has nothing to check. A test holds these
fields against the models of :mod:`dovetail.config`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from dovetail.config import Config

_Self = TypeVar("_Self", bound="_Copied")


@dataclass(frozen=True)
class _Copied:
    def model_copy(self: _Self, *, update: Mapping[str, Any]) -> _Self:
        """A copy with other values, which the caller has checked."""
        return replace(self, **update)


@dataclass(frozen=True)
class EmptyLimits(_Copied):
    """:class:`dovetail.config.Limits` with nothing limited."""

    memory: int | None = None
    threads: int | None = None
    timeout: float | None = None
    max_rows: int | None = None
    max_bytes_moved: int | None = None
    max_download: int | None = 2_000_000_000
    temp_space: int | None = None
    temp_directory: Path | None = None


@dataclass(frozen=True)
class EmptyCache(_Copied):
    """:class:`dovetail.config.CacheSettings`, not used."""

    enabled: bool = False
    max_age: float = 300.0
    max_bytes: int = 1_000_000_000
    directory: Path | None = None


@dataclass(frozen=True)
class EmptyConfig(_Copied):
    """:class:`dovetail.config.Config` without sources."""

    sources: dict[str, Any] = field(default_factory=dict)
    engine: str = "duckdb"
    limits: EmptyLimits = field(default_factory=EmptyLimits)
    cache: EmptyCache = field(default_factory=EmptyCache)
    allowed_directories: tuple[Path, ...] = ()
    macros: dict[str, Any] = field(default_factory=dict)
    tui: None = None
    warnings: tuple[str, ...] = ()
    path: Path | None = None
    profile: str | None = None


def empty_config() -> Config:
    """A configuration without sources and limits, as far as a session looks at one."""
    return cast("Config", EmptyConfig())
