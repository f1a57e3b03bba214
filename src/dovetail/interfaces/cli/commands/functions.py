"""``dovetail functions``: every function, with an example and its result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated

from dovetail.errors import UnknownNameError
from dovetail.interfaces.cli.declare import Argument
from dovetail.interfaces.cli.options import ConfigFlags, MessageFlags, OutputFlags
from dovetail.interfaces.cli.output import choose_output, write_rows, write_text
from dovetail.interfaces.cli.runtime import Job, Run

if TYPE_CHECKING:
    from dovetail.config import Config
    from dovetail.functions.macros import Macro
    from dovetail.functions.registry import FunctionInfo


def functions(
    where: ConfigFlags,
    out: OutputFlags,
    messages: MessageFlags,
    pattern: Annotated[
        str | None,
        Argument(metavar="[PATTERN|NAME]", help="A name, a part of one, or a glob."),
    ] = None,
) -> Job:
    """List functions and macros, or explain one. Names from other tools are found too.

    dovetail functions percentile

    dovetail functions 'list_*'

    dovetail functions --format markdown
    """
    output = choose_output(out, messages.color)
    plain = output.form.name == "table" and output.path is None

    def work(run: Run) -> None:
        from dovetail.functions.registry import search

        own = _own_macros(run.configuration(where))
        if output.form.name == "markdown" and pattern is None:
            from dovetail.functions.page import markdown

            with output.open() as stream:
                stream.write(markdown(own).encode())
            return
        found = search(pattern, own)
        known = pattern is not None and plain and _tell_elsewhere(pattern, bool(found))
        if known and (not found or found[0].name != pattern):
            return
        if not found:
            assert pattern is not None
            raise _unknown(pattern, own)
        if len(found) == 1 and plain:
            write_text(_page(found[0]))
            return
        columns = [
            (name, "VARCHAR")
            for name in ("name", "family", "kind", "signature", "description", "example", "result")
        ]
        rows = [
            (f.name, f.family, f.kind, "; ".join(f.signatures), f.description, f.example, f.result)
            for f in found
        ]
        if plain:  # what fits a screen
            columns = [*columns[:2], ("signature", "VARCHAR")]
            rows = [(f.name, f.family, f.signatures[0]) for f in found]  # type: ignore[misc]
        write_rows(output, columns, rows, run.diagnostics)

    return Job(messages, work)


def _own_macros(config: Config) -> Mapping[str, Macro]:
    if not config.macros:
        return {}
    from dovetail.functions.own import own_macros

    return own_macros(config.macros).own


def _tell_elsewhere(pattern: str, found: bool) -> bool:
    from dovetail.functions.registry import elsewhere

    known = elsewhere(pattern)
    if known is None:
        return False
    entry, left_out = known
    verb = "is not here; the nearest is" if left_out else "is here"
    mind = f"\n{entry.mind}" if entry.mind else ""
    write_text(f"{entry.name} {verb}: {entry.write}{mind}")
    return True


def _unknown(pattern: str, own: Iterable[str]) -> UnknownNameError:
    from dovetail.catalog.catalogs import near_names
    from dovetail.functions.registry import names

    near = near_names(pattern, names(own))
    said = f"; did you mean {' or '.join(near)}?" if near else ""
    return UnknownNameError(f'no function matches "{pattern}"{said}', suggestions=near)


def _page(info: FunctionInfo) -> str:
    lines = [*info.signatures[:8], "", f"{info.family}, {info.kind}"]
    if len(info.signatures) > 8:
        lines.insert(8, f"… and {len(info.signatures) - 8} more")
    if info.alias_of:
        lines.append(f"the same as {info.alias_of}")
    if info.description:
        lines += ["", info.description]
    if info.example:
        result = "" if info.result is None else f" = {info.result}"
        lines += ["", f"  {info.example}{result}"]
    if info.sql:
        lines += ["", "written out as", "", *(f"  {line}" for line in info.sql.splitlines()[:20])]
        if info.sql.count("\n") >= 20:
            lines.append("  …")
    return "\n".join(lines)


COMMANDS = {"functions": functions}
