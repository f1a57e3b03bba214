"""Whole results as files, in any format that :mod:`dovetail.present` writes."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import IO
from urllib.parse import quote

from dovetail.interfaces.rest.pools import Pools
from dovetail.present.formats import format_named
from dovetail.present.layout import Layout
from dovetail.present.write import output_columns, write
from dovetail.workspace.shapes import StoredResult

_CHUNK = 1 << 18
SHEET_ROWS = 1_048_575
"""Rows of one sheet, below its header."""


@dataclass(frozen=True)
class Kind:
    """One format of a download: the writer's name for it, media type and ending."""

    writer: str
    media_type: str
    ending: str


KINDS = {
    "csv": Kind("csv", "text/csv; charset=utf-8", "csv"),
    "tsv": Kind("tsv", "text/tab-separated-values; charset=utf-8", "tsv"),
    "json": Kind("json", "application/json", "json"),
    "jsonl": Kind("jsonl", "application/x-ndjson", "jsonl"),
    "parquet": Kind("parquet", "application/vnd.apache.parquet", "parquet"),
    "arrow": Kind("arrow", "application/vnd.apache.arrow.stream", "arrows"),
    "xlsx": Kind(
        "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"
    ),
}


def written(
    stored: StoredResult, kind: Kind, folder: str, *, bom: bool, escape_formulas: bool
) -> tuple[IO[bytes], int]:
    """The whole result in a file that has no name, and its length.

    Nothing is sent before all of it is written, so an answer is never half a document; and a file
    without a name is gone with the process, however that ends.
    """
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - whoever sends it closes it
    try:
        columns = output_columns((c.name, c.type) for c in stored.columns)
        reader = stored.open()
        layout = Layout(bom=bom, escape_formulas=escape_formulas)
        write(reader, reader.schema, columns, format_named(kind.writer), file, layout)
        length = file.tell()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file, length


async def chunks(pools: Pools, file: IO[bytes]) -> AsyncIterator[bytes]:
    """The file's bytes, read in a thread."""
    try:
        while data := await pools.short(file.read, _CHUNK):
            yield data
    finally:
        file.close()


def disposition(name: str) -> str:
    """``Content-Disposition`` (RFC 6266) for a file of any name."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in " ._-") else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
