"""Private PostgreSQL and MariaDB servers for the tests.

The first test that needs a server starts a *keeper* (this file run as a script), one per kind and
test run, shared by all xdist workers. The keeper initialises a data folder, runs the server on a
free loopback port and waits. It stops the server when the test run is over, however that happens:
the run's main process holds a file lock for its whole life, and the keeper waits for that lock, so
an orderly end, Ctrl-C, a crash and ``kill -9`` all look the same to it. If the keeper itself is
killed, the kernel signals the server (``PR_SET_PDEATHSIG``).

The servers are hostile on purpose: case-insensitive or ICU collations, a session time zone that is
not UTC, and passwords full of quotes and URL characters.

Given servers are used instead where these are set (URLs with administrator rights):
``DOVETAIL_TEST_POSTGRES=postgresql://postgres:pw@host:5432/postgres`` and
``DOVETAIL_TEST_MYSQL=mysql://root:pw@host:3306/``.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

START_SECONDS = 120  # a busy CI machine needs 20 s for MariaDB's system tables

PACKAGES = {"postgres": "postgresql", "mysql": "mariadb-server"}
GIVEN = {"postgres": "DOVETAIL_TEST_POSTGRES", "mysql": "DOVETAIL_TEST_MYSQL"}

ADMIN_PASSWORD = "admin'\"\\ %41@:/?#&=;$+[]{}"
ANALYST = "analyst"
ANALYST_PASSWORD = "pw'x\"y\\z %40@:/?#&=;$+[]{}"


class MissingServer(Exception):
    """The server's programs are not installed; the text says what to install."""


@dataclass(frozen=True)
class Server:
    """A running server. ``user`` may only read; ``admin_user`` may do everything."""

    kind: str  # postgres or mysql
    host: str
    port: int
    admin_user: str
    admin_password: str
    user: str = ANALYST
    password: str = ANALYST_PASSWORD
    socket: str = ""  # path of the Unix socket (postgres: its folder); empty for a given server
    pid: int = 0  # of the server; 0 for a given one
    log: str = ""

    def connect(self, database: str = "", *, admin: bool = True, **options: Any) -> Any:
        """A driver connection with autocommit: psycopg for PostgreSQL, PyMySQL for MariaDB.

        The session time zone is UTC. ``options`` go to the driver.
        """
        user = self.admin_user if admin else self.user
        password = self.admin_password if admin else self.password
        if self.kind == "postgres":
            import psycopg

            return psycopg.connect(
                host=self.host,
                port=self.port,
                user=user,
                password=password,
                dbname=database or "postgres",
                autocommit=True,
                **{"options": "-c timezone=UTC", "connect_timeout": 10, **options},
            )
        import pymysql

        return pymysql.connect(
            **{
                "host": self.host,
                "port": self.port,
                "user": user,
                "password": password,
                "database": database or None,
                "autocommit": True,
                "charset": "utf8mb4",
                "local_infile": admin,
                "init_command": "SET time_zone = '+00:00'",
                "connect_timeout": 10,
                **options,
            }
        )

    def execute(self, *statements: str, database: str = "") -> list[tuple[Any, ...]]:
        """Run statements as the administrator and return the rows of the last one."""
        rows: list[tuple[Any, ...]] = []
        with contextlib.closing(self.connect(database)) as connection:
            for statement in statements:
                with connection.cursor() as cursor:
                    cursor.execute(statement)
                    rows = list(cursor.fetchall()) if cursor.description else []
        return rows


# --- the keeper: runs in its own process, one per kind ---------------------------------------


