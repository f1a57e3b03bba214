"""Where copied text goes."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from dovetail.interfaces.tui.clipboard import Clipboard

LONG = "x" * 80_000


class Desktop(ModuleType):
    """A pyperclip that can be looked at."""

    def __init__(self, *, works: bool = True) -> None:
        super().__init__("pyperclip")
        self.works = works
        self.text = ""
        self.came = threading.Event()

    def copy(self, text: str) -> None:
        self.came.set()
        if not self.works:
            raise RuntimeError("no display")
        self.text = text


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch) -> Desktop:
    made = Desktop()
    monkeypatch.setitem(sys.modules, "pyperclip", made)
    return made


def test_a_short_text_goes_to_the_terminal_and_the_desktop(desktop: Desktop) -> None:
    sent: list[str] = []
    assert Clipboard(sent.append, {}).copy("a\tb") == ""
    assert sent == ["a\tb"]
    assert desktop.came.wait(10)


def test_over_ssh_the_desktop_is_another_machines(desktop: Desktop) -> None:
    sent: list[str] = []
    assert Clipboard(sent.append, {"SSH_TTY": "/dev/pts/1"}).copy("a") == ""
    assert sent == ["a"]
    assert not desktop.came.is_set()


@pytest.mark.parametrize("works", [True, False])
def test_a_long_text_is_in_a_file_too(desktop: Desktop, *, works: bool) -> None:
    desktop.works = works
    sent: list[str] = []
    told = Clipboard(sent.append, {}).copy(LONG)
    path = Path(told.split(" in ")[-1])
    assert path.read_text(encoding="utf-8") == LONG
    path.unlink()
    assert sent == []
    assert desktop.text == (LONG if works else "")
    assert told.startswith("also in" if works else "too long for the terminal's clipboard")


def test_pyperclip_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyperclip", None)
    told = Clipboard(lambda text: None, {}).copy(LONG)
    assert told.startswith("too long for the terminal's clipboard: it is in ")
    Path(told.split(" in ")[-1]).unlink()
