"""A look at files: their columns, and the exact reader call that reads them so every time.

A look pins everything that DuckDB would otherwise guess again at read time (delimiter, quotes,
header, names, types), so what was planned is what is read. It is remembered with the state of the
files (size, time, inode); when that changes, the look is stale.
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.catalog.model import ColumnInfo
from dovetail.connectors import inspector
from dovetail.connectors.files_formats import (
    READ_COMPRESSED,
    kind_of_bytes,
    open_unpacked,
    split_name,
    unpack,
)
from dovetail.connectors.files_guards import Guard, guards_of
from dovetail.connectors.files_options import render_options, render_value
from dovetail.connectors.files_text import check_utf8, first_lines, looks_delimited, ragged
from dovetail.errors import DataError, DovetailError
from dovetail.quoting import quote, sql_string
from dovetail.types import parse_type

if TYPE_CHECKING:
    import duckdb

# Up to this size every row is looked at for the types, and every byte for its encoding; DuckDB
# sniffs about 100 MB/s.
_FULL_SNIFF_BYTES = 16 << 20
_REMEMBERED = 1000
# DuckDB keeps several buffers per thread, of 32 MB unless it is told. Smaller ones are as fast.
# It holds on to them whatever the memory limit: a large one is what a grouping has no room for.
_BUFFER_BYTES = 2_000_000

Stamp = tuple[str, int, int, int]


@dataclass(frozen=True)
class FileSet:
    """What is to be read as one table: resolved paths in name order, format and checked options.

    ``shown`` is how the user wrote it and how messages repeat it; ``hive`` says that folders named
    ``key=value`` are columns; ``spool`` is where packed files are unpacked.
    """

    paths: tuple[str, ...]
    format: str
    shown: str
    spool: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    hive: bool = False

    def stamps(self) -> tuple[Stamp, ...]:
        """The state of every file now. Raises OSError when one is gone."""
        result = []
        for path in self.paths:
            status = os.stat(path)
            result.append((path, status.st_size, status.st_mtime_ns, status.st_ino))
        return tuple(result)


@dataclass(frozen=True)
class Look:
    """The result: ``columns``, and how to read them.

    ``reader`` is a call such as ``read_csv([…], …)``, or empty for files that come as Arrow;
    ``guards`` maps a column to the pattern or format its text must follow. ``rows`` is exact where
    the format records it, else None. ``pinned`` tells that ``reader`` names all columns and types,
    so that it would read further files of the kind in the same way.
    """

    columns: tuple[ColumnInfo, ...]
    stamps: tuple[Stamp, ...]
    reader: str = ""
    guards: Mapping[str, Guard] = field(default_factory=dict)
    rows: int | None = None
    pinned: bool = True

    def relation(self, place: str) -> str:
        """A parenthesised SELECT that yields the columns; ``place`` names the table in errors."""
        items = []
        for column in self.columns:
            name = quote(column.name)
            guard = self.guards.get(column.name)
            if guard is None:
                items.append(name)
            else:
                items.append(f"{guard.decode(name, f'{place}.{column.name}')} AS {name}")
        return f"(SELECT {', '.join(items)} FROM {self.reader})"


_lock = threading.Lock()
_looks: OrderedDict[tuple[Any, ...], Look] = OrderedDict()
_under_way: dict[tuple[Any, ...], threading.Event] = {}


def look(files: FileSet) -> Look:
    """Look at the files, or recall the look taken when they were in this very state.

    Raises :class:`DataError` for a file that cannot be read as what it claims to be, naming file,
    line and column where there are any, and the option that would read it.
    """
    try:
        stamps = files.stamps()
    except OSError as error:
        raise DataError(f"{files.shown}: {error.strerror}: {error.filename}") from None
    packed = any(split_name(Path(path).name).packing for path in files.paths)
    spool = str(files.spool) if packed else ""
    key = (stamps, files.format, repr(sorted(files.options.items())), files.hive, spool)
    while True:
        with _lock:
            known = _looks.get(key)
            if known is not None:
                _looks.move_to_end(key)
                return known
            over = _under_way.get(key)
            if over is None:
                mine = _under_way[key] = threading.Event()
                break
        over.wait()  # another thread looks at the same files; if that fails, this one will too
    try:
        found = _take(files, stamps)
        with _lock:
            _looks[key] = found
            while len(_looks) > _REMEMBERED:
                _looks.popitem(last=False)
        return found
    finally:
        with _lock:
            del _under_way[key]
        mine.set()


def readable_paths(files: FileSet) -> tuple[str, ...]:
    """The paths to hand to a reader: packed files that it cannot unpack itself are unpacked."""
    result = []
    for path in files.paths:
        packing = split_name(Path(path).name).packing
        packed = packing is not None and (
            packing not in READ_COMPRESSED or files.format in ("arrow", "excel", "parquet")
        )
        result.append(unpack(path, packing, files.spool) if packed and packing else path)
    return tuple(result)


def _take(files: FileSet, stamps: tuple[Stamp, ...]) -> Look:
    import duckdb

    paths = readable_paths(files)
    if files.format in ("arrow", "excel"):
        from dovetail.connectors.files_arrow import look_at_arrow

        columns, rows = look_at_arrow(files, paths)
        return Look(columns, stamps, rows=rows)
    connection = inspector.cursor()
    try:
        if files.format in ("csv", "tsv"):
            return _look_csv(connection, files, paths, stamps)
        if files.format in ("json", "jsonl"):
            return _look_json(connection, files, paths, stamps)
        return _look_parquet(connection, files, paths, stamps)
    except duckdb.Error as error:
        raise reading_error(error, files.shown) from None
    finally:
        connection.close()


def _look_csv(
    connection: duckdb.DuckDBPyConnection,
    files: FileSet,
    paths: tuple[str, ...],
    stamps: tuple[Stamp, ...],
) -> Look:
    options = dict(files.options)
    if files.format == "tsv":
        options.setdefault("delim", "\t")
    if "encoding" not in options and not options.get("ignore_errors"):
        for path in paths:
            # Further on the reader finds wrong bytes itself, in the columns that are read.
            check_utf8(path, split_name(Path(path).name).packing, files.shown, _FULL_SNIFF_BYTES)
    hive = _hive(files, options)
    if "columns" in options or options.get("auto_detect") is False:
        reader = f"read_csv({_listed(paths)}{render_options({**options, **hive})})"
        return Look(_describe(connection, reader), stamps, reader)

    if "sample_size" not in options and sum(s[1] for s in stamps) <= _FULL_SNIFF_BYTES:
        options["sample_size"] = -1
    options.setdefault("comment", "")
    if _names_columns(options):
        options.setdefault("header", True)
    dialect, sniffed = _sniff(connection, files, paths[0], options)
    given_types = options.get("types", {})
    read_options = {**options, **dialect, **hive}
    if len(paths) > 1:
        sniffed = _sniff_many(connection, files, paths, read_options)
        if not options.get("union_by_name"):
            _require_same_columns(connection, files, paths, read_options)
    guards = guards_of(sniffed, read_options, given_types)
    types = {name: "VARCHAR" if name in guards else type_ for name, type_ in sniffed}
    for option in ("types", "all_varchar", "auto_type_candidates", "sample_size"):
        read_options.pop(option, None)
    if len(paths) == 1:
        for option in ("names", "normalize_names"):
            read_options.pop(option, None)
        read_options = {**read_options, "columns": types}
        pinned = {**read_options, "auto_detect": False}
        # Nothing is left to detect. With a large file the engine looks all the same, at one row:
        # that is how it learns the size, which it needs to order joins.
        large = stamps[0][1] > _FULL_SNIFF_BYTES
        read_options = {**read_options, "sample_size": 1} if large else pinned
        if large and "max_line_size" not in options:
            read_options.setdefault("buffer_size", _BUFFER_BYTES)
    else:
        pinned = read_options = {**read_options, "types": types}
    reader = f"read_csv({_listed(paths)}{render_options(read_options)})"
    described = _describe(connection, f"read_csv({_listed(paths)}{render_options(pinned)})")
    columns = tuple(
        ColumnInfo(c.name, guards[c.name].type, str(guards[c.name].type)) if c.name in guards else c
        for c in described
    )
    return Look(columns, stamps, reader, guards)


_NOT_FOR_SNIFFING = (
    "filename",
    "hive_partitioning",
    "hive_types",
    "hive_types_autocast",
    "union_by_name",
)


def _sniff(
    connection: duckdb.DuckDBPyConnection, files: FileSet, path: str, options: dict[str, Any]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The dialect of one CSV file as reader options, and its ``(name, type)`` columns."""
    import duckdb

    packing = split_name(Path(path).name).packing
    delimiter = options.get("delim")
    given = {k: v for k, v in options.items() if k not in _NOT_FOR_SNIFFING}
    try:
        row = connection.execute(
            "SELECT Delimiter, Quote, Escape, SkipRows, HasHeader, Columns, DateFormat, "
            f"TimestampFormat, NewLineDelimiter FROM sniff_csv({_one(path)}{render_options(given)})"
        ).fetchone()
    except duckdb.Error as error:
        found = None
        if not options.get("ignore_errors") and not options.get("null_padding"):
            found = ragged(path, packing, files.shown, delimiter, int(options.get("skip", 0)))
        raise found or reading_error(error, files.shown) from None
    assert row is not None
    columns = [(column["name"], column["type"]) for column in row[5]]
    strict = not (options.get("ignore_errors") or options.get("null_padding"))
    if strict and delimiter is None and "skip" not in options:
        lines = first_lines(path, packing, int(row[3]) + 1)
        # The sniffer takes ragged rows for one column, or skips a header that does not fit.
        suspicious = lines if len(columns) == 1 else lines[:-1]
        if any(looks_delimited(line) for line in suspicious):
            found = ragged(path, packing, files.shown, None)
            if found is not None:
                raise found
    quote_char = options.get("quote", '"' if row[1] in ("(empty)", None) else row[1])
    escape = options.get("escape", quote_char if row[2] in ("(empty)", None) else row[2])
    dialect: dict[str, Any] = {
        "delim": row[0],
        "quote": quote_char,
        "escape": escape,
        "skip": row[3],
        "header": row[4],
    }
    if row[6]:
        dialect["dateformat"] = row[6]
    if row[7]:
        dialect["timestampformat"] = row[7]
    return dialect, columns


