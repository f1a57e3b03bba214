"""HTML, INSERT statements and workbooks, and several results in one document."""

from __future__ import annotations

import io
import re
import sqlite3
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest
import sqlglot

from dovetail.errors import DataError, UsageError
from dovetail.present.destination import open_file
from dovetail.present.formats import format_named
from dovetail.present.layout import Layout
from dovetail.present.write import Document, output_columns, write


def written(sql: str, form: str, layout: Layout | None = None) -> tuple[bytes, tuple[str, ...]]:
    stream = io.BytesIO()
    with duckdb.connect(config={"arrow_large_buffer_size": "true"}) as connection:
        relation = connection.sql(sql)
        columns = output_columns(zip(relation.columns, relation.types, strict=True))
        reader = relation.to_arrow_reader()
        done = write(reader, reader.schema, columns, format_named(form), stream, layout)
    return stream.getvalue(), done.notes


def test_html() -> None:
    made, _ = written('select \'<b>&"\' as h, 1 as n, null as x, [1, 2] as "a<b"', "html")
    assert made.decode() == (
        '<table>\n<thead><tr><th>h</th><th class="n">n</th><th class="n">x</th><th>a&lt;b</th>'
        "</tr></thead>\n<tbody>\n"
        '<tr><td>&lt;b&gt;&amp;&quot;</td><td class="n">1</td><td class="n"></td><td>[1,2]</td>'
        "</tr>\n</tbody>\n</table>\n"
    )
    made, _ = written("select 1 as n where false", "html", Layout(header=False))
    assert made == b"<table>\n<tbody>\n</tbody>\n</table>\n"
    made, _ = written("select null::varchar as n", "html", Layout(null="<none>"))
    assert b"<td>&lt;none&gt;</td>" in made


A07 = (
    "select 'it''s' as s, null as n, true as b, date '2026-01-05' as d, "
    "1.50::decimal(9,2) as m"
)  # fmt: skip
HOSTILE = (
    "select 'a''b\\c\"d`' || chr(10) || chr(13) || chr(9) || ';--' as t, '\\x00\\xff'::blob as b, "
    "false as f, 'nan'::double as x, 1e300::double as y, 12345678901234567890::hugeint as h, "
    "[1, null] as l, uuid '00000000-0000-0000-0000-000000000001' as u, '' as e"
)


def test_insert() -> None:
    made, _ = written(A07, "insert")
    assert made.decode() == (
        'INSERT INTO "t" ("s", "n", "b", "d", "m") VALUES\n'
        "('it''s', NULL, TRUE, '2026-01-05', 1.50);\n"
    )
    assert written("select 1 as a where false", "insert")[0] == b""
    made, _ = written("select range as a from range(2500)", "insert", Layout(table='s."odd'))
    text = made.decode()
    assert text.count('INSERT INTO "s"."""odd" ("a") VALUES\n') == 3
    assert [part.count("\n(") for part in text.split("INSERT")[1:]] == [1000, 1000, 500]


def test_inserts_run_in_duckdb_and_sqlite() -> None:
    made, _ = written(HOSTILE, "insert")
    with duckdb.connect() as connection:
        connection.execute(
            "create table t(t text, b blob, f boolean, x double, y double, h hugeint, l integer[], "
            "u uuid, e text)"
        )
        connection.execute(made.decode())
        assert repr(connection.sql("from t").fetchall()) == repr(connection.sql(HOSTILE).fetchall())
    sql = HOSTILE.partition(", 'nan'")[0] + ", '' as e"
    made, _ = written(sql, "insert", Layout(dialect="sqlite"))
    lite = sqlite3.connect(":memory:")
    lite.execute("create table t(t text, b blob, f boolean, e text)")
    lite.executescript(made.decode())
    [(text, blob, false, empty)] = lite.execute("select * from t").fetchall()
    lite.close()
    assert (text, blob, false, empty) == ("a'b\\c\"d`\n\r\t;--", b"\x00\xff", 0, "")


