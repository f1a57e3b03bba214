"""``FROM stdin``: standard input as a table.

The bytes go to a private file, so that a query may read them any number of times, and the first
of them decide what they are: Parquet, Arrow, a spreadsheet, JSON or CSV, also compressed.
"""

from __future__ import annotations

import gzip
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dovetail.errors import UsageError

_PEEK = 64 * 1024
KINDS = {
    "csv": ".csv",
    "tsv": ".tsv",
    "json": ".json",
    "jsonl": ".jsonl",
    "parquet": ".parquet",
    "arrow": ".arrow",
    "excel": ".xlsx",
}


def spool(stream: BinaryIO, folder: Path, kind: str | None = None) -> Path:
    """Copy ``stream`` to a file in ``folder`` (mode 0600) named for what it holds.

    ``kind`` is a key of :data:`KINDS`, or None to look at the bytes. Raises :class:`UsageError`
    for empty input or an unknown kind.
    """
    head = stream.read(_PEEK)
    while len(head) < _PEEK and (more := stream.read(_PEEK - len(head))):
        head += more
    if not head:
        raise UsageError("the query reads stdin, and nothing was sent to it")
    if kind is not None and kind not in KINDS:
        raise UsageError(f'no input format "{kind}"; the formats are {", ".join(KINDS)}')
    wrapping, inner = _unpacked(head)
    extension = KINDS[kind] if kind else detect(inner)
    path = folder / f"stdin{extension}{wrapping}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(head)
        shutil.copyfileobj(stream, file, 1024 * 1024)
    return path


def _unpacked(head: bytes) -> tuple[str, bytes]:
    """The extension of the compression, and the first bytes of what is inside."""
    if head.startswith(b"\x1f\x8b"):
        with suppress(EOFError, OSError):
            from io import BytesIO

            with gzip.GzipFile(fileobj=BytesIO(head)) as packed:
                return ".gz", packed.read1(4096)
        return ".gz", b""
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow as pa

        with suppress(OSError), pa.CompressedInputStream(pa.BufferReader(head), "zstd") as packed:
            return ".zst", packed.read(1024)
        return ".zst", b""
    return "", head


def detect(head: bytes) -> str:
    """The file extension for data that begins with ``head``."""
    if head.startswith(b"PAR1"):
        return ".parquet"
    # The stream form of Arrow begins with a continuation marker and the length of the schema.
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return ".arrow"
    if head.startswith(b"PK\x03\x04"):
        return ".xlsx"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"["):
        return ".json"
    if text.startswith(b"{"):
        return ".jsonl"
    return ".csv"