def _sniff_many(
    connection: duckdb.DuckDBPyConnection,
    files: FileSet,
    paths: tuple[str, ...],
    options: dict[str, Any],
) -> list[tuple[str, str]]:
    """The columns of several CSV files with types that fit them all."""
    left_out = {"filename": False, "hive_partitioning": False, "files_to_sniff": -1}
    given = {k: v for k, v in options.items() if k not in ("hive_types", "filename")}
    reader = f"read_csv({_listed(paths)}{render_options({**given, **left_out})})"
    return [(c.name, str(c.type)) for c in _describe(connection, reader)]


def _require_same_columns(
    connection: duckdb.DuckDBPyConnection,
    files: FileSet,
    paths: tuple[str, ...],
    options: dict[str, Any],
) -> None:
    """Every file has the same columns, else an error that names file and column."""
    if files.format in ("csv", "tsv") and (not options.get("header") or "names" in options):
        return
    function = "read_parquet" if files.format == "parquet" else "read_csv"
    given = {
        k: v
        for k, v in options.items()
        if k not in ("types", "sample_size", "filename", "hive_types", "union_by_name")
    }
    given["hive_partitioning"] = False
    if function == "read_csv":
        given["all_varchar"] = True
    names = []
    for path in paths:
        described = _describe(connection, f"{function}({_one(path)}{render_options(given)})")
        names.append({c.name.lower(): c.name for c in described})
    for path, have in zip(paths, names, strict=True):
        for other, wanted in zip(paths, names, strict=True):
            missing = [name for key, name in wanted.items() if key not in have]
            if missing:
                raise DataError(
                    f"{path} has no column {missing[0]}, which {other} has; "
                    f"{function}({sql_string(files.shown)}, union_by_name = true) reads it as NULL"
                )


