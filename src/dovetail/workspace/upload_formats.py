"""What an uploaded file is, and the reader options a client may give for it.

The content decides, then the extension: a name is only data. Packed text is unpacked here, by
streaming and with a limit, so that a small file cannot fill the disk.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dovetail.connectors.files_formats import kind_of_bytes, open_unpacked, split_name
from dovetail.errors import DovetailError
from dovetail.workspace.problems import WorkspaceError, invalid

KINDS = ("CSV", "TSV", "JSON", "JSON lines", "Parquet", "XLSX", "text kinds also as .gz or .zst")
_SUFFIXES = {
    "csv": "csv",
    "tsv": "tsv",
    "json": "json",
    "jsonl": "jsonl",
    "parquet": "parquet",
    "excel": "xlsx",
}
_HEAD = 8_192
_CHUNK = 1 << 20
# A few kilobytes of repetition expand by more than any limit and harm nobody.
_ALWAYS_ALLOWED = 16 << 20
_ENCODINGS = ("utf-8", "utf-16", "latin-1")

_CSV_OPTIONS = {
    "delimiter": "delim",
    "quote": "quote",
    "header": "header",
    "encoding": "encoding",
    "decimal": "decimal_separator",
    "nullstr": "nullstr",
    "date_format": "dateformat",
    "skip": "skip",
    "types": "types",
}
_TYPES: dict[str, tuple[type, ...]] = {
    "header": (bool,),
    "skip": (int,),
    "types": (dict,),
    "sheet": (str, int),
}
_OPTIONS = (*_CSV_OPTIONS, "sheet", "on_error")


@dataclass(frozen=True)
class UploadedFile:
    """A file ready to be read: its place, and the format as the files source calls it."""

    path: Path
    format: str

    @property
    def source_type(self) -> str:
        """As a dataset shows it."""
        return self.format.upper()


def recognize(path: Path, filename: str, expansion: int) -> UploadedFile:
    """Find out what a file is, unpack it if need be, and give it a name that says so.

    Raises:
        WorkspaceError: ``file-empty``, ``unsupported-media-type`` (``valid``), ``too-large``,
            ``file-unreadable``.
    """
    if path.stat().st_size == 0:
        raise WorkspaceError("file-empty", f"{filename} has no bytes")
    format_, packing = _kind(path)
    named = split_name(filename.lower())
    if packing in ("gz", "zst"):
        path = _unpacked(path, packing, filename, expansion)
        if path.stat().st_size == 0:
            raise WorkspaceError("file-empty", f"{filename} holds an empty file")
        format_, packing = _kind(path)
    if packing is not None or format_ not in _SUFFIXES:
        raise _unsupported(filename)
    if format_ == "excel":
        _require_moderate(path, filename, expansion)
    if format_ in ("json", "jsonl"):
        format_ = _json_kind(path, named.format)
    if format_ == "csv":
        if not _is_text(path):
            raise _unsupported(filename)
        format_ = named.format if named.format in ("csv", "tsv") else _by_first_line(path)
    target = path.with_name(f"upload.{_SUFFIXES[format_]}")
    path.rename(target)
    return UploadedFile(target, format_)


def reader_options(file: UploadedFile, options: Mapping[str, Any]) -> dict[str, Any]:
    """The files source's options for a client's ``options``.

    Raises:
        WorkspaceError: ``validation``: unknown, of the wrong type, or not for this format.
    """
    for name, value in options.items():
        if name not in _OPTIONS:
            raise invalid(f"options.{name}", "there is no such option", valid=list(_OPTIONS))
        wanted = _TYPES.get(name, (str,))
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise invalid(f"options.{name}", f"must be {' or '.join(t.__name__ for t in wanted)}")
    if options.get("on_error", "fail") not in ("fail", "skip"):
        raise invalid("options.on_error", "must be one of these", valid=["fail", "skip"])
    encoding = options.get("encoding", "utf-8")
    if encoding.lower() not in _ENCODINGS:
        raise invalid("options.encoding", "must be one of these", valid=list(_ENCODINGS))
    if file.format in ("csv", "tsv"):
        found = {_CSV_OPTIONS[k]: v for k, v in options.items() if k in _CSV_OPTIONS}
        # Every row is looked at for the types: a late odd value must not break a later query.
        found["sample_size"] = -1
        if "encoding" in found:
            found["encoding"] = found["encoding"].lower()
            if found["encoding"] == "utf-8":
                del found["encoding"]
        if options.get("on_error") == "skip":
            found["ignore_errors"] = True
        return found
    if file.format in ("json", "jsonl"):
        return {"sample_size": -1}
    if file.format == "excel" and "sheet" in options:
        return {"sheet": options["sheet"]}
    return {}


def _kind(path: Path) -> tuple[str | None, str | None]:
    with path.open("rb") as file:
        return kind_of_bytes(file.read(_HEAD))


def _unpacked(path: Path, packing: str, filename: str, expansion: int) -> Path:
    most = max(path.stat().st_size * expansion, _ALWAYS_ALLOWED)
    target = path.with_name("unpacked")
    written = 0
    try:
        with open_unpacked(str(path), packing) as packed, target.open("wb") as out:
            while chunk := packed.read(_CHUNK):
                written += len(chunk)
                if written > most:
                    raise WorkspaceError(
                        "too-large", f"{filename} unpacks to more than {expansion} times its size"
                    )
                out.write(chunk)
    except (OSError, EOFError, ValueError, DovetailError) as error:
        if isinstance(error, WorkspaceError):
            raise
        raise WorkspaceError("file-unreadable", f"{filename} cannot be unpacked") from None
    path.unlink()
    return target


def _require_moderate(path: Path, filename: str, expansion: int) -> None:
    """A workbook is a zip file too."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        inside = sum(member.file_size for member in archive.infolist())
    if inside > max(path.stat().st_size * expansion, _ALWAYS_ALLOWED):
        raise WorkspaceError(
            "too-large", f"{filename} unpacks to more than {expansion} times its size"
        )


def _json_kind(path: Path, named: str | None) -> str:
    """``json`` or ``jsonl``; or ``csv`` for a text that merely begins with a bracket."""
    with path.open("rb") as file:
        line = file.readline(_CHUNK).removeprefix(b"\xef\xbb\xbf").strip()
    if line.startswith(b"{"):
        try:
            json.loads(line)
        except ValueError:
            pass
        else:
            return "jsonl"
    elif named in ("csv", "tsv") and not line.startswith((b"[{", b"[")):
        return "csv"
    if named in ("csv", "tsv"):
        try:
            json.loads(line)
        except ValueError:
            return "csv"
    return "json"


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" not in head


def _by_first_line(path: Path) -> str:
    with path.open("rb") as file:
        line = file.readline(_HEAD)
    return "tsv" if line.count(b"\t") > line.count(b",") + line.count(b";") else "csv"


def _unsupported(filename: str) -> WorkspaceError:
    return WorkspaceError(
        "unsupported-media-type",
        f"{filename} is of no kind that can be read; these are: {', '.join(KINDS)}",
        valid=list(KINDS),
    )
