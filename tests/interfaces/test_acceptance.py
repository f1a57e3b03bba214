"""The acceptance cases of the command line, through the installed command."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.interfaces.conftest import PROGRAM, TRADES, Command, environment

Q = "select trader, sum(qty) as total from 'trades.csv' group by trader order by total desc, trader"
OBJECTS = [
    '{"trader":"Ana","total":160}',
    '{"trader":null,"total":60}',
    '{"trader":"Cho","total":40}',
    '{"trader":"Ben","total":25}',
]
EMPTY = "select 1 as x, 'a' as y where false"
ROLLUP = (
    "select trader, book, sum(qty) as qty from 'trades.csv' group by rollup (trader, book) "
    "order by trader nulls last, book nulls last, qty nulls last"
)
VWAP = (
    "select book, count(*) as n, sum(qty) as qty, round(sum(qty*price)/sum(qty), 4) as vwap "
    "from 'trades.csv' where qty is not null group by book order by book"
)
A10 = (
    "select 1.50::decimal(9,2) as d, 9007199254740993 as big, 9007199254740991 as safe, "
    "'nan'::double as n, [1, null] as l, {'k': date '2026-01-05'} as s, true as b, "
    "timestamp '2026-01-05 10:00:00.5' as ts, 1e20::double as f"
)

CASES = {
    "A01": (
        [Q],
        " trader | total\n--------+-------\n Ana    |   160\n NULL   |    60\n"
        " Cho    |    40\n Ben    |    25\n",
    ),
    "A02": (["--csv", Q], "trader,total\nAna,160\n,60\nCho,40\nBen,25\n"),
    "A03": (["--json", Q], "[\n" + ",\n".join(OBJECTS) + "\n]\n"),
    "A04": (["--jsonl", Q], "\n".join(OBJECTS) + "\n"),
    "A05": (
        ["--md", Q],
        "| trader | total |\n| ------ | ----: |\n| Ana    |   160 |\n| NULL   |    60 |\n"
        "| Cho    |    40 |\n| Ben    |    25 |\n",
    ),
    "A06": (
        ["--vertical", Q],
        "-[ 1 ]-\ntrader | Ana\ntotal  | 160\n-[ 2 ]-\ntrader | NULL\ntotal  | 60\n"
        "-[ 3 ]-\ntrader | Cho\ntotal  | 40\n-[ 4 ]-\ntrader | Ben\ntotal  | 25\n",
    ),
    "A09": (
        ["--csv", "select 1 as a, 2 as a, null as b, '' as c, 'x,y' as d, 'say \"hi\"' as e"],
        'a,a_1,b,c,d,e\n1,2,,"","x,y","say ""hi"""\n',
    ),
    "A10": (
        ["--json", A10],
        '[\n{"d":1.50,"big":"9007199254740993","safe":9007199254740991,"n":"NaN","l":[1,null],'
        '"s":{"k":"2026-01-05"},"b":true,"ts":"2026-01-05 10:00:00.5","f":1e+20}\n]\n',
    ),
    "A11": (
        [
            "select 'a' || chr(27) || '[31mred' as esc, 'l1' || chr(10) || 'l2' as nl, "
            "'中文' as wide, 1 as n"
        ],
        " esc          | nl     | wide | n\n--------------+--------+------+---\n"
        " a\\x1b[31mred | l1\\nl2 | 中文 | 1\n",
    ),
    "A12-csv": (["--csv", EMPTY], "x,y\n"),
    "A12-json": (["--json", EMPTY], "[]\n"),
    "A12-jsonl": (["--jsonl", EMPTY], ""),
    "A12-table": ([EMPTY], " x | y\n---+---\n"),
    "A16-bound": (
        ["--csv", "-p", "t=Ana", "select count(*) as n from 'trades.csv' where trader = $t"],
        "n\n3\n",
    ),
    "A16-hostile": (
        [
            "--csv",
            "-p",
            "t=Ana' or '1'='1",
            "select count(*) as n from 'trades.csv' where trader = $t",
        ],
        "n\n0\n",
    ),
    "A17-number": (
        ["-p", "n=5", "--csv", "select trader from 'trades.csv' where id = $n"],
        "trader\nBen\n",
    ),
    "A17-typed": (["-p", "n:int=5", "--csv", "select $n + 1 as x"], "x\n6\n"),
    "A20": (
        ["--csv", "select trader from 'trades.csv' group by trader order by 1"],
        "trader\nAna\nBen\nCho\n\n",
    ),
    "A21": (
        ["--csv", ROLLUP],
        "trader,book,qty\nAna,EQ,10\nAna,FX,150\nAna,,160\nBen,EQ,25\nBen,FX,\nBen,,25\n"
        "Cho,EQ,40\nCho,,40\n,FX,60\n,,60\n,,285\n",
    ),
    "A22": (["--csv", VWAP], "book,n,qty,vwap\nEQ,4,75,73.2167\nFX,3,210,1.1505\n"),
}


