"""PostgreSQL and MariaDB for the TPC-H runs: kept data folders, memory settings of a real server.

Unlike the tests' servers these keep their data, so that a run that was cut goes on without loading
again, and they stand in a network namespace where there is one. They end with this process, however
that ends.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.places import Address
from bench.tpch.links import Network

SETTINGS: dict[str, dict[str, str]] = {
    "postgres": {
        "shared_buffers": "2GB",
        "work_mem": "64MB",
        "effective_cache_size": "6GB",
        "max_wal_size": "8GB",
        "fsync": "off",  # for loading: the queries write nothing
    },
    "mysql": {
        "innodb_buffer_pool_size": "4G",
        "innodb_log_file_size": "1G",
        "innodb_flush_log_at_trx_commit": "0",  # for loading
        "join_buffer_size": "16M",
        "tmp_table_size": "256M",
        "max_heap_table_size": "256M",
    },
}
_START_SECONDS = 120
_READER = "bench"


@dataclass(frozen=True)
class Site:
    """Two running servers with all eight tables in each."""

    network: Network
    servers: dict[str, Any]  # kind → tests.servers.Server, for the administrator
    database: str
    password: str  # of the reader

    def address(self, kind: str, link: str) -> Address:
        """Where a client at the other end of ``link`` finds the server, as one who may read."""
        host, port = self.network.host(link), self.servers[kind].port
        return Address(kind, host, port, self.database, _READER, self.password)

    def end_queries(self) -> None:
        """Stop what clients that were killed have left running."""
        self.servers["postgres"].execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{_READER}'"
        )
        for number, user, *_ in self.servers["mysql"].execute("SHOW PROCESSLIST"):
            if user == _READER:
                with contextlib.suppress(Exception):  # it may just have ended
                    self.servers["mysql"].execute(f"KILL {int(number)}")

    def versions(self) -> dict[str, str]:
        """The servers' versions."""
        ((postgres,),) = self.servers["postgres"].execute("SHOW server_version")
        ((mysql,),) = self.servers["mysql"].execute("SELECT version()")
        return {"PostgreSQL": postgres.split()[0], "MariaDB": mysql.split("-")[0]}


@contextlib.contextmanager
def site(
    network: Network,
    scale: float,
    folder: Path,
    rows: Callable[[], Path],
    say: Callable[[str], None],
) -> Iterator[Site]:
    """Servers over the data kept in ``folder``; first made and loaded from ``rows()`` if need be.

    ``rows`` gives a folder with ``TABLE.parquet`` of every table at ``scale``.
    """
    from bench.tpch import data

    folder.mkdir(parents=True, exist_ok=True)
    password = _password(folder / "password")
    database = f"tpch{scale:g}".replace(".", "_")
    servers: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        for kind in SETTINGS:
            place = folder / kind
            fresh = not (place / "loaded").exists()
            if fresh:
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir(mode=0o700)
                say(f"making a {kind} server in {place}")
                _make(kind, place, password)
            servers[kind] = stack.enter_context(_running(kind, place, network, password))
            if fresh:
                data.fill(servers[kind], database, rows(), say)
                _add_reader(servers[kind], database, password)
                (place / "loaded").touch()
        yield Site(network, servers, database, password)


def _password(path: Path) -> str:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(12))
    return path.read_text()


def _make(kind: str, place: Path, password: str) -> None:
    """A data folder; the administrator has ``password`` from the start in PostgreSQL."""
    programs, account = _programs(kind), _account(kind)
    if account:
        os.chown(place, account.pw_uid, account.pw_gid)
    if kind == "postgres":
        given = place / "given"
        given.touch(mode=0o600)
        given.write_text(password + "\n")
        if account:
            os.chown(given, account.pw_uid, account.pw_gid)
        command = [
            *(str(programs / "initdb"), "-D", str(place / "data"), "-U", "postgres"),
            *(f"--pwfile={given}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"),
        ]
    else:
        command = [
            *("mariadb-install-db", "--no-defaults", f"--datadir={place / 'data'}"),
            *("--skip-test-db", "--auth-root-authentication-method=normal"),
        ]
    owner = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
    with (place / "log").open("ab") as log:
        subprocess.run(command, check=True, cwd=place, stdout=log, stderr=log, **owner)
    (place / "given").unlink(missing_ok=True)


