"""The commands of the shell that are not SQL: ``.tables`` and its kin, and psql's spellings."""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from dovetail.catalog.catalogs import near_names
from dovetail.errors import CancelledError, UsageError
from dovetail.interfaces.cli.parameters import parse_parameters
from dovetail.interfaces.cli.quantities import seconds
from dovetail.interfaces.cli.shell.shell import LeaveShell, Shell
from dovetail.quoting import sql_string
from dovetail.script.statements import split

_LEAST_WATCH = 1.0  # seconds


@dataclass(frozen=True)
class ShellCommand:
    """A command: its name, other spellings, what follows it, and what it does."""

    name: str
    others: tuple[str, ...]
    arguments: str
    help: str
    run: Callable[[Shell, str], None]


def run_command(shell: Shell, text: str) -> None:
    """Run a line such as ``.tables crm.*``.

    Raises:
        UsageError: no such command; the nearest ones are named.
    """
    head, _, rest = text.partition(" ")
    head = head.rstrip(";")
    command = _BY_NAME.get(head)
    if command is None:
        near = near_names(head, _BY_NAME)
        tail = f"did you mean {' or '.join(near)}?" if near else ".help lists them"
        raise UsageError(f'no command "{head}"; {tail}', suggestions=near)
    command.run(shell, rest.strip().rstrip(";").strip())


def matching(typed: str) -> list[tuple[str, str]]:
    """``(name, help)`` of the commands that begin with ``typed``."""
    return [
        (name, command.help)
        for command in COMMANDS
        for name in (command.name, *command.others)
        if name.startswith(typed)
    ]


def _help(shell: Shell, rest: str) -> None:
    rows = [
        (f"{c.name} {c.arguments}".strip(), " ".join(c.others) or None, c.help)
        for c in COMMANDS
        if rest.lower() in f"{c.name} {' '.join(c.others)} {c.help}".lower()
    ]
    columns = [("command", "VARCHAR"), ("also", "VARCHAR"), ("what it does", "VARCHAR")]
    shell.show_rows(columns, rows)
    if not rest:
        shell.show_text(
            "A statement ends with ; and may span lines. Ctrl-R searches the history, Tab "
            "completes,\nCtrl-C cancels a query, Ctrl-D leaves."
        )


def _sources(shell: Shell, rest: str) -> None:
    known = {source.name: source for source in shell.schema.sources}
    rows = []
    for status in shell.session.sources():
        names = known[status.name]
        tables = len(names.tables) if names.state == "ready" else None
        state = names.error if names.state == "failed" else names.state
        rows.append((status.name, status.kind, status.address, tables, state))
    texts = [(name, "VARCHAR") for name in ("name", "kind", "address")]
    shell.show_rows([*texts, ("tables", "BIGINT"), ("catalog", "VARCHAR")], rows)


def _tables(shell: Shell, rest: str) -> None:
    session = shell.session
    pattern = rest or None
    found = shell.foreground.run(lambda: session.tables(pattern=pattern))
    rows = [(t.source, t.schema or None, t.name, t.kind, t.row_estimate) for t in found]
    kinds = shell.desk.objects
    rows += [
        ("session", None, name, f"temporary {kinds[name]}" if name in kinds else "file", None)
        for name in shell.schema.local_names
        if pattern is None or fnmatchcase(name.lower(), pattern.lower())
    ]
    texts = [(name, "VARCHAR") for name in ("source", "schema", "table", "kind")]
    shell.show_rows([*texts, ("rows", "BIGINT")], rows)
    if not rows and pattern is not None:
        shell.told.note(f'no table matches "{pattern}"')


def _describe(shell: Shell, rest: str) -> None:
    if not rest:
        _tables(shell, "")
        return
    subject = rest
    if not rest.startswith(("'", '"')) and Path(rest).expanduser().is_file():
        subject = sql_string(rest)
    found = shell.foreground.run(lambda: shell.session.describe(subject))
    shell.show_rows(
        [
            ("column", "VARCHAR"),
            ("type", "VARCHAR"),
            ("nullable", "BOOLEAN"),
            ("key", "VARCHAR"),
            ("comment", "VARCHAR"),
        ],
        [(c.column, c.type, c.nullable, c.key or None, c.comment or None) for c in found],
    )


