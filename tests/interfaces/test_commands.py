"""The commands besides ``query``, and what a command may load."""

from __future__ import annotations

import json
import os
import pty
import re
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import get_args

import pytest
from tests.interfaces.conftest import PROGRAM, Command, environment

from dovetail.config import Config
from dovetail.interfaces.cli.commands.query import ENGINES

CONFIGURATION = """\
sources:
  desk: {kind: files, path: .}
"""


@pytest.fixture
def configured(folder: Path) -> Path:
    (folder / "dovetail.yaml").write_text(CONFIGURATION)
    return folder


def test_sources_tables_and_describe(configured: Path, dovetail: Command) -> None:
    [source] = map(json.loads, dovetail("sources", "--jsonl").out.splitlines())
    assert (source["name"], source["kind"], source["address"]) == ("desk", "files", str(configured))
    done = dovetail("sources", "--check", "--csv")
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == "name,kind,address,state,round_trip_ms,version"
    assert done.out.splitlines()[1].startswith(f"desk,files,{configured},ok,")
    done = dovetail("tables", "--csv", "desk.*")
    assert done.out.splitlines()[1].startswith("desk,main,trades,file,7,")
    done = dovetail("tables", "nothing*")
    assert done.code == 0
    assert "no table matches" in done.err
    done = dovetail("describe", "desk.trades", "-o", "columns.json")
    assert (done.out, done.code) == ("", 0), done.err
    assert json.loads((configured / "columns.json").read_text())[0]["column"] == "id"
    done = dovetail("describe", "desk.trade")
    assert done.code == 1
    assert "trades" in done.err


def test_a_source_that_is_down_is_named_and_has_its_own_exit_code(
    configured: Path, dovetail: Command
) -> None:
    with socket.socket() as listener:  # bound and not listening: refuses at once
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        (configured / "dovetail.yaml").write_text(
            CONFIGURATION + f"  shop: {{kind: postgres, host: 127.0.0.1, port: {port}, user: me, "
            'password: "${env:SHOP_PASSWORD}"}\n'
        )
        for command in (["sources", "--check", "--csv"], ["doctor", "--csv"]):
            done = dovetail(*command, SHOP_PASSWORD="hush-hush")
            assert done.code == 3, done.err
            assert "hush-hush" not in done.out + done.err
            assert str(port) in done.out
            assert "desk" in done.out  # one that is down holds up no other
        done = dovetail("query", "select * from shop.public.orders", SHOP_PASSWORD="hush-hush")
        assert (done.out, done.code) == ("", 3)
        assert "shop" in done.err
        assert "hush-hush" not in done.err
        done = dovetail("query", "--csv", "select count(*) as n from desk.trades")
        assert (done.out, done.code) == ("n\n8\n", 0), done.err


def test_doctor_says_what_is_here(configured: Path, dovetail: Command) -> None:
    done = dovetail("doctor", "--jsonl")
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in done.out.splitlines()]
    states = {(row["subject"], row["check"]): row["state"] for row in rows}
    for check in ("dovetail", "python", "duckdb", "pyarrow", "temporary space"):
        assert ("here", check) in states
    assert states["desk", "reachable"] == "ok"


def test_explain(configured: Path, dovetail: Command) -> None:
    sql = "select count(*) as n from desk.trades where qty > $least"
    done = dovetail("explain", "-p", "least=10", sql)
    assert done.code == 0, done.err
    assert "desk" in done.out
    done = dovetail("explain", "--analyze", "--format", "json", "-p", "least=10", sql)
    plan = json.loads(done.out)
    assert [fragment["source"] for fragment in plan["fragments"]] == ["desk"]
    assert dovetail("explain", "--format", "drawing", "select 1").code == 2
    assert dovetail("explain", "delete from desk.trades").code == 1


