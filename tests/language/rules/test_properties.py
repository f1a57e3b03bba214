"""Random programs: the compiler and the interpreter agree, with optimizer rules on and off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from tests.language.rules.agreement import assert_agreement
from tests.language.rules.generate import Program, programs
from tests.language.rules.placed import facts, json_lines, text_of

from dovetail.session import Session


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="module")
def session(folder: Path) -> Iterator[Session]:
    with Session.open({}, allowed_directories=[folder]) as opened:
        yield opened


@given(program=programs())
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_random_programs(session: Session, folder: Path, program: Program) -> None:
    text = text_of(program, {"facts": facts, "json": json_lines(folder)})
    assert_agreement(session, program, text)
