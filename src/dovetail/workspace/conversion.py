"""An uploaded file becomes Parquet: read through a session of its own, written by DuckDB.

The session may read the upload's folder and nothing else. Nothing is dropped in silence: a line
that does not fit stops the upload with its number, unless the client asked for such lines to be
skipped; then they are counted.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.config import Config, FilesSettings, FileTableSettings, Limits
from dovetail.errors import DovetailError, NotSupportedError, QueryError
from dovetail.session import Session
from dovetail.workspace.problems import WorkspaceError, invalid
from dovetail.workspace.upload_formats import UploadedFile, reader_options

if TYPE_CHECKING:
    import duckdb

_MEMORY = 512 << 20
# Half of the processors: queries and other calls go on while a file is read in.
_THREADS = max(1, (os.cpu_count() or 1) // 2)
_SHOWN_LINES = 5


@dataclass(frozen=True)
class Converted:
    """What came out: columns as ``(name, DuckDB type)``."""

    columns: tuple[tuple[str, str], ...]
    rows: int
    bytes: int
    rejected_rows: int = 0
    rejected_lines: tuple[int, ...] = ()
    sheets: tuple[str, ...] = ()


def convert(
    file: UploadedFile, filename: str, options: Mapping[str, Any], target: Path
) -> Converted:
    """Read ``file`` and write ``target``, a Parquet file of mode 0400.

    Raises:
        WorkspaceError: ``file-unreadable`` (``lines`` where known), ``file-empty``,
            ``validation`` for ``options``.
    """
    given = reader_options(file, options)
    sheets: tuple[str, ...] = ()
    if file.format == "excel":
        sheets, given["sheet"] = _sheets(file.path, filename, given.get("sheet"))
    folder = file.path.parent
    table = FileTableSettings(
        path=file.path.name,
        format=file.format,  # type: ignore[arg-type]
        options=given,
    )
    source = FilesSettings(kind="files", path=folder, tables={"rows": table})
    config = Config(sources={"upload": source}, limits=Limits(memory=_MEMORY, threads=_THREADS))
    try:
        with (
            Session(config, temporary_directory=folder) as session,
            session.sql("FROM upload.rows") as result,
        ):
            columns, rows = write_parquet(result.reader(), target, folder)
    except (QueryError, NotSupportedError) as error:
        raise _unreadable(error, file, filename, given) from None
    rejected, lines = _rejected(file, given, folder) if given.get("ignore_errors") else (0, ())
    target.chmod(0o400)
    return Converted(columns, rows, target.stat().st_size, rejected, lines, sheets)


def write_parquet(
    rows: object, target: Path, scratch: Path
) -> tuple[tuple[tuple[str, str], ...], int]:
    """Write a stream of record batches as Parquet, in order, in bounded memory.

    Returns:
        ``((name, DuckDB type), …)`` as the file has them, and the number of rows.
    """
    with private_duckdb(scratch) as connection:
        connection.register("rows", rows)
        counted = connection.execute(
            "COPY (FROM rows) TO ? (FORMAT parquet, COMPRESSION zstd)", [str(target)]
        ).fetchone()
        described = connection.execute(
            "DESCRIBE SELECT * FROM read_parquet(?)", [str(target)]
        ).fetchall()
    assert counted is not None
    return tuple((row[0], row[1]) for row in described), int(counted[0])


@contextlib.contextmanager
def private_duckdb(scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB for statements of our own over files of our own; no user's SQL gets near it."""
    import duckdb

    config: dict[str, Any] = {
        "memory_limit": f"{_MEMORY}B",
        "threads": _THREADS,
        "temp_directory": str(scratch / "spill"),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
    }
    with duckdb.connect(":memory:", config=config) as connection:
        connection.execute("SET TimeZone='UTC'")
        connection.execute("SET enable_progress_bar=false")
        yield connection


def _rejected(
    file: UploadedFile, options: Mapping[str, Any], scratch: Path
) -> tuple[int, tuple[int, ...]]:
    """How many lines were skipped, and the first of their numbers."""
    from dovetail.connectors.files_options import render_options

    given = {"delim": "\t", **options} if file.format == "tsv" else dict(options)
    with private_duckdb(scratch) as connection:
        connection.execute(
            "COPY (SELECT * FROM read_csv(?, store_rejects = true"
            f"{render_options(given)})) TO '/dev/null' (FORMAT csv)",
            [str(file.path)],
        )
        rows = connection.execute(
            "SELECT DISTINCT line FROM reject_errors ORDER BY line"
        ).fetchall()
    return len(rows), tuple(int(line) for (line,) in rows[:_SHOWN_LINES])


def _unreadable(
    error: DovetailError, file: UploadedFile, filename: str, options: Mapping[str, Any]
) -> WorkspaceError:
    """The error in terms of what the client sent: its file name, its options."""
    message = error.message.replace(str(file.path), filename).replace(file.path.name, filename)
    message = message.replace(str(file.path.parent), "").replace("source upload: ", "")
    # The files source advises in terms of read_csv(…), which a client of the service cannot write.
    message, _, advice = message.partition("; ")
    if "encoding" in advice:
        message += "; if the file is in another encoding, name it: options.encoding = latin-1"
    elif "ignore_errors" in advice:
        message += "; options.on_error = skip leaves such lines out and counts them"
    elif advice and "read_" not in advice:
        message += f"; {advice}"
    if re.search(r"(?i)is empty|no columns|holds no", message):
        return WorkspaceError("file-empty", message)
    lines = [
        int(number.replace(",", "")) for number in re.findall(r"(?i)\bline ([\d,]*\d)", message)
    ]
    if lines and "skip leaves such lines out" in message:
        with contextlib.suppress(Exception):  # only to name more of them
            more = _rejected(file, {**options, "ignore_errors": True}, file.path.parent)[1]
            lines = list(more) or lines
            if len(lines) > 1:
                message += f"; the first such lines are {', '.join(map(str, lines))}"
    return WorkspaceError("file-unreadable", message, lines=lines[:_SHOWN_LINES])


def _sheets(path: Path, filename: str, wanted: str | int | None) -> tuple[tuple[str, ...], str]:
    """The names of a workbook's sheets, and the one to read: by name, by number from 1, or the
    first that holds anything.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        with CalamineWorkbook.from_path(str(path)) as workbook:
            names = tuple(workbook.sheet_names)
            filled = [n for n in names if wanted is None and workbook.get_sheet_by_name(n).height]
    except CalamineError as error:
        raise WorkspaceError("file-unreadable", f"{filename}: {error}", lines=[]) from None
    if wanted is None:
        if not filled:
            raise WorkspaceError("file-empty", f"{filename} has no sheet with anything in it")
        return names, filled[0]
    if isinstance(wanted, int) and 1 <= wanted <= len(names):
        return names, names[wanted - 1]
    if wanted not in names:
        raise invalid("options.sheet", "there is no such sheet", valid=list(names))
    return names, str(wanted)