def test_config(configured: Path, dovetail: Command) -> None:
    file = configured / "dovetail.yaml"
    assert dovetail("config", "path").out == f"{file}\n"
    assert "working folder" in dovetail("config", "path").err
    assert dovetail("config", "check").out == f"{file}: ok, 1 source\n"
    file.write_text(
        "sources:\n  shop: {kind: postgres, user: me, password: hush-hush}\n  old: {kind: sqlite, "
        "path: x.db}\n"
    )
    done = dovetail("config", "show")
    assert done.code == 0
    assert "kind: postgres" in done.out
    assert "hush-hush" not in done.out + done.err
    assert "warning:" in done.err
    file.write_text("sources:\n  shop: {kind: postgrs}\n  old: {kind: sqlite, pth: x.db}\n")
    done = dovetail("config", "check")
    assert (done.out, done.code) == ("", 2)
    for words in ("sources.shop", "postgres", "line 2", "sources.old", "pth", "path", "line 3"):
        assert words in done.err
    done = dovetail("config", "check", DOVETAIL_CONFIG="elsewhere.yaml")
    assert (done.out, done.code) == ("", 2)
    assert "elsewhere.yaml" in done.err
    file.unlink()
    done = dovetail("config", "path")
    assert (done.out, done.code) == ("", 0)
    assert "no configuration" in done.err


def test_a_profile_overrides(configured: Path, dovetail: Command) -> None:
    (configured / "dovetail.yaml").write_text(
        CONFIGURATION + "profiles:\n  small: {limits: {max_rows: 1}}\n"
    )
    sql = "select id from desk.trades limit 2"
    assert dovetail("query", "--csv", sql).code == 0
    assert dovetail("query", "--csv", "--profile", "small", sql).code == 4
    assert dovetail("-P", "small", "query", "--csv", sql).code == 4
    done = dovetail("query", "--profile", "smal", sql)
    assert done.code == 2
    assert "small" in done.err


def test_named_files_and_sources_for_one_run(configured: Path, dovetail: Command) -> None:
    for arguments, table in (
        (["--data", "t=trades.csv"], "t"),
        (["--data", "trades.csv"], "trades"),
        (["--source", f"more={configured}"], "more.trades"),
    ):
        done = dovetail("query", "--csv", *arguments, f"select count(*) as n from {table}")
        assert (done.out, done.code) == ("n\n8\n", 0), done.err


def test_on_a_terminal(folder: Path) -> None:
    """Long results are cut with a note, and binary formats are refused; a pipe gets everything."""

    def on_terminal(*arguments: str) -> tuple[int, str]:
        main, terminal = pty.openpty()
        process = subprocess.Popen(
            [str(PROGRAM), "query", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=terminal,
            env=environment(folder, TERM="xterm", COLUMNS="100"),
        )
        os.close(terminal)
        said = b""
        while True:
            try:
                more = os.read(main, 65536)
            except OSError:  # the other end is closed
                break
            if not more:
                break
            said += more
        os.close(main)
        return process.wait(60), said.decode().replace("\r\n", "\n")

    code, said = on_terminal("--rows", "3", "select i, repeat('x', 100) as t from range(9) r(i)")
    assert code == 0
    assert said.count("x" * 79 + "…") == 3
    assert "the first 3 rows; --rows 0 prints all" in said
    code, said = on_terminal("select 1 as a")
    assert "1 row, " in said
    assert "\x1b[1m" in said
    code, said = on_terminal("--format", "parquet", "select 1 as a")
    assert code == 2
    assert "not for a terminal" in said


def test_progress_in_a_log(dovetail: Command) -> None:
    sql = "select count(*) from range(1000000) a, range(10000000) b"
    done = dovetail("query", "--progress", "plain", "--timeout", "3s", sql)
    assert done.code == 4
    assert dovetail("query", "--progress", "loud", "select 1").code == 2


HEAVY = (  # noqa: SIM905 - a row of names
    "textual fastapi pandas polars pyspark rich numpy psycopg pymysql connectorx keyring "
    "pyarrow.dataset pyarrow.parquet tabulate httpx"
).split()
HEAVIER = [*HEAVY, "duckdb", "pyarrow", "sqlglot", "yaml", "pydantic"]


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--version"], [*HEAVIER, "click"]),
        (["--help"], HEAVIER),
        (["query", "--help"], HEAVIER),
        (["frobnicate"], HEAVIER),
        (["query", "select trader, sum(qty) from 'trades.csv' group by 1"], HEAVY),
        (["query", "--json", "select 1 as a"], HEAVY),
    ],
    ids=lambda value: " ".join(value)[:30],
)
def test_what_a_command_loads(folder: Path, arguments: list[str], unwanted: list[str]) -> None:
    """Start-up time, as a list of modules: it fails on the commit that loads one more."""
    code = (
        "import sys\n"
        "from dovetail.interfaces.cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        "sys.stdout.flush()\n"
        "print(*sorted(n for n, m in sys.modules.items() if m is not None), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(folder),
        check=False,
    )
    loaded = set(done.stderr.splitlines()[-1].split())
    assert "dovetail.interfaces.cli.main" in loaded
    if arguments[0] == "query" and "--help" not in arguments:
        assert {"duckdb", "pyarrow"} <= loaded
    assert sorted(loaded & set(unwanted)) == []


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("csv", "101,12:00:00+02"),
        ("jsonl", '{"b":"101","t":"12:00:00+02"}'),
        ("table", " 101 | 12:00:00+02"),
        ("insert", "('101', '12:00:00+02');"),
    ],
)
def test_bits_and_times_with_a_zone(dovetail: Command, form: str, line: str) -> None:
    done = dovetail("query", "--format", form, "select '101'::bit b, '12:00:00+02'::timetz t")
    assert done.out.splitlines()[-1] == line