@contextlib.contextmanager
def _running(kind: str, place: Path, network: Network, password: str) -> Iterator[Any]:
    programs, account, port = _programs(kind), _account(kind), _free_port()
    listen = ",".join(network.addresses)
    if kind == "postgres":
        settings = {
            "listen_addresses": listen,
            "port": str(port),
            "unix_socket_directories": str(place),
            **SETTINGS[kind],
        }
        command = [str(programs / "postgres"), "-D", str(place / "data")]
        command += [part for item in settings.items() for part in ("-c", "=".join(item))]
        # any address may log in with a password: only this machine can reach the namespace
        (place / "data" / "pg_hba.conf").write_text(
            "local all all scram-sha-256\nhost all all samenet scram-sha-256\n"
        )
    else:
        settings = {
            "datadir": str(place / "data"),
            "bind-address": listen,
            "port": str(port),
            "socket": str(place / "socket"),
            "pid-file": str(place / "pid"),
            "local-infile": "1",
            "skip-name-resolve": "1",
            "character-set-server": "utf8mb4",
            "collation-server": "utf8mb4_general_ci",
            **SETTINGS[kind],
        }
        command = [str(programs / "mariadbd"), "--no-defaults"]
        command += [f"--{name}={value}" for name, value in settings.items()]
    # the kernel ends the server when this process is gone; a change of user would forget that, so
    # setpriv asks for it after the change
    stop = {"postgres": signal.SIGINT, "mysql": signal.SIGTERM}[kind]
    who = ["setpriv", "--pdeathsig", stop.name.removeprefix("SIG")]
    if account:
        who += ["--reuid", account.pw_name, "--regid", str(account.pw_gid), "--clear-groups"]
    with (place / "log").open("ab") as log:
        process = subprocess.Popen(
            [*network.at_servers(), *who, "--", *command],
            cwd=place, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield _until_up(process, kind, place, port, password)
    finally:
        process.send_signal(stop)
        process.wait(_START_SECONDS)


def _until_up(
    process: subprocess.Popen[bytes], kind: str, place: Path, port: int, password: str
) -> Any:
    """The server's administrator, once it takes a login; through its Unix socket."""
    from tests.servers import Server

    class BySocket(Server):
        def connect(self, database: str = "", *, admin: bool = True, **options: Any) -> Any:
            if self.kind == "mysql":
                options["unix_socket"] = self.socket
            return super().connect(database, admin=admin, **options)

    name = {"postgres": "postgres", "mysql": "root"}[kind]
    where = {"postgres": place, "mysql": place / "socket"}[kind]
    server = BySocket(kind, str(place), port, name, password, socket=str(where), pid=process.pid)
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            if kind == "mysql" and not (place / "loaded").exists():
                with contextlib.suppress(Exception):  # until the first login has set it
                    without = BySocket(kind, "", port, name, "", socket=str(where))
                    without.execute(f"ALTER USER root@localhost IDENTIFIED BY '{password}'")
            server.execute("SELECT 1")
            return server
        except Exception as error:
            if process.poll() is not None or time.monotonic() > deadline:
                text = (place / "log").read_text(errors="replace")[-1500:]
                raise RuntimeError(f"the {kind} server does not start:\n{text}") from error
            time.sleep(0.1)


def _add_reader(server: Any, database: str, password: str) -> None:
    if server.kind == "postgres":
        server.execute(
            f"CREATE ROLE {_READER} LOGIN PASSWORD '{password}' IN ROLE pg_read_all_data"
        )
    else:
        server.execute(
            f"CREATE USER {_READER}@'%' IDENTIFIED BY '{password}'",
            f"GRANT SELECT, SHOW VIEW ON {database}.* TO {_READER}@'%'",
            "DELETE FROM mysql.global_priv WHERE user = '' OR (user = 'root' AND host <> "
            "'localhost')",
            "FLUSH PRIVILEGES",
        )


def _programs(kind: str) -> Path:
    from tests import servers

    return servers._programs(kind)


def _account(kind: str) -> pwd.struct_passwd | None:
    from tests import servers

    return servers._account(kind)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
