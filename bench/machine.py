"""What a figure depends on: the machine, versions, and what else was running."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "dovetail", "duckdb", "duckdb-extension-postgres-scanner", "duckdb-extension-mysql-scanner",
    "connectorx", "pyarrow", "numpy", "sqlglot", "psycopg", "pymysql",
)  # fmt: skip


def describe(arguments: list[str]) -> dict[str, Any]:
    """Everything that belongs beside a figure; names no host and no address."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join(["python", "-m", "bench", *_without_addresses(arguments)]),
        "commit": _commit(),
        "machine": {
            "processor": _field("/proc/cpuinfo", "model name") or platform.machine(),
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {"python": platform.python_version(), **_versions()},
    }


def load() -> float:
    """The load average of the last minute: processes that ran or wanted to."""
    return round(os.getloadavg()[0], 2)


def _without_addresses(arguments: list[str]) -> list[str]:
    shown: list[str] = []
    for argument in arguments:
        name, _, url = argument.partition("=")
        if "://" in argument:
            kept = (url or name).split("://")[0] + "://…"
            shown.append(f"{name}={kept}" if url else kept)
        elif shown and shown[-1] in ("--results", "--docs", "--data"):
            shown.pop()
        else:
            shown.append(argument)
    return shown


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith(name)), "")


def _commit() -> str:
    here = Path(__file__).parent
    done = subprocess.run(
        ["git", "rev-parse", "--short=10", "HEAD"],
        cwd=here, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() if done.returncode == 0 else ""


def program(name: str) -> str:
    """A program installed beside this Python."""
    return str(Path(sys.executable).with_name(name))
