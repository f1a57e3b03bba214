"""The parts of the command line on their own."""

from __future__ import annotations

import gzip
import io
import stat
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dovetail.errors import UsageError
from dovetail.interfaces.cli import quantities, sql_text
from dovetail.interfaces.cli.adhoc import parse_data, parse_source
from dovetail.interfaces.cli.diagnostics import Diagnostics
from dovetail.interfaces.cli.parameters import check_parameters, parse_parameters
from dovetail.interfaces.cli.standard_input import spool


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("select * from stdin", True),
        ("FROM STDIN", True),
        ("select * from a, stdin", True),
        ("select * from a join stdin using (x)", True),
        ("select * from (stdin)", True),
        ("select 'from stdin'", False),
        ("select * from a -- from stdin", False),
        ("select * from a /* from /* nested */ stdin */", False),
        ("select $$ from stdin $$", False),
        ('select * from "stdin"', False),
        ("select stdin from a", False),
        ("select a, stdin from t", False),
        ("select * from t where stdin = 1", False),
    ],
)
def test_whether_stdin_is_read(sql: str, reads: bool) -> None:
    assert sql_text.reads_stdin(sql) is reads


def test_parameters_are_found_outside_of_quotes() -> None:
    sql = "select $a, '$b', \"$c\", $$ $d $$, x::int, :e -- $f\n, $g /* $h */"
    assert sql_text.parameter_names(sql) == {"a", "g"}
    assert sql_text.possible_parameter_names(sql) == {"a", "e", "g"}
    assert sql_text.string_literals("select 'it''s', \"x\" from 'a b.csv'") == {"it's", "a b.csv"}


def test_parameter_values(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("from a file")
    values = parse_parameters(
        [
            "t=x=y",
            "n:int=5",
            "m:decimal=1.50",
            "f:double=1.5",
            "b:bool=true",
            "d:date=2026-01-05",
            "ids:json=[1,2]",
            f"note=@{tmp_path}/note.txt",
            "empty=",
        ]
    )
    assert values == {
        "t": "x=y",
        "n": 5,
        "m": Decimal("1.50"),
        "f": 1.5,
        "b": True,
        "d": date(2026, 1, 5),
        "ids": [1, 2],
        "note": "from a file",
        "empty": "",
    }
    for wrong in ("x", "=1", "a b=1", "n:int=x", "n:number=1", "n=@missing", "b:bool=perhaps"):
        with pytest.raises(UsageError):
            parse_parameters([wrong])
    check_parameters("select $a, l[1:b]", {"a": 1, "b": 2})


def test_sources_for_one_run(tmp_path: Path) -> None:
    assert parse_source("shop=postgres://me@db/shop") == ("shop", {"url": "postgres://me@db/shop"})
    name, settings = parse_source("s=mysql://me:${env:PW}@db/shop")
    assert (name, settings) == ("s", {"url": "mysql://me:${env:PW}@db/shop"})
    assert parse_source(f"a={tmp_path}/x.sqlite")[1] == {
        "kind": "sqlite",
        "path": f"{tmp_path}/x.sqlite",
    }
    assert parse_source(f"a={tmp_path}")[1]["kind"] == "files"
    (tmp_path / "x.csv").write_text("a")
    with pytest.raises(UsageError, match="use --data a="):
        parse_source(f"a={tmp_path}/x.csv")
    for secret in ("a=postgres://me:hush@db/x", "a=mysql://me@db/x?password=hush", "hush"):
        with pytest.raises(UsageError) as caught:
            parse_source(secret)
        assert "hush" not in str(caught.value)


def test_named_files(tmp_path: Path) -> None:
    file = tmp_path / "Sales 2026.csv"
    file.write_text("a\n1\n")
    assert parse_data([str(file), f"t={file}"]) == {"sales_2026": str(file), "t": str(file)}
    with pytest.raises(UsageError, match="names both"):
        parse_data([f"t={file}", f"t={tmp_path}"])
    with pytest.raises(UsageError, match="no file"):
        parse_data(["t=missing.csv"])


def test_standard_input_is_recognised_and_private(tmp_path: Path) -> None:
    table = pa.table({"a": [1]})
    parquet, stream, file = io.BytesIO(), io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet)
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    zstd = pa.compress(b'{"a":1}\n' * 100, "zstd", asbytes=True)
    for number, (data, name) in enumerate(
        (
            (parquet.getvalue(), "stdin.parquet"),
            (stream.getvalue(), "stdin.arrow"),
            (file.getvalue(), "stdin.arrow"),
            (b"PK\x03\x04rest", "stdin.xlsx"),
            (b' \n[{"a":1}]', "stdin.json"),
            (b'{"a":1}\n', "stdin.jsonl"),
            (b"a,b\n", "stdin.csv"),
            (b"\xef\xbb\xbf[1]", "stdin.json"),
            (gzip.compress(b"a,b\n" * 100_000, mtime=0), "stdin.csv.gz"),
            (gzip.compress(b'[{"a":1}]', mtime=0), "stdin.json.gz"),
            (zstd, "stdin.jsonl.zst"),
        )
    ):
        place = tmp_path / str(number)
        place.mkdir()
        path = spool(io.BytesIO(data), place)
        assert path.name == name
        assert path.read_bytes() == data
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert spool(io.BytesIO(b"a;b"), tmp_path, "tsv").name == "stdin.tsv"
    with pytest.raises(UsageError, match="nothing was sent"):
        spool(io.BytesIO(b""), tmp_path)
    with pytest.raises(UsageError, match="csv, tsv, json"):
        spool(io.BytesIO(b"x"), tmp_path, "word")


def test_quantities() -> None:
    assert quantities.seconds("--timeout", "500ms") == 0.5
    assert quantities.seconds("--timeout", "2m") == 120
    assert quantities.size("--max-bytes", "1.5MB") == 1_500_000
    assert [quantities.shown_size(n) for n in (0, 999, 1500, 2e9)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2.0 GB",
    ]
    assert [quantities.shown_time(n) for n in (0.4, 12, 3400)] == ["0 ms", "12 ms", "3.4 s"]
    with pytest.raises(UsageError, match="--timeout"):
        quantities.seconds("--timeout", "0s")


def test_a_fault_of_ours_leaves_a_report_without_data(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    try:
        raise KeyError("customer 17 has the password hush")
    except KeyError as error:
        code = Diagnostics().error(error)
    said = capsys.readouterr()
    assert (code, said.out) == (70, "")
    [report] = tmp_path.iterdir()
    assert str(report) in said.err
    text = report.read_text()
    assert "KeyError" in text
    assert "test_parts.py" in text
    assert "hush" not in text + said.err
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
