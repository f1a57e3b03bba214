"""``dovetail tui``: the full-screen interface."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from dovetail.errors import UsageError
from dovetail.interfaces.cli.declare import Argument, Option
from dovetail.interfaces.cli.options import MessageFlags, OutputFlags, SourceFlags
from dovetail.interfaces.cli.output import choose_output, write_rows
from dovetail.interfaces.cli.runtime import Job, Run


def tui(
    where: SourceFlags,
    out: OutputFlags,
    messages: MessageFlags,
    files: Annotated[
        list[str] | None,
        Argument(metavar="[FILE]...", help="Files that become tables; the first is shown."),
    ] = None,
    query: Annotated[
        str | None, Option("--query", metavar="SQL", help="A query to begin with.")
    ] = None,
    file: Annotated[
        str | None, Option("--file", "-f", metavar="PATH", help="SQL to open in an editor tab.")
    ] = None,
    keep_on: Annotated[
        bool, Option("--continue", help="Open the editor tabs of last time.")
    ] = False,
    keys: Annotated[bool, Option("--keys", help="List all keys and leave.")] = False,
) -> Job:
    """Open the full-screen interface: catalog, editor, results.

    dovetail tui exports/products.csv

    dovetail tui --config dovetail.yaml --query "from shop.orders"
    """
    if keys:
        output = choose_output(out, messages.color)

        def list_keys(run: Run) -> None:
            rows = _keys(run, where)
            columns = [(name, "VARCHAR") for name in ("focus", "keys", "action", "what it does")]
            write_rows(output, columns, rows, run.diagnostics)

        return Job(messages, list_keys)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("tui needs a terminal; use dovetail query")
    if file is not None and not Path(file).expanduser().is_file():
        raise UsageError(f"cannot read {file}: there is no such file")
    from dovetail.interfaces.cli.adhoc import parse_data

    data = parse_data(list(files or []))

    def work(run: Run) -> int:
        app_class = _app_class()
        with run.session(where, data=data) as session:
            app = app_class(
                session,
                files=list(data),
                query=query,
                paths=[Path(file)] if file is not None else [],
                keep_on=keep_on,
                welcome=_first_start(),
            )
            app.run()
            return app.return_code or 0

    return Job(messages, work, interactive=True)


def _app_class() -> type:
    try:
        from dovetail.interfaces.tui.app import DovetailApp
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("textual", "tree_sitter"):
            raise
        raise UsageError(
            f"the full-screen interface needs {error.name}: pip install 'dovetail[tui]'"
        ) from None
    return DovetailApp


def _keys(run: Run, where: SourceFlags) -> list[tuple[str, str, str, str]]:
    from dovetail.interfaces.tui.keys import all_keys, shown_keys

    settings = run.configuration(where).tui
    keys = (
        all_keys()
        if settings is None
        else all_keys(settings.keymap, settings.keys, settings.editor)
    )
    return [(key.focus, shown_keys(key), key.action, key.help) for key in keys]


def _first_start() -> bool:
    """Whether the main keys should be shown: once for each user."""
    from dovetail.interfaces.tui.drafts import state_folder

    mark = state_folder() / "welcomed"
    if mark.exists() or "DOVETAIL_TUI_STATE" in os.environ:
        return False
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError:
        return False
    return True


COMMANDS = {"tui": tui}