def _names_columns(options: Mapping[str, Any]) -> bool:
    """Whether the types are given for columns that only a header can name.

    DuckDB takes the one line of a file without rows for data, and then misses the columns.
    """
    types = options.get("types")
    if not isinstance(types, Mapping) or not types or "names" in options:
        return False
    return not any(re.fullmatch(r"column\d+", str(name)) for name in types)


def _look_json(
    connection: duckdb.DuckDBPyConnection,
    files: FileSet,
    paths: tuple[str, ...],
    stamps: tuple[Stamp, ...],
) -> Look:
    """JSON is looked at whole: a later number with decimals would else be rounded in silence."""
    options = {**files.options, **_hive(files, files.options)}
    if "format" not in options:
        options["format"] = _json_format(files, paths[0])
    free = {"sample_size": -1, **options}
    loose = f"read_json({_listed(paths)}{render_options(free)})"
    columns = _describe(connection, loose)
    if "columns" in options or options.get("records") == "false":
        return Look(columns, stamps, loose)
    left_out = {"filename": False, "hive_partitioning": False}
    bare = {k: v for k, v in free.items() if k not in ("filename", "hive_types")}
    inside = columns  # what the records hold; not the file's name and what folders add
    if options.get("filename") or options.get("hive_partitioning"):
        alone = f"read_json({_listed(paths)}{render_options({**bare, **left_out})})"
        inside = _describe(connection, alone)
    own = [(c.name, str(c.type)) for c in inside]
    guards = guards_of(own, options, {})
    guards = {name: guard for name, guard in guards.items() if guard.type.family != "integer"}
    types = {name: "VARCHAR" if name in guards else type_ for name, type_ in own}
    pinned = {k: v for k, v in options.items() if k not in ("sample_size", "union_by_name")}
    reader = f"read_json({_listed(paths)}{render_options({**pinned, 'columns': types})})"
    import duckdb

    try:
        described = _describe(connection, reader)
        # A column called "json" may be the whole record; only the sniffing call knows.
        pinned_fits = [c.name for c in described] == [c.name for c in columns] and [
            n for n, _ in own
        ] != ["json"]
    except duckdb.Error:
        pinned_fits = False
    if not pinned_fits:
        return Look(columns, stamps, loose, pinned=False)
    return Look(columns, stamps, reader, guards)


