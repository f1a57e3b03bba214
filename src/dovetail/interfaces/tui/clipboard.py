"""Where copied text goes: the terminal's clipboard, and a file when it is long."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

# Terminals drop longer texts of OSC 52 (the common limit is 100,000 bytes of base64).
_TERMINAL_BYTES = 74_000


class Clipboard:
    """Copies text. ``send`` hands it to the terminal (OSC 52, which also works over ssh)."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send

    def copy(self, text: str) -> str:
        """Copy ``text``; what to tell the user besides, or nothing."""
        if len(text.encode()) <= _TERMINAL_BYTES:
            self._send(text)
            return ""
        path = _write(text)
        try:
            import_module("pyperclip").copy(text)
        except Exception:  # it is not installed, or there is no clipboard to reach
            return f"too long for the terminal's clipboard: it is in {path}"
        return f"also in {path}"


def _write(text: str) -> Path:
    with tempfile.NamedTemporaryFile(
        "w", prefix="dovetail-copied-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
    return Path(file.name)
