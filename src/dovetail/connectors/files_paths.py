"""Paths and globs typed in SQL, resolved inside the directories that a session allows."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from dovetail.catalog.model import ColumnInfo, ForeignKey, TableInfo
from dovetail.connectors.files_formats import (
    DATABASE_FORMATS,
    SUPPORTED,
    TABLE_FORMATS,
    kind_of_bytes,
    open_unpacked,
    split_name,
)
from dovetail.connectors.files_look import FileSet, Look, look
from dovetail.connectors.files_options import check_options
from dovetail.errors import (
    BindError,
    DataError,
    NotSupportedError,
    RefusedError,
    UnknownNameError,
)

FILE_FUNCTIONS: dict[str, str] = {
    "read_csv": "csv",
    "read_csv_auto": "csv",
    "read_json": "json",
    "read_json_auto": "json",
    "read_ndjson": "jsonl",
    "read_ndjson_auto": "jsonl",
    "read_parquet": "parquet",
    "parquet_scan": "parquet",
    "read_xlsx": "excel",
    "read_arrow": "arrow",
}
"""Table functions of SQL that read files, and the format each reads."""

_GLOB = frozenset("*?[")


class FileTable(TableInfo):
    """A table made of files. Nothing is opened until its columns are asked for.

    ``files`` says what is read; ``look`` (taken once) gives columns, types and the reader call.
    ``refind`` finds the paths again, so that files that appear or vanish are noticed. Asking for
    ``columns`` raises :class:`DataError` for files that cannot be read.
    """

    files: FileSet
    refind: Callable[[], tuple[str, ...]] | None

    def __init__(
        self,
        source: str,
        schema: str,
        name: str,
        files: FileSet,
        *,
        refind: Callable[[], tuple[str, ...]] | None = None,
        comment: str = "",
    ) -> None:
        values: dict[str, object] = {
            "source": source,
            "schema": schema,
            "name": name,
            "kind": "file",
            "source_schema": schema,
            "source_name": name,
            "comment": comment,
            "primary_key": (),
            "unique_keys": (),
            "foreign_keys": tuple[ForeignKey, ...](),
            "details": {"format": files.format, "paths": files.paths},
            "files": files,
            "refind": refind,
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    @cached_property
    def look(self) -> Look:
        """What the files hold; taken on first use and kept, so that a plan stays consistent."""
        return look(self.files)

    @property
    def columns(self) -> tuple[ColumnInfo, ...]:
        """The columns, sniffed on first use."""
        return self.look.columns

    @property
    def row_estimate(self) -> int | None:
        """Exact for Parquet and Excel; unknown for the others and for files not yet readable."""
        if self.files.format not in ("parquet", "excel"):
            return None
        try:
            return self.look.rows
        except DataError:
            return None

    @property
    def byte_estimate(self) -> int | None:
        """The files' size on disk, or None when one is gone."""
        try:
            return sum(stamp[1] for stamp in self.files.stamps())
        except OSError:
            return None

    def changed(self) -> bool:
        """Whether a file was changed, added or removed since the look was taken."""
        try:
            if self.refind is not None and self.refind() != self.files.paths:
                return True
            return self.files.stamps() != self.look.stamps
        except (OSError, UnknownNameError):
            return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FileTable) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        return f"FileTable({self.qualified_name!r}, {self.files.format}, {self.files.shown!r})"

    def _identity(self) -> tuple[Any, ...]:
        options = tuple(sorted((key, repr(value)) for key, value in self.files.options.items()))
        return (self.source, self.schema, self.name, self.files.paths, self.files.format, options)


