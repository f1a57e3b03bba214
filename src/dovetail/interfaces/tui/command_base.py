"""What the actions of the application share: the application, screens, and work in threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dovetail.errors import DovetailError

if TYPE_CHECKING:
    from dovetail.interfaces.tui.app import DovetailApp


class CommandBase:
    """What every action stands on; the actions themselves are in the mixins."""

    def __init__(self, app: DovetailApp) -> None:
        self.app = app

    def open_screen(self, name: str, *arguments: Any) -> None:
        """Show one of the screens."""
        getattr(self, f"_screen_{name}")(*arguments)

    def _put(self, sql: str) -> None:
        self.app.buffer.editor.insert(sql)

    def _beside(self, ask: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Do something that may take long, in a thread."""

        def work() -> None:
            try:
                made = ask()
            except DovetailError as error:
                self.app.call_from_thread(self.app.handle_error, error)
                return
            self.app.call_from_thread(done, made)

        self.app.run_worker(work, thread=True, group="beside")
