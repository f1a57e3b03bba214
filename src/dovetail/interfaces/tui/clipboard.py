"""Where copied text goes: the terminal's clipboard, the desktop's, and a file when it is long."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path

# Terminals drop longer texts of OSC 52 (the common limit is 100,000 bytes of base64).
_TERMINAL_BYTES = 74_000


class Clipboard:
    """Copies text. ``send`` hands it to the terminal (OSC 52, which also works over ssh).

    Not every terminal obeys, and none says so: on the user's own machine the text also goes to the
    desktop's clipboard when pyperclip is installed.
    """

    def __init__(
        self, send: Callable[[str], None], environment: Mapping[str, str] = os.environ
    ) -> None:
        self._send = send
        self._here = not {"SSH_CONNECTION", "SSH_TTY"} & environment.keys()

    def copy(self, text: str) -> str:
        """Copy ``text``; what to tell the user besides, or nothing."""
        if len(text.encode()) <= _TERMINAL_BYTES:
            self._send(text)
            if self._here:  # beside the screen: it starts a program, and a display may not answer
                threading.Thread(target=_to_desktop, args=(text,), daemon=True).start()
            return ""
        path = _write(text)
        if _to_desktop(text):
            return f"also in {path}"
        return f"too long for the terminal's clipboard: it is in {path}"


def _to_desktop(text: str) -> bool:
    """Whether the desktop has taken ``text``: pyperclip is installed and finds a clipboard."""
    with suppress(Exception):
        import_module("pyperclip").copy(text)
        return True
    return False


def _write(text: str) -> Path:
    with tempfile.NamedTemporaryFile(
        "w", prefix="dovetail-copied-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
    return Path(file.name)
