"""What is said about each mistake, word for word.

``errors/*.txt``: one file per code. A case is a title, the program, the goal if it stands outside
the program, and the whole message. ``--regen`` writes the messages again; read the diff. The tables
that the programs use lie in ``errors/data``.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from dovetail.language.rules.diagnostics import RulesError
from dovetail.session import Session

FOLDER = Path(__file__).parent / "errors"
FIXTURES = sorted(FOLDER.glob("*.txt"))
CODES = {f"R{number:03}" for number in range(1, 18)} | {f"W{number}" for number in range(101, 108)}
# Without these limits the program of R013 would count for a while.
LIMITS = {"max_iterations": 50}
# These have no place in the text: the mistake is in the data, or in no goal at all.
PLACELESS = ("R013", "R014", "R016")


@dataclass(frozen=True)
class Case:
    title: str
    program: str
    goal: str | None
    message: str

    def text(self) -> str:
        goal = "" if self.goal is None else f"-- goal\n{self.goal}\n"
        return f"== {self.title}\n{self.program}{goal}-- message\n{self.message}\n"


def cases_of(path: Path) -> Iterator[Case]:
    text = path.read_text(encoding="utf-8")
    for block in re.split(r"^== ", text, flags=re.MULTILINE)[1:]:
        title, _, rest = block.partition("\n")
        before, _, message = rest.partition("-- message\n")
        program, outside, goal = before.partition("-- goal\n")
        yield Case(title, program, goal.rstrip("\n") if outside else None, message.rstrip("\n"))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("errors")
    shutil.copytree(FOLDER / "data", folder / "data")
    with closing(sqlite3.connect(folder / "crm.db")) as connection:
        connection.execute("create table people(id integer, name varchar)")
    config = {"sources": {"crm": {"kind": "sqlite", "path": str(folder / "crm.db")}}}
    with Session.open(config, allowed_directories=[folder / "data"]) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _beside_the_data(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(session._directories[-1])


def message_of(session: Session, case: Case) -> str:
    """The error, or the warnings where there is none."""
    try:
        with session.rules(case.program, case.goal, limits=LIMITS) as result:
            result.rows()
            return "\n".join(result.warnings)
    except RulesError as error:
        return str(error).replace(str(Path.cwd()), "<folder>")


@pytest.mark.regen
@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_messages(session: Session, path: Path, check_file: Callable[[Path, str], None]) -> None:
    made = []
    for case in cases_of(path):
        message = message_of(session, case)
        _check_form(path, case, message)
        made.append(Case(case.title, case.program, case.goal, message).text())
    check_file(path, "\n".join(made))


def _check_form(path: Path, case: Case, message: str) -> None:
    """Every message has the code of its file, and a place with the line and carets under it."""
    found = re.search(r"(error|warning)\[([RW]\d+)\]: ", message)
    assert found, f"{case.title}: {message!r}"
    code = found[2]
    assert code == (path.stem[:4] if path.stem[0] == "R" else case.title[:4]), message
    if code in PLACELESS:
        return
    place = re.match(r"(rules\.pl|<goal>):(\d+):(\d+): ", message)
    assert place, message
    line, carets = message.splitlines()[1:3]
    text = case.program if place[1] == "rules.pl" else str(case.goal)
    shown = (text.splitlines() or [""])[int(place[2]) - 1] if line.strip() else ""
    assert line == f"  {shown}", message
    assert re.fullmatch(r"[ \t]*\^+", carets), message
    assert len(carets) - len(carets.lstrip()) == int(place[3]) + 1, message


def test_every_code_has_a_fixture() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in FIXTURES)
    assert set(re.findall(r"(?:error|warning)\[([RW]\d+)\]", text)) == CODES
