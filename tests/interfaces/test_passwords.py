"""``--source`` without a password: asked for on a terminal, an error elsewhere."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pexpect
import pytest
from tests.databases import Database
from tests.interfaces.conftest import PROGRAM, Command, environment

PROMPT = r"Password of \S+ at shop: "
SQL = "select count(*) as n from shop.thing"


@pytest.fixture(params=["postgres", "mariadb"])
def database(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue(f"{request.param}_database")
    found.execute("DROP TABLE IF EXISTS thing", "CREATE TABLE thing (a INT)")
    return found


def url(database: Database) -> str:
    server = database.server
    scheme = {"postgres": "postgres", "mysql": "mysql"}[server.kind]
    user, name = quote(server.user, safe=""), quote(database.name, safe="")
    return f"shop={scheme}://{user}@{server.host}:{server.port}/{name}"


def spawn(folder: Path, *arguments: str) -> pexpect.spawn[str]:
    child = pexpect.spawn(
        str(PROGRAM),
        list(arguments),
        cwd=str(folder),
        env=environment(
            folder, TERM="xterm", NO_COLOR="1", DOVETAIL_HISTORY=str(folder / "history.sqlite")
        ),  # type: ignore[arg-type]
        encoding="utf-8",
        timeout=60,
    )
    child.delaybeforesend = None
    return child


@pytest.mark.servers
def test_a_missing_password_is_asked_for_and_kept_nowhere(folder: Path, database: Database) -> None:
    child = spawn(folder, "query", "--csv", "--source", url(database), SQL)
    child.expect(PROMPT)
    child.waitnoecho()
    child.sendline(database.server.password)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert "n\r\n0\r\n" in child.before
    assert database.server.password not in child.before
    for path in folder.rglob("*"):
        assert not path.is_file() or database.server.password.encode() not in path.read_bytes()


@pytest.mark.servers
def test_a_wrong_password_and_ctrl_c(folder: Path, database: Database) -> None:
    child = spawn(folder, "query", "--source", url(database), SQL)
    child.expect(PROMPT)
    child.waitnoecho()
    child.sendline("a wrong one")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3
    assert "refused the login" in child.before
    assert "a wrong one" not in child.before

    child = spawn(folder, "query", "--source", url(database), SQL)
    child.expect(PROMPT)
    child.waitnoecho()
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130


@pytest.mark.servers
def test_nobody_is_asked_without_a_terminal(
    folder: Path, database: Database, dovetail: Command
) -> None:
    child = spawn(folder, "query", "--no-input", "--source", url(database), SQL)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3
    done = dovetail("query", "--source", url(database), SQL)
    assert done.code == 3
    for said in (" ".join(child.before.split()), done.err):
        assert "Password of" not in said
        assert "it wants a password: write a reference, such as ${env:SHOP_PASSWORD}" in said


def test_files_have_no_password(folder: Path) -> None:
    child = spawn(folder, "query", "--csv", "--source", "box=.", "select count(*) from box.trades")
    child.expect(pexpect.EOF)
    assert "8" in child.before
    assert "Password" not in child.before
