"""Standard input as a stream: which goals can, and that batches add up to the same rows."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.language.rules.agreement import disagreement
from tests.language.rules.test_cases import RESULTS, opened

from dovetail.connectors import open_lines
from dovetail.connectors.open_lines import OpenLines
from dovetail.errors import CancelledError, DataError, UsageError
from dovetail.language.rules.diagnostics import RulesError
from dovetail.session import Session

USERS = [
    {"id": 1, "name": "Ada", "city": "NYC", "age": 36, "tags": ["a", "b"], "at": {"zip": 1}},
    {"id": 2, "name": "Bob", "city": "LA", "age": 29, "tags": [], "at": {"zip": 2}},
    {"id": 3, "name": "Cy", "city": "Boise", "age": 63, "tags": ["c"], "at": {"zip": 3}},
    {"id": 4, "name": None, "city": "NYC", "age": 62, "tags": ["a"], "at": {}},
    {"id": 5, "name": "Eve", "city": None, "age": 18},
]
PROGRAM = """
:- source(users, stdin).
:- source(cities, 'cities.csv').
region('NYC', east). region('LA', west). region('LA', pacific).
old(N, A) :- json_record(users, [name-N, age-A]), A > 30.
counted(R, K) :- group_by(R, region(_, R), count, K).
"""
STREAMING = [
    "old(N, A)",
    "json_record(users, [name-N, at.zip-Z])",
    "(json_record(users, [name-N, tags-T]), member(X, T))",
    "(json_record(users, [name-N, city-C]), region(C, R))",
    "(json_record(users, [name-N, city-C]), cities(C, P))",
    "(json_record(users, [name-N, city-C]), \\+ cities(C, _))",
    "(json_record(users, [name-N, city-C]), region(C, R), counted(R, K))",
    "(json_record(users, [name-N, city-C]), aggregate_all(count, region(C, _), K))",
    "(json_record(users, [name-N, age-A]), ( A > 60 -> B = old ; B = young ))",
    "( old(N, A) ; json_record(users, [name-N, age-A]), A < 20 )",
]
WAITING = {
    "group_by(C, json_record(users, [city-C]), count, N)": "a grouping needs every row",
    "order_by([A], old(N, A))": "order_by needs every row",
    "group_by([], old(N, A), rank(A, R))": "a window needs every row",
    "distinct(json_record(users, [city-C]))": "distinct needs every row",
    "(json_record(users, [id-I, city-C]), json_record(users, [id-J, city-C]), I < J)": (
        "it is read twice and joined with itself"
    ),
    "(cities(C, _), \\+ json_record(users, [city-C]))": (
        "a negation or outer join looks rows up in all of it"
    ),
    "( json_record(users, [city-C]) ; cities(C, _) )": "some of the rows come from elsewhere",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with users and cities; a batch closes at two lines."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(open_lines, "BATCH_LINES", 2)
    (tmp_path / "cities.csv").write_text("city,people\nNYC,8\nLA,4\nRome,3\n")
    (tmp_path / "users.jsonl").write_text("".join(json.dumps(u) + "\n" for u in USERS))
    return tmp_path


def session(folder: Path, text: str | None = None) -> Session:
    path = folder / "users.jsonl"
    if text is not None:
        path.write_text(text)
    return Session.open({}, allowed_directories=[folder], stdin=path)


@pytest.mark.parametrize("goal", STREAMING)
def test_batches_add_up(folder: Path, goal: str) -> None:
    with session(folder) as one, session(folder) as other:
        with one.program(PROGRAM, stream=True).run(goal) as result:
            assert result.profile.streamed
            streamed = result.rows()
        with other.program(PROGRAM).run(goal) as result:
            assert not result.profile.streamed
            difference = disagreement(streamed, [list(r) for r in result.rows()], ordered=False)
    assert difference is None, difference
    assert streamed


@pytest.mark.parametrize("goal", WAITING)
def test_what_needs_all_rows_waits_for_them(folder: Path, goal: str) -> None:
    with session(folder) as opened_:
        program = opened_.program(PROGRAM, stream=True)
        explained = program.explain(goal)
        told = f"Standard input is read to its end first: {WAITING[goal]}"
        assert told in str(explained).splitlines()
        assert explained.to_dict()["standard_input"] == told
        with program.run(goal) as result:
            assert result.rows()


def test_explain_shows_what_is_computed_once(folder: Path) -> None:
    goal = "(json_record(users, [name-N, city-C]), region(C, R), counted(R, K))"
    with session(folder) as opened_:
        text = str(opened_.program(PROGRAM, stream=True).explain(goal))
    assert "Standard input is streamed: rows come out while it is still open" in text
    assert "CREATE TABLE fragment_2 AS " in text


CASES = [
    case
    for case in RESULTS
    if "explain" not in case and any(f"'{n}'" in case["program"] for n in case["files"])
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_cases_over_standard_input(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every acceptance case that reads a file of JSON lines, with that file piped in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(open_lines, "BATCH_LINES", 3)
    declared = [n for n in case["files"] if f", '{n}'" in case["program"] and "jsonl" in n]
    if len(declared) != 1 or "format(" in case["program"]:
        pytest.skip("not one file of JSON lines")
    program = case["program"].replace(f"'{declared[0]}'", "stdin")
    piped = {**case, "stdin": case["files"][declared[0]]}
    with opened(piped, tmp_path) as opened_:
        try:
            made = opened_.program(
                program, case.get("params"), limits=case.get("limits"), stream=True
            )
            with made.run(case.get("goal")) as result:
                rows = result.rows()
        except RulesError as error:
            # Three lines need not tell the types; then the message says so.
            if "is that of the first 3 lines" in str(error):
                return
            raise
    difference = disagreement(rows, case["rows"], ordered=case["ordered"])
    assert difference is None, difference


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"at": {"zip": 1.5}}', "field at: struct(zip bigint) expected"),
        ('{"age": "old"}', "field age: integer expected"),
        ('{"day": "soon"}', "field day: date expected"),
        ('{"day": "2024-01-01 10:00"}', "field day: date expected"),
        ('{"days": ["2024-01-01", "soon"]}', "field days: date[] expected"),
        ('{"age": 9223372036854775808}', "field age: integer expected"),
        ("[1]", "a JSON object expected"),
        ("{", "a JSON object expected"),
    ],
)
def test_a_record_that_contradicts_the_first_ones(folder: Path, line: str, found: str) -> None:
    first = '{"age": 1, "at": {"zip": 1}, "day": "2024-01-01", "days": ["2024-01-01"], "x": 1}\n'
    text = f'{first * 2}\n{{"x": "not read"}}\n{line}\n'
    program = "q(A, Z, D, L) :- json_record([age-A, at-Z, day-D, days-L]).\n"
    with session(folder, text) as opened_, pytest.raises(RulesError) as raised:
        opened_.program(program, stream=True).run().rows()
    assert raised.value.code == "R014"
    assert f"stdin line 5, {found}" in str(raised.value) or (
        f"stdin line 5: {found}" in str(raised.value)
    )


def test_policies_count_over_all_batches(folder: Path) -> None:
    text = '{"age": 1}\n{\n\n{"age": "a"}\n{"age": 3}\n{"age": "b"}\n{"age": 7}\n'
    program = """
