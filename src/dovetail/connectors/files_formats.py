"""Which file is what: formats and compressions by name and by first bytes, and unpacking."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from dovetail.errors import DataError, NotSupportedError

FORMATS: dict[str, str] = {
    "csv": "csv",
    "tsv": "tsv",
    "tab": "tsv",
    "json": "json",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "parquet": "parquet",
    "pq": "parquet",
    "arrow": "arrow",
    "arrows": "arrow",
    "feather": "arrow",
    "ipc": "arrow",
    "xlsx": "excel",
    "xlsm": "excel",
    "xlsb": "excel",
    "xls": "excel",
    "ods": "excel",
    "sqlite": "sqlite",
    "sqlite3": "sqlite",
    "db": "sqlite",
    "db3": "sqlite",
    "duckdb": "duckdb",
    "ddb": "duckdb",
}
"""Extension (lower case) → format. ``sqlite`` and ``duckdb`` files hold tables, not one table."""

TABLE_FORMATS = ("csv", "tsv", "json", "jsonl", "parquet", "arrow", "excel")
DATABASE_FORMATS = ("sqlite", "duckdb")
READ_COMPRESSED = {"gz": "gzip", "zst": "zstd"}
UNPACKED = ("bz2", "xz", "zip")
COMPRESSIONS = (*READ_COMPRESSED, *UNPACKED)

SUPPORTED = (
    ".csv .tsv .json .jsonl .ndjson .parquet .arrow .feather .xlsx .xls .xlsb .ods, "
    "also with .gz .zst .bz2 .xz .zip after a text format"
)


@dataclass(frozen=True)
class FileName:
    """A file's name taken apart: ``a.b.csv.gz`` → stem ``a.b``, format ``csv``, packing ``gz``.

    ``format`` is None when the extension says nothing.
    """

    stem: str
    format: str | None
    packing: str | None


def split_name(name: str) -> FileName:
    """Take a file name (no folders) apart by its extensions, ignoring case."""
    stem, packing = name, None
    head, dot, tail = stem.rpartition(".")
    if dot and head and tail.lower() in COMPRESSIONS:
        stem, packing = head, tail.lower()
    head, dot, tail = stem.rpartition(".")
    if dot and head and tail.lower() in FORMATS:
        return FileName(head, FORMATS[tail.lower()], packing)
    return FileName(stem, None, packing)


def kind_of_bytes(head: bytes) -> tuple[str | None, str | None]:
    """``(format, packing)`` of a stream by its first bytes; at least 64 bytes if there are any.

    Text that is neither a JSON array nor an object is CSV. A compressed stream has format None.
    """
    if head.startswith(b"PAR1"):
        return "parquet", None
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow", None
    if head.startswith(b"\x1f\x8b"):
        return None, "gz"
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return None, "zst"
    if head.startswith(b"BZh"):
        return None, "bz2"
    if head.startswith(b"\xfd7zXZ\x00"):
        return None, "xz"
    if head.startswith(b"PK\x03\x04"):
        # A workbook is a zip whose first member is one of its parts.
        parts = (b"[Content_Types].xml", b"_rels/", b"docProps/", b"xl/", b"mimetype")
        name = head[30 : 30 + 64]
        return ("excel", None) if name.startswith(parts) else (None, "zip")
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return "excel", None
    if head.startswith(b"SQLite format 3\x00"):
        return "sqlite", None
    if head[8:12] == b"DUCK":
        return "duckdb", None
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"["):
        return "json", None
    if text.startswith(b"{"):
        return "jsonl", None
    return "csv", None


def open_unpacked(path: str, packing: str | None) -> IO[bytes]:
    """Open a file for reading bytes, unpacked on the way. Raises OSError."""
    if packing == "gz":
        import gzip

        return cast(IO[bytes], gzip.open(path, "rb"))
    if packing == "bz2":
        import bz2

        return bz2.open(path, "rb")
    if packing == "xz":
        import lzma

        return lzma.open(path, "rb")
    if packing == "zst":
        import io

        import pyarrow as pa

        stream = pa.CompressedInputStream(pa.OSFile(path, "rb"), "zstd")
        return io.BufferedReader(stream)
    if packing == "zip":
        return _open_zip(path)
    return Path(path).open("rb")


def unpack(path: str, packing: str, spool: Path) -> str:
    """Unpack ``path`` into ``spool`` (private, 0600) and return the new path.

    The same state of the same file is unpacked once. Raises :class:`DataError` for a broken
    archive, one that is locked with a password, or a zip with more than one member.
    """
    status = os.stat(path)
    state = f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ino}"
    digest = hashlib.sha256(state.encode()).hexdigest()[:24]
    name = split_name(Path(path).name)
    suffix = Path(Path(path).name.removesuffix(f".{packing}")).suffix if name.format else ""
    target = spool / f"unpacked-{digest}{suffix}"
    if target.exists():
        return str(target)
    spool.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=spool, prefix="unpacking-")
    try:
        with os.fdopen(handle, "wb") as out, open_unpacked(path, packing) as packed:
            shutil.copyfileobj(packed, out, 1 << 20)
        os.replace(temporary, target)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, (EOFError, OSError, ValueError)) or "LZMA" in type(error).__name__:
            raise DataError(f"{path} cannot be unpacked: {error}") from None
        raise
    return str(target)


def _open_zip(path: str) -> IO[bytes]:
    import zipfile

    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} is not a zip file: {error}") from None
    members = [info for info in archive.infolist() if not info.is_dir()]
    if len(members) != 1:
        archive.close()
        raise NotSupportedError(
            f"{path} holds {len(members)} files; a zip is read when it holds exactly one"
        )
    if members[0].flag_bits & 1:
        archive.close()
        raise DataError(f"{path} needs a password; unpack it first")
    return archive.open(members[0])


def spool_stdin(stream: BinaryIO | IO[bytes], directory: Path, format: str | None = None) -> Path:
    """Write a stream into a private file (0600) of ``directory`` and return its path.

    The name's extensions say what it holds: ``format`` if given, else by the first bytes
    (Parquet, Arrow, gzip, zstd, zip and xlsx signatures; ``[`` JSON array; ``{`` JSON lines; else
    CSV). The caller removes the directory.
    """
    head = stream.read(4096)
    found, packing = kind_of_bytes(head)
    if packing is not None and format is None:
        found = _kind_inside(head, packing)
    suffixes = {"excel": "xlsx", "sqlite": "sqlite", "duckdb": "duckdb"}
    kind = format or found or "csv"
    suffix = "." + suffixes.get(kind, kind) + (f".{packing}" if packing else "")
    handle, name = tempfile.mkstemp(dir=directory, prefix="stdin-", suffix=suffix)
    with os.fdopen(handle, "wb") as out:
        out.write(head)
        shutil.copyfileobj(stream, out, 1 << 20)
    return Path(name)


def _kind_inside(head: bytes, packing: str) -> str | None:
    """The format of what a compressed stream holds, by its first bytes; None if unknown."""
    start = b""
    if packing == "gz":
        import zlib

        start = zlib.decompressobj(31).decompress(head, 4096)
    elif packing == "bz2":
        import bz2

        start = bz2.BZ2Decompressor().decompress(head, 4096)
    elif packing == "xz":
        import lzma

        start = lzma.LZMADecompressor().decompress(head, 4096)
    elif packing == "zip":
        length = int.from_bytes(head[26:28], "little")
        name = split_name(head[30 : 30 + length].decode("utf-8", "replace"))
        return name.format
    elif packing == "zst":
        import io

        import pyarrow as pa

        try:
            start = pa.CompressedInputStream(io.BytesIO(head), "zstd").read(1024)
        except OSError:  # the head holds less than one block: text is by far the likeliest
            return "csv"
    return kind_of_bytes(start)[0]
