"""From a function with annotated parameters to a command of Click.

A parameter is declared by its annotation: ``Annotated[str | None, Option("--file", "-f", …)]`` is a
flag that takes a value, ``Annotated[bool, …]`` one that takes none, ``list[str]`` one that may be
repeated, and :class:`Argument` a word without a flag. A parameter whose type is one of the groups
of :mod:`dovetail.interfaces.cli.options` brings all flags of that group.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import click

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_DOCS = "Docs: docs/cli.md"
_ORDER = "dovetail.order"

Completer = Callable[[click.Context, click.Parameter, str], list[Any]]


class Option:
    """A flag: its spellings, the long one first, and what its help says."""

    def __init__(
        self,
        *names: str,
        help: str,
        metavar: str | None = None,
        envvar: str | None = None,
        min: int | None = None,
        complete: str | None = None,
        bare: str | None = None,
        value: str = "",
    ) -> None:
        """``complete`` names a function of :mod:`dovetail.interfaces.cli.completion`.

        ``bare`` is the value of a flag that may stand without one: the word behind it is its
        value only if the regular expression ``value`` matches the whole of it.
        """
        self.names = names
        self.help = help
        self.metavar = metavar
        self.envvar = envvar
        self.min = min
        self.complete = complete
        self.bare = bare
        self.value = re.compile(value)


class Argument:
    """A word of the command line that is no flag."""

    def __init__(self, *, metavar: str, help: str, complete: str | None = None) -> None:
        """``metavar`` in square brackets if the word may be left out."""
        self.metavar = metavar
        self.help = help
        self.complete = complete


class Occurrences:
    """The order in which some repeatable flags were given: their parameters' names, in order."""

    def __init__(self, *names: str) -> None:
        self.names = names


class Command(click.Command):
    """A command whose help shows its examples first and its shared flags in sections."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        paragraphs = [p.strip() for p in inspect.cleandoc(function.__doc__ or "").split("\n\n")]
        self.examples = [p for p in paragraphs if _is_example(p)]
        self.sections: dict[str, str] = {}  # parameter → title of its section
        self._occurrences: dict[str, tuple[str, ...]] = {}
        self._bare: dict[str, Option] = {}
        params, gather = self._parameters(function)

        def callback(**values: Any) -> Any:
            given = click.get_current_context().meta.get(_ORDER, ())
            for parameter, names in self._occurrences.items():
                values[parameter] = [one for one in given if one in names]
            return function(**gather(values))

        super().__init__(
            name,
            context_settings=dict(_SETTINGS),
            callback=callback,
            params=params,
            help="\n\n".join(p for p in paragraphs if not _is_example(p)),
            epilog=_DOCS,
        )

    def _parameters(
        self, function: Callable[..., Any]
    ) -> tuple[list[click.Parameter], Callable[[dict[str, Any]], dict[str, Any]]]:
        """The parameters of the function, its own before those of its groups."""
        hints = get_type_hints(function, include_extras=True)
        own: list[click.Parameter] = []
        shared: list[click.Parameter] = []
        groups: dict[str, type] = {}
        for name, parameter in inspect.signature(function).parameters.items():
            hint = hints[name]
            if get_origin(hint) is Annotated and isinstance(get_args(hint)[1], Occurrences):
                self._occurrences[name] = get_args(hint)[1].names
                continue
            if not (isinstance(hint, type) and is_dataclass(hint)):
                declared = get_args(hint)[1]
                if isinstance(declared, Option) and declared.bare is not None:
                    self._bare.update(dict.fromkeys(declared.names, declared))
                own.append(_made(name, hint, parameter.default))
                continue
            groups[name] = hint
            inner = get_type_hints(hint, include_extras=True)
            for item in fields(hint):
                default = item.default if item.default is not MISSING else []
                shared.append(_made(item.name, inner[item.name], default))
                self.sections[item.name] = getattr(hint, "TITLE", "")

        def gather(values: dict[str, Any]) -> dict[str, Any]:
            for name, group in groups.items():
                values[name] = group(**{f.name: values.pop(f.name) for f in fields(group)})
            return values

        return own + shared, gather

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and note the order of the flags: Click gathers each flag's values by itself."""
        args = self._with_values(args)
        if self._occurrences:
            _, _, order = self.make_parser(ctx).parse_args(args=list(args))
            ctx.meta[_ORDER] = [parameter.name for parameter in order]
        return super().parse_args(ctx, args)

    def _with_values(self, args: list[str]) -> list[str]:
        """``args`` with a value behind every flag that stands without one."""
        made: list[str] = []
        for place, word in enumerate(args):
            if word == "--":
                return made + args[place:]
            option = self._bare.get(word)
            after = args[place + 1] if place + 1 < len(args) else ""
            if option is not None and not option.value.fullmatch(after):
                word = f"{word}={option.bare}"
            made.append(word)
        return made

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The description, then the examples, each on a line of its own."""
        super().format_help_text(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    for line in example.splitlines():
                        formatter.write(f"  {line}\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's own flags, then a section for each group."""
        found: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Argument):
                continue
            record = parameter.get_help_record(ctx)
            if record is not None:
                title = self.sections.get(parameter.name or "") or "Options"
                found.setdefault(title, []).append(record)
        for title, records in sorted(found.items(), key=lambda pair: pair[0] != "Options"):
            with formatter.section(title):
                formatter.write_dl(records, col_max=32)


