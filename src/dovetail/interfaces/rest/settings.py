"""How the service is set up: where it listens, who may ask, what a request may use."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from dovetail.config import parse_size
from dovetail.errors import UsageError
from dovetail.workspace.settings import WorkspaceLimits

Auth = Literal["token", "none", "users"]

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1", "[::1]")


@dataclass(frozen=True)
class RequestLimits:
    """What a single request, or a client, may use, besides the workspace's own limits."""

    body_bytes: int = 1 << 20
    requests_per_minute: int = 300
    metadata_threads: int = 4
    upload_threads: int = 8


@dataclass(frozen=True)
class ServiceSettings:
    """Everything ``dovetail serve`` was told.

    ``hosts`` are further names under which the service is reached; ``cors_origins`` exact origins
    whose pages may call it. ``base_path`` is what a proxy puts in front of every path.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    auth: Auth = "token"
    base_path: str = ""
    hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    config: str | None = None
    profile: str | None = None
    folder: str | None = None
    store: str | None = None
    workers: int = 1
    migrate: bool = False
    log_sql: Literal["redacted", "full"] = "redacted"
    requests: RequestLimits = field(default_factory=RequestLimits)
    workspace: WorkspaceLimits = field(default_factory=WorkspaceLimits)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def served_hosts(self) -> frozenset[str]:
        """The names a ``Host`` header may hold, without the port; see :meth:`serves_any`."""
        return frozenset(name.lower() for name in (*LOOPBACK_NAMES, self.host, *self.hosts))

    def check(self) -> ServiceSettings:
        """These settings, or a :class:`UsageError` that says what cannot be."""
        if self.auth not in get_args(Auth):
            raise UsageError(f'--auth takes {", ".join(get_args(Auth))}, not "{self.auth}"')
        if self.auth != "users" and not self.is_loopback:
            raise UsageError(
                f"--auth {self.auth} has one user and serves this machine only, but --host "
                f"{self.host} is reached from others; use --auth users"
            )
        if "*" in self.cors_origins:
            raise UsageError('--cors-origin "*" would let every site act for a user; list origins')
        if self.workers < 1:
            raise UsageError(f"--workers takes 1 or more, not {self.workers}")
        if self.workers > 1 and not (self.store or "").startswith("postgres"):
            raise UsageError(
                "--workers above 1 needs a store that processes can share: "
                "--store postgresql://… (or DOVETAIL_STORE)"
            )
        if not 0 <= self.port <= 65535:
            raise UsageError(f"--port takes 0 to 65535, not {self.port}")
        path = self.base_path.rstrip("/")
        if path and not path.startswith("/"):
            path = f"/{path}"
        return replace(self, base_path=path)

    def to_json(self) -> str:
        """As text, for the processes that serve."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> ServiceSettings:
        """What :meth:`to_json` wrote, or ``dovetail serve``, whose ``limits`` are laid over.

        Raises:
            UsageError: no such limit, or not a number.
        """
        data = json.loads(text)
        limits = data.pop("limits", ())
        for name in ("hosts", "cors_origins"):
            data[name] = tuple(data.get(name) or ())
        data["requests"] = RequestLimits(**(data.get("requests") or {}))
        data["workspace"] = WorkspaceLimits(**(data.get("workspace") or {}))
        return with_limits(ServiceSettings(**data), limits)


def with_limits(settings: ServiceSettings, limits: Sequence[str]) -> ServiceSettings:
    """``settings`` with ``NAME=VALUE`` limits laid over; sizes may be written as ``512MiB``.

    Raises:
        UsageError: no such limit (with near names), or not a number.
    """
    known: Mapping[str, str] = {
        **{field.name: "workspace" for field in fields(WorkspaceLimits)},
        **{field.name: "requests" for field in fields(RequestLimits)},
    }
    for item in limits:
        name, _, text = item.partition("=")
        if name not in known:
            import difflib

            near = difflib.get_close_matches(name, known, n=3)
            raise UsageError(
                f'no limit "{name}"; the limits are {", ".join(sorted(known))}', suggestions=near
            )
        try:
            value: Any = parse_size(text)
            value = float(value)
        except (TypeError, ValueError):
            raise UsageError(f"--limit {name} takes a number or a size, not {text!r}") from None
        part = getattr(settings, known[name])
        if not isinstance(getattr(part, name), float):
            value = int(value)
        settings = replace(settings, **{known[name]: replace(part, **{name: value})})
    return settings