def test_history_of_the_terminal(configured: Path, dovetail: Command) -> None:
    kept = {"DOVETAIL_HISTORY": str(configured / "kept.sqlite")}
    assert dovetail("history", **kept).out.startswith(" when")
    dovetail("query", "select count(*) as n from desk.trades", **kept)
    dovetail("query", "select trdr from desk.trades", **kept)
    [failed, done] = map(json.loads, dovetail("history", "--jsonl", **kept).out.splitlines())
    assert (failed["status"], failed["where"]) == ("FAILED", "query")
    assert (done["status"], done["rows"], done["sources"]) == ("SUCCESS", 1, "desk")
    [only] = dovetail("history", "--csv", "--failed", **kept).out.splitlines()[1:]
    assert "trdr" in only
    assert dovetail("history", "--csv", "COUNT", "--limit", "5", **kept).out.count("\n") == 2
    assert dovetail("history", "--csv", "--since", "2099-01-01", **kept).out.count("\n") == 1
    whole = json.loads(dovetail("history", "--id", done["id"], **kept).out)
    assert whole["fragments"][0]["source"] == "desk"
    again = dovetail("history", "--run", done["id"], "--csv", **kept)
    assert (again.out, again.code) == ("n\n8\n", 0)
    assert "select count(*)" in again.err
    assert dovetail("history", "--run", "99", **kept).code == 2
    [line] = map(json.loads, dovetail("stats", "--jsonl", **kept).out.splitlines())
    assert (line["source"], line["where"], line["queries"]) == ("desk", "terminal", 2)
    slow = dovetail("stats", "--slowest", "1", "--jsonl", **kept).out
    assert json.loads(slow)["status"] == "SUCCESS"
    assert "queries forgotten" in dovetail("history", "--clear", **kept).err
    assert dovetail("history", "--csv", **kept).out.count("\n") == 1
    assert dovetail("history", "--clear", "--id", "1", **kept).code == 2