:- source(u, stdin, [on_error(null), error_file('bad.jsonl')]).
q(A) :- json_record(u, [age-A]).
"""
    with session(folder, text) as opened_, opened_.program(program, stream=True).run() as result:
        assert result.rows() == [(1,), (None,), (3,), (None,), (7,)]
        assert result.profile.record_errors == {"u": 3}
        assert result.warnings == [
            "2 fields read as null and 1 record skipped in stdin (see bad.jsonl)"
        ]
    bad = [json.loads(line) for line in (folder / "bad.jsonl").read_text().splitlines()]
    assert [(b["line"], b["found"]) for b in bad] == [(2, "{"), (4, '"a"'), (6, '"b"')]


@pytest.mark.parametrize("stream", [True, False])
def test_records_without_any_field(folder: Path, stream: bool) -> None:
    program = ":- source(u, stdin, [schema([age-integer])]).\nq(A) :- u(A).\n"
    with session(folder, "{}\n" * 3) as opened_:
        assert opened_.program(program, stream=stream).run().rows() == [(None,)] * 3


@pytest.mark.parametrize(
    ("goal", "count"),
    [("limit(2, old(N, A))", 2), ("limit(9, offset(2, old(N, A)))", 1), ("limit(0, old(N, A))", 0)],
)
def test_limits_count_over_all_batches(folder: Path, goal: str, count: int) -> None:
    with session(folder) as opened_, opened_.program(PROGRAM, stream=True).run(goal) as result:
        assert result.profile.streamed
        assert len(result.rows()) == count


def test_it_is_read_once(folder: Path) -> None:
    with session(folder) as opened_:
        program = opened_.program(PROGRAM, stream=True)
        with program.run("old(N, A)") as result:
            assert len(result.rows()) == 3
        with pytest.raises(UsageError, match="can be read only once"):
            program.run("old(N, A)")


def test_several_goals_read_all_of_it_first(folder: Path) -> None:
    with session(folder) as opened_:
        program = opened_.program(PROGRAM, stream=True)
        program.read_all()
        for _ in range(2):
            with program.run("old(N, A)") as result:
                assert len(result.rows()) == 3


# -- lines ----------------------------------------------------------------------------------------


@pytest.fixture
def pipe(tmp_path: Path) -> tuple[OpenLines, int]:
    """Lines of a named pipe, and the descriptor to write them to."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)
    return OpenLines(path), writer


