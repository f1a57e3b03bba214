"""Every program of ``docs/rules.md`` runs and prints what the page says.

A fenced block with a file name is written to a folder; ``console`` blocks run there, top to bottom.
``make regen`` puts what the commands print into the page.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dovetail.interfaces.cli.main import main
from tests.interfaces.conftest import PROGRAM, environment

PAGE = Path(__file__).parents[1] / "docs" / "rules.md"
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Terminal:
    """A folder in which commands run; ``dovetail`` in this process, anything else in a shell."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    def run(self, command: str) -> str:
        words = shlex.split(command)
        plain = words[0] == "dovetail" and not set("|<>&;") & set(words)
        if plain:
            self.capture.readouterr()
            code = main(words[1:])
            assert code in (0, 1, 2, 4), command
            out, err = self.capture.readouterr()
            return out + err
        path = f"{PROGRAM.parent}:/usr/bin:/bin"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=240,
            env=environment(self.folder, PATH=path),
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        return done.stdout + done.stderr


def printed_again(block: str, terminal: Terminal) -> str:
    """A console block with what its commands print now; equal but reordered rows stay as shown."""
    parts = re.split(r"^(?=\$ )", block, flags=re.MULTILINE)
    made = []
    for part in filter(None, parts):
        line, _, shown = part.partition("\n")
        output = terminal.run(line.removeprefix("$ ")).rstrip("\n")
        output += "\n" if output else ""
        same = "order_by" not in line and sorted(output.split("\n")) == sorted(shown.split("\n"))
        made.append(f"{line}\n{shown if same else output}")
    return "".join(made)


@pytest.mark.regen
@pytest.mark.timeout(900)  # sixty commands; the machine may be busy
def test_every_example_prints_what_the_page_says(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    check_file: Callable[[Path, str], None],
    regen: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    terminal = Terminal(tmp_path, capfd)
    page = PAGE.read_text(encoding="utf-8")
    names = [name for _, name, _ in _BLOCK.findall(page) if name]
    assert len(names) == len(set(names)), "two blocks write the same file"
    problems: list[str] = []

    def renewed(block: re.Match[str]) -> str:
        kind, name, body = block.groups()
        if name:
            (tmp_path / name).write_text(body, encoding="utf-8")
        if kind != "console":
            return block.group()
        now = printed_again(body, terminal)
        if now != body:
            problems.append(f"the page says\n{body}\nbut it is\n{now}")
        return f"```console\n{now}```"

    made = _BLOCK.sub(renewed, page)
    if not regen:
        assert not problems, "\n\n".join(problems)
    check_file(PAGE, made)
