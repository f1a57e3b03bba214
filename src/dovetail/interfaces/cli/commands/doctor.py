"""``dovetail doctor``: is everything as it should be?"""

from __future__ import annotations

import shutil
import sys
import tempfile
from typing import Any

from dovetail.faults import version
from dovetail.interfaces.cli.commands.catalog import check_all
from dovetail.interfaces.cli.options import MessageFlags, OutputFlags, SourceFlags
from dovetail.interfaces.cli.output import choose_output, write_rows
from dovetail.interfaces.cli.quantities import shown_size
from dovetail.interfaces.cli.runtime import Job, Run

_LIBRARIES = ("duckdb", "pyarrow", "sqlglot", "psycopg", "pymysql", "numpy")
_EXTENSIONS = ("sqlite_scanner", "postgres_scanner")
_LITTLE_SPACE = 1_000_000_000


def doctor(where: SourceFlags, out: OutputFlags, messages: MessageFlags) -> Job:
    """Check this installation and every source. Exit code 3 if a source fails.

    For each source: reachable, login, read-only, TLS, version, round trip, clock, throughput.
    """
    output = choose_output(out, messages.color)

    def work(run: Run) -> int:
        rows = _local()
        with run.session(where) as session:
            listed = session.sources()
            healths = check_all(session, [source.name for source in listed])
        for source, health in zip(listed, healths, strict=True):
            rows += _source(source, health)
        columns = [(name, "VARCHAR") for name in ("subject", "check", "state", "detail")]
        write_rows(output, columns, rows, run.diagnostics)
        return 3 if any(health.problem for health in healths) else 0

    return Job(messages, work)


def _local() -> list[tuple[str, str, str, str | None]]:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    rows: list[tuple[str, str, str, str | None]] = [
        ("here", "dovetail", "ok", version()),
        ("here", "python", "ok", sys.version.split()[0]),
    ]
    for name in (*_LIBRARIES, *(f"duckdb-extension-{e.replace('_', '-')}" for e in _EXTENSIONS)):
        try:
            rows.append(("here", name, "ok", installed(name)))
        except PackageNotFoundError:
            rows.append(("here", name, "absent", "needed only for some kinds of source"))
    free = shutil.disk_usage(tempfile.gettempdir()).free
    state = "ok" if free > _LITTLE_SPACE else "low"
    detail = f"{shown_size(free)} free in {tempfile.gettempdir()}"
    rows.append(("here", "temporary space", state, detail))
    return rows


def _source(source: Any, health: Any) -> list[tuple[str, str, str, str | None]]:
    def known(value: bool | None, good: bool = True) -> str:
        return "unknown" if value is None else "ok" if value is good else "no"

    rows: list[tuple[str, str, str, str | None]] = [
        (source.name, "reachable", known(health.reachable), source.address or None),
        (source.name, "login", known(health.authenticated), None),
    ]
    if health.problem is not None:
        return [*rows, (source.name, "problem", "failed", health.problem)]
    rows.append((source.name, "version", "ok", f"{source.kind} {health.version}".strip()))
    rows.append((source.name, "read-only", known(health.read_only), None))
    if health.tls is not None:
        rows.append((source.name, "TLS", "ok" if health.tls else "off", None))
    if health.round_trip is not None:
        rows.append((source.name, "round trip", "ok", f"{health.round_trip * 1000:.1f} ms"))
    if health.clock_skew is not None:
        state = "ok" if abs(health.clock_skew) < 60 else "off"
        rows.append((source.name, "clock", state, f"{health.clock_skew:+.1f} s"))
    if health.throughput is not None:
        rows.append((source.name, "throughput", "ok", f"{shown_size(health.throughput)}/s"))
    rows += [(source.name, "note", "ok", note) for note in health.notes]
    return rows


COMMANDS = {"doctor": doctor}