class Group(click.Group):
    """Commands that are loaded when they are called or listed, in the order they were given."""

    def __init__(
        self, name: str, help: str, members: Sequence[str], load: Callable[[str], click.Command]
    ) -> None:
        super().__init__(
            name, help=help, no_args_is_help=True, context_settings=dict(_SETTINGS), epilog=_DOCS
        )
        self._members = list(members)
        self._load = load

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands."""
        return self._members

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        return self._load(cmd_name) if cmd_name in self._members else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each command with the whole first sentence of its help."""
        rows = []
        for name in self._members:
            command = self._load(name)
            rows.append((name, (command.help or "").split("\n")[0].partition(". ")[0].rstrip(".")))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _is_example(paragraph: str) -> bool:
    return paragraph.startswith("dovetail ") or " | dovetail " in paragraph


def _made(name: str, hint: Any, default: Any) -> click.Parameter:
    assert get_origin(hint) is Annotated, f"{name} has neither Option nor Argument"
    base, declared = get_args(hint)[:2]
    if get_origin(base) is not list and type(None) in get_args(base):
        base = next(kind for kind in get_args(base) if kind is not type(None))
    many = get_origin(base) is list
    given: dict[str, Any] = {}
    if declared.complete is not None:
        given["shell_complete"] = _completer(declared.complete)
    if isinstance(declared, Argument):
        if default is not inspect.Parameter.empty:
            given["default"] = None
        return click.Argument(
            [name],
            metavar=declared.metavar,
            required="default" not in given,
            nargs=-1 if many else 1,
            help=declared.help,
            **given,
        )
    if base is bool:
        return click.Option(
            [*declared.names, name], is_flag=True, default=default, help=declared.help
        )
    kind: Any = click.IntRange(min=declared.min) if base is int else click.STRING
    return click.Option(
        [*declared.names, name],
        type=kind,
        multiple=many,
        default=None if many else default,
        show_default=not many and default not in (None, ""),
        metavar=declared.metavar or ("N" if base is int else "TEXT"),
        envvar=declared.envvar,
        show_envvar=True,
        help=declared.help,
        **given,
    )


def _completer(name: str) -> Completer:
    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[Any]:
        from importlib import import_module

        completion = import_module("dovetail.interfaces.cli.completion")
        found: list[Any] = getattr(completion, name)(context, begun)
        return found

    return complete
