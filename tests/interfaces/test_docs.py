"""The documentation says what the command does, and its commands run."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.interfaces.conftest import PROGRAM, environment

from dovetail.demo.tour import NEXT_STEPS
from dovetail.functions.page import markdown as functions_page
from dovetail.interfaces.cli.reference import markdown

ROOT = Path(__file__).parents[2]


@pytest.mark.regen
def test_the_reference_page_is_the_help(check_file: Callable[[Path, str], None]) -> None:
    check_file(ROOT / "docs" / "cli.md", markdown())


@pytest.mark.regen
def test_the_page_of_functions_is_the_registry(check_file: Callable[[Path, str], None]) -> None:
    check_file(ROOT / "docs" / "functions.md", functions_page())


def test_every_flag_has_help_and_fits_the_page() -> None:
    page = markdown()
    for line in page.splitlines():
        if not line.startswith("|"):
            assert len(line) <= 100, line
    bare = re.findall(r"^  (-\S+(?:, --\S+)?(?: \S+)?)\s*$(?!\n {10,})", page, re.MULTILINE)
    assert bare == []
    for word in ("--csv", "--param", "--servers", "## dovetail config check", "## dovetail doctor"):
        assert word in page


@pytest.fixture(scope="module")
def toured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which ``dovetail demo`` has run."""
    folder = tmp_path_factory.mktemp("tour")
    done = run_in(folder, f"{PROGRAM} demo")
    assert done.returncode == 0, done.stderr
    (folder / "demo.txt").write_text(done.stdout)
    return folder


def run_in(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        env=environment(folder, PATH=f"{PROGRAM.parent}:/usr/bin:/bin"),
        check=False,
    )


def test_what_the_demo_prints(toured: Path) -> None:
    text = (toured / "demo.txt").read_text()
    assert "Made a small company in demo-data" in text
    for line in (
        " country        | orders | revenue_eur | days_to_door | returned_pct",
        " Germany        |   2301 |   534662.57 |         3.54 |         6.69",
        " Denmark        |    340 |    71688.05 |         3.48 |         5.59",
    ):
        assert line in text.splitlines()
    for source in ("crm (sqlite)", "shop (duckdb)", "exports (files)"):
        assert re.search(rf"\d+\. {re.escape(source)}: ", text), source
    for _, command in NEXT_STEPS:
        assert f"  {command}\n" in text
    again = run_in(toured, "dovetail demo").stdout
    assert "Found a small company" in again


def test_the_next_steps_of_the_demo_run(toured: Path) -> None:
    for title, command in NEXT_STEPS:
        done = run_in(toured / "demo-data", command)
        assert (done.returncode, done.stderr) == (0, ""), title
        assert done.stdout or "-o " in command, title


def tour_commands() -> list[tuple[str, str]]:
    """``(command, what the README says it prints)`` of every ``console`` block."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", readme, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.split("\n")
            count = 1
            while lines[count - 1].endswith("\\") or _open_quotes("\n".join(lines[:count])):
                count += 1
            found.append(("\n".join(lines[:count]), "\n".join(lines[count:]).strip("\n")))
    return found


def _open_quotes(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError:
        return True
    return False


def test_every_command_of_the_readme_runs_and_prints_what_it_says(toured: Path) -> None:
    commands = tour_commands()
    assert len(commands) == 9
    for command, expected in commands:
        if command.startswith("cd "):
            assert command == "cd demo-data"
            continue
        done = run_in(toured / "demo-data", command)
        assert (done.returncode, done.stderr) == (0, ""), (command, done.stderr)
        if "…" in expected:  # only the beginning is shown
            expected = expected.partition("…")[0].rstrip("\n")
            assert done.stdout.startswith(expected), command
        else:
            assert done.stdout.rstrip("\n") == expected, command


def blocks(language: str) -> list[str]:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)


def test_the_python_of_the_readme_runs(
    toured: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [code] = blocks("python")
    monkeypatch.chdir(toured)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("[(")


def test_the_configuration_of_the_readme_is_valid(toured: Path) -> None:
    [text] = blocks("yaml")
    (toured / "example.yaml").write_text(text)
    done = run_in(toured, "dovetail config check --config example.yaml")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.endswith("ok, 5 sources\n")


def test_the_shell_commands_of_the_readme_exist() -> None:
    """``make`` targets exist; the demo on servers has a test of its own in test_demo.py."""
    makefile = (ROOT / "Makefile").read_text()
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert lines[0].startswith("make demo")
    assert lines[1].startswith("make test")
    assert lines[2].startswith("dovetail demo --servers --postgres ")
    assert len(lines) == 3
    for target in re.findall(r"`?make (\w+)", (ROOT / "README.md").read_text()):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