def _json_format(files: FileSet, path: str) -> str:
    try:
        with open_unpacked(path, split_name(Path(path).name).packing) as file:
            head = file.read(4096)
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if files.format == "jsonl":
        return "newline_delimited"
    return "array" if kind_of_bytes(head)[0] == "json" else "unstructured"


def _look_parquet(
    connection: duckdb.DuckDBPyConnection,
    files: FileSet,
    paths: tuple[str, ...],
    stamps: tuple[Stamp, ...],
) -> Look:
    options = {**files.options, **_hive(files, files.options)}
    if len(paths) > 1 and not options.get("union_by_name"):
        _require_same_columns(connection, files, paths, options)
        # Types of the first file would be forced on the others, rounding their numbers.
        bare = f"read_parquet({_listed(paths)}, union_by_name = true)"
        first = f"read_parquet({_one(paths[0])})"
        if {c.name.lower(): c.type for c in _describe(connection, bare)} != {
            c.name.lower(): c.type for c in _describe(connection, first)
        }:
            options["union_by_name"] = True
    reader = f"read_parquet({_listed(paths)}{render_options(options)})"
    columns = _describe(connection, reader)
    row = connection.execute(
        f"SELECT sum(num_rows) FROM parquet_file_metadata({_listed(paths)})"
    ).fetchone()
    return Look(
        tuple(_readable_parquet(connection, paths, columns)),
        stamps,
        reader,
        rows=int(row[0]) if row and row[0] is not None else None,
    )