def test_history_is_that_of_the_configuration_or_the_folder(
    configured: Path, dovetail: Command, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = {"DOVETAIL_HISTORY": str(configured / "kept.sqlite")}
    other = tmp_path_factory.mktemp("other") / "other.yaml"
    other.write_text("sources: {}\n")

    def sqls(*arguments: str) -> list[str]:
        done = dovetail("history", "--jsonl", *arguments, **kept)
        return [json.loads(line)["sql"] for line in done.out.splitlines()]

    dovetail("query", "select 1 as here", **kept)
    dovetail("query", "--config", str(other), "select 2 as there", **kept)
    assert sqls() == ["select 1 as here"]
    assert sqls("--config", str(other)) == ["select 2 as there"]
    assert sqls("--all") == ["select 2 as there", "select 1 as here"]
    every = dovetail("history", "--all", "--csv", **kept).out.splitlines()
    assert every[0].endswith(",id,workspace")
    assert every[1].endswith(f",{other.resolve()}")
    (configured / "dovetail.yaml").rename(configured / "put-aside.yaml")  # now it is the folder
    assert sqls() == []
    dovetail("query", "select 3 as loose", **kept)
    assert sqls() == ["select 3 as loose"]
    [line] = map(json.loads, dovetail("stats", "--by", "user", "--jsonl", **kept).out.splitlines())
    assert line["queries"] == 1
    every = dovetail("stats", "--by", "user", "--jsonl", "--all", **kept).out.splitlines()
    assert json.loads(every[0])["queries"] == 3
    again = dovetail("history", "--run", "1", "--csv", **kept)  # a number is one of all
    assert again.out == "here\n1\n"
    dovetail("history", "--clear", **kept)
    assert sqls("--all") == ["select 2 as there", "select 1 as here"]
    dovetail("history", "--clear", "--all", **kept)
    assert sqls("--all") == []


def test_history_of_the_service_stands_beside(folder: Path, dovetail: Command) -> None:
    from dovetail.workspace import Workspace, WorkspaceSettings

    data = folder / "workspace"
    with Workspace.open(WorkspaceSettings(data)) as workspace:
        actor = workspace.users.local_actor()
        upload = workspace.datasets.begin_upload(actor, "sales.csv")
        upload.write(b"n\n1\n2\n")
        dataset = upload.finish()
        from dovetail.workspace import QueryRequest, Target

        workspace.queries.run(actor, QueryRequest("select n from dataset", Target(dataset.id)))
    both = {"DOVETAIL_HISTORY": str(folder / "kept.sqlite"), "DOVETAIL_WORKSPACE": str(data)}
    dovetail("query", "select 1 as one", **both)
    lines = [json.loads(line) for line in dovetail("history", "--jsonl", **both).out.splitlines()]
    assert [(line["where"], line["rows"]) for line in lines] == [("query", 1), ("service", 2)]
    whole = json.loads(dovetail("history", "--id", lines[1]["id"], **both).out)
    assert whole["sql"] == "select n from dataset"
    ours = dovetail("history", "--user", "local", "--csv", **both).out.splitlines()[1:]
    assert len(ours) == 1
    assert ",service," in ours[0]
    found = dovetail("stats", "--by", "user", "--jsonl", **both).out.splitlines()
    assert [json.loads(line)["where"] for line in found] == ["terminal", "service"]


def test_the_configuration_of_nobody_is_shown(dovetail: Command) -> None:
    done = dovetail("config", "show")
    assert (done.code, done.out) == (0, "# no configuration file\n{}\n")


def test_an_archive_is_read_by_its_own_name(folder: Path, dovetail: Command) -> None:
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        archive.write(folder / "trades.csv", "trades.csv")
    assert dovetail("query", "--csv", "select count(*) as n from 'all.zip'").out == "n\n8\n"


def test_a_file_whose_ending_says_nothing(folder: Path, dovetail: Command) -> None:
    (folder / "trades.dat").write_bytes((folder / "trades.csv").read_bytes())
    for name in ("trades.dat", "./trades.dat"):
        done = dovetail("query", "--csv", f"select count(*) as n from '{name}'")
        assert (done.code, done.out) == (0, "n\n8\n"), done.err
    done = dovetail("query", "select * from 'trades.bin'")
    assert (done.code, done.out) == (1, "")
    assert 'no table "trades.bin"' in done.err


def test_the_end_of_the_text_has_a_name(dovetail: Command) -> None:
    done = dovetail("sql", "format", "select 1 from")
    assert done.code == 1
    assert "not the end of the text" in done.err


def test_a_file_that_is_not_there_has_near_names(folder: Path, dovetail: Command) -> None:
    (folder / "orders.csv").write_text("id\n1\n")
    for arguments in (
        ("diff", "ordrs.csv", "trades.csv"),
        ("diff", "orders.csv", "trade.csv"),
        ("describe", "ordrs.csv"),
        ("profile", "ordrs.csv"),
    ):
        done = dovetail(*arguments)
        assert done.code == 1
        assert re.search(r"no file '\w+\.csv' in .*did you mean '(orders|trades)\.csv'", done.err)
    # a table of a source may end like a file
    (folder / "some").mkdir()
    (folder / "some" / "csv.jsonl").write_text('{"a": 1}\n')
    done = dovetail("describe", "--csv", "--source", f"box={folder / 'some'}", "box.csv")
    assert done.out == "column,type,nullable,key,comment\na,BIGINT,true,,\n"


def test_diff(folder: Path, dovetail: Command) -> None:
    lines = (folder / "trades.csv").read_text().splitlines()
    today = [line.replace("20,76.00", "25,77.00") for line in lines if not line.startswith("5,")]
    (folder / "today.csv").write_text("\n".join([*today, ",Dan,FX,EURUSD,1,1.00,2026-01-09", ""]))
    (folder / "more.csv").write_text("\n".join([*today, "8,Dan,FX,EURUSD,1,1.00,2026-01-09", ""]))

    same = dovetail("diff", "--csv", "--expect", "none", "trades.csv", "trades.csv")
    assert (same.code, same.out) == (0, "change,column,a,b\n")
    assert "the same columns and number of rows" in same.err
    assert dovetail("diff", "--data", "--key", "id", "trades.csv", "trades.csv").code == 0

    query = "select id, qty::varchar as qty, 1 as extra from 'today.csv'"
    done = dovetail("diff", "--csv", "trades.csv", f"{query} where id < 3")
    assert done.out.splitlines()[1] == "rows,,8,2"
    assert "removed,trader,VARCHAR," in done.out.splitlines()
    assert "type,qty,BIGINT,VARCHAR" in done.out.splitlines()
    assert "added,extra,,INTEGER" in done.out.splitlines()

    done = dovetail("diff", "--csv", "--data", "--key", "id,trader", "trades.csv", "today.csv")
    assert done.code == 0, done.err
    assert [line[:26] for line in done.out.splitlines()] == [
        "change,id,trader,column,a,",
        "changed,4,Ben,qty,20,25",
        "changed,4,Ben,price,76.0,7",
        'removed,5,Ben,,"{""book"":',
        'added,,Dan,,,"{""book"":""',
    ]
    done = dovetail("diff", "--data", "--key", "id", "trades.csv", query, "--expect", "none")
    assert done.code == 5
    assert '"book" is removed, so it is not compared' in done.err
    assert '"qty" is compared as text' in done.err
    assert "expected no rows; 3 rows found" in done.err

    for arguments, code, words in (
        (["--data", "--key", "id", "trades.csv", "more.csv"], 1, "unique in more.csv: 8 (2 rows)"),
        (["--data", "--key", "trader", "trades.csv", "today.csv"], 1, "Ana (3 rows); Ben (3 rows)"),
        (["--data", "trades.csv", "today.csv"], 2, "give its columns"),
        (["--data", "--key", "idd", "trades.csv", "today.csv"], 1, "did you mean id?"),
        (["--data", "--key", "id,", "trades.csv", "today.csv"], 2, "--key takes names"),
        (["--key", "id", "trades.csv", "today.csv"], 2, "--key goes with --data"),
        (["trades.csv", "toady.csv"], 1, "toady.csv"),
        (["trades.csv"], 2, "B"),
    ):
        done = dovetail("diff", *arguments)
        assert (done.code, done.out) == (code, ""), arguments
        assert words in done.err


def test_the_engine_of_a_query(dovetail: Command) -> None:
    assert get_args(Config.model_fields["engine"].annotation) == ENGINES
    assert dovetail("query", "--csv", "--engine", "duckdb", "select 1 as a").out == "a\n1\n"
    done = dovetail("query", "--engine", "spark", "select 1")
    assert (done.code, done.out) == (2, "")
    assert '--engine takes duckdb, not "spark"' in done.err


def test_nothing_is_asked_without_input(folder: Path) -> None:
    for flags, words in (
        (["--no-input"], b"--no-input"),
        ([], b"Password"),
    ):
        terminal, keyboard = pty.openpty()
        process = subprocess.Popen(
            [str(PROGRAM), "users", "create", "ana", "--workspace", str(folder / "w"), *flags],
            cwd=folder,
            stdin=keyboard,
            stdout=keyboard,
            stderr=keyboard,
            env=environment(folder),
            start_new_session=True,
        )
        os.close(keyboard)
        seen = b""
        while words not in seen:
            seen += os.read(terminal, 1024)
        if flags:
            assert process.wait(30) == 2
        process.kill()
        process.wait(30)
        os.close(terminal)
    done = subprocess.run(
        [str(PROGRAM), "--no-input", "query", "--csv", "select 1 as a"],
        cwd=folder,
        capture_output=True,
        timeout=60,
        env=environment(folder),
        check=True,
    )
    assert done.stdout == b"a\n1\n"
