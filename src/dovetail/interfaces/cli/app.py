"""The commands, as Typer sees them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer

from dovetail.interfaces.cli.options import with_groups

# Command → the module of `commands` that holds it, in the order of the help.
_MODULES = {
    "query": "query",
    "sources": "catalog",
    "tables": "catalog",
    "describe": "catalog",
    "explain": "explain",
    "config": "configuration",
    "doctor": "doctor",
    "demo": "demo",
}
_MEMBERS = {"config": ("check", "path", "show")}

COMMANDS: dict[str, tuple[str, ...]] = {name: _MEMBERS.get(name, ()) for name in _MODULES}
"""Command → its subcommands."""

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_SUMMARY = "One SQL query across every database and file you have. Read-only, always."


def make_app(only: str | None = None) -> typer.Typer:
    """The whole command line, or as much of it as the command ``only`` needs.

    Typer takes about a millisecond for each flag, and there are some two hundred: a command that
    is going to run does not wait for the flags of the others.
    """
    # Rich is never loaded: plain help is printed three times as fast.
    app = typer.Typer(
        name="dovetail",
        help=_SUMMARY,
        epilog="Start with: dovetail demo   or: dovetail query \"select * from 'file.csv'\"",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_SETTINGS,
    )
    app.callback(invoke_without_command=True)(_root)
    for name in COMMANDS if only is None else (only,):
        module = import_module(f"dovetail.interfaces.cli.commands.{_MODULES[name]}")
        if not COMMANDS[name]:
            _add(app, name, module.COMMANDS[name])
            continue
        group = typer.Typer(
            name=name,
            help=(module.__doc__ or "").partition(": ")[2].strip().capitalize(),
            rich_markup_mode=None,
            context_settings=_SETTINGS,
            no_args_is_help=True,
        )
        for member in COMMANDS[name]:
            _add(group, member, module.COMMANDS[member])
        app.add_typer(group)
    return app


def _root(
    version: bool = typer.Option(False, "--version", "-V", help="Print the version."),
) -> int | None:
    if version:
        from dovetail.interfaces.cli.main import main

        return main(["--version"])
    return None


def _add(group: typer.Typer, name: str, function: Any) -> None:
    group.command(name, context_settings=_SETTINGS, epilog="Docs: docs/cli.md")(
        with_groups(function)
    )
