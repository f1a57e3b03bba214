"""The interpreter answers the cases of ``tests/data/rules_cases.jsonl`` itself.

Only then does its word count against the compiler. Errors are not its business, nor is what
happens to malformed records before they are rows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.language.rules.agreement import disagreement
from tests.language.rules.case_tables import plain, tables_of
from tests.language.rules.interpreter import run
from tests.language.rules.reader import read

CASES = {
    case["id"]: case
    for line in (Path(__file__).parents[2] / "data" / "rules_cases.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
    for case in [json.loads(line)]
}
# Malformed records are judged before there are rows.
RECORDS = {"M01", "M02", "M05", "M06", "M07"}
ANSWERED = [name for name, case in CASES.items() if "error" not in case and name not in RECORDS]


def test_it_answers_all_but_errors_and_bad_records() -> None:
    assert len(ANSWERED) == 185


@pytest.mark.parametrize("name", ANSWERED)
def test_case(name: str) -> None:
    case = CASES[name]
    text = read(case["program"])
    params = {key: _parameter(value) for key, value in case.get("params", {}).items()}
    answer = run(case["program"], case["goal"], tables_of(case, text), params)
    assert answer.columns == case["columns"]
    rows = [[plain(value) for value in row] for row in answer.rows]
    assert disagreement(rows, case["rows"], ordered=case["ordered"]) is None


def _parameter(text: str) -> Any:
    return int(text) if text.isdigit() else text
