"""Every type of every file format, against what pyarrow, csv, json and openpyxl read."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from tests.connectors.suite import read, request_for
from tests.connectors.test_files import Folder

from dovetail.errors import DataError

_T = dt.datetime(2024, 2, 29, 12, 34, 56, 123456)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "files").mkdir()
    (tmp_path / "spool").mkdir(mode=0o700)
    return Folder(tmp_path / "files", tmp_path / "spool")


def nanoseconds(values: list[int], type_: pa.DataType) -> pa.Array:
    return pa.array(values, pa.int64()).cast(type_)


# (name, array, Dovetail type)
ARRAYS: list[tuple[str, pa.Array, str]] = [
    ("bool", pa.array([True, False, None]), "BOOLEAN"),
    *(
        (f"int{b}", pa.array([-(2 ** (b - 1)), 2 ** (b - 1) - 1, None], f"int{b}"), name)
        for b, name in [(8, "TINYINT"), (16, "SMALLINT"), (32, "INTEGER"), (64, "BIGINT")]
    ),
    *(
        (f"uint{b}", pa.array([0, 2**b - 1, None], f"uint{b}"), f"U{name}")
        for b, name in [(8, "TINYINT"), (16, "SMALLINT"), (32, "INTEGER"), (64, "BIGINT")]
    ),
    ("float16", pa.array([np.float16(1.5), np.float16(65504), None], pa.float16()), "FLOAT"),
    ("float32", pa.array([0.1, 3.4e38, -0.0, None], pa.float32()), "FLOAT"),
    ("float64", pa.array([0.1, 5e-324, 1.7e308, float("inf"), None]), "DOUBLE"),
    ("decimal", pa.array([Decimal("9" * 36 + ".99"), None], pa.decimal128(38, 2)), "DECIMAL(38,2)"),
    ("decimal4", pa.array([Decimal("-99.99"), None], pa.decimal128(4, 2)), "DECIMAL(4,2)"),
    ("string", pa.array(["", "ü😀", "a ", "x" * 70000, None]), "VARCHAR"),
    ("large_string", pa.array(["ü", None], pa.large_string()), "VARCHAR"),
    ("dictionary", pa.array(["a", "b", None, "a"]).dictionary_encode(), "VARCHAR"),
    ("binary", pa.array([b"", bytes(range(256)), None]), "BLOB"),
    ("fixed", pa.array([b"ab", None], pa.binary(2)), "BLOB"),
    ("date", pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31), None]), "DATE"),
    ("time", pa.array([dt.time(0), dt.time(23, 59, 59, 999999), None], pa.time64("us")), "TIME"),
    ("timestamp", pa.array([_T, dt.datetime(1, 1, 1), None], pa.timestamp("us")), "TIMESTAMP"),
    ("list", pa.array([[1, None], [], None], pa.list_(pa.int32())), "INTEGER[]"),
    ("struct", pa.array([{"a": 1, "b": "x"}, None]), "STRUCT(a BIGINT, b VARCHAR)"),
    ("map", pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
     "MAP(VARCHAR, BIGINT)"),
    ("nested", pa.array([[{"a": [1.5]}], None]), "STRUCT(a DOUBLE[])[]"),
]  # fmt: skip

ARROW_ONLY: list[tuple[str, pa.Array, str]] = [
    ("millis", pa.array([1709210096123, None], pa.timestamp("ms")), "TIMESTAMP_MS"),
    ("seconds", pa.array([1709210096, None], pa.timestamp("s")), "TIMESTAMP_S"),
    ("date64", pa.array([86_400_000, None], pa.date64()), "DATE"),
    ("time32", pa.array([43200, None], pa.time32("s")), "TIME"),
    ("decimal256", pa.array([Decimal("1.50"), None], pa.decimal256(30, 2)), "DECIMAL(30,2)"),
    ("decimal32", pa.array([Decimal("1.50")], pa.decimal32(5, 2)), "DECIMAL(5,2)"),
    ("negative_scale", pa.array([Decimal("1500")], pa.decimal128(5, -2)), "DECIMAL(7,0)"),
    ("string_view", pa.array(["ü", None], pa.string_view()), "VARCHAR"),
    ("large_list", pa.array([[1], None], pa.large_list(pa.int8())), "TINYINT[]"),
    ("fixed_list", pa.array([[1, 2], None], pa.list_(pa.int8(), 2)), "TINYINT[2]"),
]


def plain(value: Any) -> Any:
    """Values that Arrow spells in more than one way, in one."""
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return dict(value)
    return value


def write(folder: Folder, kind: str, table: pa.Table) -> str:
    path = folder.path / f"t.{kind}"
    if kind == "parquet":
        pq.write_table(table, path)
    elif kind == "feather":
        pyarrow.feather.write_feather(table, str(path), compression="lz4")
    else:
        with pyarrow.ipc.new_stream(str(path), table.schema) as writer:
            writer.write_table(table)
    return path.name


@pytest.mark.parametrize("kind", ["parquet", "feather", "arrows"])
@pytest.mark.parametrize(
    ("array", "type_"), [(a, t) for _, a, t in ARRAYS], ids=[name for name, _, _ in ARRAYS]
)
def test_parquet_and_arrow(folder: Folder, kind: str, array: pa.Array, type_: str) -> None:
    name = write(folder, kind, pa.table({"c": array}))
    assert [str(c.type) for c in folder.paths().path(name).columns] == [type_]
    found = [plain(row["c"]) for row in folder.read(name)]
    assert found == [plain(value) for value in array.to_pylist()]


@pytest.mark.parametrize(
    ("array", "type_"), [(a, t) for _, a, t in ARROW_ONLY], ids=[n for n, _, _ in ARROW_ONLY]
)
def test_types_of_arrow_alone(folder: Folder, array: pa.Array, type_: str) -> None:
    name = write(folder, "feather", pa.table({"c": array}))
    assert [str(c.type) for c in folder.paths().path(name).columns] == [type_]
    assert [row["c"] for row in folder.read(name)] == array.to_pylist()


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_nanoseconds(folder: Folder, kind: str) -> None:
    moments = [1709210096123456789, -1, 0]
    array = nanoseconds(moments, pa.timestamp("ns"))
    connector = folder.paths()
    table = connector.path(write(folder, kind, pa.table({"c": array})))
    assert str(table.columns[0].type) == "TIMESTAMP_NS"
    found = read(
        connector,
        request_for(table),
        "native" if kind == "parquet" else "stream",
        sql="SELECT epoch_ns(c) AS c FROM {0}",
    )
    assert found["c"].to_pylist() == moments


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_timestamps_with_a_zone(folder: Folder, kind: str) -> None:
    array = pa.array([_T, None], pa.timestamp("us", "Europe/Berlin"))
    name = write(folder, kind, pa.table({"c": array}))
    (column,) = folder.paths().path(name).columns
    assert str(column.type) == "TIMESTAMP WITH TIME ZONE"
    assert [row["c"] for row in folder.read(name)] == array.to_pylist()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (nanoseconds([1709210096123456789], pa.timestamp("ns", "UTC")), "would lose data"),
        (nanoseconds([1], pa.duration("ns")), "would lose data"),
        (pa.array([86_400_001], pa.int64()).cast(pa.date64(), safe=False), "whole number of days"),
        (
            pa.StringArray.from_buffers(
                1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")
            ),
            "[Uu][Tt][Ff].?8",
        ),
    ],
    ids=["nanoseconds with a zone", "duration", "date64", "not UTF-8"],
)
def test_values_that_arrow_would_lose(folder: Folder, array: pa.Array, message: str) -> None:
    table = pa.table({"c": array})
    path = folder.path / "t.arrow"
    with pyarrow.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(DataError, match=rf"t\.arrow, column c: .*{message}"):
        folder.read("t.arrow")


def test_columns_that_cannot_be_carried_are_listed(folder: Folder) -> None:
    wide = pa.array([Decimal("1.5")], pa.decimal256(50, 2))
    union = pa.UnionArray.from_dense(
        pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1])]
    )
    name = write(folder, "feather", pa.table({"fine": [1], "wide": wide}))
    fine, bad = folder.paths().path(name).columns
    assert fine.unreadable is None
    assert "decimal256(50, 2)" in str(bad.unreadable)
    name = write(folder, "arrows", pa.table({"u": union}))
    assert "cannot be carried" in str(folder.paths().path(name).columns[0].unreadable)
    name = write(folder, "parquet", pa.table({"fine": [1], "wide": wide}))
    fine, bad = folder.paths().path(name).columns
    assert fine.unreadable is None
    assert "50 digits" in str(bad.unreadable)


def test_csv_against_the_csv_module(folder: Folder) -> None:
    rows = [
        {"i": "-9223372036854775808", "f": "0.1", "b": "true", "d": "2024-02-29", "s": 'ü, "x"'},
        {"i": "9223372036854775807", "f": "1e308", "b": "false", "d": "0001-01-01", "s": "a\nb"},
        {"i": "", "f": "", "b": "", "d": "", "s": ""},
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    folder.write("t.csv", text.getvalue())
    read = list(csv.DictReader(io.StringIO(text.getvalue(), newline="")))
    kinds: dict[str, Any] = {
        "i": int,
        "f": float,
        "b": lambda v: v == "true",
        "d": dt.date.fromisoformat,
        "s": lambda v: v,
    }
    assert [str(c.type) for c in folder.paths().path("t.csv").columns] == [
        "BIGINT",
        "DOUBLE",
        "BOOLEAN",
        "DATE",
        "VARCHAR",
    ]
    expected = [{k: kinds[k](v) if v else None for k, v in row.items()} for row in read]
    assert folder.read("t.csv") == expected


def test_json_against_the_json_module(folder: Folder) -> None:
    rows = [
        {"i": 2**63 - 1, "f": 0.1, "s": 'ü😀"\\', "b": True, "o": {"x": [1, None]}, "l": [[1]]},
        {"i": -(2**63), "f": 1e308, "s": "", "b": None, "o": None, "l": []},
    ]
    for name, text in (
        ("t.json", json.dumps(rows, indent=1)),
        ("t.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)),
    ):
        folder.write(name, text)
        assert folder.read(name) == [json.loads(json.dumps(row)) for row in rows]


def test_excel_against_openpyxl(folder: Folder) -> None:
    header = ["i", "f", "s", "b", "d", "dt", "t", "mixed", "empty"]
    noon, day = dt.datetime(2024, 2, 29, 12), dt.datetime(2024, 1, 5)
    rows: list[list[Any]] = [
        [1, 1.5, "ü\nx", True, dt.date(2024, 2, 29), noon, dt.time(10), 1, None],
        [-(2**53), 2, " a ", False, dt.date(9999, 12, 31), day, dt.time(0), "x", None],
        [None, None, None, None, None, None, None, True, None],
    ]  # fmt: skip
    book = openpyxl.Workbook()
    sheet = book.active
    for row in [header, *rows]:
        sheet.append(row)
    book.create_sheet("Q1").append(["only"])
    book["Q1"].append([7])
    book.save(folder.path / "t.xlsx")
    table = folder.paths().path("t.xlsx")
    assert [c.name for c in table.columns] == header
    assert " ".join(str(c.type) for c in table.columns) == (
        "BIGINT DOUBLE VARCHAR BOOLEAN DATE TIMESTAMP TIME VARCHAR VARCHAR"
    )
    cells = openpyxl.load_workbook(folder.path / "t.xlsx").active.iter_rows(
        min_row=2, values_only=True
    )
    found = [tuple(row.values()) for row in folder.read("t.xlsx")]
    for ours, theirs in zip(found, cells, strict=True):
        for name, mine, other in zip(header, ours, theirs, strict=True):
            if name == "d" and other is not None:
                other = other.date()
            if name == "mixed":
                other = "true" if other is True else str(other)
            assert mine == other, name
    assert folder.call("read_xlsx", "t.xlsx", sheet="q1") == [{"only": 7}]
    assert folder.call("read_xlsx", "t.xlsx", sheet="Q1", header=False) == [
        {"column0": "only"},
        {"column0": "7"},
    ]
    assert folder.call("read_xlsx", "t.xlsx", sheet="Q1", all_varchar=True) == [{"only": "7"}]
    with pytest.raises(Exception, match="has no sheet 'Q9'; it has Sheet, Q1"):
        folder.call("read_xlsx", "t.xlsx", sheet="Q9")
