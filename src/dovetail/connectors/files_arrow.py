"""Files that reach the engine as Arrow batches: Arrow/Feather (IPC stream and file) and Excel."""

from __future__ import annotations

import datetime as dt
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.catalog.model import ColumnInfo, distinct_names
from dovetail.connectors import inspector
from dovetail.errors import BindError, ConfigError, DataError
from dovetail.types import parse_type

if TYPE_CHECKING:
    import pyarrow as pa

    from dovetail.connectors.files_look import FileSet

_BATCH_ROWS = 65_536
_lock = threading.Lock()
_sheets: OrderedDict[tuple[Any, ...], pa.Table] = OrderedDict()


def look_at_arrow(
    files: FileSet, paths: Sequence[str]
) -> tuple[tuple[ColumnInfo, ...], int | None]:
    """Columns, and the number of rows where it is known without reading.

    A column that DuckDB cannot carry is listed as unreadable with its reason.
    """
    if files.format == "excel":
        tables = [_sheet(files, path) for path in paths]
        _require_same(files, paths, [table.schema for table in tables])
        return _columns(tables[0].schema), sum(table.num_rows for table in tables)
    schemas = []
    for path in paths:
        with _ipc(path) as (reader, _):
            schemas.append(reader.schema)
    _require_same(files, paths, schemas)
    return _columns(schemas[0]), None


def open_arrow(files: FileSet, paths: Sequence[str], names: Sequence[str]) -> pa.RecordBatchReader:
    """A reader of the columns ``names``, in that order, of all files one after another.

    Values that the carried type cannot hold exactly raise :class:`DataError` with the column.
    """
    import pyarrow as pa

    if files.format == "excel":
        tables = [_sheet(files, path).select(list(names)) for path in paths]
        table = pa.concat_tables(tables)
        return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(_BATCH_ROWS))
    with _ipc(paths[0]) as (first, _):
        fields = [first.schema.field(name) for name in names]
    schema = pa.schema([pa.field(f.name, _carried(f.type) or f.type) for f in fields])

    def batches() -> Iterator[pa.RecordBatch]:
        for path in paths:
            with _ipc(path) as (_, each):
                for batch in each:
                    yield _carry(batch.select(list(names)), schema, path)

    return pa.RecordBatchReader.from_batches(schema, batches())


class _ipc:  # noqa: N801 - reads as a function in "with"
    """An open IPC file or stream: ``(reader, iterator of batches)``."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> tuple[Any, Iterator[pa.RecordBatch]]:
        import pyarrow as pa
        from pyarrow import ipc

        self._source = pa.memory_map(self._path, "r") if Path(self._path).stat().st_size else None
        try:
            if self._source is None:
                raise pa.ArrowInvalid("the file is empty")
            head = self._source.read(6)
            self._source.seek(0)
            if head == b"ARROW1":
                file = ipc.open_file(self._source)
                count = file.num_record_batches
                return file, (file.get_batch(index) for index in range(count))
            if head.startswith(b"FEA1"):
                raise pa.ArrowInvalid("Feather version 1; write it again as version 2")
            stream = ipc.open_stream(self._source)
            return stream, iter(stream)
        except (pa.ArrowException, OSError) as error:
            self.__exit__()
            raise DataError(f"{self._path} is not an Arrow file: {error}") from None

    def __exit__(self, *_: object) -> None:
        if self._source is not None:
            self._source.close()


def _require_same(files: FileSet, paths: Sequence[str], schemas: Sequence[pa.Schema]) -> None:
    for path, schema in zip(paths, schemas, strict=True):
        first = schemas[0]
        missing = [name for name in first.names if name not in schema.names]
        extra = [name for name in schema.names if name not in first.names]
        if missing or extra:
            here, there = (path, paths[0]) if missing else (paths[0], path)
            raise DataError(f"{here} has no column {(missing or extra)[0]}, which {there} has")
        for name in first.names:
            if schema.field(name).type != first.field(name).type:
                raise DataError(
                    f"{path}: column {name} is {schema.field(name).type}, but "
                    f"{first.field(name).type} in {paths[0]}"
                )


def _columns(schema: pa.Schema) -> tuple[ColumnInfo, ...]:
    """Each field's DuckDB type, asked of DuckDB itself over an empty table."""
    import duckdb
    import pyarrow as pa

    result = []
    visible = distinct_names(schema.names)
    with closing(inspector.cursor()) as connection:
        for field, name in zip(schema, visible, strict=True):
            carried = _carried(field.type)
            reason = None if carried is not None else f"Arrow type {field.type} cannot be carried"
            text = "VARCHAR"
            if carried is not None:
                empty = pa.schema([pa.field("c", carried)]).empty_table()
                connection.register("looked_at", empty)
                try:
                    row = connection.execute("DESCRIBE SELECT c FROM looked_at").fetchone()
                    text = row[1] if row else text
                except duckdb.Error as error:
                    reason = f"Arrow type {field.type}: {str(error).splitlines()[0]}"
                finally:
                    connection.unregister("looked_at")
            result.append(
                ColumnInfo(
                    name,
                    parse_type(text),
                    str(field.type),
                    field.nullable,
                    source_name=field.name,
                    unreadable=reason,
                )
            )
    return tuple(result)


