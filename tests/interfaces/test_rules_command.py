"""``dovetail rules run|check|compile|explain``: what they print, where, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.interfaces.conftest import Command

PROGRAM = """\
:- source(trades, 'trades.csv').
:- param(least, integer, 40).
big(Trader, Qty) :- trades(_, Trader, _, _, Qty, _, _), param(least, L), Qty >= L.
per(Book, N) :- group_by(Book, trades(_, _, Book, _, _, _, _), count, N).
"""


@pytest.fixture
def program(folder: Path) -> Path:
    """A program over ``trades.csv``, as ``p.pl`` in the folder."""
    path = folder / "p.pl"
    path.write_text(PROGRAM)
    return path


# -- run ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "out"),
    [
        (["--jsonl"], '{"book":"EQ","n":4}\n{"book":"FX","n":4}\n'),
        (["--json"], '[\n{"book":"EQ","n":4},\n{"book":"FX","n":4}\n]\n'),
        (["--csv"], "book,n\nEQ,4\nFX,4\n"),
        (["--format", "prolog"], "per('EQ', 4).\nper('FX', 4).\n"),
        ([], " book | n\n------+---\n EQ   | 4\n FX   | 4\n"),
    ],
    ids=["jsonl", "json", "csv", "prolog", "table"],
)
def test_run_prints_rows(program: Path, dovetail: Command, format: list[str], out: str) -> None:
    done = dovetail(
        "rules", "run", "p.pl", "order_by([B], per(B, N))".replace("B", "Book"), *format
    )
    assert (done.code, done.out, done.err) == (0, out, "")


@pytest.mark.parametrize("command", ["run", "compile", "explain"])
def test_the_goal_may_be_an_option(program: Path, dovetail: Command, command: str) -> None:
    goal = "order_by([Book], per(Book, N))"
    after = dovetail("rules", command, "p.pl", goal)
    option = dovetail("rules", command, "p.pl", "--goal", goal)
    assert (option.code, after.code) == (0, 0)
    assert option.out.split("Planning")[0] == after.out.split("Planning")[0]
    twice = dovetail("rules", command, "p.pl", goal, "-g", goal)
    assert twice.code == 2
    assert "the goal is given twice: after the file, and with --goal" in twice.err


def test_run_writes_a_file(program: Path, dovetail: Command, folder: Path) -> None:
    done = dovetail("rules", "run", "p.pl", "per(Book, _)", "-o", "out.csv", "--limit", "1")
    assert (done.code, done.out) == (0, "")
    assert len((folder / "out.csv").read_text().splitlines()) == 2


def test_parameters(program: Path, dovetail: Command) -> None:
    done = dovetail("rules", "run", "p.pl", "big(T, 100)", "-p", "least=90", "--csv")
    assert (done.code, done.out) == (0, "t\nAna\n")
    done = dovetail("rules", "run", "p.pl", "big(T, Q)", "-p", "lest=90")
    assert done.code == 1
    assert "error[R003]: no parameter lest; did you mean least?" in done.err
    done = dovetail("rules", "run", "p.pl", "big(T, Q)", "-p", "least=many")
    assert done.code == 1
    assert "least" in done.err


def test_the_program_may_come_from_standard_input(folder: Path, dovetail: Command) -> None:
    done = dovetail("rules", "run", "-", "--csv", stdin=b"a(1). a(2).\n?- order_by([X], a(X)).\n")
    assert (done.code, done.out, done.err) == (0, "x\n1\n2\n", "")
    done = dovetail("rules", "check", "-", stdin=b"a(X) :- b(X).\n")
    assert done.code == 1
    assert done.err.startswith("<stdin>:1:9: error[R003]")


def test_several_goals(folder: Path, dovetail: Command) -> None:
    (folder / "g.pl").write_text("a(1).\nb(2).\n?- a(X).\n?- b(Y).\n")
    done = dovetail("rules", "run", "g.pl")
    assert (done.code, done.err) == (0, "")
    assert done.out == "?- a(X)  (line 3)\n x\n---\n 1\n\n?- b(Y)  (line 4)\n y\n---\n 2\n"
    done = dovetail("rules", "run", "g.pl", "--result", "2", "--csv")
    assert (done.code, done.out) == (0, "y\n2\n")
    done = dovetail("rules", "run", "g.pl", "--csv")
    assert (done.code, done.out) == (2, "")
    assert "the file has 2 goals, and csv holds one result" in done.err
    done = dovetail("rules", "run", "g.pl", "--result", "3")
    assert done.code == 2
    assert "R016" in done.err


def test_several_goals_over_standard_input(folder: Path, dovetail: Command) -> None:
    (folder / "g.pl").write_text("?- json_record([a-A]).\n?- json_record([a-A]), A > 1.\n")
    done = dovetail("rules", "run", "g.pl", stdin=b'{"a":1}\n{"a":2}\n')
    assert (done.code, done.err) == (0, "")
    assert done.out.count(" 2\n") == 2


def test_metrics(program: Path, dovetail: Command, folder: Path) -> None:
    done = dovetail("rules", "run", "p.pl", "big(T, Q)", "--metrics", "m.json")
    assert done.code == 0
    metrics = json.loads((folder / "m.json").read_text())
    assert metrics.keys() == {"records", "errors", "seconds", "rows"}
    assert (metrics["records"], metrics["errors"], metrics["rows"]) == (8, 0, 4)
    done = dovetail("rules", "run", "p.pl", "big(T, Q)", "--metrics", "no/m.json")
    assert done.code == 2
    assert "cannot write no/m.json: No such file or directory" in done.err


def test_warnings_are_messages_and_with_strict_errors(program: Path, dovetail: Command) -> None:
    done = dovetail("rules", "run", "p.pl", "limit(1, per(_, N))", "--csv")
    assert (done.code, done.out) == (0, "n\n4\n")
    assert "warning[W102]" in done.err
    done = dovetail("rules", "run", "p.pl", "limit(1, per(_, N))", "--csv", "--strict")
    assert (done.code, done.out) == (1, "")
    assert "W102" in done.err


# -- how it ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "check", "compile", "explain"])
def test_a_file_that_is_not_there(folder: Path, dovetail: Command, command: str) -> None:
    done = dovetail("rules", command, "none.pl")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: cannot read none.pl: No such file or directory\n"


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (b"a(X) :- b(X).\n", 1, "p.pl:1:9: error[R003]"),
        (b"a(1).\na(2\n", 1, "p.pl:2:1: error[R001]"),
        (b"a('\xff').\n", 1, "byte 3 is 0xff"),
        (b":- source(u, 'none.csv').\na(X) :- u(X).\n", 2, "p.pl:1:14: error[R012]"),
        (b":- sauce(u, 'x.csv').\na(1).\n", 2, "error[R012]"),
        (b"a(1). b(1).\n", 2, "error[R016]"),
        (b"", 2, "error[R016]"),
    ],
)
def test_mistakes(folder: Path, dovetail: Command, text: bytes, code: int, message: str) -> None:
    (folder / "p.pl").write_bytes(text)
    done = dovetail("rules", "run", "p.pl")
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_recursion_without_end(folder: Path, dovetail: Command) -> None:
    (folder / "p.pl").write_text("n(1).\nn(M) :- n(N), M is N + 1.\n?- n(X).\n")
    done = dovetail("rules", "run", "p.pl")
    assert (done.code, done.out) == (4, "")
    assert "error[R013]" in done.err
    assert "limits.rules.max_iterations" in done.err


def test_errors_as_json(folder: Path, dovetail: Command) -> None:
    (folder / "p.pl").write_text("a(X) :- b(X).\n")
    done = dovetail("rules", "run", "p.pl", "--errors", "json")
    assert done.code == 1
    error = json.loads(done.err)
    assert (error["code"], error["rule"], error["file"]) == (1, "R003", "p.pl")
    assert (error["line"], error["column"]) == (1, 9)
    assert (error["end_line"], error["end_column"]) == (1, 10)
    assert [e["rule"] for e in error["errors"]] == ["R003"]


# -- check, compile, explain ----------------------------------------------------------------------


def test_check_reports_every_mistake_without_reading(folder: Path, dovetail: Command) -> None:
    (folder / "p.pl").write_text("a(X) :- b(X).\nc(X, Y) :- a(X).\n?- a(1, 2).\n")
    done = dovetail("rules", "check", "p.pl")
    assert (done.code, done.out) == (1, "")
    assert "p.pl:1:9: error[R003]" in done.err
    (folder / "p.pl").write_text("a(1).\n?- a(X).\n?- a(X), X > 'b'.\n")
    done = dovetail("rules", "check", "p.pl")
    assert done.code == 1
    assert "p.pl:3:" in done.err
    assert "R009" in done.err


def test_check_says_that_all_is_well(program: Path, dovetail: Command) -> None:
    done = dovetail("rules", "check", "p.pl")
    assert (done.code, done.out) == (0, "")
    assert done.err == "p.pl: no mistakes; 2 predicates, 0 goals\n"


def test_compile(program: Path, dovetail: Command) -> None:
    done = dovetail("rules", "compile", "p.pl", "order_by([Book], per(Book, N))")
    assert (done.code, done.err) == (0, "")
    assert dovetail("query", "--csv", done.out).out == "book,n\nEQ,4\nFX,4\n"
    done = dovetail("rules", "compile", "p.pl", "per(Book, N)", "--to", "plan")
    assert done.code == 0
    assert "Aggregate COUNT(*)" in done.out
    done = dovetail("rules", "compile", "p.pl", "per(Book, N)", "--dialect", "mysql")
    assert done.code == 0
    assert "`per`" in done.out
    done = dovetail("rules", "compile", "p.pl", "per(Book, N)", "--to", "c")
    assert (done.code, done.out) == (2, "")
    assert 'compile --to takes sql or plan, not "c"' in done.err


def test_compile_in_a_dialect_that_is_none(program: Path, dovetail: Command) -> None:
    done = dovetail("rules", "compile", "p.pl", "per(Book, N)", "--dialect", "mysqk")
    assert (done.code, done.out) == (2, "")
    assert "mysqk" in done.err
    assert "mysql?" in done.err


def test_explain(program: Path, dovetail: Command) -> None:
    done = dovetail("rules", "explain", "p.pl", "per(Book, N)")
    assert (done.code, done.err) == (0, "")
    assert "Reads trades 1×; 1 aggregations" in done.out.splitlines()
    done = dovetail("rules", "explain", "p.pl", "per(Book, N)", "--analyze", "--format", "json")
    assert done.code == 0
    plan = json.loads(done.out)
    assert plan["scans"] == {"trades": 1}
    assert plan["profile"]["rows"] == 2
    assert plan["standard_input"] is None
    done = dovetail("rules", "explain", "p.pl", "--format", "xml")
    assert (done.code, done.out) == (2, "")
    assert 'explain --format takes text or json, not "xml"' in done.err
