"""Fixtures that every test may use. ``tests/servers.py`` explains the servers' life."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from dovetail.connectors import known
from dovetail.execution import speeds
from tests import tpcds, tpch
from tests.databases import Database, create_database
from tests.federated import Federated
from tests.servers import MissingServer, Run, Server

_RUN = pytest.StashKey[Run]()
_FOLDER = "DOVETAIL_TEST_RUN_FOLDER"


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--regen``: tests marked ``regen`` write their expected files instead of comparing."""
    parser.addoption("--regen", action="store_true", help="write expected files again")


@pytest.fixture(scope="session")
def regen(pytestconfig: pytest.Config) -> bool:
    """Whether expected files are to be written; see :func:`check_file`."""
    return bool(pytestconfig.getoption("--regen"))


@pytest.fixture
def check_file(regen: bool) -> Callable[[Path, str], None]:
    """``check_file(path, text)`` compares with a kept file, or writes it under ``--regen``."""

    def check(path: Path, text: str) -> None:
        if regen:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        if not path.exists():
            pytest.fail(f"{path} is missing; `make regen` writes it")
        assert path.read_text(encoding="utf-8") == text, f"{path}: `make regen` writes it again"

    return check


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    """What servers said in an earlier test is forgotten, and how fast they were."""
    known.forget()
    speeds.forget()


def pytest_configure(config: pytest.Config) -> None:
    """The main process begins the run; xdist workers, which inherit the variable, join it."""
    if hasattr(config, "workerinput"):
        config.stash[_RUN] = Run.join(Path(os.environ[_FOLDER]))
    else:
        config.stash[_RUN] = Run.begin()
        os.environ[_FOLDER] = str(config.stash[_RUN].folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers; also reached after failures and Ctrl-C."""
    run = config.stash.get(_RUN, None)
    if run is not None:
        run.end()


@pytest.fixture(scope="session")
def server_run(pytestconfig: pytest.Config) -> Run:
    """The run itself; tests ask for ``postgres_server`` or ``mariadb_server`` instead."""
    return pytestconfig.stash[_RUN]


def server_or_fail(run: Run, kind: str) -> Server:
    try:
        return run.server(kind)
    except (MissingServer, RuntimeError) as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def postgres_server(server_run: Run) -> Server:
    """A private PostgreSQL; shared by all workers."""
    return server_or_fail(server_run, "postgres")


@pytest.fixture(scope="session")
def mariadb_server(server_run: Run) -> Server:
    """A private MariaDB; shared by all workers."""
    return server_or_fail(server_run, "mysql")


@pytest.fixture(scope="session")
def servers(server_run: Run) -> SimpleNamespace:
    """Both servers, started side by side: ``servers.postgres`` and ``servers.mariadb``."""
    try:
        postgres, mariadb = server_run.servers(("postgres", "mysql"))
    except (MissingServer, RuntimeError) as error:
        pytest.fail(str(error), pytrace=False)
    return SimpleNamespace(postgres=postgres, mariadb=mariadb)


@pytest.fixture(scope="session")
def own_server() -> Iterator[Callable[[str], Server]]:
    """``own_server("postgres")`` or ``own_server("mysql")``: a server to kill or break.

    Each call starts another one (about 1.5 s); it is stopped when the session ends.
    """
    runs: list[Run] = []

    def start(kind: str) -> Server:
        runs.append(Run.begin(use_given=False))
        return server_or_fail(runs[-1], kind)

    yield start
    for run in runs:
        run.end()


Factory = Callable[..., Database]


@pytest.fixture(scope="module")
def new_database(request: pytest.FixtureRequest) -> Iterator[Factory]:
    """``new_database(server, collation=…)``: an empty database, dropped after the module."""
    made: list[Database] = []

    def create(server: Server, *, collation: str = "") -> Database:
        made.append(create_database(server, request.module.__name__, collation=collation))
        return made[-1]

    yield create
    for database in made:
        database.drop()


@pytest.fixture(scope="module")
def postgres_database(postgres_server: Server, new_database: Factory) -> Database:
    """An empty PostgreSQL database of this module, in ICU (language) collation."""
    return new_database(postgres_server)


@pytest.fixture(scope="module")
def postgres_c_database(postgres_server: Server, new_database: Factory) -> Database:
    """An empty PostgreSQL database of this module, in C (byte) collation."""
    return new_database(postgres_server, collation="C")


@pytest.fixture(scope="module")
def mariadb_database(mariadb_server: Server, new_database: Factory) -> Database:
    """An empty MariaDB database of this module, in a collation that ignores case."""
    return new_database(mariadb_server)


@pytest.fixture(scope="session")
def tpch_split(
    server_run: Run, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Federated]]:
    """``tpch_split("A")``, ``"B"`` or ``"C"``: loaded on first use, kept for the session."""
    made: dict[str, Federated] = {}

    def get(name: str) -> Federated:
        if name not in made:
            folder = tmp_path_factory.mktemp(f"tpch-{name}")
            made[name] = tpch.split(name, folder, lambda kind: server_or_fail(server_run, kind))
        return made[name]

    yield get
    for federated in made.values():
        federated.close()


@pytest.fixture(scope="session")
def tpcds_split(server_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federated]:
    """TPC-DS over PostgreSQL, MariaDB, Parquet and CSV."""
    folder = tmp_path_factory.mktemp("tpcds")
    federated = tpcds.split(folder, lambda kind: server_or_fail(server_run, kind))
    yield federated
    federated.close()
