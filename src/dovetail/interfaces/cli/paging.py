"""Results that do not fit the screen go through the user's pager."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

_DEFAULT = "less -SFRX"


def pager_command() -> str:
    """``DOVETAIL_PAGER``, ``PAGER``, or less with lines cut and colours kept; may be empty."""
    for name in ("DOVETAIL_PAGER", "PAGER"):
        if name in os.environ:
            return os.environ[name].strip()
    return _DEFAULT if shutil.which("less") else ""


class PagedStream:
    """Holds what is written until it would not fit the screen, and starts the pager then."""

    def __init__(self, out: BinaryIO, command: str) -> None:
        size = shutil.get_terminal_size()
        self._lines, self._columns = size.lines - 2, size.columns
        self._out = out
        self._command = command
        self._held = bytearray()
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, data: bytes | memoryview) -> object:
        """Write all of ``data``. Raises ``BrokenPipeError`` when the pager was left."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.write(data)
            return None
        self._held += data
        if not self._fits():
            self._process = subprocess.Popen(  # noqa: S602 - the user's own command
                self._command, shell=True, stdin=subprocess.PIPE
            )
            assert self._process.stdin is not None
            self._process.stdin.write(self._held)
        return None

    def _fits(self) -> bool:
        if self._held.count(b"\n") > self._lines:
            return False
        # A line of so many bytes may be shorter on screen; only then is it worth decoding.
        longest = max(self._held.split(b"\n"), key=len)
        return len(longest) <= self._columns or len(longest.decode("utf-8", "replace")) <= (
            self._columns
        )

    def flush(self) -> None:
        """Nothing: the end decides where the text goes."""

    def finish(self) -> None:
        """Print what was held, or wait until the pager is left."""
        if self._process is None:
            self._out.write(bytes(self._held))
            self._out.flush()
            return
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        while True:
            try:
                self._process.wait()
                return
            except KeyboardInterrupt:  # the pager has it too, and stays
                continue


@contextmanager
def paged(out: BinaryIO) -> Iterator[PagedStream | BinaryIO]:
    """A stream for one result: the terminal, or the pager when it gets too long."""
    command = pager_command()
    if not command or not sys.stdout.isatty():
        yield out
        out.flush()
        return
    stream = PagedStream(out, command)
    try:
        yield stream
    finally:
        stream.finish()