def _programs(kind: str) -> Path:
    """The folder with the server's programs; newest version first on Debian."""
    if kind == "postgres":
        versions = sorted(
            Path("/usr/lib/postgresql").glob("*/bin/postgres"),
            key=lambda path: int(re.sub(r"\D", "", path.parts[-3]) or 0),
        )
        if versions:
            return versions[-1].parent
    names = {"postgres": ("initdb",), "mysql": ("mariadbd", "mysqld")}[kind]
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return Path(found).resolve().parent
    other = {"postgres": "PostgreSQL", "mysql": "MariaDB"}[kind]
    raise MissingServer(
        f"The tests need {other}, and it is not installed. On Debian or Ubuntu:\n"
        f"    sudo apt-get install --no-install-recommends {PACKAGES[kind]}\n"
        f"or set {GIVEN[kind]} to the URL of a server with administrator rights."
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _account(kind: str) -> pwd.struct_passwd | None:
    """Whom the server runs as: ourselves, or when we are root, the package's account."""
    if os.geteuid() != 0:
        return None
    for name in ({"postgres": "postgres", "mysql": "mysql"}[kind], "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise MissingServer(f"no account to run the {kind} server as; root is not allowed to")


def _as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _die_with_parent(number: int) -> Any:
    """A pre-exec hook: the kernel sends ``number`` to the child when its parent is gone."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(1, number)  # 1 is PR_SET_PDEATHSIG


def _run(command: list[str], log: Path, **options: Any) -> None:
    with log.open("ab") as output:
        done = subprocess.run(command, stdout=output, stderr=output, check=False, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}")


def _environment() -> dict[str, str]:
    """Ours without variables that steer the servers, and with a neutral locale."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "MYSQL", "LC_"))}
    return {**kept, "LANG": "C.UTF-8", "TZ": "UTC"}


def _start_postgres(folder: Path) -> tuple[subprocess.Popen[bytes], Server]:
    programs = _programs("postgres")
    account = _account("postgres")
    options = {**_as(account), "env": _environment(), "cwd": folder}
    data, log, secret = folder / "data", folder / "log", folder / "password"
    secret.touch(mode=0o600)
    secret.write_text(ADMIN_PASSWORD + "\n")
    if account:
        os.chown(secret, account.pw_uid, account.pw_gid)
    _run(
        [
            str(programs / "initdb"),
            *("-D", str(data), "-U", "postgres", f"--pwfile={secret}", "--no-sync"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
        ],
        log,
        **options,
    )
    secret.unlink()
    port = _free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(folder),
        "max_connections": "60",
        "shared_buffers": "128MB",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_wal_size": "4GB",
        "autovacuum": "off",  # tests that need statistics call ANALYZE, so that they are stable
        "timezone": "America/New_York",  # hostile: a reader that forgets to pin UTC must show
        "log_min_messages": "warning",
    }
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(programs / "postgres"), "-D", str(data), "-p", str(port), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=_die_with_parent(signal.SIGQUIT),
            **options,
        )
    server = Server(
        *("postgres", "127.0.0.1", port, "postgres", ADMIN_PASSWORD),
        socket=str(folder),
        pid=process.pid,
        log=str(log),
    )
    return process, server


def _start_mysql(folder: Path) -> tuple[subprocess.Popen[bytes], Server]:
    programs = _programs("mysql")
    account = _account("mysql")
    options = {**_as(account), "env": _environment(), "cwd": folder}
    data, log, socket_path = folder / "data", folder / "log", folder / "s.sock"
    path = os.pathsep.join([str(programs), os.environ.get("PATH", ""), "/usr/bin", "/usr/sbin"])
    install = shutil.which("mariadb-install-db", path=path)
    daemon = shutil.which("mariadbd", path=str(programs)) or str(programs / "mysqld")
    fast = ["--innodb-doublewrite=0", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin"]
    if install:
        _run(
            [
                *(install, "--no-defaults", f"--datadir={data}", "--skip-test-db"),
                *("--auth-root-authentication-method=normal", "--skip-name-resolve"),
                *(*fast, "--innodb-log-file-size=8M"),
            ],
            log,
            **options,
        )
    else:  # MySQL proper
        _run(
            [daemon, "--no-defaults", "--initialize-insecure", f"--datadir={data}"], log, **options
        )
    port = _free_port()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [
                daemon,
                "--no-defaults",
                f"--datadir={data}",
                f"--socket={socket_path}",
                f"--port={port}",
                f"--pid-file={folder / 'pid'}",
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
                "--max-connections=60",
                "--local-infile=1",
                "--character-set-server=utf8mb4",
                "--collation-server=utf8mb4_general_ci",  # hostile: ignores case and accents
                "--default-time-zone=+05:30",  # hostile: a reader that forgets to pin UTC must show
                "--innodb-buffer-pool-size=128M",
                "--innodb-log-file-size=96M" if install else "--innodb-redo-log-capacity=96M",
                *fast,
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=_die_with_parent(signal.SIGKILL),
            **options,
        )
    server = Server(
        *("mysql", "127.0.0.1", port, "root", ""),
        socket=str(socket_path),
        pid=process.pid,
        log=str(log),
    )
    return process, server


def _until_up(process: subprocess.Popen[bytes], server: Server) -> None:
    """Poll until the server takes a login; bounded."""
    import psycopg
    import pymysql

    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.connect().close()
            return
        except (psycopg.OperationalError, pymysql.err.OperationalError):
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with {process.returncode}") from None
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _mysql_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _set_up(server: Server) -> Server:
    """Passwords, the read-only user, template databases; repeatable on a given server."""
    if server.kind == "postgres":
        from psycopg import sql

        with server.connect() as connection:
            analyst = connection.execute(
                "SELECT 1 FROM pg_roles WHERE rolname = %s", (server.user,)
            ).fetchone()
            verb = sql.SQL("ALTER" if analyst else "CREATE")
            connection.execute(
                sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
                    verb, sql.Identifier(server.user), sql.Literal(server.password)
                )
            )
            connection.execute(
                sql.SQL("GRANT pg_read_all_data TO {}").format(sql.Identifier(server.user))
            )
        return server
    user, password = f"'{server.user}'@'%'", _mysql_text(server.password)
    statements = [
        f"CREATE USER IF NOT EXISTS {user} IDENTIFIED BY {password}",
        f"ALTER USER {user} IDENTIFIED BY {password}",
        f"GRANT SELECT, SHOW VIEW, SHOW DATABASES ON *.* TO {user}",
    ]
    if server.pid:  # ours: nobody but these two may log in
        anonymous = server.execute("SELECT user, host FROM mysql.user WHERE user = ''")
        statements += [f"DROP USER ''@'{host}'" for _, host in anonymous]
        admin = _mysql_text(ADMIN_PASSWORD)
        # an entry for the machine's name is void under --skip-name-resolve and cannot be altered
        roots = server.execute(
            "SELECT host FROM mysql.user WHERE user = 'root'"
            " AND host IN ('localhost', '127.0.0.1', '::1', '%')"
        )
        statements += [f"ALTER USER 'root'@'{host}' IDENTIFIED BY {admin}" for (host,) in roots]
        server.execute(*statements)
        return replace(server, admin_password=ADMIN_PASSWORD)
    server.execute(*statements)
    return server


def _keep(kind: str, run_folder: Path) -> None:
    """Start one server, say so in ``KIND.json``, stop it when the test run is over."""
    folder = run_folder / kind
    folder.mkdir(mode=0o700)
    account = _account(kind)
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid)
    process: subprocess.Popen[bytes] | None = None
    try:
        process, server = {"postgres": _start_postgres, "mysql": _start_mysql}[kind](folder)
        _until_up(process, server)
        server = _set_up(server)
        ready = run_folder / f"{kind}.tmp"
        ready.touch(mode=0o600)
        ready.write_text(json.dumps(asdict(server)))
        ready.rename(run_folder / f"{kind}.json")
        with (run_folder / "owner").open() as owner:
            fcntl.flock(owner, fcntl.LOCK_EX)  # returns when the run's main process is gone
    except Exception:
        log = folder / "log"
        tail = log.read_text(errors="replace")[-4000:] if log.exists() else ""
        (run_folder / f"{kind}.failed").write_text(f"{traceback.format_exc()}\n{tail}")
    finally:
        if process is not None:
            # The data is thrown away: PostgreSQL needs a signal that frees its shared memory,
            # MariaDB holds nothing that outlives it.
            process.send_signal(signal.SIGQUIT if kind == "postgres" else signal.SIGKILL)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder, ignore_errors=True)
        failed = (run_folder / f"{kind}.failed").exists()  # the run is still there to read why
        if not failed and not any((run_folder / other).exists() for other in PACKAGES):
            # the last keeper of a run that was killed leaves nothing behind
            shutil.rmtree(run_folder, ignore_errors=True)


