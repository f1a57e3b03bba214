"""Runs the installed command as a process of its own, as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

TRADES = """\
id,trader,book,symbol,qty,price,day
1,Ana,FX,EURUSD,100,1.10,2026-01-05
2,Ana,FX,GBPUSD,50,1.30,2026-01-05
3,Ana,EQ,ACME,10,75.50,2026-01-06
4,Ben,EQ,ACME,20,76.00,2026-01-06
5,Ben,EQ,ZETA,5,51.25,2026-01-07
6,Ben,FX,EURUSD,,1.12,2026-01-07
7,Cho,EQ,ACME,40,74.00,2026-01-08
8,,FX,EURUSD,60,1.11,2026-01-08
"""


@dataclass(frozen=True)
class Finished:
    """What a command left: exit code and both streams."""

    code: int
    out: str
    err: str


Command = Callable[..., Finished]
PROGRAM = Path(sys.executable).with_name("dovetail")
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "COVERAGE_PROCESS_START")


def environment(folder: Path, **extra: str) -> dict[str, str]:
    """An environment in which nothing of the developer's own settings is seen."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {
        **kept,
        "XDG_CONFIG_HOME": str(folder / "no-config"),
        "XDG_CACHE_HOME": str(folder / ".cache"),
        "DOVETAIL_HISTORY": "off",
        "PYTHONWARNINGS": "error",
        **extra,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with ``trades.csv``."""
    (tmp_path / "trades.csv").write_text(TRADES)
    return tmp_path


@pytest.fixture
def dovetail(folder: Path) -> Command:
    """``dovetail("query", "select 1")``: run it in the folder and wait for the end."""

    def run(*arguments: str, stdin: bytes | None = b"", **extra: str) -> Finished:
        done = subprocess.run(
            [str(PROGRAM), *arguments],
            cwd=folder,
            input=stdin,
            capture_output=True,
            timeout=120,
            env=environment(folder, **extra),
            check=False,
        )
        return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run
