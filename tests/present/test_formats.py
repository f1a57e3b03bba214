"""Every output format against golden files and against an independent reader."""

from __future__ import annotations

import csv
import io
import json
import random
import struct
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dovetail.errors import DataError, NotSupportedError, UsageError
from dovetail.present import values
from dovetail.present.formats import FORMATS, format_named, format_of_path
from dovetail.present.layout import Layout
from dovetail.present.write import Written, output_columns, write

GOLDEN = Path(__file__).parent / "golden"
TEXT_FORMATS = ("table", "markdown", "vertical", "csv", "tsv", "json", "jsonl")

# One row of every type with a hostile value, and one row of NULLs.
TYPES = {
    "boolean": "true",
    "tiny": "(-128)::tinyint",
    "safe": "9007199254740991::bigint",
    "beyond": "9007199254740992::bigint",
    "below": "(-9007199254740992)::bigint",
    "ubig": "18446744073709551615::ubigint",
    "huge": "170141183460469231731687303715884105727::hugeint",
    "decimal15": "1234567890123.45::decimal(18,2)",
    "decimal16": "12345678901234.56::decimal(18,2)",
    "fraction": "(-0.50)::decimal(2,2)",
    "small": "0.00000000000000012::decimal(30,20)",
    "float": "0.1::float",
    "double": "1e20::double",
    "nan": "'nan'::double",
    "inf": "'-inf'::double",
    "negative zero": "'-0.0'::double",
    "text": "'a,\"b\"' || chr(10) || 'c|d' || chr(9) || '\\'",
    "empty": "''",
    "wide": "'中文 élan 🙂'",
    "escape": "chr(27) || '[31mred' || chr(155) || chr(8238) || chr(0)",
    "blob": "'\\xAA\\x00b'::blob",
    "date": "date '0044-03-15 (BC)'",
    "time": "time '23:59:59.999999'",
    "timestamp": "timestamp '2026-01-05 10:00:00.5'",
    "nano": "timestamp_ns '2026-01-05 10:00:00.123456789'",
    "zoned": "timestamptz '2026-01-05 10:00:00+02'",
    "interval": "interval '1 month -3 days 01:02:03.5'",
    "uuid": "'00000000-0000-0000-0000-00000000000a'::uuid",
    "json": "'{\"a\": 1.50,' || chr(10) || '\"b\": 12345678901234567890}'",
    "enum": "'b'::enum('a','b')",
    "list": "['x', null, 'y\"']",
    "empty list": "[]::integer[]",
    "array": "[1.5, null]::double[2]",
    "struct": "{'k': date '2026-01-05', 'n e\"st': {'v': 9007199254740993}}",
    "map": "map {1: 'one', 2: null}",
    "deep": "[[{'a': [1, null]}], null, []]",
}
JSON_TYPED = {"json"}


def render(sql: str, form: str, **layout: object) -> bytes:
    out = io.BytesIO()
    written(sql, form, out, **layout)
    return out.getvalue()


def written(sql: str, form: str, out: io.BytesIO, batch: int = 1000, **layout: object) -> Written:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        relation = connection.sql(sql)
        pairs = [
            (name, "JSON" if name in JSON_TYPED else str(type_))
            for name, type_ in zip(relation.columns, relation.types, strict=True)
        ]
        reader = relation.to_arrow_reader(batch)
        return write(
            reader,
            reader.schema,
            output_columns(pairs),
            format_named(form),
            out,
            Layout(**layout),  # type: ignore[arg-type]
        )


def all_types() -> str:
    values = ", ".join(f'{value} as "{name}"' for name, value in TYPES.items())
    nulls = ", ".join("null" for _ in TYPES)
    return f"select {values} union all select {nulls}"


@pytest.mark.regen
@pytest.mark.parametrize("form", TEXT_FORMATS)
def test_every_type_in_every_text_format(
    form: str, check_file: Callable[[Path, str], None]
) -> None:
    check_file(GOLDEN / f"types.{form}.txt", render(all_types(), form).decode())


def test_json_is_json_and_keeps_every_digit() -> None:
    rows = json.loads(render(all_types(), "json"))
    lines = [json.loads(line) for line in render(all_types(), "jsonl").splitlines()]
    assert rows == lines
    first, nulls = rows
    assert first["beyond"] == "9007199254740992"
    assert first["safe"] == 9007199254740991
    assert first["below"] == "-9007199254740992"
    assert first["huge"] == str(2**127 - 1)
    assert first["decimal16"] == "12345678901234.56"
    assert first["nan"] == "NaN"
    assert first["inf"] == "-Infinity"
    assert first["text"] == 'a,"b"\nc|d\t\\'
    assert first["escape"] == "\x1b[31mred\x9b\u202e\x00"
    assert first["json"] == {"a": 1.5, "b": 12345678901234567890}
    assert first["list"] == ["x", None, 'y"']
    assert first["struct"] == {"k": "2026-01-05", 'n e"st': {"v": "9007199254740993"}}
    assert first["map"] == [[1, "one"], [2, None]]
    assert first["deep"] == [[{"a": [1, None]}], None, []]
    assert set(nulls.values()) == {None}