def test_a_batch_closes_when_the_writer_pauses(pipe: tuple[OpenLines, int]) -> None:
    lines, writer = pipe
    os.write(writer, b"1\n\n3\n4")
    batch = lines.batch()
    assert batch is not None
    assert (batch.lines, batch.first) == ([b"1\n", b"\n", b"3\n"], 1)
    os.write(writer, b"4\n")
    batch = lines.batch()
    assert batch is not None
    assert (batch.lines, batch.first) == ([b"44\n"], 4)
    lines.stop()
    os.close(writer)


def test_what_was_looked_at_is_still_there(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"1\n2\n3")
    lines = OpenLines(path)
    assert lines.head().lines == [b"1\n", b"2\n", b"3"]
    assert lines.head().first == 1
    with lines.stream() as stream:
        assert stream.read() == b"1\n2\n3"
    lines.stop()


def test_batches_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_lines, "BATCH_LINES", 2)
    path = tmp_path / "lines"
    path.write_bytes(b"1\n2\n3\n4\n5")
    lines = OpenLines(path)
    found = []
    while (batch := lines.batch()) is not None:
        found.append((batch.first, batch.lines))
    assert found == [(1, [b"1\n", b"2\n"]), (3, [b"3\n", b"4\n"]), (5, [b"5"])]
    lines.stop()


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"1\n" + b"x" * (17 << 20))
    lines = OpenLines(path)
    with pytest.raises(DataError, match="line 2 of standard input is longer than"):
        lines.batch()
    with lines.stream() as stream:
        assert len(stream.read()) == 2 + (17 << 20)
    lines.stop()


def test_stop_wakes_up_who_waits(pipe: tuple[OpenLines, int]) -> None:
    lines, writer = pipe
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            lines.batch()
        except CancelledError as error:
            raised.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    lines.stop()
    waiting.join(timeout=60)
    assert len(raised) == 1
    os.close(writer)
