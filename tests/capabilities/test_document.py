"""``docs/pushdown.md`` and ``docs/types.md`` say what the tables in the code say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dovetail.connectors.capabilities import mysql, postgres
from dovetail.connectors.capabilities.document import PAGES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.regen
@pytest.mark.parametrize("page", PAGES)
def test_page_is_current(page: str, check_file: Callable[[Path, str], None]) -> None:
    check_file(DOCS / f"{page}.md", PAGES[page]())


def test_every_entry_is_documented() -> None:
    made = PAGES["pushdown"]()
    for table in (postgres.CAPABILITIES, mysql.CAPABILITIES):
        for operator, classes in [*table.entries, *table.aggregates]:
            assert f"`{operator}`".replace("|", "\\|") in made
            assert " and ".join(classes) in made


def test_command_prints_a_page() -> None:
    command = [sys.executable, "-m", "dovetail.connectors.capabilities.document"]
    done = subprocess.run([*command, "types"], capture_output=True, text=True, check=True)
    assert done.stdout == PAGES["types"]()
    wrong = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr) == (2, "say which page: pushdown or types\n")