def _functions(shell: Shell, rest: str) -> None:
    from dovetail.editing.complete import functions

    wanted = rest.lower() or "*"
    if not set(wanted) & set("*?["):
        wanted = f"*{wanted}*"
    known = functions([name.lower() for name in shell.session.config.macros])
    found = [name for name in known if fnmatchcase(name, wanted)]
    if not found:
        near = near_names(rest, known)
        raise UsageError(f'no function like "{rest}"', suggestions=near)
    shell.show_rows([("function", "VARCHAR")], [(name,) for name in found])


def _format(shell: Shell, rest: str) -> None:
    if rest:
        shell.set_format(rest)
    else:
        shell.show_text(shell.output.form.name)


def _vertical(shell: Shell, rest: str) -> None:
    shell.set_format("table" if shell.output.form.name == "vertical" else "vertical")
    shell.told.summary(f"format {shell.output.form.name}")


def _output(shell: Shell, rest: str) -> None:
    shell.set_target(None if rest in ("", "stdout", "-") else _unquoted(rest))


def _read(shell: Shell, rest: str) -> None:
    if not rest:
        raise UsageError(".read needs a file: .read queries.sql")
    shell.run_script(Path(_unquoted(rest)))


def _param(shell: Shell, rest: str) -> None:
    if not rest:
        _params(shell, rest)
        return
    if "=" not in rest:
        if shell.parameters.pop(rest.removeprefix("$"), None) is None:
            raise UsageError(f'.param takes name=value, and there is no parameter "{rest}" to drop')
        return
    shell.parameters.update(parse_parameters([rest]))


def _params(shell: Shell, rest: str) -> None:
    rows = [(name, str(value)) for name, value in sorted(shell.parameters.items())]
    shell.show_rows([("parameter", "VARCHAR"), ("value", "VARCHAR")], rows)


def _limit(shell: Shell, rest: str) -> None:
    if rest in ("0", "off", "none"):
        shell.limit = None
    elif rest.isdigit():
        shell.limit = int(rest)
    elif rest:
        raise UsageError(f'.limit takes a number of rows or off, not "{rest}"')
    shell.told.summary(f"limit {'off' if shell.limit is None else f'{shell.limit:,} rows'}")


def _timer(shell: Shell, rest: str) -> None:
    if rest not in ("", "on", "off"):
        raise UsageError(f'.timer takes on or off, not "{rest}"')
    shell.timer = not shell.timer if not rest else rest == "on"
    shell.told.summary(f"timer {'on' if shell.timer else 'off'}")


def _query(shell: Shell, rest: str, command: str) -> str:
    sql = rest or shell.last
    if not sql:
        raise UsageError(f"{command}: no query has run yet")
    return sql


def _explain(shell: Shell, rest: str) -> None:
    analyze = rest.split(" ", 1)[0] in ("--analyze", "analyze")
    sql = _query(shell, rest.partition("analyze")[2].strip() if analyze else rest, ".explain")
    values = shell.used_parameters(sql)
    if analyze:
        plan = shell.foreground.run(lambda: shell.session.explain(sql, values, analyze=True))
    else:
        plan = shell.foreground.run(lambda: shell.desk.plan(split(sql)[0], values))
    shell.show_text(str(plan))


def _again(shell: Shell, rest: str) -> None:
    shell.run_query(_query(shell, rest, "\\g"))


def _edit(shell: Shell, rest: str) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="dovetail-") as folder:
        path = Path(folder) / "query.sql"
        path.write_text((rest or shell.last) + "\n", encoding="utf-8")
        try:
            done = subprocess.run([*shlex.split(editor), str(path)], check=False)  # noqa: S603
        except OSError as error:
            raise UsageError(f"cannot start {editor}: {error.strerror}; set EDITOR") from None
        if done.returncode == 0:
            shell.next_text = path.read_text(encoding="utf-8").rstrip("\n")