@pytest.mark.parametrize(
    "dialect", ["postgres", "mysql", "sqlite", "tsql", "oracle", "snowflake", "bigquery", "spark"]
)
def test_texts_of_every_dialect_read_back(dialect: str) -> None:
    made, _ = written(HOSTILE.partition(", '\\x00")[0], "insert", Layout(dialect=dialect))
    [literal] = sqlglot.parse_one(made.decode(), dialect=dialect).find_all(sqlglot.exp.Literal)
    assert literal.this == "a'b\\c\"d`\n\r\t;--"


def test_an_unknown_dialect_is_named_with_near_ones() -> None:
    with pytest.raises(UsageError, match="postgres"):
        written("select 1 as a", "insert", Layout(dialect="postgers"))


def sheets(data: bytes) -> dict[str, list[list[Any]]]:
    book = openpyxl.load_workbook(io.BytesIO(data))
    return {s.title: [[cell.value for cell in row] for row in s.iter_rows()] for s in book}


def test_workbook() -> None:
    made, notes = written(
        "select 1 as i, 1.5 as d, 0.1::double as f, true as b, date '2026-01-05' as day, "
        "timestamp '2026-01-05 10:00:00' as at, time '10:30' as t, 'x' as s, "
        "9007199254740993 as big, null as n, [1, 2] as l, 'inf'::double as inf, "
        "date '1850-01-01' as old, '=1+1' as formula, 123456789012345.678::decimal(18,3) as long",
        "xlsx",
    )
    [header, row] = sheets(made)["Result 1"]
    assert header[:3] == ["i", "d", "f"]
    assert row == [
        1, 1.5, 0.1, True, datetime(2026, 1, 5), datetime(2026, 1, 5, 10), time(10, 30), "x",
        "9007199254740993", None, "[1,2]", "inf", "1850-01-01", "=1+1", "123456789012345.678",
    ]  # fmt: skip
    assert notes == (
        "numbers of more than 15 digits are text, because Excel rounds them: big, long",
    )
    assert date(2026, 1, 5) == row[4].date()


def test_too_much_for_a_sheet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("dovetail.present.xlsx.MOST_ROWS", 100)
    assert len(sheets(written("from range(99)", "xlsx")[0])["Result 1"]) == 100
    begun: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr("dovetail.present.xlsx.SheetWriter.chunk", lambda *_: begun.append(1))
        with pytest.raises(DataError, match="write csv or parquet"):
            written("from range(100)", "xlsx")
    assert not begun  # it is told before a sheet is written, which takes long
    with pytest.raises(DataError, match="a text of 40,000 characters"):
        written("select repeat('x', 40000) as x", "xlsx")


def test_several_results_in_one_document(tmp_path: Path) -> None:
    def document(form: str, *queries: str) -> bytes:
        stream = io.BytesIO()
        with duckdb.connect() as connection, Document(format_named(form), stream) as made:
            for sql in queries:
                relation = connection.sql(sql)
                columns = output_columns(zip(relation.columns, relation.types, strict=True))
                reader = relation.to_arrow_reader()
                made.add(reader, reader.schema, columns)
        return stream.getvalue()

    assert document("table", "select 1 as a", "select 2 as b") == (b" a\n---\n 1\n\n b\n---\n 2\n")
    assert document("jsonl", "select 1 as a", "select 2 as b") == b'{"a":1}\n{"b":2}\n'
    found = sheets(document("xlsx", "select 1 as a", "select 'x' as b"))
    assert found == {"Result 1": [["a"], [1]], "Result 2": [["b"], ["x"]]}


def test_a_workbook_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    target = tmp_path / "out.xlsx"
    target.write_text("old")

    def fail() -> None:
        with duckdb.connect() as connection, open_file(target) as stream:
            relation = connection.sql("from range(10)")
            columns = output_columns(zip(relation.columns, relation.types, strict=True))
            reader = relation.to_arrow_reader()
            with Document(format_named("xlsx"), stream) as made:
                made.add(reader, reader.schema, columns)
                raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["out.xlsx"]
    assert target.read_text() == "old"


def test_formats_and_extensions() -> None:
    assert format_named("EXCEL").name == "xlsx"
    assert format_named("sql-insert").name == "insert"
    several = {"table", "markdown", "vertical", "jsonl", "xlsx", "none"}
    names = re.findall(r"\w+", "table markdown vertical csv tsv json jsonl parquet arrow xlsx html")
    assert {n for n in [*names, "insert", "none"] if format_named(n).several} == several