@pytest.mark.parametrize("case", CASES)
def test_output(case: str, dovetail: Command) -> None:
    arguments, expected = CASES[case]
    done = dovetail("query", *arguments)
    assert (done.out, done.code) == (expected, 0), done.err


@pytest.mark.parametrize(
    ("sent", "sql", "expected"),
    [
        (b'[{"a":1,"b":"x"},{"a":2}]', "select * from stdin order by a", "a,b\n1,x\n2,\n"),
        (b"n\n3\n4\n", "select sum(n) as s from stdin", "s\n7\n"),
        (gzip.compress(TRADES.encode(), mtime=0), "select count(*) as n from stdin", "n\n8\n"),
        (b"n\n3\n4\n", "select a.n from stdin a join stdin b using (n) order by 1", "n\n3\n4\n"),
        (b'{"a":1}\n{"a":2}\n', "select max(a) as m from stdin", "m\n2\n"),
    ],
    ids=["A13", "A14", "A15", "twice", "jsonl"],
)
def test_stdin_is_a_table(dovetail: Command, sent: bytes, sql: str, expected: str) -> None:
    done = dovetail("query", "--csv", sql, stdin=sent)
    assert (done.out, done.code) == (expected, 0), done.err


def test_stdin_can_be_the_query(dovetail: Command) -> None:
    for arguments in ([], ["-f", "-"], ["-"]):
        assert dovetail("query", "--csv", *arguments, stdin=b"select 1 as a\n").out == "a\n1\n"
    done = dovetail("query", "-f", "-", stdin=b"select * from stdin")
    assert (done.out, done.code) == ("", 2)
    assert "stdin cannot be both" in done.err
    done = dovetail("query", "select * from stdin", stdin=b"")
    assert (done.out, done.code) == ("", 2)
    assert "nothing was sent" in done.err


def test_a_file_appears_and_can_be_queried(dovetail: Command, folder: Path) -> None:
    """A28, and the same through the other kinds of file."""
    for name in ("r.parquet", "r.csv", "r.jsonl", "r.json", "r.arrow", "r.csv.gz"):
        done = dovetail("query", "-o", name, Q)
        assert (done.out, done.err, done.code) == ("", "", 0), name
        done = dovetail("query", "--csv", f"select count(*) as n, sum(total) as s from '{name}'")
        assert (done.out, done.code) == ("n,s\n4,285\n", 0), (name, done.err)
    before = (folder / "r.csv").read_bytes()
    done = dovetail("query", "-o", "r.csv", "select * from 'r.csv'")
    assert done.code == 2
    assert "the query reads r.csv" in done.err
    done = dovetail("query", "-o", "r.csv", "--no-clobber", "select 1")
    assert done.code == 2
    done = dovetail("query", "-o", "r.csv", "select error('broken') from range(3)")
    assert done.code == 1
    assert (folder / "r.csv").read_bytes() == before
    assert not [path.name for path in folder.iterdir() if path.name.endswith(".part")]


