"""Every command of docs/service.md runs, in order, and prints what the page says."""

from __future__ import annotations

import contextlib
import os
import re
import signal
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


def started_in(folder: Path) -> list[int]:
    """Processes whose working folder that is."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
    return found


def test_every_command_runs(tmp_path: Path) -> None:
    found = steps()
    assert len(found) > 25
    script = "\n".join(f"printf '\\036'\n{command}" for command, _ in found).replace(
        _PORT, str(free_port())
    )
    process = subprocess.Popen(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path, PATH=f"{PROGRAM.parent}:/usr/bin:/bin"),
    )
    try:
        out, err = process.communicate(timeout=280)
    finally:
        # The page starts the service in the background; a command that fails leaves it there.
        for pid in started_in(tmp_path):
            os.kill(pid, signal.SIGKILL)
    log = tmp_path / "serve.log"
    tail = log.read_text()[-3000:] if log.exists() else ""
    assert (process.returncode, err) == (0, ""), (out[-3000:], err, tail)
    printed = out.split("\x1e")[1:]
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
