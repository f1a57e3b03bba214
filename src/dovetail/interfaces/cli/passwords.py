"""Passwords that ``--source`` leaves out are asked for, on a terminal and only when needed.

An argument of a command is visible to every user of the machine, so a password cannot stand there.
Whether a login needs one only the server knows: a socket, a trusted address or a password file may
do. So it is asked without one first, and the user only when that was refused.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Mapping
from typing import Any

from dovetail.errors import CancelledError
from dovetail.interfaces.cli.interrupt import Interruption
from dovetail.secrets import Secret

_LONGEST = 4096  # what a terminal passes on as one line


def can_ask() -> bool:
    """Whether somebody sits at a terminal who sees the question and can answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def asking(sources: Mapping[str, Any], interruption: Interruption) -> dict[str, Any]:
    """The settings of ``sources``, where those without a password ask for it on first use."""
    return {
        name: settings.model_copy(
            update={"password": Secret(resolve=_Question(name, settings, interruption))}
        )
        if getattr(settings, "password", settings) is None
        else settings
        for name, settings in sources.items()
    }


class _Question:
    """The password of one source: empty when the server wants none. Asked for once."""

    def __init__(self, name: str, settings: Any, interruption: Interruption) -> None:
        self._name = name
        self._settings = settings
        self._interruption = interruption
        self._lock = threading.Lock()
        self._answer: str | None = None

    def __call__(self) -> str:
        with self._lock:
            if self._answer is None:
                self._answer = self._ask() if self._refused() else ""
            return self._answer

    def _refused(self) -> bool:
        from dovetail.config import Config
        from dovetail.session import Session

        with Session(Config(sources={self._name: self._settings})) as session:
            health = session.check(self._name)
        return health.reachable and not health.authenticated

    def _ask(self) -> str:
        user = self._settings.user
        whose = f"{user} at {self._name}" if user else self._name
        return read_silently(f"Password of {whose}: ", self._interruption)


def read_silently(prompt: str, interruption: Interruption) -> str:
    """A line from the terminal, which does not show it. Raises CancelledError on a signal.

    The standard library's getpass cannot be ended from another thread, and would leave the
    terminal without echo when the process ends.
    """
    import termios

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    silent = termios.tcgetattr(terminal)
    silent[3] &= ~termios.ECHO
    # What was typed ahead was not meant to be a password.
    termios.tcsetattr(terminal, termios.TCSAFLUSH, silent)
    try:
        sys.stderr.write(prompt)
        sys.stderr.flush()
        while not select.select([terminal], [], [], 0.1)[0]:
            if interruption.signal is not None:
                raise CancelledError("the question for a password was cancelled")
        return os.read(terminal, _LONGEST).decode(errors="replace").rstrip("\r\n")
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        sys.stderr.write("\n")
        sys.stderr.flush()