def test_numbers_without_a_type_are_not_guessed(dovetail: Command) -> None:
    """A17, second part: a value without a type is text, and text plus one has no meaning."""
    done = dovetail("query", "-p", "n=5", "select $n + 1")
    assert (done.out, done.code) == ("", 1)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["select $x"], 2, ['"x"', "-p x=VALUE"]),
        (["-p", "y=1", "select 1"], 2, ['"y"', "not use"]),
        (["-p", "y=1", "-p", "y=2", "select $y"], 2, ['"y"', "twice"]),
        (["-p", "y:int=abc", "select $y"], 2, ['"y"', '"abc" is no int']),
        (["--format", "nope", "select 1"], 2, ["nope", "table, markdown, vertical, csv"]),
        (["-o", "out.foo", "select 1"], 2, [".foo", ".csv", ".parquet"]),
        (["--formt", "csv", "select 1"], 2, ["--formt", "did you mean --format"]),
        (["--csv", "--json", "select 1"], 2, ["--csv and --json"]),
        (["--limit", "many", "select 1"], 2, ["--limit"]),
        (["--timeout", "soon", "select 1"], 2, ["--timeout", "soon"]),
        (["-o", "no/such/place.csv", "select 1"], 2, ["no folder"]),
        (["-f", "missing.sql"], 2, ["missing.sql", "No such file"]),
        (["--config", "missing.yaml", "select 1"], 2, ["missing.yaml"]),
        (["  "], 2, ["empty"]),
        (
            ["--source", "shop=postgres://me:secret@db/shop", "select 1"],
            2,
            ["${env:SHOP_PASSWORD}"],
        ),
        # A23 to A26
        (
            ["select trader, book, count(*) from 'trades.csv' group by trader"],
            1,
            ['"book"', "line 1", "column 16", "GROUP BY", "any_value(book)"],
        ),
        (["select trdr from 'trades.csv'"], 1, ["trader"]),
        (["select * from 'trade.csv'"], 1, ["trades.csv"]),
        (
            ["select id from 'trades.csv' order by qty desc frobnicate limit 3"],
            1,
            ["frobnicate", "column 47"],
        ),
        (["delete from 'trades.csv'"], 1, ["read-only"]),
        (["select 1; drop table x"], 1, ["read-only"]),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_mistakes(dovetail: Command, arguments: list[str], code: int, words: list[str]) -> None:
    done = dovetail("query", *arguments)
    assert (done.out, done.code) == ("", code), done.err
    assert "Traceback" not in done.err
    assert "secret" not in done.err
    for word in words:
        assert word in done.err, (word, done.err)


def test_errors_as_json(dovetail: Command) -> None:
    done = dovetail("query", "--errors", "json", "select trdr from 'trades.csv'")
    error = json.loads(done.err)
    assert list(error) == [
        "code",
        "kind",
        "message",
        "statement",
        "line",
        "column",
        "source",
        "table",
        "suggestions",
    ]
    assert (error["code"], error["line"], error["column"]) == (1, 1, 8)
    assert "trader" in error["suggestions"]
    usage = json.loads(dovetail("query", "--errors=json", "--formt", "csv", "select 1").err)
    assert (usage["code"], usage["kind"], usage["suggestions"][0]) == (2, "usage", "--format")


def test_describe(dovetail: Command) -> None:
    """A31."""
    done = dovetail("describe", "--csv", "trades.csv")
    assert done.out == (
        "column,type,nullable,key,comment\nid,BIGINT,true,,\ntrader,VARCHAR,true,,\n"
        "book,VARCHAR,true,,\nsymbol,VARCHAR,true,,\nqty,BIGINT,true,,\nprice,DOUBLE,true,,\n"
        "day,DATE,true,,\n"
    )
    done = dovetail("describe", "--jsonl", "select 1 as a, sum(qty) as b from 'trades.csv'")
    assert [json.loads(line)["type"] for line in done.out.splitlines()] == ["INTEGER", "HUGEINT"]


def test_a_flag_may_stand_before_the_command(dovetail: Command) -> None:
    for arguments in (
        ["--csv", "query", "select 1 as a"],
        ["-q", "--format", "csv", "query", "select 1 as a"],
        ["--format=csv", "query", "--", "select 1 as a"],
        ["query", "select 1 as a", "--csv"],
    ):
        assert dovetail(*arguments).out == "a\n1\n"


def test_unknown_commands(dovetail: Command) -> None:
    for arguments, words in (
        (["qurey", "select 1"], "did you mean query?"),
        (["trades.csv"], "to query it: dovetail query \"select * from 'trades.csv'\""),
        (["config", "chek"], "did you mean config check"),
        (["frobnicate"], "the commands are query, "),
    ):
        done = dovetail(*arguments)
        assert (done.out, done.code) == ("", 2)
        assert words in done.err


def test_help_and_version(dovetail: Command) -> None:
    bare, asked = dovetail(), dovetail("--help")
    assert bare == asked
    assert bare.code == 0
    assert "query" in bare.out
    assert dovetail("--version").out.startswith("dovetail 0.")
    assert dovetail("-V") == dovetail("--version")
    assert dovetail("query", "-h").code == 0
    done = dovetail("describe")
    assert (done.out, done.code) == ("", 2)


def test_limits_have_their_own_exit_code(dovetail: Command) -> None:
    done = dovetail("query", "--max-rows", "3", "--csv", "select * from range(10)")
    assert done.code == 4
    assert "3" in done.err
    done = dovetail(
        "query", "--timeout", "500ms", "select count(*) from range(1000000) a, range(10000000) b"
    )
    assert (done.out, done.code) == ("", 4)
    assert (
        dovetail("query", "--limit", "2", "--csv", "select * from range(10)").out.count("\n") == 3
    )