def _carried(type_: pa.DataType) -> pa.DataType | None:
    """The Arrow type in which DuckDB takes values of ``type_`` exactly; None if there is none."""
    import pyarrow as pa
    from pyarrow import types

    if types.is_float16(type_):
        return pa.float32()
    if types.is_decimal(type_):
        precision, scale = type_.precision, type_.scale
        if scale < 0:
            precision, scale = precision - scale, 0
        return pa.decimal128(precision, scale) if precision <= 38 else None
    if types.is_timestamp(type_) and type_.tz is not None:
        return pa.timestamp("us", type_.tz)
    if types.is_duration(type_):
        return pa.duration("us")
    if types.is_date64(type_):
        return pa.date32()
    if types.is_union(type_):
        return None
    if types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_):
        inner = _carried(type_.value_type)
        if inner is None or inner == type_.value_type:
            return None if inner is None else type_
        if types.is_fixed_size_list(type_):
            return pa.list_(inner, type_.list_size)
        return pa.large_list(inner) if types.is_large_list(type_) else pa.list_(inner)
    if types.is_struct(type_):
        fields = [(f.name, _carried(f.type)) for f in type_]
        if any(inner is None for _, inner in fields):
            return None
        if all(inner == f.type for f, (_, inner) in zip(type_, fields, strict=True)):
            return type_
        return pa.struct(fields)
    if types.is_map(type_):
        key, item = _carried(type_.key_type), _carried(type_.item_type)
        if key is None or item is None:
            return None
        return type_ if (key, item) == (type_.key_type, type_.item_type) else pa.map_(key, item)
    return type_


def _carry(batch: pa.RecordBatch, schema: pa.Schema, path: str) -> pa.RecordBatch:
    """A batch in the carried types, its text checked to be UTF-8."""
    import pyarrow as pa
    from pyarrow import types

    arrays = []
    for field, array in zip(schema, batch.columns, strict=True):
        try:
            array.validate(full=True)
            if array.type != field.type:
                cast = array.cast(field.type, safe=True)
                # A cast of milliseconds to days cuts in silence.
                if types.is_date64(array.type) and not cast.cast(array.type).equals(array):
                    raise pa.ArrowInvalid("a date64 value holds a time of day")
                array = cast
        except pa.ArrowException as error:
            text = str(error).splitlines()[0]
            raise DataError(f"{path}, column {field.name}: {text}") from None
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _sheet(files: FileSet, path: str) -> pa.Table:
    """One sheet as a table; the last few are remembered with the state of their file."""
    status = Path(path).stat()
    options = tuple(sorted((k, str(v)) for k, v in files.options.items()))
    key = (path, status.st_size, status.st_mtime_ns, status.st_ino, options)
    with _lock:
        if key in _sheets:
            _sheets.move_to_end(key)
            return _sheets[key]
    table = _read_sheet(files, path)
    with _lock:
        _sheets[key] = table
        while len(_sheets) > 4:
            _sheets.popitem(last=False)
    return table


