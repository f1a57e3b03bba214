"""``docs/functions.md``: the reference page of all functions, from the live registry."""

from __future__ import annotations

from collections.abc import Mapping

from dovetail.functions.elsewhere import LEFT_OUT, NAMES
from dovetail.functions.macros import Macro, macros
from dovetail.functions.registry import FunctionInfo, functions

_HIDDEN = ("Collations", "PostgreSQL names")

_HEAD = """\
# Functions

This page is the output of `dovetail functions --format markdown`, written by `make regen`; a test
fails when it is out of date. `dovetail functions NAME` shows one of them.

## Macros of Dovetail

They are written out before a query is planned, so their parts can be pushed to the sources like
any other SQL. NULL in gives NULL out unless it says otherwise. A macro takes neither OVER nor
FILTER nor DISTINCT: those belong to the functions in it.
"""


def markdown(own: Mapping[str, Macro] | None = None) -> str:
    """The whole page, with the user's ``own`` macros before ours."""
    parts = [_HEAD]
    families: dict[str, list[str]] = {}
    own = own or {}
    shipped = (macro for name, macro in macros().items() if name not in own)
    for macro in (*own.values(), *shipped):
        lines = [f"#### `{macro.signature}`", "", macro.description, ""]
        lines += [f"- `{call}` gives `{value}`" for call, value in macro.examples]
        families.setdefault(macro.family, []).append("\n".join([*lines, ""]))
    for family, texts in families.items():
        parts += [f"### {family}\n", *texts]
    parts.append("## Functions of the engine\n")
    parts.append("Whatever DuckDB 1.5 has and a query may call works under its own name.\n")
    natives: dict[str, list[FunctionInfo]] = {}
    for info in functions().values():
        if info.kind != "macro":
            natives.setdefault(info.family, []).append(info)
    for family, members in sorted(natives.items()):
        parts.append(f"### {family}\n")
        if family in _HIDDEN:
            parts.append(f"{len(members)} functions; `dovetail functions` lists them.\n")
            continue
        parts.append("| function | what it does | example |\n|---|---|---|")
        parts += [_row(info) for info in members]
        parts.append("")
    parts.append("## Names from other tools\n")
    parts.append("| there | here | mind |\n|---|---|---|")
    parts += [f"| `{e.name}` | {_code(e.write)} | {_cell(e.mind)} |" for e in NAMES.values()]
    parts.append("\n## Left out on purpose\n")
    parts.append("| there | nearest here | why |\n|---|---|---|")
    parts += [f"| `{e.name}` | {_code(e.write)} | {_cell(e.mind)} |" for e in LEFT_OUT.values()]
    return "\n".join(parts) + "\n"


def _row(info: FunctionInfo) -> str:
    said = f"The same as `{info.alias_of}`." if info.alias_of else _cell(info.description)
    example = _code(info.example) if info.example else ""
    if info.result is not None and len(info.result) <= 60:
        example += f" → {_code(info.result)}"
    return f"| {_code(info.signatures[0].partition(' -> ')[0])} | {said} | {example} |"


def _code(text: str) -> str:
    text = _cell(text)
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
