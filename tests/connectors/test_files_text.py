"""Text files that are wrong, odd, or say one thing first and another later."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path

import duckdb
import pytest

from dovetail.connectors.files_guards import all_digits
from dovetail.errors import DataError
from tests.connectors.test_files import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "files").mkdir()
    (tmp_path / "spool").mkdir(mode=0o700)
    return Folder(tmp_path / "files", tmp_path / "spool")


MANY = 30_000  # rows, more than DuckDB's sniffer looks at


# --- one error with file, line, column and the option that would read it ---


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "a,b\n1,2\n3,4,5\n6,7\n",
            r"line 3, column 3: 3 fields where the first row has 2; .*null_p",
        ),
        ("a,b\n1,2\n3\n6,7\n", "line 3, column 2: 1 field where the first row has 2"),
        ("a,b\n1,2,3\n4,5,6\n", "line 2, column 3: 3 fields where the first row has 2"),
        ("a;b\n1;2\n3\n", "line 3, column 2: 1 field"),
        ("a,b\n" + "1,2\n" * MANY + "3\n", f"line {MANY + 2}, column 2: 1 field"),
        ("a,b\n1,é\n".encode("latin-1"), r"line 2, column 3: .*0xe9.*encoding = 'latin-1'\)"),
        (
            ("a,b\n" + "1,x\n" * MANY + "2,é\n").encode("latin-1"),
            rf"line {MANY + 2}, column 3: .*encoding = 'latin-1'\)",
        ),
        ("a,b\n1,é\n".encode("utf-16"), r"line 1, column 1: this is UTF-16.*encoding = 'utf-16'\)"),
        (b"a,b\n1,x\0y\n", "line 2, column 4: a NUL byte"),
        ("a\n1\né".encode()[:-1], "line 3, column 1: half a UTF-8 character"),
        (
            gzip.compress("a\né\n".encode("latin-1"), mtime=0),
            "line 2, column 1: a byte that is not UTF-8",
        ),
    ],
)
def test_wrong_text(folder: Folder, content: str | bytes, message: str) -> None:
    packed = isinstance(content, bytes) and content[:2] == b"\x1f\x8b"
    name = "bad.csv.gz" if packed else "bad.csv"
    folder.write(name, content)
    with pytest.raises(DataError, match=rf"files/{name}, {message}"):
        folder.read(name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": "\xff"}\n', r"bad\.jsonl, line \d+: not UTF-8"),
        (b'{"a": 1}\n{"a":\n', r"bad\.jsonl, line 3"),
        (b'{"a": 1}\n' * MANY + b'{"a": 1, "a": 2}\n', "duplicate key"),
    ],
)
def test_wrong_json(folder: Folder, content: bytes, message: str) -> None:
    folder.write("bad.jsonl", content)
    with pytest.raises(DataError, match=message):
        folder.read("bad.jsonl")


@pytest.mark.parametrize("name", ["bad.parquet", "bad.arrow", "bad.xlsx"])
@pytest.mark.parametrize("content", [b"", b"something else", b"PAR1ARROW1PK\x03\x04"])
def test_files_that_are_not_what_they_are_called(folder: Folder, name: str, content: bytes) -> None:
    folder.write(name, content)
    with pytest.raises(DataError, match=name.replace(".", r"\.")) as error:
        folder.read(name)
    assert "\n" not in str(error.value)


# --- what a file says late ---


def big(first: str, last: str, rows: int = MANY) -> str:
    """A CSV larger than what is sniffed whole, with one last row that differs."""
    filler = "x" * 600
    return "v,filler\n" + f"{first},{filler}\n" * rows + f"{last},\n"


@pytest.mark.parametrize(
    ("first", "last", "type_"),
    [
        ("1", "1.5", "BIGINT"),
        ("1", "007", "BIGINT"),
        ("1", "1e3", "BIGINT"),
        ("1", "1e2", "BIGINT"),
        ("1", "12E2", "BIGINT"),
        ("1", "1.5e1", "BIGINT"),
        ("1", "99.9", "BIGINT"),
        ("1", "0xFFFFFFF", "BIGINT"),
        ("1", "1_000", "BIGINT"),
        ("1", "99999999999999999999", "BIGINT"),
        ("1", "x", "BIGINT"),
        ("2024-01-05", "2024-01-05 10:00:00", "DATE"),
        ("2024-01-05", "2024-02-30", "DATE"),
        ("2024-01-05", "epoch", "DATE"),
        ("2024-01-05 10:00:00", "2024-01-05 10:00:00.123456789", "TIMESTAMP"),
        ("10:00:00", "10:00:00.1234567", "TIME"),
    ],
)
def test_a_late_value_is_never_bent(folder: Folder, first: str, last: str, type_: str) -> None:
    folder.write("late.csv", big(first, last))
    table = folder.paths().path("late.csv")
    assert str(table.columns[0].type) == type_
    with pytest.raises(DataError, match=r"late\.csv\.v holds .* does not fit .*: " + last[:3]):
        folder.read("late.csv")


def test_what_is_all_digits_is_told_by_its_number() -> None:
    """Every text of up to five of these characters, and some longer ones."""
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE c AS SELECT unnest({[*'0159.eExX_-+ a']}) AS c")
        connection.execute("CREATE TABLE texts (v VARCHAR)")
        connection.execute(
            f"INSERT INTO texts SELECT unnest({['9' * 18, '1' + '0' * 18, '9' * 19, '1234567e2']})"
            f" UNION ALL SELECT unnest({['123e16', '1234567890123.5e5', '99999999.5e2', '1.5e17']})"
        )
        for length in range(1, 6):
            text = " || ".join(f"c{i}.c" for i in range(length))
            tables = ", ".join(f"c AS c{i}" for i in range(length))
            connection.execute(f"INSERT INTO texts SELECT {text} FROM {tables}")
        told = connection.execute(
            "SELECT count(*), count(*) FILTER (NOT regexp_full_match(v, '[1-9][0-9]*')) FROM texts "
            f"WHERE {all_digits('v', 'TRY_CAST(v AS BIGINT)')}"
        ).fetchone()
    assert told == (961, 0)


def test_a_late_offset_moves_to_utc(folder: Folder) -> None:
    folder.write("late.csv", big("2024-01-05 10:00:00", "2024-01-05 10:00:00+02"))
    assert folder.read("late.csv")[-1]["v"] == dt.datetime(2024, 1, 5, 8)


def test_a_late_quote_is_a_quote(folder: Folder) -> None:
    folder.write("late.csv", big("a", '"b, ""c""\nd"'))
    assert folder.read("late.csv")[-1]["v"] == 'b, "c"\nd'


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [("1", "1.5", 1.5), ("1", "x", "x"), ("2024-01-05", "2024-01-05 10:00:00", "10:00")],
)
def test_small_files_are_looked_at_whole(
    folder: Folder, first: str, last: str, expected: object
) -> None:
    folder.write("small.csv", "v\n" + f"{first}\n" * MANY + f"{last}\n")
    found = folder.read("small.csv")[-1]["v"]
    assert found == expected or str(expected) in str(found)
    folder.write("small.jsonl", '{"v": 1}\n' * MANY + '{"v": 1.5, "late": true}\n')
    assert folder.read("small.jsonl")[-1] == {"v": 1.5, "late": True}


# --- odd but right ---


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xef\xbb\xbfid,v\n1,x\n", [{"id": 1, "v": "x"}]),
        (b"a,b\r\n1,x\r\n", [{"a": 1, "b": "x"}]),
        (b'a,b\r\n1,"x\r\ny"\r\n', [{"a": 1, "b": "x\r\ny"}]),
        (b'a,b\n1,"say ""hi"", ok"\n', [{"a": 1, "b": 'say "hi", ok'}]),
        (b"a,b\n1,\n,2\n", [{"a": 1, "b": None}, {"a": None, "b": 2}]),
        (b'a,b\n"1",""\n', [{"a": 1, "b": None}]),
        (b"a\tb\n1\tx, y\n", [{"a": 1, "b": "x, y"}]),
        (b"a,b\n", []),
        (b"n\n3\n4\n", [{"n": 3}, {"n": 4}]),
        (b"a,b\n1,#x\n#c,2\n", [{"a": "1", "b": "#x"}, {"a": "#c", "b": "2"}]),
        (b"a,A,a\n1,2,3\n", [{"a": 1, "A_1": 2, "a_2": 3}]),
        (b"Report\n\na,b\n1,2\n3,4\n", [{"a": 1, "b": 2}, {"a": 3, "b": 4}]),
        (b"d\n13/01/2024\n", [{"d": dt.date(2024, 1, 13)}]),
        (b"t\n2024-01-05T10:00:00Z\n", [{"t": dt.datetime(2024, 1, 5, 10, tzinfo=dt.UTC)}]),
        (b"\n\na,b\n1,2\n", [{"a": 1, "b": 2}]),
        (b"a,b\n1,2\n\n3,4\n", [{"a": 1, "b": 2}, {"a": 3, "b": 4}]),
        (b"id\n9007199254740993\n", [{"id": 9007199254740993}]),
        ("sträße,😀\n1,2\n".encode(), [{"sträße": 1, "😀": 2}]),
    ],
)
def test_odd_csv(folder: Folder, content: bytes, expected: list[dict[str, object]]) -> None:
    folder.write("odd.csv", content)
    assert folder.read("odd.csv") == expected


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "a.json",
            '[{"a":1,"b":{"c":"x"}},{"a":2,"extra":true}]',
            [
                {"a": 1, "b": {"c": "x"}, "extra": None},
                {"a": 2, "b": None, "extra": True},
            ],
        ),
        ("a.json", '{\n "a": 1,\n "b": [1, 2]\n}', [{"a": 1, "b": [1, 2]}]),
        ("a.json", '{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        ("a.json", "[1, 2]", [{"json": 1}, {"json": 2}]),
        ("a.json", "[]", []),
        (
            "a.jsonl",
            '{"a": 1}\n{"a": "x"}\n{"a": [2]}\n',
            [
                {"a": "1"},
                {"a": '"x"'},
                {"a": "[2]"},
            ],
        ),
        ("a.jsonl", '{"t": "2024-01-05T10:00:00+02:00"}\n', [{"t": dt.datetime(2024, 1, 5, 8)}]),
        (
            "a.jsonl",
            '{"d": "2024-01-05"}\n{"d": null}\n{}\n',
            [
                {"d": dt.date(2024, 1, 5)},
                {"d": None},
                {"d": None},
            ],
        ),
        ("a.jsonl", '{"s": "\\u0000x"}\n', [{"s": "\0x"}]),
        ("a.jsonl", '{"a": 9007199254740993}\n', [{"a": 9007199254740993}]),
        ("a.jsonl", '{"json": 1}\n', [{"json": 1}]),
    ],
)
def test_odd_json(
    folder: Folder, name: str, content: str, expected: list[dict[str, object]]
) -> None:
    folder.write(name, content)
    assert folder.read(name) == expected