def file_table(
    path: str | Sequence[str],
    *,
    base_directory: Path,
    allowed_directories: Sequence[Path],
    spool_directory: Path,
    format: str | None = None,
    options: Mapping[str, Any] | None = None,
    source: str = "",
    name: str | None = None,
) -> FileTable:
    """The table that a path, a glob, a folder or a list of them stands for.

    Relative paths start at ``base_directory``; ``~`` is the home folder. Every file, links
    resolved, must lie in ``allowed_directories``.

    Raises :class:`RefusedError` outside of these, :class:`UnknownNameError` when nothing is there
    (with near names, or the folder searched), :class:`BindError` for a database file without a
    table, mixed formats or a wrong option, :class:`NotSupportedError` for an unknown kind of file.
    """
    patterns = [path] if isinstance(path, str) else list(path)
    shown = patterns[0] if len(patterns) == 1 else ", ".join(patterns)

    def find() -> tuple[str, ...]:
        found: list[str] = []
        for pattern in patterns:
            found.extend(find_files(pattern, base_directory, allowed_directories))
        return tuple(dict.fromkeys(found))

    paths = find()
    kinds = {one: _format_of(one, shown) for one in paths} if format is None else {}
    found_formats = sorted(set(kinds.values())) if format is None else [format]
    if len(found_formats) > 1:
        raise BindError(f"{shown} matches files of several formats: {', '.join(found_formats)}")
    kind = found_formats[0]
    if kind in DATABASE_FORMATS:
        raise BindError(
            f"{shown} is a {'SQLite' if kind == 'sqlite' else 'DuckDB'} database; "
            f"name a table in it: '{shown}'.table"
        )
    checked = check_options(kind, options or {}, f"{shown}")
    hive = any("=" in part for part in _parts_below(patterns[0], paths[0], base_directory))
    files = FileSet(paths, kind, shown, spool_directory, checked, hive)
    stem = name or split_name(Path(paths[0] if len(paths) == 1 else patterns[0]).name).stem
    is_pattern = len(paths) > 1 or any(set(pattern) & _GLOB for pattern in patterns)
    return FileTable(source, "", stem, files, refind=find if is_pattern else None)


def file_function(
    function: str,
    arguments: Sequence[Any],
    options: Mapping[str, Any],
    *,
    base_directory: Path,
    allowed_directories: Sequence[Path],
    spool_directory: Path,
    source: str = "",
) -> FileTable:
    """The table of a ``read_csv(…)``, ``read_json``, ``read_parquet``, ``read_xlsx`` call.

    ``arguments`` are the call's values: one path, glob or list of them. Raises as
    :func:`file_table` does, and :class:`BindError` for anything but that one argument.
    """
    lowered = function.lower()
    if lowered not in FILE_FUNCTIONS:
        raise UnknownNameError(
            f"no file function {function}", suggestions=tuple(sorted(FILE_FUNCTIONS))
        )
    paths = arguments[0] if len(arguments) == 1 else None
    if isinstance(paths, (list, tuple)) and paths and all(isinstance(p, str) for p in paths):
        paths = list(paths)
    elif not isinstance(paths, str):
        raise BindError(
            f"{lowered} takes one path, glob or list of paths in quotes, then name = value options"
        )
    kind = FILE_FUNCTIONS[lowered]
    if kind == "json" and isinstance(paths, str) and split_name(Path(paths).name).format == "jsonl":
        kind = "jsonl"
    return file_table(
        paths,
        base_directory=base_directory,
        allowed_directories=allowed_directories,
        spool_directory=spool_directory,
        format=kind,
        options=options,
        source=source,
    )


def database_file(
    path: str, *, base_directory: Path, allowed_directories: Sequence[Path]
) -> tuple[str, Path]:
    """``(kind, resolved path)`` of a SQLite or DuckDB file named in ``'db.sqlite'.table``.

    Raises as :func:`file_table` does, and :class:`BindError` for a file of another kind.
    """
    found = find_files(path, base_directory, allowed_directories)
    kind = _format_of(found[0], path)
    if len(found) != 1 or kind not in DATABASE_FORMATS:
        raise BindError(f"{path} is not a SQLite or DuckDB database, so it holds no tables by name")
    return kind, Path(found[0])


