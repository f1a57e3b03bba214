"""The commands, as Click sees them. A new command is a line in ``_MODULES``."""

from __future__ import annotations

from importlib import import_module

import click

from dovetail.interfaces.cli.declare import Command, Group

# Command → the module of `commands` that holds it, in the order of the help. The module has a dict
# COMMANDS from the name (of the command, or of its subcommand) to the function.
_MODULES = {
    "query": "query",
    "shell": "shell",
    "tui": "tui",
    "sources": "catalog",
    "tables": "catalog",
    "describe": "catalog",
    "profile": "profile",
    "diff": "diff",
    "explain": "explain",
    "rules": "rules",
    "functions": "functions",
    "sql": "sql",
    "config": "configuration",
    "cache": "cache",
    "doctor": "doctor",
    "history": "history",
    "stats": "stats",
    "serve": "serve",
    "users": "users",
    "db": "database",
    "demo": "demo",
    "completion": "completion",
    "help": "help",
}
_MEMBERS = {
    "sql": ("format", "expand", "extract-cte", "analyze", "at", "case"),
    "rules": ("run", "check", "compile", "explain"),
    "config": ("check", "show", "path", "init", "schema"),
    "cache": ("info", "clear"),
    "users": ("create", "list"),
    "db": ("upgrade", "downgrade", "current", "check"),
}

COMMANDS: dict[str, tuple[str, ...]] = {name: _MEMBERS.get(name, ()) for name in _MODULES}
"""Command → its subcommands."""

_SUMMARY = """One SQL query across every database and file you have. Read-only, always.

Start with: dovetail demo   or: dovetail query "select * from 'file.csv'"
"""


def make_app() -> Group:
    """The whole command line. Only the command that is called has its module loaded."""
    root = Group("dovetail", _SUMMARY, list(COMMANDS), _command)
    root.params.append(
        click.Option(["--version", "-V"], is_flag=True, help="Print the version."),
    )
    return root


def _command(name: str) -> click.Command:
    module = import_module(f"dovetail.interfaces.cli.commands.{_MODULES[name]}")
    if not COMMANDS[name]:
        return Command(name, module.COMMANDS[name])
    return Group(
        name,
        (module.__doc__ or "").partition(": ")[2].strip().capitalize(),
        COMMANDS[name],
        lambda member: Command(member, module.COMMANDS[member]),
    )
