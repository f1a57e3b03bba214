"""The serving process: ``python -m dovetail.interfaces.rest.serve``, started by ``dovetail serve``.

It is a program of its own because a server's signals belong to its main thread, and because
several workers are several of these. Its settings come in the environment, where they are not
seen by other users as arguments would be.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import uvicorn

from dovetail.errors import ConfigError, DovetailError, UsageError
from dovetail.interfaces.rest import logs
from dovetail.interfaces.rest.app import make_app
from dovetail.interfaces.rest.front import App
from dovetail.interfaces.rest.service import GRACE_SECONDS, Service
from dovetail.interfaces.rest.settings import ServiceSettings
from dovetail.interfaces.rest.telemetry import Telemetry
from dovetail.workspace.problems import WorkspaceError
from dovetail.workspace.settings import WorkspaceSettings
from dovetail.workspace.workspace import Workspace

if TYPE_CHECKING:
    from dovetail.config import Config

VARIABLE = "DOVETAIL_SERVE_SETTINGS"

_OLD_SCHEMA = 3
# A thread that plans a query computes for tens of milliseconds, and a request needs the
# interpreter a dozen times; at the usual 5 ms a turn, a few queries made every call wait 100 ms.
_TURN_SECONDS = 0.0005
# Longer than the 60 s for which proxies usually keep a connection: else they send requests into
# one that is just being closed.
_KEEP_ALIVE_SECONDS = 75


def open_service(settings: ServiceSettings) -> Service:
    """The workspace opened, and the service over it."""
    workspace = Workspace.open(
        WorkspaceSettings(
            folder=_folder(settings),
            url=settings.store,
            config=_config(settings),
            # Whoever serves others decides himself when the store they share changes.
            migrate=settings.migrate or settings.auth != "users",
            workers=settings.workers > 1,
            limits=settings.workspace,
        )
    )
    return Service(workspace, settings, telemetry=Telemetry.from_environment())


def _folder(settings: ServiceSettings) -> Path:
    if settings.folder is not None:
        return Path(settings.folder).expanduser().absolute()
    return WorkspaceSettings.default_folder()


def _config(settings: ServiceSettings) -> Config:
    from dovetail.config import Config
    from dovetail.config_load import find, load

    found, _ = find(settings.config)
    return load(found, profile=settings.profile) if found is not None else Config()


def make_worker() -> App:
    """The application of one process; uvicorn calls it."""
    settings = ServiceSettings.from_json(os.environ[VARIABLE])
    _prepare_process()
    return make_app(open_service(settings))


class _Server(uvicorn.Server):
    """A server that notes when it was asked to stop, and then ends with exit code 0."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop accepting; the grace for running queries begins now."""
        self._service.stopping_since = self._service.stopping_since or time.monotonic()
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM; unlike uvicorn's own, a stop that was asked for is no error."""
        previous = {n: signal.signal(n, self.handle_exit) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _uvicorn_config(app: Any, settings: ServiceSettings, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(GRACE_SECONDS),
        # Long bodies are read as they come, not ahead; SQL and paths stay below this.
        h11_max_incomplete_event_size=64 << 10,
        **more,
    )


def bind(settings: ServiceSettings) -> socket.socket:
    """The listening socket; port 0 is a free one.

    Raises:
        UsageError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    host = settings.host.strip("[]")
    # The protocol is named because asyncio turns Nagle's algorithm off only where it is: with it,
    # an answer's body waits for the client's delayed acknowledgement of the head, 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, settings.port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {host}:{settings.port}: {error.strerror}; --port 0 takes a free port"
        ) from None
    listener.set_inheritable(True)
    return listener


def announce(settings: ServiceSettings, listener: socket.socket, token: str | None) -> None:
    """Say on stdout where the service is, and in local mode how to come in."""
    port = listener.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{port}{settings.base_path}"
    lines = [f"Dovetail serves {url}  (documentation: {url}/docs)"]
    if token is not None:
        lines.append(f"Token: {token}")
    elif settings.auth == "users":
        lines.append("Users log in; `dovetail users create --admin NAME` makes the first one.")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def serve(settings: ServiceSettings) -> int:
    """Serve until a signal; the exit code."""
    settings = settings.check()
    _prepare_process()
    with bind(settings) as listener:
        if settings.workers > 1:
            return _serve_by_workers(settings, listener)
        return _serve_here(settings, listener)


def _prepare_process() -> None:
    logs.configure()
    sys.setswitchinterval(_TURN_SECONDS)


def _serve_here(settings: ServiceSettings, listener: socket.socket) -> int:
    service = open_service(settings)
    server = _Server(_uvicorn_config(make_app(service), settings), service)
    token = service.workspace.users.local_token() if settings.auth == "token" else None
    listener.listen(1024)
    announce(settings, listener, token)
    asyncio.run(server.serve(sockets=[listener]))
    return 0


def _serve_by_workers(settings: ServiceSettings, listener: socket.socket) -> int:
    from uvicorn.supervisors import Multiprocess

    # Opened here first: the schema is checked, or upgraded, once and before any worker.
    with contextlib.closing(open_service(settings).workspace) as workspace:
        token = workspace.users.local_token() if settings.auth == "token" else None
    os.environ[VARIABLE] = settings.to_json()
    config = _uvicorn_config(
        "dovetail.interfaces.rest.serve:make_worker",
        settings,
        factory=True,
        workers=settings.workers,
        # Whoever does not answer is killed; on a busy machine a start takes its time.
        timeout_worker_healthcheck=60,
    )
    listener.listen(1024)
    announce(settings, listener, token)
    Multiprocess(config, sockets=[listener]).run()
    return 0


def main() -> int:
    """The process's exit code: 0 stopped, 2 wrong settings, 3 a store of another version."""
    try:
        return serve(ServiceSettings.from_json(os.environ.get(VARIABLE) or "{}"))
    except DovetailError as error:
        sys.stderr.write(f"error: {error.message}\n")
        if isinstance(error, WorkspaceError) and error.code == "configuration":
            return _OLD_SCHEMA
        return 2 if isinstance(error, (UsageError, ConfigError)) else error.exit_code


def run() -> NoReturn:
    """The program. At its end all is closed: taking the interpreter apart only takes time."""
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
