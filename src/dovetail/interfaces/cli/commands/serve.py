"""``dovetail serve``: the REST service over the workspace."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from typing import Annotated, Any

from dovetail.errors import UsageError
from dovetail.interfaces.cli.declare import Option
from dovetail.interfaces.cli.options import ConfigFlags, MessageFlags
from dovetail.interfaces.cli.runtime import Job, Run
from dovetail.interfaces.cli.store import StoreFlags

# An interface does not import another: the service is a program of its own, which takes over this
# process. Its settings go by the environment, where other users do not see them.
_PROGRAM = "dovetail.interfaces.rest.serve"
_VARIABLE = "DOVETAIL_SERVE_SETTINGS"
_NEEDED = ("fastapi", "uvicorn", "structlog", "sqlalchemy", "prometheus_client")


def serve(
    where: ConfigFlags,
    kept: StoreFlags,
    messages: MessageFlags,
    host: Annotated[
        str, Option("--host", metavar="ADDRESS", help="Where to listen.")
    ] = "127.0.0.1",
    port: Annotated[
        int, Option("--port", metavar="N", help="Port; 0 takes a free one and prints it.", min=0)
    ] = 8000,
    auth: Annotated[
        str,
        Option(
            "--auth",
            metavar="MODE",
            help="token: one user, whose token is printed; none: one user, no token; users: "
            "users with passwords, API tokens, roles and grants.",
        ),
    ] = "token",
    workers: Annotated[
        int,
        Option(
            "--workers", metavar="N", help="Processes; above 1 needs a store in PostgreSQL.", min=1
        ),
    ] = 1,
    migrate: Annotated[
        bool,
        Option("--migrate", help="With --auth users: upgrade a store of an older version."),
    ] = False,
    base_path: Annotated[
        str, Option("--base-path", metavar="PATH", help="What a proxy puts before every path.")
    ] = "",
    served_host: Annotated[
        list[str],
        Option("--served-host", metavar="NAME", help="A further host name of the service."),
    ] = [],  # noqa: B006 - read, never changed
    cors_origin: Annotated[
        list[str],
        Option("--cors-origin", metavar="ORIGIN", help="A site whose pages may call it."),
    ] = [],  # noqa: B006
    limit: Annotated[
        list[str],
        Option(
            "--limit",
            metavar="NAME=VALUE",
            help="Set a limit, such as upload_bytes=500MB or running=8 (docs/service.md).",
        ),
    ] = [],  # noqa: B006
    log_sql: Annotated[
        str, Option("--log-sql", metavar="HOW", help="SQL in the logs: redacted or full.")
    ] = "redacted",
) -> Job:
    """Serve the workspace over HTTP: datasets, groups, connections, queries, history.

    dovetail serve
    dovetail serve --auth users --host 0.0.0.0 --store postgresql://… --workers 2
    """
    settings: dict[str, Any] = {
        "host": host,
        "port": port,
        "auth": auth,
        "workers": workers,
        "store": kept.store,
        "folder": kept.workspace,
        "migrate": migrate,
        "base_path": base_path,
        "hosts": served_host,
        "cors_origins": cors_origin,
        "limits": limit,
        "log_sql": log_sql,
    }

    def work(run: Run) -> None:
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise UsageError(f"the service needs {', '.join(missing)}; install dovetail[service]")
        given = {**settings, "config": where.config, "profile": where.profile}
        environment = {**os.environ, _VARIABLE: json.dumps(given)}
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, "-m", _PROGRAM], environment)  # noqa: S606

    return Job(messages, work)


COMMANDS = {"serve": serve}
