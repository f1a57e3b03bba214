"""``tests/install_servers.sh`` on machines without servers, played with stand-in commands."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("install_servers.sh")
Play = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Run the script with only the given commands; returns exit code, stderr, and what ran."""
    folder = tmp_path / "bin"
    folder.mkdir()
    calls = tmp_path / "calls"
    for name in ("ls", "sed", "env", "sh", "true"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)

    def run(user: int, commands: dict[str, int], **environment: str) -> tuple[int, str, list[str]]:
        scripts = {"id": f"echo {user}"}
        for name, code in commands.items():
            scripts[name] = f'echo "{name} $*" >> {calls}; exit {code}'
        if commands.get("sudo") == 0:
            scripts["sudo"] = f'echo "sudo $*" >> {calls}; shift; exec "$@"'
        for name, body in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\n{body}\n")
            (folder / name).chmod(0o755)
        done = subprocess.run(
            [str(folder / "sh"), str(SCRIPT)],
            env={"PATH": str(folder), "DOVETAIL_TEST_ROOT": str(tmp_path / "empty"), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        ran = calls.read_text().splitlines() if calls.exists() else []
        return done.returncode, done.stderr, ran

    return run


def test_root_installs(play: Play) -> None:
    code, _, ran = play(0, {"apt-get": 0})
    assert code == 0
    assert ran[0] == "apt-get update -qq"
    assert ran[1].startswith("apt-get install --yes --no-install-recommends")
    assert ran[1].split()[4:6] == ["postgresql", "mariadb-server"]


def test_sudo_without_password_installs(play: Play) -> None:
    code, _, ran = play(1000, {"apt-get": 0, "sudo": 0})
    assert code == 0
    assert [line.split()[0] for line in ran] == ["sudo", "sudo", "apt-get", "apt-get"]


@pytest.mark.parametrize(
    ("user", "commands", "reason"),
    [
        (1000, {"apt-get": 0}, "only root may install them"),
        (1000, {"apt-get": 0, "sudo": 1}, "only root may install them"),
        (0, {}, "there is no apt-get here to install them"),
        (0, {"apt-get": 100}, "apt-get could not install them"),
    ],
)
def test_else_it_says_what_to_install_and_fails(
    play: Play, user: int, commands: dict[str, int], reason: str
) -> None:
    code, text, _ = play(user, commands)
    assert code == 1
    assert f"The tests need these Debian packages, and {reason}: postgresql mariadb-server" in text
    assert "sudo apt-get install --yes --no-install-recommends postgresql mariadb-server" in text


def test_given_servers_need_nothing(play: Play) -> None:
    given = {"DOVETAIL_TEST_POSTGRES": "postgresql://h", "DOVETAIL_TEST_MYSQL": "mysql://h"}
    assert play(1000, {}, **given) == (0, "", [])
    del given["DOVETAIL_TEST_MYSQL"]
    code, text, _ = play(1000, {}, **given)
    assert code == 1
    assert "mariadb-server" in text
    assert "recommends postgresql" not in text