def test_exact_numbers_are_written_as_numbers() -> None:
    text = render(
        "select 9007199254740993 as a, 12345678901234567.89::decimal(19,2) as b",
        "jsonl",
        exact_numbers=True,
    )
    assert text == b'{"a":9007199254740993,"b":12345678901234567.89}\n'


def test_csv_reads_back_cell_by_cell() -> None:
    sql = all_types()
    rows = list(csv.reader(io.StringIO(render(sql, "csv").decode(), newline="")))
    assert rows[0] == list(TYPES)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        plain = [n for n in TYPES if n not in ("blob", "list", "empty list", "array")]
        plain = [n for n in plain if n not in ("struct", "map", "deep")]
        wanted = ", ".join(f'"{n}"::varchar' for n in plain)
        expected = connection.sql(f"select {wanted} from ({sql}) limit 1").fetchone()
    assert expected is not None
    assert [rows[1][list(TYPES).index(n)] for n in plain] == list(expected)
    assert set(rows[2]) == {""}


def test_null_and_empty_text_differ_in_csv() -> None:
    sql = "select null as a, '' as b, 'x' as c"
    assert render(sql, "csv") == b'a,b,c\n,"",x\n'
    assert render(sql, "csv", null="x", header=False) == b'x,"","x"\n'
    assert render(sql, "tsv") == b'a\tb\tc\n\t""\tx\n'


def test_csv_options() -> None:
    sql = "select '=1+1' as a, '-x' as b, -5 as c, '' as d, null::text as e"
    assert render(sql, "csv", escape_formulas=True) == b"a,b,c,d,e\n'=1+1,'-x,-5,\"\",\n"
    assert render("select 1 as a", "csv", bom=True) == b"\xef\xbb\xbfa\n1\n"


def test_duplicate_names_are_numbered_in_every_format() -> None:
    sql = 'select 1 as a, 2 as "A", 3 as a_1, 4 as a'
    assert render(sql, "csv").splitlines()[0] == b"a,A_2,a_1,a_3"
    assert list(json.loads(render(sql, "jsonl"))) == ["a", "A_2", "a_1", "a_3"]
    table = pq.read_table(pa.BufferReader(render(sql, "parquet")))
    assert table.column_names == ["a", "A_2", "a_1", "a_3"]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("csv", "x,y\n"),
        ("tsv", "x\ty\n"),
        ("json", "[]\n"),
        ("jsonl", ""),
        ("table", " x | y\n---+---\n"),
        ("markdown", "|   x | y   |\n| --: | --- |\n"),
        ("vertical", ""),
        ("none", ""),
    ],
)
def test_empty_result_keeps_its_columns(form: str, expected: str) -> None:
    assert render("select 1 as x, 'a' as y where false", form).decode() == expected


@pytest.mark.parametrize("form", ["parquet", "arrow", "feather"])
def test_binary_formats_read_back(form: str) -> None:
    sql = "select i::hugeint as h, i::double as d, 'n' || i as t from range(300000) r(i)"
    for where in ("", " where false"):
        made = pa.BufferReader(render(sql + where, form, row_group_rows=100_000))
        if form == "parquet":
            table = pq.read_table(made)
            if not where:
                assert pq.ParquetFile(made).metadata.num_row_groups == 3
        elif form == "arrow":
            table = pa.ipc.open_stream(made).read_all()
        else:
            table = pa.ipc.open_file(made).read_all()
        assert table.schema.field("h").type == pa.decimal128(38, 0)
        assert table.num_rows == (0 if where else 300_000)
        if not where:
            assert int(table.column("h")[285].as_py()) == 285


def test_binary_formats_name_the_column_they_cannot_hold() -> None:
    big = "select 170141183460469231731687303715884105727::hugeint as total"
    for form in ("parquet", "arrow"):
        with pytest.raises(DataError, match=r'"total" holds 17014.* CAST'):
            render(big, form)
    with pytest.raises(NotSupportedError, match=r'"gap" is INTERVAL.*CAST'):
        render("select interval 1 month as gap", "parquet")


def test_widths_come_from_the_first_thousand_rows_and_the_rest_streams() -> None:
    sql = "select i, case when i = 2500 then 'a long value' else 'x' end as t from range(3000) r(i)"
    lines = render(sql, "table").decode().splitlines()
    assert len(lines) == 3002
    assert lines[0] == "   i | t"
    assert lines[2] == "   0 | x"
    assert lines[2502] == " 2500 | a long value"


