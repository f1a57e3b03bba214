"""Where a result goes. A file appears whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dovetail.errors import UsageError

if TYPE_CHECKING:
    from dovetail.present.layout import ByteStream

_unfinished: set[Path] = set()


def remove_unfinished() -> None:
    """Remove temporary files of results that are still being written: the process ends now."""
    for path in list(_unfinished):
        path.unlink(missing_ok=True)


@contextmanager
def open_file(
    path: str | Path, *, compression: str | None = None, replace: bool = True
) -> Iterator[ByteStream]:
    """Open ``path`` for one result.

    The bytes go to a file beside the target under a temporary name, which takes the target's
    place when the block ends well; after an error or Ctrl-C the old file is as it was. A target
    that is no regular file (``/dev/null``, a named pipe) is written to directly.

    Raises :class:`UsageError` if the place cannot be written, or if it exists and not ``replace``.
    """
    target = Path(path).expanduser()
    target = target.resolve() if target.is_symlink() else target
    try:
        found: os.stat_result | None = target.stat()
    except FileNotFoundError:
        found = None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    if found is not None:
        if stat.S_ISDIR(found.st_mode):
            raise UsageError(f"cannot write {path}: it is a folder")
        if not replace:
            raise UsageError(f"{path} exists, and --no-clobber keeps it")
        if not stat.S_ISREG(found.st_mode):
            with target.open("wb") as special, _compressed(special, compression) as out:
                yield out
            return
    temporary = target.with_name(f".{target.name[:200]}.{os.getpid()}.part")
    try:
        stream = temporary.open("wb", 1024 * 1024)
    except FileNotFoundError:
        raise UsageError(f"cannot write {path}: there is no folder {target.parent}") from None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    _unfinished.add(temporary)
    try:
        with stream, _compressed(stream, compression) as out:
            yield out
        if found is not None:
            temporary.chmod(stat.S_IMODE(found.st_mode))
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        _unfinished.discard(temporary)


@contextmanager
def _compressed(stream: ByteStream, compression: str | None) -> Iterator[ByteStream]:
    if compression is None:
        yield stream
        return
    import pyarrow as pa

    with pa.CompressedOutputStream(stream, compression) as out:
        yield out
