"""The 222 cases of ``tests/data/cli_cases.jsonl`` through the installed command, a process each.

Types are compared in ``tests/queries/test_cases.py``; here it is what a user gets on stdout, and
the exit code.
"""

from __future__ import annotations

import base64
import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.interfaces.conftest import Command

CASES = {
    case["id"]: case
    for line in (Path(__file__).parents[1] / "data" / "cli_cases.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
    for case in [json.loads(line)]
}


class Digits(str):
    """A number with a point or an exponent, as it was written."""


def same(got: Any, expected: Any, type_: str) -> bool:
    """Whether a value of the JSON is the value that a case expects."""
    if isinstance(expected, list) and isinstance(got, list):
        return len(got) == len(expected) and all(
            same(g, e, "") for g, e in zip(got, expected, strict=True)
        )
    if isinstance(expected, dict) and isinstance(got, dict):
        return got.keys() == expected.keys() and all(
            same(got[k], v, "") for k, v in expected.items()
        )
    if type_.startswith("DECIMAL"):  # every digit counts, and cases hold them as text
        return (expected is None and got is None) or str(got) == str(expected)
    if type_.startswith("TIMESTAMP") and isinstance(expected, str):
        return datetime.fromisoformat(got) == datetime.fromisoformat(expected)
    if isinstance(got, Digits):
        if isinstance(expected, str):
            return got == expected
        return math.isclose(float(got), float(expected), rel_tol=1e-9)
    return type(got) is type(expected) and bool(got == expected)


@pytest.mark.parametrize("case_id", CASES)
def test_case(tmp_path: Path, dovetail: Command, case_id: str) -> None:
    case = CASES[case_id]
    (tmp_path / "trades.csv").unlink()
    for name, content in case["files"].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else base64.b64decode(content["base64"])
        path.write_bytes(data)
    if "error_names" in case:
        done = dovetail("query", "--json", case["sql"])
        assert done.code == 1, done
        assert done.out == ""
        for name in case["error_names"]:
            assert name.lower() in done.err.lower()
        assert "Traceback" not in done.err
        return
    if not case["rows"]:  # only a format with a header shows the columns of an empty result
        done = dovetail("query", "--csv", case["sql"])
        assert (done.code, done.err) == (0, "")
        assert done.out == ",".join(case["columns"]) + "\n"
        return
    done = dovetail("query", "--json", "--numbers", "exact", case["sql"])
    assert (done.code, done.err) == (0, "")
    rows = json.loads(done.out, parse_float=Digits)
    assert [*rows[0]] == case["columns"]
    assert len(rows) == len(case["rows"])
    for row, expected in zip(rows, case["rows"], strict=True):
        for value, wanted, type_ in zip(row.values(), expected, case["types"], strict=True):
            assert same(value, wanted, type_), (row, expected)
