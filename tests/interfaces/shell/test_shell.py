"""``dovetail shell`` on a real pseudo-terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pexpect
import pytest
import yaml
from tests.databases import Database
from tests.faults import POSTGRES, wait_until
from tests.interfaces.conftest import PROGRAM, Command, environment

from dovetail.editing.history import History

READY = "\x1b\\[\\?2004h"  # prompt_toolkit asks for bracketed paste whenever it prompts
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r")


class Terminal:
    """The shell on a terminal of 40 lines and 120 columns."""

    def __init__(self, folder: Path, *arguments: str, **extra: str) -> None:
        self.child = pexpect.spawn(
            str(PROGRAM),
            ["shell", *arguments],
            cwd=str(folder),
            env=environment(
                folder,
                TERM="xterm",
                NO_COLOR="1",
                PROMPT_TOOLKIT_NO_CPR="1",
                DOVETAIL_HISTORY=str(folder / "history.sqlite"),
                **{"DOVETAIL_PAGER": "", **extra},
            ),  # type: ignore[arg-type]
            dimensions=(40, 120),
            encoding="utf-8",
            timeout=120,
        )
        self.child.delaybeforesend = None
        self.ready()

    def ready(self) -> str:
        """Wait for the next prompt; what was printed before it, without escapes."""
        self.child.expect(READY)
        return _ESCAPES.sub("", self.child.before)

    def run(self, text: str) -> str:
        """Type ``text`` and Enter, and wait for the next prompt."""
        self.child.send(text + "\r")
        return self.ready()

    def leave(self) -> int:
        """Leave by Ctrl-D; the exit code."""
        self.child.send("\x04")
        self.child.expect(pexpect.EOF)
        self.child.close()
        return int(self.child.exitstatus)


@pytest.fixture
def terminal(folder: Path) -> Iterator[Terminal]:
    made = Terminal(folder, "--no-init", "trades.csv")
    yield made
    made.child.close(force=True)


def test_a_session_at_the_terminal(terminal: Terminal, folder: Path) -> None:
    # several lines: Enter only runs a statement that has its end mark
    terminal.child.send("select trader, sum(qty) as total\rfrom trades\r")
    out = terminal.run("group by trader order by total desc;")
    assert " Ana    |   160\n" in out
    assert re.search(r"4 rows, [\d.]+ m?s", out)
    # an error leaves the shell open and says what would be right
    out = terminal.run("select trdr from trades;")
    assert 'no column "trdr"' in out or "trader" in out
    assert "error:" in out
    # parameters are bound
    terminal.run(".param who=Ana")
    assert " 3\n" in terminal.run("select count(*) as n from trades where trader = $who;")
    assert 'needs parameter "missing"' in terminal.run("select $missing;")
    # temporary tables live as long as the shell
    terminal.run("create temp table desk as select trader from trades where qty > 40;")
    assert " 3\n" in terminal.run("select count(*) as n from desk;")
    assert "temporary table" in terminal.run(".tables")
    # formats, and psql's spellings
    terminal.run(".format csv")
    assert "id,trader\n1,Ana\n" in terminal.run("select id, trader from trades limit 1 \\g")
    terminal.run(".mode table")
    assert "-[ 1 ]-" in terminal.run("select 1 as one \\G")
    terminal.run("\\x")
    assert "one | 1" in terminal.run("select 1 as one;")
    terminal.run("\\x")
    assert "qty    | BIGINT" in terminal.run("\\d trades.csv")
    # results into a file
    terminal.run(".output out.csv")
    terminal.run("select id from trades where qty is null;")
    terminal.run("\\o")
    assert (folder / "out.csv").read_text() == "id\n6\n"
    assert "limit 2 rows" in terminal.run(".limit 2")
    assert "2 rows" in terminal.run("select * from trades;")
    terminal.run(".limit off")
    terminal.run(".timer off")
    assert "rows," not in terminal.run("select * from trades;")
    assert "Fragment 1" in terminal.run(".explain")
    assert 'no command ".tabels"; did you mean .tables' in terminal.run(".tabels")
    assert "list the commands" in terminal.run(".help commands")
    assert "initcap" not in terminal.run("\\df median")
    assert terminal.leave() == 0
    history = History(folder / "history.sqlite")
    kept = [entry.sql for entry in history.entries()]
    history.close()
    assert (
        kept[-1]
        == "select trader, sum(qty) as total\nfrom trades\ngroup by trader order by total desc"
    )
    assert all("desk" not in sql or sql.startswith(("create", "select")) for sql in kept)


def test_completion_history_and_ctrl_c_at_the_prompt(terminal: Terminal) -> None:
    terminal.run("select qty from trades;")  # its columns are known from now on
    terminal.run(" select 'not kept';")
    terminal.child.send("select t.sym\t")
    terminal.child.send(" from trades t;")
    # the completion needed FROM, which comes behind the cursor only now
    terminal.child.send("\x03")
    terminal.ready()
    terminal.child.send("select  from trades t;" + "\x1b[D" * len(" from trades t;"))
    terminal.child.send("t.sym")
    terminal.child.expect("symbol")  # the list opens by itself behind a dot
    terminal.child.send("\t")
    terminal.child.expect("bol")
    terminal.child.send("\x1b\r")  # Alt+Enter runs wherever the cursor is
    assert "GBPUSD" in terminal.ready()
    terminal.child.send("\x12qty from")  # Ctrl-R
    terminal.child.expect("I-search")
    terminal.child.send("\r")
    terminal.child.send("\r")
    assert "qty" in terminal.ready()
    terminal.child.send("\x10")  # the query before
    terminal.child.expect("qty")
    terminal.child.send("\x03")
    terminal.ready()
    assert terminal.leave() == 0


def test_a_pager_that_is_left_cancels_the_query(folder: Path) -> None:
    terminal = Terminal(folder, "--no-init", "--rows", "0", DOVETAIL_PAGER="head -1 > paged.txt")
    terminal.run("select * from range(100000000);")
    assert terminal.leave() == 0
    with closing(History(folder / "history.sqlite")) as history:
        [entry] = history.entries()
    assert entry.cancelled
    assert entry.rows is not None
    assert 0 < entry.rows < 100_000_000


def test_a_pasted_script_is_not_run_line_by_line(terminal: Terminal) -> None:
    terminal.child.send("\x1b[200~select 1 as a;\nselect 2 as b;\x1b[201~")
    out = terminal.run("")
    assert out.index(" a\n") < out.index(" b\n")


def test_scripts_start_up_file_and_exit_codes(folder: Path) -> None:
    config = folder / "config"
    (config / "dovetail").mkdir(parents=True)
    (config / "dovetail" / "shell.sql").write_text(
        ".format csv\ncreate temp view v as select 5 as n;\n"
    )
    (folder / "more.sql").write_text("select n + 1 as m from v;\n.format json\nselect 2 as b;\n")
    terminal = Terminal(folder, XDG_CONFIG_HOME=str(config))
    out = terminal.run(".read more.sql")
    assert "m\n6\n" in out
    assert '{"b":2}' in out
    assert "cannot read nowhere.sql" in terminal.run(".read nowhere.sql")
    terminal.child.send(".exit 3\r")
    terminal.child.expect(pexpect.EOF)
    terminal.child.close()
    assert terminal.child.exitstatus == 3
    bailing = Terminal(folder, "--no-init", "--bail")
    bailing.child.send("select nonsense;\r")
    bailing.child.expect(pexpect.EOF)
    bailing.child.close()
    assert bailing.child.exitstatus == 1


def test_the_editor_and_the_pager(folder: Path) -> None:
    editor = folder / "editor.sh"
    editor.write_text("#!/bin/sh\necho 'select 42 as answer;' > \"$1\"\n")
    editor.chmod(0o755)
    terminal = Terminal(folder, "--no-init", EDITOR=str(editor))
    terminal.run(".edit")
    assert "42" in terminal.run("")
    terminal.child.close(force=True)
    pager = folder / "pager.sh"
    pager.write_text("#!/bin/sh\nhead -3; echo PAGED\n")
    pager.chmod(0o755)
    paged = Terminal(folder, "--no-init", DOVETAIL_PAGER=str(pager))
    assert "PAGED" not in paged.run("select 1 as a;")
    out = paged.run("select i from range(100000) t(i);")  # left early: no error
    assert out.endswith("PAGED\n") or "PAGED\n" in out
    assert "error" not in out
    paged.child.close(force=True)


def test_ctrl_c_cancels_the_query_here(terminal: Terminal) -> None:
    terminal.child.send("select 1 as begun; select max(i) from range(1000000000000) t(i);\r")
    terminal.child.expect("1 row")  # the second one is running, or about to
    terminal.child.sendintr()
    assert "cancelled" in terminal.ready()
    assert " 1\n" in terminal.run("select 1 as one;")
    terminal.run("select 7 as seven;")
    terminal.child.send(".watch 1s\r")
    terminal.child.expect("seven")
    terminal.child.expect("seven")
    terminal.child.sendintr()
    terminal.ready()
    assert "at least 1 second" in terminal.run(".watch 10ms")


@pytest.mark.servers
def test_ctrl_c_ends_the_query_at_the_source(folder: Path, postgres_database: Database) -> None:
    postgres_database.execute(*POSTGRES)
    config = {"sources": {"shop": postgres_database.source()}}
    (folder / "dovetail.yaml").write_text(yaml.safe_dump(config))
    terminal = Terminal(folder, "--no-init", "--config", "dovetail.yaml")

    def running() -> int:
        [[count]] = postgres_database.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%slow%'"
            " AND pid <> pg_backend_pid()"
        )
        return int(count)

    terminal.child.send("select count(*) from shop.slow where b is null;\r")
    wait_until(lambda: running() > 0, "the query does not begin at the source", 60)
    terminal.child.sendintr()
    assert "cancelled" in terminal.ready()
    wait_until(lambda: running() == 0, "the query goes on at the source", 10)
    assert "1 row" in terminal.run("select count(*) from shop.small;")
    terminal.child.close(force=True)


def test_without_a_terminal_it_runs_what_stdin_says(dovetail: Command) -> None:
    done = dovetail(
        "shell", "trades.csv", stdin=b"select count(*) as n from trades;\nselect 2 as b;"
    )
    assert (done.code, done.err) == (0, "")
    assert " 8\n" in done.out
    assert " 2\n" in done.out
