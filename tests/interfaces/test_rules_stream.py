"""``dovetail rules run`` over a standard input that stays open: rows come while it is."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from tests.interfaces.conftest import PROGRAM, environment

FILTER = "big(Name, Age) :- json_record([name-Name, age-Age]), Age > 60.\n"
ADA, FLO, HAL = (
    {"name": "Ada", "age": 36},
    {"name": "Flo", "age": 63},
    {"name": "Hal", "age": 62},
)


class Live:
    """A command whose standard input is still open."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self._in: IO[str] = process.stdin
        self._out: IO[str] = process.stdout

    def send(self, *records: Any) -> None:
        for record in records:
            text = record if isinstance(record, str) else json.dumps(record)
            self._in.write(text + "\n")
        self._in.flush()

    def line(self) -> str:
        """The next line that comes out; waits for it."""
        return self._out.readline().rstrip("\n")

    def end(self) -> tuple[int, str, str]:
        """Close the input: exit code, what else came out, messages."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@contextmanager
def running(folder: Path, program: str, *arguments: str) -> Iterator[Live]:
    (folder / "p.pl").write_text(program)
    process = subprocess.Popen(
        [str(PROGRAM), "rules", "run", "p.pl", *arguments],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(folder),
    )
    try:
        yield Live(process)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("format", "shown"),
    [
        (["--jsonl"], ['{"name":"Flo","age":63}']),
        (["--csv"], ["name,age", "Flo,63"]),
        (["--format", "prolog"], ["big('Flo', 63)."]),
        ([], [" name | age", "------+-----", " Flo  |  63"]),
    ],
    ids=["jsonl", "csv", "prolog", "table"],
)
def test_rows_come_while_the_input_is_open(
    tmp_path: Path, format: list[str], shown: list[str]
) -> None:
    with running(tmp_path, FILTER, "big(Name, Age)", *format) as live:
        live.send(ADA, FLO)
        assert [live.line() for _ in shown] == shown
        live.send(HAL)
        assert "Hal" in live.line()
        assert live.end() == (0, "", "")


def test_a_join_looks_up_what_was_read_once(tmp_path: Path) -> None:
    (tmp_path / "cities.csv").write_text("city,region\nNYC,East\nLA,West\n")
    program = """
:- source(users, stdin).
:- source(cities, 'cities.csv').
region(Name, R) :- json_record(users, [name-Name, city-C]), cities(C, R).
"""
    with running(tmp_path, program, "--jsonl") as live:
        live.send({"name": "Ada", "city": "NYC"})
        assert live.line() == '{"name":"Ada","r":"East"}'
        (tmp_path / "cities.csv").unlink()
        live.send({"name": "Bob", "city": "Boise"}, {"name": "Cy", "city": "LA"})
        assert live.line() == '{"name":"Cy","r":"West"}'
        assert live.end() == (0, "", "")


def test_a_grouping_waits_for_the_end(tmp_path: Path) -> None:
    program = "n(City, N) :- group_by(City, json_record([city-City]), count, N).\n"
    with running(tmp_path, program, "order_by([City], n(City, N))", "--jsonl") as live:
        live.send({"city": "LA"}, {"city": "NYC"})
        live.send({"city": "LA"})
        assert live.end() == (0, '{"city":"LA","n":2}\n{"city":"NYC","n":1}\n', "")


def test_a_limit_ends_it_while_the_input_is_open(tmp_path: Path) -> None:
    with running(tmp_path, FILTER, "big(Name, _)", "--jsonl", "--limit", "1") as live:
        live.send(FLO, HAL)
        assert live.line() == '{"name":"Flo"}'
        assert live.process.wait(timeout=60) == 0


def test_a_later_record_that_contradicts_the_first_is_an_error(tmp_path: Path) -> None:
    with running(tmp_path, FILTER, "--jsonl") as live:
        live.send(FLO)
        live.line()
        live.send("", {"name": "Eve", "age": 61.5})
        code, out, err = live.end()
    assert (code, out) == (1, "")
    assert "error[R014]: stdin line 3, field age: integer expected, found 61.5" in err
    assert "the type of age is that of the first 1 lines; schema([age-…]) declares it" in err


def test_records_are_checked_as_in_a_file(tmp_path: Path) -> None:
    program = """
:- source(users, stdin, [schema([name-text, age-integer]), on_error(skip), error_file('bad.jsonl'),
                         error_threshold(2)]).
big(Name, Age) :- users(Name, Age), Age > 60.
"""
    with running(tmp_path, program, "--jsonl", "--metrics", "m.json") as live:
        live.send(FLO, {"name": "Eve", "age": "sixty"})
        assert live.line() == '{"name":"Flo","age":63}'
        live.send("", "{", HAL, {"name": "Cy"})
        assert live.line() == '{"name":"Hal","age":62}'
        code, out, err = live.end()
    assert (code, out) == (0, "")
    assert err == "2 records skipped in stdin (see bad.jsonl)\n"
    bad = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert [(b["line"], b["field"]) for b in bad] == [(2, "age"), (4, None)]
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert (metrics["errors"], metrics["rows"]) == (2, 2)


def test_more_errors_than_allowed_stop_it(tmp_path: Path) -> None:
    program = """
:- source(users, stdin, [schema([age-integer]), on_error(null), error_threshold(1)]).
old(Age) :- users(Age), Age > 60.
"""
    with running(tmp_path, program, "--jsonl") as live:
        live.send({"age": "a"}, {"age": 61})
        assert live.line() == '{"age":61}'
        live.send({"age": "b"}, {"age": 62})
        assert live.process.wait(timeout=60) == 1
        _, _, err = live.end()
    assert "R014" in err
    assert "2 record errors in stdin, more than error_threshold(1)" in err


def test_a_field_that_has_not_come_yet_is_waited_for(tmp_path: Path) -> None:
    with running(tmp_path, FILTER, "--jsonl") as live:
        live.send({"name": "Flo"})
        assert live.process.stderr is not None
        assert live.process.stderr.readline() == (
            "standard input is read to its end first: stdin has no field age\n"
        )
        live.send(HAL)
        assert live.end() == (0, '{"name":"Hal","age":62}\n', "")


def test_ctrl_c_ends_it_while_it_waits(tmp_path: Path) -> None:
    with running(tmp_path, FILTER, "--jsonl") as live:
        live.send(FLO)
        live.line()
        live.process.send_signal(signal.SIGINT)
        assert live.process.wait(timeout=60) == 130


def test_a_closed_pipe_ends_it(tmp_path: Path) -> None:
    with running(tmp_path, FILTER, "--jsonl") as live:
        live.send(FLO)
        live.line()
        assert live.process.stdout is not None
        live.process.stdout.close()
        live.send(HAL)
        live.process.wait(timeout=60)
        assert live.process.stderr is not None
        assert live.process.stderr.read() == ""