def test_cutting_for_a_terminal() -> None:
    sql = "select i, repeat('中', 10) as t from range(5) r(i)"
    out = io.BytesIO()
    result = written(sql, "table", out, max_rows=2, max_width=8)
    assert result == Written(2, cut=True)
    assert out.getvalue().decode().splitlines() == [
        " i | t",
        "---+---------",
        " 0 | 中中中…",
        " 1 | 中中中…",
    ]
    assert written(sql, "csv", io.BytesIO(), max_rows=2, max_width=8) == Written(5)


def test_colour_marks_header_and_null_only_when_asked() -> None:
    sql = "select 'NULL' as a, null as b"
    assert b"\x1b" not in render(sql, "table")
    assert render(sql, "table", color=True).decode().splitlines()[2] == " NULL | \x1b[2mNULL\x1b[0m"


@pytest.mark.parametrize("form", TEXT_FORMATS)
def test_batches_of_any_size_give_the_same_text(form: str) -> None:
    sql = "select i, i * 1.5 as d, 'n' || i as t from range(5000) r(i)"
    outs = []
    for batch in (100, 2048, 100_000):
        out = io.BytesIO()
        assert written(sql, form, out, batch=batch).rows == 5000
        outs.append(out.getvalue())
    assert outs[0] == outs[1] == outs[2]


@pytest.mark.parametrize("form", TEXT_FORMATS)
def test_few_rows_and_many_give_the_same_text(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows reach the formatter as parameters, many as Arrow: no value may come out changed."""
    edges = [2**63 - 1, -(2**63), 0, None]
    bits = [random.Random(7).getrandbits(64) for _ in range(150)]
    doubles = [struct.unpack("d", struct.pack("Q", b))[0] for b in bits]
    doubles += [0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1, 1e16, 1e-5, 123456789012345680.0]
    columns = {
        "i": pa.array((edges * 50)[: len(doubles)], pa.int64()),
        "u": pa.array([2**64 - 1] * len(doubles), pa.uint64()),
        "d": pa.array(doubles, pa.float64()),
        "f": pa.array(doubles, pa.float64()).cast(pa.float32()),
        "m": pa.array([Decimal(b).scaleb(-10) for b in bits] + [None] * 8, pa.decimal128(38, 10)),
        "h": pa.array([Decimal(-(10**37) - 7)] * len(doubles), pa.decimal128(38, 0)),
        "t": pa.array(["'; $1 --", "", None, "\\x41"] * 39 + ["é"] * 2, pa.string()),
        "b": pa.array([True, None] * 79, pa.bool_()),
        "y": pa.array([date.min, date.max] * 79, pa.date32()),
        "s": pa.array([datetime.min, datetime(2026, 1, 5, 10, 0, 0, 1)] * 79, pa.timestamp("us")),
    }
    types = "BIGINT UBIGINT DOUBLE FLOAT DECIMAL(38,10) HUGEINT VARCHAR BOOLEAN DATE TIMESTAMP"
    table = pa.table(columns)
    outs = []
    for few in (200, 0):
        monkeypatch.setattr(values, "_FEW_ROWS", few)
        out = io.BytesIO()
        names = output_columns(zip(columns, types.split(), strict=True))
        write(table.to_batches(), table.schema, names, format_named(form), out)
        outs.append(out.getvalue())
    assert outs[0] == outs[1]


def test_memory_does_not_grow_with_the_result() -> None:
    """A chunk is written before the next is asked for: at most two are held at once."""
    schema = pa.schema([("t", pa.string())])
    taken = 0

    class Sink:
        written = 0

        def write(self, data: bytes | memoryview) -> None:
            self.written += len(data)

    sink = Sink()
    behind = []

    def batches() -> object:
        nonlocal taken
        for _ in range(40):
            taken += 1
            behind.append(taken * 10_000 * 101 - sink.written)
            yield pa.record_batch([["x" * 100] * 10_000], schema=schema)

    columns = output_columns([("t", "VARCHAR")])
    write(batches(), schema, columns, format_named("csv"), sink, Layout())  # type: ignore[arg-type]
    assert sink.written == 2 + 40 * 10_000 * 101
    assert max(behind) <= 8 * 10_000 * 101


def test_names_and_extensions() -> None:
    assert {f.name for f in FORMATS} >= {"table", "csv", "tsv", "json", "jsonl", "parquet", "arrow"}
    assert format_named("MD").name == "markdown"
    assert format_of_path("x/y.JSONL.gz").name == "jsonl"
    assert format_of_path("a.feather").name == "feather"
    with pytest.raises(UsageError, match="table, markdown, vertical, csv") as caught:
        format_named("cvs")
    assert "csv" in caught.value.suggestions
    with pytest.raises(UsageError, match=r"\.csv \.tsv \.json"):
        format_of_path("out.foo")
    with pytest.raises(UsageError, match="no extension"):
        format_of_path("out")
    with pytest.raises(UsageError, match="compressed inside"):
        format_of_path("out.parquet.gz")
