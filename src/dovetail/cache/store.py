"""Kept results as files of one private folder, used by any number of processes at once.

A file is: a mark, an Arrow IPC stream, what else is known as JSON, and at the end the length of
that JSON, a checksum of everything before, and the mark again. It is written under another name
and renamed when it is whole, so nobody ever opens half a result; one that is damaged all the same
(a disk, a power cut) fails its checksum before its first row is used, and counts as not there.

The time of a file's last use is its modification time, by which those that are longest unused go
first. Who writes holds a lock on the unfinished file: what a dead process left can be told by that.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dovetail.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

_MARK = b"DVTLRES1"
_END = struct.Struct("<II8s")  # length of the JSON, checksum, mark
_WHOLE, _PART = ".result", ".part"
_UNUSED_SECONDS = 7 * 86_400.0
_BLOCK = 1 << 20


@dataclass(frozen=True)
class About:
    """What is known of a kept result besides its rows.

    ``created`` is when its query began to run, in seconds since the epoch: nothing in it is older.
    ``types`` are DuckDB's of its columns; ``warnings`` what the run had to say.
    """

    created: float
    rows: int
    types: list[str]
    warnings: list[str]


@dataclass(frozen=True)
class Contents:
    """What a store holds: bytes, entries, when the oldest began, and uses since it was cleared."""

    directory: Path
    entries: int
    bytes: int
    oldest: float | None
    hits: int
    misses: int


class ResultStore:
    """The kept results of one folder. Thread-safe."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        """Nothing is made or opened yet. ``max_bytes`` is for all results together."""
        self.directory = directory
        self._max_bytes = max_bytes

    @property
    def salt(self) -> bytes:
        """Random bytes of this folder, made once.

        Raises:
            ConfigError: the folder cannot be made, or is not this user's alone.
        """
        self._prepare()
        path = self.directory / "salt"
        try:
            if not path.exists():
                beside = self.directory / f"salt-{secrets.token_hex(8)}"
                with _created(beside) as file:
                    file.write(secrets.token_bytes(32))
                with contextlib.suppress(FileExistsError):
                    os.link(beside, path)  # unlike a rename, not over what another has made
                beside.unlink()
            return path.read_bytes()
        except OSError as error:
            raise self._unusable(error) from None

    def find(self, key: str, max_age: float) -> Kept | None:
        """The result of that key, if its query began within ``max_age`` seconds and it is sound."""
        import pyarrow as pa

        path = self.directory / f"{key}{_WHOLE}"
        try:
            file = pa.OSFile(str(path))
        except OSError:
            return None
        try:
            about = _checked(file, max_age)
            if about is not None:
                os.utime(path)
                return Kept(file, about)
        except (OSError, ValueError, KeyError, TypeError):
            with contextlib.suppress(OSError):
                path.unlink()  # damaged
        file.close()
        return None

    def write(self, key: str) -> KeptWriter:
        """What a new result is written with; the file is made with its first batch."""
        return KeptWriter(self, key, self._max_bytes)

    def count(self, *, hit: bool) -> None:
        """Count a use. Every byte of a counter's file is one: an append is never torn."""
        with contextlib.suppress(OSError):
            path = self.directory / ("hits" if hit else "misses")
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, b".")
            finally:
                os.close(handle)

    @property
    def hits(self) -> int:
        """How often a kept result was used since the store was cleared."""
        return _size(self.directory / "hits")

    def contents(self) -> Contents:
        """What the store holds. Raises OSError."""
        found = list(self._entries())
        began = [about.created for path, _, _ in found if (about := _glance(path)) is not None]
        return Contents(
            self.directory,
            len(found),
            sum(size for _, size, _ in found),
            min(began, default=None),
            self.hits,
            _size(self.directory / "misses"),
        )

    def clear(self, older: float | None = None) -> tuple[int, int]:
        """Remove results that began more than ``older`` seconds ago, or all; entries and bytes."""
        entries = freed = 0
        for path, size, _ in list(self._entries()):
            about = _glance(path)
            if older is not None and about is not None and time.time() - about.created <= older:
                continue
            path.unlink(missing_ok=True)
            entries, freed = entries + 1, freed + size
        if older is None:
            for name in ("hits", "misses"):
                (self.directory / name).unlink(missing_ok=True)
        self._remove_abandoned()
        return entries, freed

    def make_room(self) -> None:
        """Remove what nobody used for a week, then the longest unused until all fits."""
        now = time.time()
        self._remove_abandoned()
        entries = sorted(self._entries(), key=lambda entry: entry[2])
        total = sum(size for _, size, _ in entries)
        for path, size, used in entries:
            if total <= self._max_bytes and now - used < _UNUSED_SECONDS:
                break
            path.unlink(missing_ok=True)
            total -= size

    def _entries(self) -> Iterator[tuple[Path, int, float]]:
        """Path, bytes and time of last use of every whole result."""
        if not self.directory.is_dir():
            return
        for path in self.directory.glob(f"*{_WHOLE}"):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                yield path, status.st_size, status.st_mtime

    def _remove_abandoned(self) -> None:
        """Remove unfinished files whose writers are dead: nobody holds a lock on them."""
        for path in self.directory.glob(f"*{_PART}"):
            with contextlib.suppress(OSError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()

    def _prepare(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            status = os.lstat(self.directory)
            if status.st_uid == os.getuid() and status.st_mode & 0o077:
                self.directory.chmod(0o700)
        except OSError as error:
            raise self._unusable(error) from None
        if status.st_uid != os.getuid():
            # Whoever may write there could put any answer there.
            raise ConfigError(
                f"the folder for kept results, {self.directory}, is another user's; name one of "
                "your own as cache.directory"
            )

    def _unusable(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"results cannot be kept in {self.directory}: {error.strerror}; name another folder "
            "as cache.directory, or do without the cache (--no-cache)"
        )


class Kept:
    """A kept result, checked and open. To be read once, or closed."""

    def __init__(self, file: pa.NativeFile, about: About) -> None:
        import pyarrow as pa

        self.about = about
        self._file = file
        file.seek(len(_MARK))
        self._reader = pa.ipc.open_stream(file)
        self.schema: pa.Schema = self._reader.schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Its rows."""
        try:
            yield from self._reader
        finally:
            self.close()

    def close(self) -> None:
        """Give the file back. Idempotent."""
        self._file.close()


class KeptWriter:
    """Writes one result. End it with :meth:`finish` or :meth:`abandon`, from any thread.

    A result that is too large, or that cannot be written, is given up: ``problem`` then says why.
    """

    def __init__(self, store: ResultStore, key: str, max_bytes: int) -> None:
        self._store = store
        self._target = store.directory / f"{key}{_WHOLE}"
        self._path = store.directory / f"{key}-{secrets.token_hex(8)}{_PART}"
        self._max_bytes = max_bytes
        self._file: _Summing | None = None
        self._stream: Any = None
        self._rows = 0
        self._lock = threading.RLock()
        self._finished = False
        self.problem = ""

    def add(self, batch: pa.RecordBatch) -> None:
        """Write a batch."""
        with self._lock, self._giving_up():
            if self.problem:
                return
            self._open(batch.schema).write_batch(batch)
            self._rows += batch.num_rows
            if self._file is not None and self._file.size > self._max_bytes:
                self.abandon(f"it is larger than all that may be kept ({self._max_bytes:,} bytes)")

    def finish(
        self, schema: pa.Schema, created: float, types: list[str], warnings: list[str]
    ) -> None:
        """Make the result an entry: the last batch has been written."""
        with self._lock, self._giving_up():
            if self.problem:
                return
            self._open(schema).close()
            assert self._file is not None
            about = json.dumps(asdict(About(created, self._rows, types, warnings))).encode()
            self._file.write(about)
            self._file.write(_END.pack(len(about), self._file.sum, _MARK))
            self._file.raw.flush()
            os.replace(self._path, self._target)
            self._finished = True
            self._file.raw.close()
            self._store.make_room()

    def abandon(self, reason: str = "it was not read to its end") -> None:
        """Remove what was written; nothing after :meth:`finish`."""
        with self._lock:
            if self._finished or self.problem:
                return
            self.problem = reason
            if self._file is not None:
                with contextlib.suppress(OSError):
                    self._path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    self._file.raw.close()

    def _open(self, schema: pa.Schema) -> Any:
        import pyarrow as pa

        if self._file is None:
            raw = _created(self._path)
            fcntl.flock(raw, fcntl.LOCK_EX)
            self._file = _Summing(raw)
            self._file.write(_MARK)
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            sink = pa.PythonFile(self._file, mode="w")
            self._stream = pa.ipc.new_stream(sink, schema, options=options)
        return self._stream

    @contextlib.contextmanager
    def _giving_up(self) -> Iterator[None]:
        """A failure to keep a result is none of the query's."""
        import pyarrow as pa

        try:
            yield
        except (OSError, pa.ArrowException) as error:
            self.abandon(f"it could not be written: {error}")


class _Summing:
    """A file that is written front to back, its size and checksum so far."""

    closed = False

    def __init__(self, raw: IO[bytes]) -> None:
        self.raw = raw
        self.size = 0
        self.sum = 0

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self.sum = zlib.crc32(view, self.sum)
        self.size += view.nbytes
        self.raw.write(view)
        return view.nbytes

    def flush(self) -> None:
        """Arrow flushes when it closes; the file is flushed once, at its end."""

    def close(self) -> None:
        """The stream ends before the file does."""


def _created(path: Path) -> IO[bytes]:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return os.fdopen(handle, "wb", buffering=_BLOCK)


def _about(file: Any) -> tuple[About, int, int]:
    """What a result says of itself, the length of what the checksum is of, and the checksum.

    Raises ValueError, KeyError, TypeError or OSError for a file that is no whole result.
    """
    whole = file.seek(0, os.SEEK_END)
    file.seek(max(0, whole - _END.size))
    try:
        length, checksum, mark = _END.unpack(file.read())
    except struct.error:
        raise ValueError("cut off") from None
    summed = whole - _END.size
    if mark != _MARK or not 0 < length <= summed - len(_MARK):
        raise ValueError("no end")
    file.seek(summed - length)
    return About(**json.loads(file.read(length))), summed, checksum


def _checked(file: pa.NativeFile, max_age: float) -> About | None:
    """What a result says of itself, checked byte by byte; None when it is too old.

    Raises as :func:`_about`.
    """
    about, left, checksum = _about(file)
    # A clock that was set back makes the future of what was the past.
    if not 0 <= time.time() - about.created <= max_age:
        return None
    file.seek(0)
    found = 0
    while left:
        block = file.read(min(left, _BLOCK))
        if not block:
            raise ValueError("cut off")
        found = zlib.crc32(block, found)
        left -= len(block)
    if found != checksum:
        raise ValueError("checksum")
    return about


def _glance(path: Path) -> About | None:
    """What a result says of itself, unchecked; None when it is none."""
    try:
        with path.open("rb") as file:
            return _about(file)[0]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
