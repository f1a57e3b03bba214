"""Lines of an input while it is still open: in batches, or all that is left as one stream."""

from __future__ import annotations

import io
import os
import select
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from dovetail.errors import CancelledError, DataError

BATCH_LINES = 10_000
BATCH_SECONDS = 1.0
# A writer that pauses for so long has said what it has to say for now.
_PAUSE_SECONDS = 0.05
_BATCH_BYTES = 16 << 20
_READ_BYTES = 1 << 20
# DuckDB reads no larger JSON object either.
_LINE_BYTES = 16 << 20


@dataclass(frozen=True)
class Batch:
    """Some whole lines; ``first`` is the number of the first one, from 1."""

    lines: list[bytes]
    first: int


class OpenLines:
    """One input, read once. Memory stays within a batch and one line, 16 MiB each.

    ``stop`` may be called from any thread; whoever waits for input then gets CancelledError.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError when the input cannot be opened."""
        self._input = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._woken, self._wake = os.pipe()
        self._poll = select.poll()
        self._poll.register(self._input, select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)
        self._lock = threading.Lock()
        self._reading = False
        self._stopped = False
        self._lines: list[bytes] = []
        self._bytes = 0  # in the whole lines
        self._rest = bytearray()
        self._taken = 0
        self._head: Batch | None = None
        self.ended = False
        """Whether the writer has closed the input."""

    # -- batches --------------------------------------------------------------------------------

    def head(self) -> Batch:
        """The first batch, which :meth:`batch` gives once more.

        Raises:
            CancelledError: somebody stopped it.
            DataError: a line is too long.
        """
        if self._head is None:
            self._head = self._next()
        return self._head

    def batch(self) -> Batch | None:
        """The next lines, once there are any; None at the end.

        A batch closes at 10,000 lines (or 16 MiB), after a second, or when the writer pauses.
        Raises as :meth:`head` does.
        """
        batch, self._head = self._head or self._next(), None
        return batch if batch.lines else None

    def _next(self) -> Batch:
        closes: float | None = None
        while len(self._lines) < BATCH_LINES and self._bytes < _BATCH_BYTES and not self.ended:
            wait = None
            if self._lines:
                now = time.monotonic()
                closes = now + BATCH_SECONDS if closes is None else closes
                wait = min(_PAUSE_SECONDS, closes - now)
                if wait <= 0:
                    break
            data = self._read(wait)
            if data is None:
                break
            self._split(data)
        lines, self._lines = self._lines[:BATCH_LINES], self._lines[BATCH_LINES:]
        self._bytes = sum(map(len, self._lines))
        batch = Batch(lines, self._taken + 1)
        self._taken += len(lines)
        return batch

    def _split(self, data: bytes) -> None:
        if not data and self._rest:  # the last line needs no line end
            self._add(bytes(self._rest))
            self._rest.clear()
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._add(bytes(self._rest) + line + b"\n")
            self._rest.clear()
        self._rest += rest
        if len(self._rest) > _LINE_BYTES:
            number = self._taken + len(self._lines) + 1
            raise DataError(f"line {number} of standard input is longer than {_LINE_BYTES} bytes")

    def _add(self, line: bytes) -> None:
        self._lines.append(line)
        self._bytes += len(line)

    def _read(self, seconds: float | None) -> bytes | None:
        """What has come, nothing at the end; None when nothing came for so long."""
        with self._lock:
            if self._stopped:
                raise _closed()
            self._reading = True
        try:
            if not self._poll.poll(None if seconds is None else seconds * 1e3):
                return None
            data = b"" if self._stopped else os.read(self._input, _READ_BYTES)
            self.ended = not data
            return data
        finally:
            with self._lock:
                self._reading = False
                if self._stopped:
                    self._close()
                    raise _closed()

    # -- everything -----------------------------------------------------------------------------

    def stream(self) -> io.BufferedReader:
        """All that :meth:`batch` has not given yet, as bytes."""
        return io.BufferedReader(_Remaining(self), _READ_BYTES)

    def take(self) -> bytes:
        """Some of the bytes that are left, nothing at the end."""
        held = [*(self._head.lines if self._head is not None else ()), *self._lines]
        if held or self._rest:
            data = b"".join(held) + bytes(self._rest)
            self._head, self._lines = None, []
            self._rest.clear()
            return data
        return b"" if self.ended else self._read(None) or b""

    # -- end ------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Read no more and give the input back; whoever waits for it wakes up. Idempotent."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
            if self._reading:
                os.write(self._wake, b"x")  # the reader gives it back
            else:
                self._close()

    def _close(self) -> None:
        for place in (self._input, self._woken, self._wake):
            os.close(place)


def _closed() -> CancelledError:
    return CancelledError("standard input was closed before it was read to the end")


class _Remaining(io.RawIOBase):
    def __init__(self, lines: OpenLines) -> None:
        self._lines = lines
        self._data = b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: object, /) -> int:
        view = memoryview(target)  # type: ignore[arg-type]
        if not self._data:
            self._data = self._lines.take()
        size = min(len(view), len(self._data))
        view[:size], self._data = self._data[:size], self._data[size:]
        return size
