"""Every command of docs/service.md runs, in order, and prints what the page says."""

from __future__ import annotations

import re
import socket
import subprocess
from dataclasses import fields
from pathlib import Path

from tests.interfaces.conftest import PROGRAM, environment

from dovetail.interfaces.rest.settings import RequestLimits
from dovetail.workspace.settings import WorkspaceLimits

PAGE = Path(__file__).parents[3] / "docs" / "service.md"
_PORT = "8000"


def steps() -> list[tuple[str, str | None]]:
    """``(command, what it prints)``; None where the page does not say."""
    found: list[tuple[str, str | None]] = []
    text = PAGE.read_text(encoding="utf-8")
    for kind, block in re.findall(r"^```(sh|console)\n(.*?)^```", text, re.M | re.S):
        if kind == "sh":
            found.append((block, None))
            continue
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, printed = part.partition("\n")
            found.append((command + "\n", printed.rstrip("\n")))
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_every_command_runs(tmp_path: Path) -> None:
    found = steps()
    assert len(found) > 25
    script = "set -m\n" + "\n".join(f"printf '\\036'\n{command}" for command, _ in found).replace(
        _PORT, str(free_port())
    )
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        env=environment(
            tmp_path,
            PATH=f"{PROGRAM.parent}:/usr/bin:/bin",
        ),
        check=False,
    )
    log = tmp_path / "serve.log"
    tail = log.read_text()[-3000:] if log.exists() else ""
    assert (done.returncode, done.stderr) == (0, ""), (done.stdout[-3000:], done.stderr, tail)
    printed = done.stdout.split("\x1e")[1:]
    assert len(printed) == len(found)
    for (command, expected), output in zip(found, printed, strict=True):
        if expected is None:
            continue
        if expected.endswith("…"):
            assert output.startswith(expected.removesuffix("…").rstrip("\n")), command
        else:
            assert output.rstrip("\n") == expected, command


def test_every_limit_is_documented() -> None:
    text = PAGE.read_text(encoding="utf-8")
    names = [f.name for kind in (RequestLimits, WorkspaceLimits) for f in fields(kind)]
    assert [name for name in names if f"`{name}`" not in text] == []