def test_statistics_are_one_json_line_on_stderr(dovetail: Command) -> None:
    done = dovetail("query", "--stats", "--csv", "select count(*) as n from 'trades.csv'")
    assert done.out == "n\n8\n"
    stats = json.loads(done.err)
    assert stats["rows"] == 1
    assert stats["milliseconds"] > 0
    assert isinstance(stats["fragments"], list)


def test_colour(dovetail: Command) -> None:
    """A35, with FORCE_COLOR beating NO_COLOR and the flag beating both."""
    both = {"NO_COLOR": "1", "FORCE_COLOR": "1"}
    assert "\x1b" not in dovetail("query", "--color", "never", "select 1 as a", **both).out
    assert "\x1b" in dovetail("query", "select 1 as a", **both).out.splitlines()[0]
    assert "\x1b" not in dovetail("query", "select 1 as a", NO_COLOR="1").out
    assert "\x1b" in dovetail("query", "select $", FORCE_COLOR="1").err


def test_format_from_the_environment(dovetail: Command) -> None:
    assert dovetail("query", "select 1 as a", DOVETAIL_FORMAT="csv").out == "a\n1\n"
    assert dovetail("query", "--json", "select 1 as a", DOVETAIL_FORMAT="csv").out[0] == "["


def test_a_closed_pipe_ends_quietly(folder: Path) -> None:
    """A30."""
    done = subprocess.run(
        [
            "bash",
            "-c",
            f'set -o pipefail; {PROGRAM} query --json "select * from range(100000000)" | head -1',
        ],
        cwd=folder,
        capture_output=True,
        timeout=60,
        env=environment(folder),
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == (b"[\n", b"", 141)


def test_a_closed_pipe_is_kept_as_a_cancelled_query(folder: Path, dovetail: Command) -> None:
    """With the rows that came until then, also when it is run again."""
    kept = {"DOVETAIL_HISTORY": str(folder / "kept.sqlite")}
    for arguments in ("query 'select * from range(100000000)'", "history --run 1"):
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {PROGRAM} {arguments} | head -1"],
            cwd=folder,
            capture_output=True,
            timeout=60,
            env=environment(folder, **kept),
            check=False,
        )
        assert done.returncode == 141, done.stderr
        [line] = map(json.loads, dovetail("history", "--jsonl", **kept).out.splitlines())
        assert line["status"] == "CANCELLED"
        assert 0 < line["rows"] < 100_000_000
        assert line["ms"] > 0
    assert dovetail("history", "--failed", "--jsonl", **kept).out == ""
    [line] = map(json.loads, dovetail("stats", "--by", "day", "--jsonl", **kept).out.splitlines())
    assert (line["queries"], line["failed"], line["max_ms"]) == (1, 0, None)


def test_a_signal_before_the_first_row(folder: Path) -> None:
    """The query is still at work on its only row; nothing may be left in the temporary folder."""
    temporary = folder / "tmp"
    temporary.mkdir()
    process = subprocess.Popen(
        [str(PROGRAM), "query", "select count(*) from range(1000000) a, range(10000000) b"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(folder, TMPDIR=str(temporary)),
    )
    deadline = time.monotonic() + 30
    while not list(temporary.iterdir()) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    time.sleep(1)  # planning is over by now; the outcome is the same if it is not
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"cancelled\n")
    assert time.monotonic() - started < 4.5  # less than the time after which it is ended by force
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_cancel(folder: Path, dovetail: Command, number: signal.Signals, code: int) -> None:
    kept = {"DOVETAIL_HISTORY": str(folder.parent / f"kept-{folder.name}.sqlite")}
    (folder / "out.csv").write_text("old")
    process = subprocess.Popen(
        [str(PROGRAM), "query", "-o", "out.csv", "select * from range(100000000000)"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(folder, **kept),
    )
    deadline = time.monotonic() + 30
    while not list(folder.glob(".out.csv.*.part")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    started = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - started < 5
    assert (process.returncode, out, err) == (code, b"", b"cancelled\n")
    assert (folder / "out.csv").read_text() == "old"
    assert sorted(os.listdir(folder)) == ["out.csv", "trades.csv"]
    [line] = map(json.loads, dovetail("history", "--jsonl", **kept).out.splitlines())
    assert line["status"] == "CANCELLED"