def _read_sheet(files: FileSet, path: str) -> pa.Table:
    try:
        import python_calamine as calamine
    except ImportError:
        raise ConfigError(
            f"{path}: Excel files need python-calamine; install with: pip install 'dovetail[excel]'"
        ) from None
    import pyarrow as pa

    try:
        with calamine.CalamineWorkbook.from_path(path) as workbook:
            name = _sheet_name(workbook.sheet_names, files, path)
            rows = workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except calamine.PasswordError:
        raise DataError(f"{path} needs a password; save it without one to read it") from None
    except calamine.CalamineError as error:
        raise DataError(f"{path} cannot be read as a workbook: {error}") from None
    rows = rows[int(files.options.get("skip", 0)) :]
    width = max((_used(row) for row in rows), default=0)
    header = files.options.get("header")
    if header is None:
        header = bool(rows) and all(isinstance(cell, str) for cell in rows[0][:width])
    names = [f"column{index}" for index in range(width)]
    if header and rows:
        given = [str(cell).strip() for cell in rows[0][:width]]
        given += [""] * (width - len(given))
        names = [one or fallback for one, fallback in zip(given, names, strict=True)]
        rows = rows[1:]
    arrays = []
    for index in range(width):
        cells = [row[index] if index < len(row) and row[index] != "" else None for row in rows]
        arrays.append(_column(cells, bool(files.options.get("all_varchar"))))
    return pa.table(dict(zip(distinct_names(names), arrays, strict=True)))


def _sheet_name(names: Sequence[str], files: FileSet, path: str) -> str:
    wanted = files.options.get("sheet")
    if not names:
        raise DataError(f"{path} holds no sheet")
    if wanted is None:
        return names[0]
    for name in names:
        if name.lower() == str(wanted).lower():
            return name
    raise BindError(
        f"{path} has no sheet {str(wanted)!r}; it has {', '.join(names)}", suggestions=list(names)
    )


def _used(row: Sequence[Any]) -> int:
    return max((index + 1 for index, cell in enumerate(row) if cell != ""), default=0)


def _column(cells: Sequence[Any], as_text: bool) -> pa.Array:
    """Cells as the narrowest type that holds them all exactly; a mixture becomes text.

    Excel has no integers: numbers without a fraction, all within ±2^53, become BIGINT.
    """
    import pyarrow as pa

    kinds = {type(cell) for cell in cells if cell is not None}
    if not kinds or kinds == {str} or as_text:
        return pa.array([None if c is None else _text(c) for c in cells], pa.string())
    if kinds == {bool}:
        return pa.array(cells, pa.bool_())
    if kinds <= {int, float}:
        if all(c is None or (float(c).is_integer() and abs(c) <= 2**53) for c in cells):
            return pa.array([None if c is None else int(c) for c in cells], pa.int64())
        return pa.array([None if c is None else float(c) for c in cells], pa.float64())
    if kinds == {dt.date}:
        return pa.array(cells, pa.date32())
    if kinds <= {dt.date, dt.datetime}:
        stamps = [dt.datetime(c.year, c.month, c.day) if type(c) is dt.date else c for c in cells]
        return pa.array(stamps, pa.timestamp("us"))
    if kinds == {dt.time}:
        return pa.array(cells, pa.time64("us"))
    if kinds == {dt.timedelta}:
        return pa.array(cells, pa.duration("us"))
    return pa.array([None if c is None else _text(c) for c in cells], pa.string())


def _text(cell: Any) -> str:
    """A cell as text, as DuckDB writes the value."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) <= 2**53:
        return str(int(cell))
    return str(cell)
