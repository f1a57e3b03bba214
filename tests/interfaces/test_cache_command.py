"""The cache on the command line: flags, what is said of it, and what it holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.databases import Database, create_database
from tests.interfaces.conftest import Command
from tests.servers import Server


@pytest.fixture
def database(postgres_server: Server) -> Iterator[Database]:
    made = create_database(postgres_server, "kept")
    made.execute("CREATE TABLE t (a int)", "INSERT INTO t VALUES (1), (2)")
    yield made
    made.drop()


@pytest.fixture
def config(folder: Path, database: Database) -> Path:
    path = folder / "dovetail.yaml"
    settings = {**database.source(), "password": "${env:THE_PASSWORD}"}
    path.write_text(yaml.safe_dump({"sources": {"s": settings}}))
    return path


def stats(err: str) -> dict[str, object]:
    """The line of ``--stats``."""
    (line,) = [line for line in err.splitlines() if line.startswith("{")]
    found: dict[str, object] = json.loads(line)
    return found


def test_flags(dovetail: Command, database: Database, config: Path, folder: Path) -> None:
    password = {"THE_PASSWORD": database.server.password}

    def run(*flags: str) -> tuple[str, object]:
        done = dovetail("query", "--csv", "--stats", *flags, **password)
        assert done.code == 0, done
        return done.out, stats(done.err)["cache"]

    sql = "select sum(a) as n from s.t"
    assert run(sql) == ("n\n3\n", "none")
    assert run("--cache", sql) == ("n\n3\n", "miss")
    assert run(sql, "--cache") == ("n\n3\n", "hit")
    database.execute("INSERT INTO t VALUES (4)")
    assert run("--cache", "10m", sql) == ("n\n3\n", "hit")
    assert run("--cache=1d", sql) == ("n\n3\n", "hit")
    assert run(sql) == ("n\n7\n", "none")
    assert run("--cache", "1ms", sql) == ("n\n7\n", "miss")
    with config.open("a") as file:
        file.write("cache: {enabled: true, max_age: 1h}\n")
    assert run(sql) == ("n\n7\n", "hit")
    assert run("--no-cache", sql) == ("n\n7\n", "none")
    temporary = "create temp table w as from s.t; select count(*) as n from w"
    assert run(temporary) == ("n\n3\n", "none")

    done = dovetail("query", "explain analyze " + sql, **password)
    assert "Result cache: hit, a result" in done.out
    held = json.loads(dovetail("cache", "info", "--json").out)[0]
    assert held["directory"] == str(folder / ".cache" / "dovetail" / "results")
    assert (held["entries"], held["hits"], held["misses"]) == (2, 4, 3)
    assert held["bytes"] > 0
    assert held["oldest"]
    assert dovetail("cache", "clear", "--older", "1d").out == "removed 0 results, 0 B\n"
    done = dovetail("cache", "clear")
    assert done.out.startswith("removed 2 results, ")
    assert json.loads(dovetail("cache", "info", "--json").out)[0]["entries"] == 0


def test_standard_input_is_never_kept(dovetail: Command) -> None:
    for data, rows in ((b"a\n1\n", "1"), (b"a\n2\n", "2")):
        done = dovetail("query", "--cache", "--csv", "--stats", "select a from stdin", stdin=data)
        assert done.out == f"a\n{rows}\n"
        assert stats(done.err)["cache"] == "none"


def test_a_hit_counts_apart(dovetail: Command, database: Database, config: Path) -> None:
    extra = {"THE_PASSWORD": database.server.password, "DOVETAIL_HISTORY": "history.sqlite"}
    for sql in ("select a from s.t", " select 1", "select a from s.t -- again"):
        assert dovetail("query", "--cache", sql, **extra).code == 0
    (row,) = json.loads(dovetail("stats", "--by", "source", "--json", **extra).out)
    assert (row["source"], row["queries"], row["cached"]) == ("s", 2, 1)
    assert row["rows"] == 2
    done = dovetail("history", "--json", "--id", "2", **extra)
    assert done.code in (0, 2)


def test_what_is_wrong_is_said(dovetail: Command, folder: Path) -> None:
    done = dovetail("query", "--cache=soon", "select 1")
    assert (done.code, done.out) == (2, "")
    assert '--cache "soon": not a duration' in done.err
    done = dovetail("query", "--cache=0s", "select 1")
    assert "--cache must be more than nothing" in done.err
    done = dovetail("query", "--cache", "--no-cache", "select 1")
    assert "--cache and --no-cache exclude each other" in done.err
    done = dovetail("cache", "clear", "--older", "x")
    assert '--older "x": not a duration' in done.err
    (folder / "dovetail.yaml").write_text("cache: {max_age: never, size: 1, enabled: 3}\n")
    done = dovetail("config", "check")
    assert done.code != 0
    for part in ("cache.max_age", "cache.size", "cache.enabled"):
        assert part in done.err + done.out
    (folder / "dovetail.yaml").write_text("cache: {directory: trades.csv/x}\n")
    done = dovetail("query", "--cache", "select * from 'trades.csv'")
    assert "results cannot be kept in" in done.err
    assert "--no-cache" in done.err
    assert "Traceback" not in done.err
