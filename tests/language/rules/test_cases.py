"""The acceptance cases of the language: results, errors, warnings, error files, plans."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.language.rules.agreement import disagreement

from dovetail.language.rules.diagnostics import RulesError
from dovetail.session import Session

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "rules_cases.jsonl").read_text().splitlines()
]
RESULTS = [case for case in CASES if "error" not in case]
ERRORS = [case for case in CASES if "error" in case]


def opened(case: dict[str, Any], folder: Path) -> Session:
    """A session over the files and sources of a case, in its own folder."""
    for name, text in case["files"].items():
        (folder / name).write_text(text)
    sources = {}
    for name, source in case.get("sources", {}).items():
        path = folder / f"{name}.sqlite"
        with sqlite3.connect(path) as connection:
            connection.executescript(source["init_sql"])
        connection.close()
        sources[name] = {"kind": "sqlite", "path": str(path)}
    stdin = None
    if "stdin" in case:
        stdin = folder / "stdin.jsonl"
        stdin.write_text(case["stdin"])
    return Session.open({"sources": sources}, allowed_directories=[folder], stdin=stdin)


@pytest.mark.parametrize("case", RESULTS, ids=lambda case: case["id"])
def test_results(case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with opened(case, tmp_path) as session:
        program = session.program(case["program"], case.get("params"), limits=case.get("limits"))
        with program.run(case.get("goal")) as result:
            rows = result.rows()
            told = "\n".join(result.warnings)
            assert [name for name, _ in result.columns] == case["columns"]
        difference = disagreement(rows, case["rows"], ordered=case["ordered"])
        assert difference is None, difference
        for text in case.get("stderr_contains", ()):
            assert text in told
        for name, wanted in case.get("error_file", {}).items():
            found = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
            assert [{k: f[k] for k in w} for f, w in zip(found, wanted, strict=True)] == wanted
        if "explain" in case:
            _check_plan(program.explain(case.get("goal"), analyze=True).to_dict(), case["explain"])


def _check_plan(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found["scans"] == wanted["scans"]
    if "aggregations" in wanted:
        assert found["aggregations"] == wanted["aggregations"]
    # What moves is checked over a server, in test_pushdown.py: a SQLite file is read by the engine
    # itself, so its rows never move at all.


def _run(session: Session, case: dict[str, Any]) -> None:
    program = session.program(case["program"], case.get("params"), limits=case.get("limits"))
    with program.run(case.get("goal")) as result:
        result.rows()


@pytest.mark.parametrize("case", ERRORS, ids=lambda case: case["id"])
def test_errors(case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with opened(case, tmp_path) as session, pytest.raises(RulesError) as raised:
        _run(session, case)
    assert raised.value.code == case["error"]["code"], str(raised.value)
    for text in case["error"]["contains"]:
        assert text in str(raised.value)
