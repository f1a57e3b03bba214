"""``dovetail demo``: a small company in five kinds of source, and one query over all of them."""

from __future__ import annotations

import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from dovetail.errors import UsageError
from dovetail.interfaces.cli.declare import Option
from dovetail.interfaces.cli.options import MessageFlags, OutputFlags
from dovetail.interfaces.cli.output import choose_output, write_batches, write_text
from dovetail.interfaces.cli.quantities import shown_size, shown_time
from dovetail.interfaces.cli.runtime import Job, Run

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH = 100
_SQL_LINES = 3  # of a fragment; `explain` shows all


def demo(
    messages: MessageFlags,
    directory: Annotated[
        str, Option("--directory", metavar="PATH", help="Where the company's files go.")
    ] = "demo-data",
    servers: Annotated[
        bool, Option("--servers", help="Also load two servers, given by --postgres and --mysql.")
    ] = False,
    postgres: Annotated[
        str | None,
        Option("--postgres", metavar="URL", help="postgres://user@host:port/database"),
    ] = None,
    mysql: Annotated[
        str | None, Option("--mysql", metavar="URL", help="mysql://user@host:port")
    ] = None,
) -> Job:
    """Generate a small company over five kinds of file and join them all in one query.

    No server and no network is needed. The files are made once and are the same everywhere.

    dovetail demo

    dovetail demo --servers --postgres postgres://me@localhost/test --mysql mysql://me@localhost
    """
    wants_servers = servers or postgres is not None or mysql is not None
    if wants_servers and not (postgres and mysql):
        raise UsageError("--servers needs both --postgres URL and --mysql URL")
    for flag, url in (("--postgres", postgres), ("--mysql", mysql)):
        _refuse_password(flag, url)

    def work(run: Run) -> None:
        from dovetail.demo.storage import prepare
        from dovetail.demo.tour import SERVER_QUERY, TOUR_QUERY

        folder = Path(directory).expanduser()
        made = prepare(folder)
        write_text(
            f"{'Made' if made else 'Found'} a small company in {directory}: customers in a SQLite "
            "file, orders in a DuckDB\nfile, products and exchange rates in CSV, returns in JSON "
            "lines, shipments in Parquet.\n"
        )
        write_text("")
        _show(run, folder / "dovetail.yaml", TOUR_QUERY, "One query over all of them:")
        if postgres and mysql:
            from dovetail.demo.servers import prepare_servers

            configuration = prepare_servers(folder, postgres, mysql)
            title = "The same with the orders on PostgreSQL and the customers on MariaDB or MySQL:"
            _show(run, configuration, SERVER_QUERY, title)
        _show_next_steps(directory)

    return Job(messages, work)


def _refuse_password(flag: str, url: str | None) -> None:
    if url is None:
        return
    from dovetail.config_url import holds_password

    if holds_password(url):
        raise UsageError(
            f"{flag}: a password in an argument is visible to others on this machine; write a "
            "reference such as ${env:DEMO_PASSWORD} in its place"
        )


def _show(run: Run, configuration: Path, query: str, title: str) -> None:
    import dovetail

    write_text(f"{title}\n\n{_indented(query)}\n")
    write_text("")
    output = choose_output(OutputFlags(format="table"), "auto")
    with dovetail.connect(configuration) as session:
        run.interruption.register(session.close)
        result = session.sql(query)
        run.interruption.register(result.cancel)
        try:
            done = write_batches(
                output, result.batches(), result.schema, result.columns, run.diagnostics
            )
        finally:
            result.close()
        profile = result.profile
    took = shown_time(profile.milliseconds or 0)
    write_text(f"\n{done.rows} rows in {took}. What each source was asked for:\n")
    write_text("")
    write_text(_fragments(profile.fragments, configuration.absolute().parent))
    write_text("")


def _fragments(fragments: Sequence[Any], folder: Path) -> str:
    lines = []
    for number, fragment in enumerate(fragments, 1):
        figures = [f"{fragment.rows:,} rows"] if fragment.rows is not None else []
        if fragment.bytes is not None:
            figures.append(shown_size(fragment.bytes))
        if fragment.milliseconds is not None:
            figures.append(shown_time(fragment.milliseconds))
        told = ", ".join(figures) or "read by the engine itself"
        lines.append(f"  {number}. {fragment.source} ({fragment.kind}): {told}")
        sql = fragment.sql.replace(f"{folder}/", "")
        lines += textwrap.wrap(
            sql,
            _WIDTH,
            initial_indent="     ",
            subsequent_indent="     ",
            max_lines=_SQL_LINES,
            placeholder=" …",
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def _indented(text: str, margin: str = "  ") -> str:
    return "\n".join(margin + line for line in text.strip().splitlines())


def _show_next_steps(directory: str) -> None:
    from dovetail.demo.tour import NEXT_STEPS

    lines = ["What to try next:", ""]
    program = Path(sys.argv[0])
    found = shutil.which("dovetail")
    if program.name == "dovetail" and (found is None or not program.samefile(found)):
        lines.append(f'  export PATH="{program.absolute().parent}:$PATH"')
    lines.append(f"  cd {directory}")
    for title, command in NEXT_STEPS:
        lines += ["", f"  # {title}", f"  {command}"]
    write_text("\n".join(lines))


COMMANDS = {"demo": demo}
