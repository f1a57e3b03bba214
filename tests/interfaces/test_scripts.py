"""Scripts, formats, functions and tools through the installed command."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
from pathlib import Path

import openpyxl
import pytest
from tests.interfaces.conftest import PROGRAM, Command, environment

SCRIPT = """\
create temp table desk as select trader, sum(qty) as q from 'trades.csv' group by trader;
select count(*) as n from desk
GO
select max(q) as top from desk;
"""


@pytest.fixture
def script(folder: Path) -> Path:
    (folder / "desk.sql").write_text(SCRIPT)
    return folder


def test_one_result_of_a_script(script: Path, dovetail: Command) -> None:
    """A19."""
    for result, out in (("1", "n\n4\n"), ("last", "top\n160\n")):
        done = dovetail("query", "-f", "desk.sql", "--csv", "--result", result)
        assert (done.code, done.out, done.err) == (0, out, "")
    done = dovetail("query", "-f", "desk.sql", "--csv", "--result", "all")
    assert (done.code, done.out) == (2, "")
    assert "--result last" in done.err
    assert "-o 'out-{n}.csv'" in done.err
    assert dovetail("query", "-f", "desk.sql", "--result", "3").code == 2
    done = dovetail("query", "-f", "desk.sql", "--statement", "3", "--csv")
    assert (done.code, done.out) == (0, "top\n160\n")


def test_several_results(script: Path, dovetail: Command) -> None:
    assert dovetail("query", "-f", "desk.sql").out == (" n\n---\n 4\n\n top\n-----\n 160\n")
    assert dovetail("query", "-f", "desk.sql", "--jsonl").out == '{"n":4}\n{"top":160}\n'
    assert dovetail("query", "-f", "desk.sql", "-o", "out-{n}.csv").code == 0
    assert (script / "out-1.csv").read_text() + (script / "out-2.csv").read_text() == (
        "n\n4\ntop\n160\n"
    )
    assert dovetail("query", "-f", "desk.sql", "-o", "out.xlsx").code == 0
    book = openpyxl.load_workbook(script / "out.xlsx")
    assert [[cell.value for cell in sheet["A"]] for sheet in book] == [["n", 4], ["top", 160]]


def test_pieces_run_in_the_order_they_were_given(script: Path, dovetail: Command) -> None:
    (script / "b.sql").write_text("#!/usr/bin/env -S dovetail query -f\nselect 2 as x from a")
    done = dovetail(
        "query", "--jsonl", "-c", "create temp view a as select 1 as y", "-f", "b.sql",
        "-c", "select 3 as x", "-f", "-", stdin=b"select 4 as x",
    )  # fmt: skip
    assert (done.code, done.out) == (0, '{"x":2}\n{"x":3}\n{"x":4}\n')
    (script / "b.sql").write_text("select 1;\nselect nope from 'trades.csv'")
    done = dovetail("query", "-f", "b.sql", "-c", "select 1")
    assert (done.code, done.out) == (1, "")
    assert 'b.sql: no column "nope"' in done.err
    assert "(line 2, column 8)" in done.err


def test_nothing_runs_when_a_statement_is_wrong(folder: Path, dovetail: Command) -> None:
    """A26, and several mistakes in one go."""
    for sql in ("delete from 'trades.csv'", "select 1; drop table x"):
        done = dovetail("query", sql)
        assert (done.code, done.out) == (1, "")
        assert "read-only: statement " in done.err
    sql = "select 1 as a; select nope from 'trades.csv'; select * from 'trade.csv'"
    done = dovetail("query", sql)
    assert (done.code, done.out) == (1, "")
    assert '"nope"' in done.err
    assert "trades.csv" in done.err.split("error:")[2]
    done = dovetail("query", "--on-error", "continue", "--jsonl", sql + "; select 2 as a")
    assert (done.code, done.out) == (1, '{"a":1}\n{"a":2}\n')
    assert "statement 2 at line 1 failed" in done.err
    done = dovetail("query", "--errors", "json", "select 1;\nselect nope from 'trades.csv'")
    found = json.loads(done.err)
    assert (found["statement"], found["line"], found["column"], found["code"]) == (2, 2, 8, 1)


def test_dry_run(script: Path, dovetail: Command) -> None:
    done = dovetail("query", "-f", "desk.sql", "--dry-run")
    assert done.code == 0
    assert "statement 1: temp table, line 1\n  makes: desk\n" in done.out
    assert "statement 2: query, line 2\n  needs: desk\n  columns: n BIGINT\n" in done.out
    assert "top HUGEINT" in done.out


def test_expectations(dovetail: Command) -> None:
    """A29, and its other forms."""
    none = "select id from 'trades.csv' where qty < 0"
    one = "select id from 'trades.csv' where qty < 10"
    assert dovetail("query", "--csv", "--expect", "none", none).code == 0
    done = dovetail("query", "--csv", "--expect", "none", one)
    assert (done.code, done.out) == (5, "id\n5\n")
    assert "1 row found" in done.err
    assert dovetail("query", "--expect", ">=2", one).code == 5
    assert dovetail("query", "--expect", "perhaps", one).code == 2


GROUP_ERROR = "select trader, book, count(*) from 'trades.csv' group by trader"


def test_the_group_error_names_the_column_and_the_ways_out(dovetail: Command) -> None:
    """A23, and the same for a star."""
    done = dovetail("query", GROUP_ERROR)
    assert (done.code, done.out) == (1, "")
    for words in ('"book"', "line 1", "column 16", "GROUP BY", "any_value(book)"):
        assert words in done.err
    done = dovetail("query", "select * from 'trades.csv' group by trader")
    assert done.code == 1
    for name in ("id", "book", "symbol", "qty", "price", "day"):
        assert name in done.err


@pytest.mark.parametrize(
    ("sql", "out"),
    [
        ("select trader from 'trades.csv' group by trader order by 1", "trader\nAna\nBen\nCho\n\n"),
        (
            "select trader, book, count(*) as n from 'trades.csv' group by trader, book "
            "order by trader nulls last, book",
            "trader,book,n\nAna,EQ,1\nAna,FX,2\nBen,EQ,2\nBen,FX,1\nCho,EQ,1\n,FX,1\n",
        ),
        (
            "select book, sum(qty) as q from 'trades.csv' where qty > 20 group by book "
            "having q > 50 order by q desc",
            "book,q\nFX,210\n",
        ),
        (
            "select left(trader, 1) as l, count(*) as n from 'trades.csv' group by l order by all",
            "l,n\nA,3\nB,3\nC,1\n,1\n",
        ),
        ("select count(*) as n from 'trades.csv' having sum(qty) between 1 and 300", "n\n8\n"),
        ("select sum(qty) as s, count(*) as n from 'trades.csv' where false", "s,n\n,0\n"),
    ],
)  # fmt: skip
def test_groups(dovetail: Command, sql: str, out: str) -> None:
    done = dovetail("query", "--csv", sql)
    assert (done.code, done.out, done.err) == (0, out, "")


def test_insert_and_html(dovetail: Command) -> None:
    """A07 and A08."""
    done = dovetail(
        "query", "--format", "insert", "--table", "t",
        "select 'it''s' as s, null as n, true as b, date '2026-01-05' as d, "
        "1.50::decimal(9,2) as m",
    )  # fmt: skip
    assert done.out == (
        'INSERT INTO "t" ("s", "n", "b", "d", "m") VALUES\n'
        "('it''s', NULL, TRUE, '2026-01-05', 1.50);\n"
    )
    done = dovetail("query", "--format", "html", "select '<b>&\"' as h, 1 as n")
    assert done.out == (
        '<table>\n<thead><tr><th>h</th><th class="n">n</th></tr></thead>\n<tbody>\n'
        '<tr><td>&lt;b&gt;&amp;&quot;</td><td class="n">1</td></tr>\n</tbody>\n</table>\n'
    )


def test_functions(dovetail: Command) -> None:
    done = dovetail("functions", "percentile")
    assert done.out.startswith("percentile(x, p)\n")
    assert "= 95.05" in done.out
    done = dovetail("functions", "--csv", "list_*")
    assert done.out.splitlines()[0] == "name,family,kind,signature,description,example,result"
    assert all(line.startswith("list_") for line in done.out.splitlines()[1:])
    assert "levenshtein(a, b)" in dovetail("functions", "edit_distance").out
    assert "was left out" in dovetail("functions", "fibonacci").out
    done = dovetail("functions", "percntile")
    assert done.code == 1
    assert "percentile" in done.err


def test_sql_tools(script: Path, dovetail: Command) -> None:
    """A32 to A34, from an argument, a file and stdin."""
    text = "select trader,count(*) n -- per desk\nfrom 'trades.csv' group by 1"
    laid_out = (
        "SELECT\n  trader,\n  COUNT(*) AS n /* per desk */\nFROM 'trades.csv'\nGROUP BY\n  1\n"
    )
    assert dovetail("sql", "format", text).out == laid_out
    assert dovetail("sql", "format", "--check", stdin=laid_out.encode()).code == 0
    assert dovetail("sql", "format", "--check", text).code == 1
    done = dovetail("sql", "format", "select from where")
    assert (done.code, done.out) == (1, "select from where\n")
    done = dovetail("sql", "expand", "select * exclude (day) from 'trades.csv' t")
    assert done.out.startswith("SELECT t.id AS id, t.trader AS trader, ")
    (script / "cte.sql").write_text(
        "with d as (select trader, avg(qty) as a from 'trades.csv' group by 1), "
        "hi as (select trader from d where a > 50 order by 1), other as (select 1) select * from hi"
    )
    done = dovetail("sql", "extract-cte", "hi", "-f", "cte.sql")
    assert "other" not in done.out
    assert dovetail("query", "--csv", stdin=done.out.encode()).out == "trader\nAna\n\n"
    found = json.loads(dovetail("sql", "analyze", "-f", "cte.sql").out)
    assert found["statements"][0]["ctes"] == ["d", "hi", "other"]
    found = json.loads(dovetail("sql", "at", "1:8", "select  from 'trades.csv'").out)
    assert [c["name"] for c in found["columns"]][:2] == ["id", "trader"]
    assert dovetail("sql", "case", "--column", "qty", "--bands", "0,25").out.startswith("CASE\n")
    assert dovetail("sql", "case", "--column", "qty").code == 2


def test_profile(dovetail: Command) -> None:
    rows = json.loads(dovetail("profile", "trades.csv", "--json").out)
    found = {row["column"]: row for row in rows}
    assert found["id"]["key"] is True
    qty = found["qty"]
    assert (qty["rows"], qty["nulls"], qty["distinct"]) == (8, 1, "7")
    assert (qty["min"], qty["max"], qty["median"]) == ("5", "100", "40.0")
    assert round(qty["mean"], 4) == round(285 / 7, 4)
    assert found["book"]["top"] == "EQ (4), FX (4)"
    done = dovetail("profile", "trades.csv", "--column", "BOOK", "--csv")
    assert done.out == "book,count\nEQ,4\nFX,4\n"
    assert dovetail("profile", "trades.csv", "--column", "bok").code == 1
    done = dovetail("profile", "select qty * 2 as d from 'trades.csv'", "--json")
    assert json.loads(done.out)[0]["max"] == "200"


def test_explain_in_every_form(dovetail: Command) -> None:
    sql = "select trader, count(*) from 'trades.csv' where qty > 1 + 1 group by 1"
    diagram = dovetail("explain", "--format", "mermaid", sql).out
    assert diagram.startswith("flowchart BT\n")
    assert re.search(r"n\d+ --> n0", diagram)
    rules = dovetail("explain", "--rules", sql).out
    assert rules.startswith("bound\n")
    assert "fold_constants" in rules


def test_configuration_to_begin_with(folder: Path, dovetail: Command) -> None:
    assert dovetail("config", "init").code == 0
    done = dovetail("config", "check")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("ok, 1 source\n")
    done = dovetail("config", "init")
    assert done.code == 2
    assert "stays as it is" in done.err
    assert json.loads(dovetail("config", "schema").out)["title"] == "Dovetail configuration"


def test_completion_opens_no_connection(folder: Path, dovetail: Command) -> None:
    for shell in ("bash", "zsh", "fish", "powershell"):
        assert "_DOVETAIL_COMPLETE" in dovetail("completion", shell).out
    assert dovetail("completion", "csh").code == 2
    (folder / "dovetail.yaml").write_text(
        "sources:\n  shop: {kind: files, path: .}\n"
        "  down: {kind: postgres, host: 192.0.2.1, database: x}\n"
        "profiles:\n  nightly: {}\n"
    )

    def complete(*words: str) -> list[str]:
        done = dovetail(
            _DOVETAIL_COMPLETE="bash_complete",
            COMP_WORDS=" ".join(words),
            COMP_CWORD=str(len(words) - 1),
        )
        assert done.code == 0, done.err
        return [line.partition(",")[2] for line in done.out.splitlines()]

    assert complete("dovetail", "que") == ["query"]
    assert "--format" in complete("dovetail", "query", "--for")
    assert complete("dovetail", "query", "--format", "js") == ["json", "jsonl"]
    assert complete("dovetail", "query", "--profile", "n") == ["nightly"]


def test_help(dovetail: Command) -> None:
    assert dovetail("help", "sql", "format").out == dovetail("sql", "format", "--help").out
    done = dovetail("config")
    assert (done.code, done.out) == (2, "")
    assert "config check" in done.err or "check" in done.err
    done = dovetail()
    assert (done.code, done.err) == (0, "")
    assert "Commands:" in done.out


def test_a_pager_gets_what_does_not_fit(folder: Path) -> None:
    """What the pager shows is all of it; leaving it early is no error."""
    for pager, expected in (("cat > paged.txt", "\n 500"), ("head -1 > paged.txt", "")):
        main, side = pty.openpty()
        done = subprocess.run(
            [str(PROGRAM), "query", "select range as n from range(1, 501)"],
            cwd=folder,
            stdin=side,
            stdout=side,
            stderr=subprocess.PIPE,
            env=environment(folder, DOVETAIL_PAGER=pager, TERM="xterm"),
            timeout=120,
            check=False,
        )
        os.close(side)
        os.close(main)
        assert done.returncode == 0, done.stderr
        assert expected in (folder / "paged.txt").read_text()


def test_a_pager_that_is_left_cancels_the_query(folder: Path, dovetail: Command) -> None:
    kept = {"DOVETAIL_HISTORY": str(folder / "kept.sqlite")}
    for arguments in (["query", "--rows", "0", "select * from range(100000000)"],
                      ["history", "--rows", "0", "--run", "1"]):  # fmt: skip
        main, side = pty.openpty()
        done = subprocess.run(
            [str(PROGRAM), *arguments],
            cwd=folder,
            stdin=side,
            stdout=side,
            stderr=subprocess.PIPE,
            env=environment(folder, DOVETAIL_PAGER="head -1 > paged.txt", TERM="xterm", **kept),
            timeout=120,
            check=False,
        )
        os.close(side)
        os.close(main)
        assert done.returncode == 0, done.stderr
        [line] = map(json.loads, dovetail("history", "--jsonl", **kept).out.splitlines())
        assert line["status"] == "CANCELLED"
        assert 0 < line["rows"] < 100_000_000


def test_what_fits_the_screen_is_not_paged(folder: Path) -> None:
    long = "select range as n from range(1, 501)"
    for arguments in (["select 1 as n"], ["--pager", "never", long], ["--csv", long]):
        main, side = pty.openpty()
        child = subprocess.Popen(
            [str(PROGRAM), "query", *arguments],
            cwd=folder,
            stdin=side,
            stdout=side,
            stderr=subprocess.DEVNULL,
            env=environment(folder, DOVETAIL_PAGER="cat > paged.txt", TERM="xterm"),
        )
        os.close(side)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal is gone when the command has ended
            while piece := os.read(main, 1 << 16):
                shown += piece
        os.close(main)
        assert child.wait(60) == 0
        assert b"n" in shown
        assert not (folder / "paged.txt").exists(), arguments
