"""The state of files as the file system tells it: what shows that they changed, unread."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

SETTLED = 2.0
"""Seconds after which the next change surely gives a file another time stamp."""


@dataclass(frozen=True)
class FileState:
    """One file: two equal states, the first of them settled, are two equal contents.

    ``changed`` is the time of the last change of content or attributes, which no program can set;
    ``modified`` the one that programs can. Both in nanoseconds since the epoch.
    """

    path: str
    inode: int
    size: int
    modified: int
    changed: int

    @property
    def settled(self) -> bool:
        """Whether a change from now on would show.

        A change within the same tick of the file system's clock leaves all of this as it is.
        """
        return time.time() - self.changed / 1e9 >= SETTLED


def states_of(paths: Iterable[str | Path]) -> tuple[FileState, ...]:
    """The states of files, links followed. Raises OSError when one is gone."""
    found = []
    for path in paths:
        status = os.stat(path)
        found.append(
            FileState(
                os.path.realpath(path),
                status.st_ino,
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
            )
        )
    return tuple(found)


def states_with_logs(path: Path, *suffixes: str) -> tuple[FileState, ...]:
    """The states of a database file and of those of its logs that hold something.

    A reader may make an empty log, or remove one: nothing is in it. Run as root, SQLite hands a log
    to the owner of the database file whenever it opens it, so of a log only the time counts at
    which it was written. Raises OSError when the database file is gone.
    """
    path = path.resolve()
    logs = [path.with_name(path.name + suffix) for suffix in suffixes]
    found = states_of([path])
    for log in logs:
        try:
            (state,) = states_of([log])
        except FileNotFoundError:
            continue
        if state.size:
            found += (replace(state, changed=state.modified),)
    return found