def find_files(
    pattern: str, base_directory: Path, allowed_directories: Sequence[Path]
) -> tuple[str, ...]:
    """The files of a path, glob or folder: absolute, links resolved, in the order of their names.

    Raises as :func:`file_table` does.
    """
    if "://" in pattern.split("/", 2)[0] + "//" and pattern.partition("://")[1]:
        raise NotSupportedError(
            f"{pattern}: this address is not read; download the file, or configure a source"
        )
    expanded = os.path.expanduser(pattern)
    full = os.path.join(base_directory, expanded)
    if "\0" in full:
        raise BindError("a path cannot hold a NUL byte")
    fixed = full
    is_glob = not os.path.lexists(full) and bool(set(expanded) & _GLOB)
    if is_glob:
        fixed = _fixed_part(full)
    require_allowed(fixed, pattern, allowed_directories)
    if is_glob:
        candidates = sorted(glob.glob(full, recursive=True))
    elif os.path.isdir(full):
        candidates = _tables_below(full)
    else:
        candidates = [full] if os.path.isfile(full) else []
    found = []
    for candidate in candidates:
        if os.path.isfile(candidate):
            found.append(require_allowed(candidate, pattern, allowed_directories))
    if found:
        return tuple(dict.fromkeys(found))
    if is_glob or os.path.isdir(full):
        raise UnknownNameError(f"no file matches {pattern!r}; searched in {fixed}")
    raise _no_file(pattern, full)


def require_allowed(path: str, shown: str, allowed_directories: Sequence[Path]) -> str:
    """The real path of ``path`` if it lies in an allowed directory, else :class:`RefusedError`."""
    real = os.path.realpath(path)
    for directory in allowed_directories:
        root = os.path.realpath(directory)
        if real == root or real.startswith(root.rstrip(os.sep) + os.sep):
            return real
    places = ", ".join(str(directory) for directory in allowed_directories)
    raise RefusedError(
        f"{shown!r} is outside the directories this session may read "
        + (f"({places})" if places else "(there are none)")
    )


def _fixed_part(pattern: str) -> str:
    """The folder before the first part with a wildcard."""
    parts = pattern.split(os.sep)
    for index, part in enumerate(parts):
        if set(part) & _GLOB:
            return os.sep.join(parts[:index]) or os.sep
    return pattern


def _tables_below(folder: str) -> list[str]:
    found = []
    for directory, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        for name in sorted(names):
            if not name.startswith((".", "_")) and split_name(name).format in TABLE_FORMATS:
                found.append(os.path.join(directory, name))
    return sorted(found)


def _parts_below(pattern: str, path: str, base_directory: Path) -> list[str]:
    """The folders of ``path`` that the pattern spells or matches, where ``key=value`` counts."""
    full = os.path.join(base_directory, os.path.expanduser(pattern))
    base = full if os.path.isdir(full) else _fixed_part(full) if set(full) & _GLOB else ""
    if base:
        return os.path.relpath(path, os.path.realpath(base)).split(os.sep)[:-1]
    return list(Path(pattern).parts[:-1])


def _no_file(pattern: str, full: str) -> UnknownNameError:
    folder = os.path.dirname(full)
    if not os.path.isdir(folder):
        return UnknownNameError(f"no file {pattern!r}: there is no folder {folder}")
    from rapidfuzz import fuzz, process

    names = [n for n in os.listdir(folder) if os.path.isfile(os.path.join(folder, n))]
    wanted = os.path.basename(full)
    matches = process.extract(wanted, names, scorer=fuzz.ratio, limit=3, score_cutoff=60)
    prefix = pattern[: len(pattern) - len(wanted)] if pattern.endswith(wanted) else ""
    near = [prefix + match[0] for match in matches]
    hint = f"; did you mean {', '.join(repr(one) for one in near)}?" if near else ""
    return UnknownNameError(f"no file {pattern!r} in {folder}{hint}", suggestions=near)


def _format_of(path: str, shown: str) -> str:
    """The format of a file by its name, else by its first bytes."""
    name = split_name(Path(path).name)
    if name.format in (*TABLE_FORMATS, "duckdb"):
        return name.format
    if name.format == "sqlite" and not path.lower().endswith(".db"):
        return "sqlite"
    try:
        with open_unpacked(path, name.packing) as file:
            head = file.read(4096)
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    found, packing = kind_of_bytes(head)
    if found is None or packing is not None or (found == "csv" and b"\0" in head):
        raise NotSupportedError(f"{shown} is not a kind of file that is read; known: {SUPPORTED}")
    return found
