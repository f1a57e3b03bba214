"""How the application ends when a fault of ours cannot be survived."""

from __future__ import annotations

from rich.panel import Panel
from rich.text import Text

from dovetail.errors import InternalError

_CRASH = "{}.\n\nYour editor tabs are kept; `dovetail tui` brings them back."


class Crash(Exception):
    """A fault that ends the application, as it is shown when the terminal is restored."""

    def __init__(self, fault: InternalError) -> None:
        super().__init__(fault.message)
        self.fault = fault

    def __rich__(self) -> Panel:
        return Panel(
            Text(_CRASH.format(self.fault.message)), title="Dovetail has ended", title_align="left"
        )