# --- the test run's side -----------------------------------------------------------------------


class Run:
    """One test run: its folder, and in its main process the lock that keeps servers alive."""

    def __init__(self, folder: Path, lock: int | None, given: Mapping[str, str]) -> None:
        self.folder = folder
        self._lock = lock
        self._given = given

    @staticmethod
    def begin(*, use_given: bool = True) -> Run:
        """Make a folder whose servers live until :meth:`end`, or until this process is gone.

        Without ``use_given`` the servers are private ones in any case, so a test may kill them.
        """
        base = tempfile.gettempdir()
        if len(base) > 40:  # Unix socket paths end at 107 bytes
            base = "/tmp"
        folder = Path(tempfile.mkdtemp(prefix="dovetail-tests-", dir=base))
        folder.chmod(0o711)  # the servers' accounts must pass through
        lock = os.open(folder / "owner", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return Run(folder, lock, _given() if use_given else {})

    @staticmethod
    def join(folder: Path) -> Run:
        """The run that another process began: an xdist worker shares the main process's servers."""
        return Run(folder, None, _given())

    def end(self) -> None:
        """Stop the servers and wait until they are gone. Only the main process does anything."""
        if self._lock is None:
            return
        os.close(self._lock)
        self._lock = None
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and any(
            (self.folder / kind).exists() for kind in PACKAGES
        ):
            time.sleep(0.02)
        shutil.rmtree(self.folder, ignore_errors=True)

    def server(self, kind: str) -> Server:
        """The server of that kind; starts it if this is its first use in the run."""
        self._launch(kind)
        return self._wait(kind)

    def servers(self, kinds: tuple[str, ...]) -> list[Server]:
        """Several servers, started side by side."""
        for kind in kinds:
            self._launch(kind)
        return [self._wait(kind) for kind in kinds]

    def _launch(self, kind: str) -> None:
        if kind in self._given:
            return
        _programs(kind)
        with self._locked(kind):
            started = self.folder / f"{kind}.started"
            if started.exists():
                return
            started.touch()
            subprocess.Popen(
                [sys.executable, __file__, "keep", kind, str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches the tests, not the servers
            ).returncode = 0  # it may outlive us on purpose: no ResourceWarning

    def _wait(self, kind: str) -> Server:
        if kind in self._given:
            with self._locked(kind):
                return _set_up(_from_url(kind, self._given[kind]))
        ready, failed = self.folder / f"{kind}.json", self.folder / f"{kind}.failed"
        deadline = time.monotonic() + START_SECONDS + 20
        while time.monotonic() < deadline:
            if ready.exists():
                return Server(**json.loads(ready.read_text()))
            if failed.exists():
                raise RuntimeError(f"the {kind} server did not start:\n{failed.read_text()}")
            time.sleep(0.02)
        raise RuntimeError(f"the {kind} server was not up after {START_SECONDS} s")

    @contextlib.contextmanager
    def _locked(self, kind: str) -> Iterator[None]:
        with (self.folder / f"{kind}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _given() -> dict[str, str]:
    return {kind: os.environ[name] for kind, name in GIVEN.items() if os.environ.get(name)}


def _from_url(kind: str, url: str) -> Server:
    parts = urlsplit(url)
    default_port, default_user = {"postgres": (5432, "postgres"), "mysql": (3306, "root")}[kind]
    return Server(
        kind,
        # PyMySQL and ConnectorX read "localhost" as the Unix socket or try ::1 first
        "127.0.0.1" if parts.hostname in (None, "localhost") else str(parts.hostname),
        parts.port or default_port,
        unquote(parts.username or default_user),
        unquote(parts.password or ""),
    )


if __name__ == "__main__":
    _keep(sys.argv[2], Path(sys.argv[3]))