def _history(shell: Shell, rest: str) -> None:
    entries = shell.history.entries(rest, limit=50)
    rows = [
        (
            datetime.fromtimestamp(entry.started).strftime("%Y-%m-%d %H:%M"),
            entry.rows,
            None if entry.milliseconds is None else round(entry.milliseconds),
            entry.error,
            " ".join(entry.sql.split()),
        )
        for entry in reversed(entries)
    ]
    columns = [("when", "VARCHAR"), ("rows", "BIGINT"), ("ms", "BIGINT"), ("error", "VARCHAR")]
    shell.show_rows([*columns, ("query", "VARCHAR")], rows)


def _refresh(shell: Shell, rest: str) -> None:
    if rest and rest not in {source.name for source in shell.schema.sources}:
        names = [source.name for source in shell.schema.sources]
        raise UsageError(f'no source "{rest}"', suggestions=near_names(rest, names))
    shell.schema.load(rest or None, again=True)


def _tui(shell: Shell, rest: str) -> None:
    subprocess.run([sys.argv[0], "tui", *shell.again], check=False)  # noqa: S603


def _exit(shell: Shell, rest: str) -> None:
    if rest and not rest.isdigit():
        raise UsageError(f'.exit takes an exit code, not "{rest}"')
    raise LeaveShell(int(rest or 0) % 256)


def _watch(shell: Shell, rest: str) -> None:
    pause = seconds(".watch", rest or "2s") or 2.0
    if pause < _LEAST_WATCH:
        raise UsageError(f".watch takes at least 1 second, not {rest}")
    sql = _query(shell, "", ".watch")
    try:
        while True:
            due = time.monotonic() + pause
            shell.run_query(sql, remembered=False)
            left = max(due - time.monotonic(), 0)
            shell.foreground.run(functools.partial(shell.foreground.interrupted.wait, left))
    except CancelledError:
        return


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


COMMANDS = (
    ShellCommand(".help", (".h", "\\?", "\\h"), "[TEXT]", "list the commands", _help),
    ShellCommand(".sources", ("\\l", ".databases"), "", "list the sources", _sources),
    ShellCommand(".tables", ("\\dt",), "[PATTERN]", "list tables; PATTERN is a glob", _tables),
    ShellCommand(
        ".describe", ("\\d", ".schema"), "TABLE|FILE", "columns of a table or file", _describe
    ),
    ShellCommand(".functions", ("\\df",), "[PATTERN]", "list functions", _functions),
    ShellCommand(".format", (".mode",), "[NAME]", "format of the results", _format),
    ShellCommand("\\x", (), "", "switch between rows and one line per column", _vertical),
    ShellCommand(".output", ("\\o",), "FILE|stdout", "where results go", _output),
    ShellCommand(".read", ("\\i",), "FILE", "run a file", _read),
    ShellCommand(
        ".param", ("\\set",), "NAME=VALUE", "set a parameter; NAME alone drops it", _param
    ),
    ShellCommand(".params", (), "", "list the parameters", _params),
    ShellCommand(".limit", (), "N|off", "at most N rows, for the sources too", _limit),
    ShellCommand(".timer", ("\\timing",), "on|off", "show rows and time", _timer),
    ShellCommand(".explain", (), "[analyze] [SQL]", "the plan of a query", _explain),
    ShellCommand("\\g", (), "", "run the last query again; also ends a statement", _again),
    ShellCommand(".edit", ("\\e",), "[SQL]", "edit the last query in $EDITOR", _edit),
    ShellCommand(".history", ("\\s",), "[TEXT]", "past queries", _history),
    ShellCommand(".watch", ("\\watch",), "5s", "repeat the last query until Ctrl-C", _watch),
    ShellCommand(".refresh", (), "[SOURCE]", "read the catalogs anew", _refresh),
    ShellCommand(".tui", (), "", "open the full-screen interface", _tui),
    ShellCommand(".exit", (".quit", ".q", "\\q"), "[CODE]", "leave", _exit),
)
"""All commands, in the order of the help."""

_BY_NAME = {name: command for command in COMMANDS for name in (command.name, *command.others)}
