"""Measuring: medians of alternating runs, processor time of this process and of a server."""

from __future__ import annotations

import contextlib
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

Run = TypeVar("Run")


def alternate(
    contenders: Mapping[str, Callable[[], Run]],
    rounds: int,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, list[Run]]:
    """Every contender once per round, ``rounds`` times, so that a slow minute hits all alike.

    Every other round runs backwards: whoever runs after a heavy neighbour does not always do so.
    """
    found: dict[str, list[Run]] = {name: [] for name in contenders}
    for number in range(rounds):
        names = list(contenders) if number % 2 == 0 else list(contenders)[::-1]
        for name in names:
            found[name].append(contenders[name]())
            say(f"{name}: {found[name][-1]}")
    return found


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Median, best and all values."""
    return {
        "median": round(statistics.median(values), 6),
        "best": round(min(values), 6),
        "worst": round(max(values), 6),
        "all": [round(value, 6) for value in values],
    }


# --- processor time of a server on this machine ------------------------------------------------


def server_seconds(pid: int | None) -> float | None:
    """Processor seconds used so far by a server's process and its children; None when unknown.

    A child that has ended is counted by its parent, so a difference over a query holds whatever
    backends did, also when they are gone.
    """
    if pid is None:
        return None
    total = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError):
            # the name in parentheses may hold blanks
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            if int(entry.name) == pid:
                total += sum(map(int, fields[11:15]))  # its own and its ended children's
            elif int(fields[1]) == pid:
                total += sum(map(int, fields[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def listener(port: int) -> int | None:
    """The process that listens on a loopback port here, if this user may know."""
    with contextlib.suppress(OSError):
        inodes = set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].split(":")[1], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
        owners = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if any(os.readlink(fd) in inodes for fd in (entry / "fd").iterdir()):
                        owners.append(int(entry.name))
        # children of a forking server hold the same socket; the parent has the lowest number
        return min(owners, default=None)
    return None
