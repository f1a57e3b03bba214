"""What the Tab key offers: formats, profiles, sources, tables. No connection is ever opened.

The names of tables are those that ``dovetail tables`` saw last (:mod:`.remembered`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dovetail.errors import DovetailError

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

SHELLS = ("bash", "zsh", "fish", "powershell")


def script(shell: str) -> str:
    """The script that makes ``shell`` ask ``dovetail`` for completions."""
    from click.shell_completion import get_completion_class

    from dovetail.interfaces.cli.app import make_app

    made = get_completion_class(shell)
    assert made is not None
    return made(make_app(), {}, "dovetail", "_DOVETAIL_COMPLETE").source()


def formats(context: click.Context, begun: str) -> list[CompletionItem]:
    """Names of output formats."""
    from dovetail.present.formats import FORMATS

    return _matching((form.name for form in FORMATS), begun)


def shells(context: click.Context, begun: str) -> list[CompletionItem]:
    """The shells that a completion script can be made for."""
    return _matching(SHELLS, begun)


def profiles(context: click.Context, begun: str) -> list[CompletionItem]:
    """The profiles of the configuration file."""
    return _matching(_configuration(context).get("profiles") or (), begun)


def sources(context: click.Context, begun: str) -> list[CompletionItem]:
    """The sources of the configuration file."""
    return _matching(_configuration(context).get("sources") or (), begun)


def tables(context: click.Context, begun: str) -> list[CompletionItem]:
    """Tables as they were listed last, and files."""
    from click.shell_completion import CompletionItem

    from dovetail.interfaces.cli.remembered import remembered_tables

    found = _matching(remembered_tables(_flag(context, "config")), begun)
    return [*found, CompletionItem(begun, type="file")]


def _matching(names: Iterable[Any], begun: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(str(name)) for name in names if str(name).startswith(begun)]


def _flag(context: click.Context, name: str) -> str | None:
    value = context.params.get(name)
    return value if isinstance(value, str) else None


def _configuration(context: click.Context) -> dict[str, Any]:
    """The configuration file as plain data, unchecked: half-written ones complete too."""
    from dovetail.config_load import find
    from dovetail.config_yaml import read

    path, _ = find(_flag(context, "config"))
    if path is None:
        return {}
    try:
        data, _, _ = read(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, DovetailError):
        return {}
    return data if isinstance(data, dict) else {}
