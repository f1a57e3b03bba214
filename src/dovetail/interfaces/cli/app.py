"""The commands, as Typer sees them."""

from __future__ import annotations

import typer

from dovetail.interfaces.cli.commands import (
    catalog,
    configuration,
    demo,
    doctor,
    explain,
    query,
)
from dovetail.interfaces.cli.options import with_groups

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

# Rich is never loaded: plain help is printed three times as fast.
app = typer.Typer(
    name="dovetail",
    help="One SQL query across every database and file you have. Read-only, always.",
    epilog="Start with: dovetail demo   or: dovetail query \"select * from 'file.csv'\"",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=_SETTINGS,
)


@app.callback(invoke_without_command=True)
def root(
    version: bool = typer.Option(False, "--version", "-V", help="Print the version."),
) -> int | None:
    """One SQL query across every database and file you have. Read-only, always."""
    if version:
        from dovetail.interfaces.cli.main import main

        return main(["--version"])
    return None


def _add(group: typer.Typer, name: str, function: object, epilog: str) -> None:
    # An empty line between the examples keeps each on its own.
    group.command(name, context_settings=_SETTINGS, epilog=epilog)(with_groups(function))  # type: ignore[arg-type]


_configuration = typer.Typer(
    name="config",
    help="Check and show the configuration.",
    rich_markup_mode=None,
    context_settings=_SETTINGS,
    no_args_is_help=True,
)
for _name, _function in configuration.COMMANDS.items():
    _add(_configuration, _name, _function, "Docs: docs/cli.md")
for _module in (query, catalog, explain):
    for _name, _function in _module.COMMANDS.items():
        _add(app, _name, _function, "Docs: docs/cli.md")
app.add_typer(_configuration)
for _module in (doctor, demo):
    for _name, _function in _module.COMMANDS.items():
        _add(app, _name, _function, "Docs: docs/cli.md")

COMMANDS: dict[str, tuple[str, ...]] = {
    "query": (),
    "sources": (),
    "tables": (),
    "describe": (),
    "explain": (),
    "config": tuple(configuration.COMMANDS),
    "doctor": (),
    "demo": (),
}