def _readable_parquet(
    connection: duckdb.DuckDBPyConnection, paths: tuple[str, ...], columns: tuple[ColumnInfo, ...]
) -> list[ColumnInfo]:
    """Mark decimals beyond 38 digits, which DuckDB would read as DOUBLE."""
    wide = dict(
        connection.execute(
            "SELECT name, max(precision) FROM parquet_schema(" + _listed(paths) + ") "
            "WHERE converted_type = 'DECIMAL' AND precision > 38 GROUP BY name"
        ).fetchall()
    )
    result = []
    for column in columns:
        if column.name in wide:
            reason = f"DECIMAL of {wide[column.name]} digits; at most 38 can be read exactly"
            column = ColumnInfo(column.name, column.type, column.native_type, unreadable=reason)
        result.append(column)
    return result


def _hive(files: FileSet, options: Mapping[str, Any]) -> dict[str, Any]:
    if "hive_partitioning" in options:
        return {}
    return {"hive_partitioning": files.hive}


def _describe(connection: duckdb.DuckDBPyConnection, reader: str) -> tuple[ColumnInfo, ...]:
    rows = connection.execute(f"DESCRIBE SELECT * FROM {reader}").fetchall()
    return tuple(ColumnInfo(row[0], parse_type(row[1]), row[1]) for row in rows)


def _one(path: str) -> str:
    """A path as a literal that DuckDB does not take for a pattern."""
    escaped = path.replace("[", "[[]").replace("*", "[*]").replace("?", "[?]")
    return sql_string(escaped)


def _listed(paths: tuple[str, ...]) -> str:
    return "[" + ", ".join(_one(path) for path in paths) + "]"


def reading_error(error: BaseException, shown: str = "") -> DovetailError:
    """A DuckDB error about files as one of ours: one sentence with file, line and the way out.

    ``shown`` is how the user wrote the path, where that is known.
    """
    import re

    text = str(error)
    place = re.search(r"file = (.+)", text) or re.search(r'in file "([^"]+)"', text)
    path = place[1].strip() if place else shown or "a file"
    shown = shown or path
    line = re.search(r"CSV Error on Line: (\d+)", text) or re.search(r"in line (\d+)", text)
    where = f"{path}, line {line[1]}" if line else path
    hint = ""
    if "Expected Number of Columns" in text:
        counts = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
        what = f"{counts[2]} fields where {counts[1]} are expected" if counts else "ragged row"
        hint = "null_padding = true, strict_mode = false"
    elif "not utf-8" in text.lower() or "utf-8 encod" in text.lower():
        what = "not UTF-8"
        hint = "encoding = 'latin-1'" if "CSV" in text else ""
    elif "unterminated quote" in text:
        what = "a quote that never ends"
        hint = "quote = ''"
    elif converting := re.search(
        r'converting column "([^"]+)"\. Could not convert string "(.*?)" to \'?([A-Z() 0-9,]+)',
        text,
        re.S,
    ):
        what = f"column {converting[1]}: {converting[2]!r} does not fit {converting[3].strip()}"
        hint = f"types = {{{sql_string(converting[1])}: 'VARCHAR'}}"
    elif "Maximum line size" in text or "maximum_line_size" in text:
        what, hint = "a line longer than 2,000,000 bytes", "max_line_size = 20000000"
    elif "maximum_object_size" in text:
        what, hint = "an object larger than 16 MB", "maximum_object_size = 200000000"
    elif "possible to automatically detect the CSV" in text:
        what = "no delimiter and quotes fit the whole file"
        hint = "delim = ',', strict_mode = false"
    elif "column with name" in text.lower() and "is missing" in text:
        missing = re.search(r'Column with name: "([^"]+)"', text)
        current = re.search(r"Current file: (.+)", text)
        where = current[1] if current else path
        what = f"no column {missing[1] if missing else ''}"
        hint = "union_by_name = true"
    elif encrypted := re.search(r"(?i)encrypt|decrypt", text):
        del encrypted
        what = "the file is encrypted; decrypt it first"
    else:
        what = re.sub(r"^[A-Z][A-Za-z ]+ Error: ", "", text.split("\n", 1)[0]).strip()
    call = "read_json" if "JSON" in text else "read_csv"
    tail = f"; {call}({render_value(shown)}, {hint}) would read it" if hint else ""
    return DataError(f"{where}: {what}{tail}")
