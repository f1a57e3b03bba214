"""The page ``docs/benchmarks.md``, from the figures in ``bench/results``."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.tpch import report

NAMES = {
    "dovetail": "Dovetail",
    "duckdb": "DuckDB, its own scanner (`ATTACH`)",
    "connectorx": "ConnectorX, finished in DuckDB",
}
KINDS = {"postgres": "PostgreSQL", "mysql": "MariaDB"}

# What was promised: at most this many times DuckDB's scanner; seconds; milliseconds.
POSTGRES_RATIO = 1.1
MYSQL_RATIO = 1 / 3
COLD_SECONDS = 0.5
OWN_MILLISECONDS = 10.0

_HEAD = """# Benchmarks

<!-- Written by `python -m bench` from bench/results; `bench/results/notes.md` is by hand. -->

Dovetail beside DuckDB's own scanners and beside ConnectorX with DuckDB, on the same servers, taking
turns. Figures are medians; what exactly is measured, and how to repeat it, is in
[`bench/README.md`](../bench/README.md). The figures of every run in them are in `bench/results/`.
"""


def page(results: Path) -> str:
    """The whole page; parts that were never measured are left out."""
    kept = {
        part: json.loads(path.read_text())
        for part in ("scan", "fixed", "planning", "late")
        if (path := results / f"{part}.json").exists()
    }
    sections = [_HEAD]
    if kept:
        sections.append(_targets(kept))
    notes = results / "notes.md"
    if notes.exists():
        sections.append("## Notes on this run\n\n" + notes.read_text().strip() + "\n")
    parts = (("scan", _scan), ("fixed", _fixed), ("planning", _planning), ("late", _late))
    sections += [section(kept[part]) for part, section in parts if part in kept]
    if kept:
        sections.append(_about(kept))
    if (figures := tpch_figures(results)) is not None:
        sections.append(report.section(figures))
    return "\n".join(sections)


def tpch_figures(results: Path) -> dict[str, Any] | None:
    """What the TPC-H runs have left, if anything."""
    path = results / "tpch.json"
    figures: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return figures if figures.get("cells") else None


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _ratio(figures: Any, kind: str, measure: str = "seconds") -> float:
    of = figures["sources"][kind]["contenders"]
    return float(of["dovetail"][measure]["median"] / of["duckdb"][measure]["median"])


def _targets(kept: dict[str, Any]) -> str:
    rows: list[tuple[str, str, bool]] = []
    if "scan" in kept:
        ratio = _ratio(kept["scan"], "postgres")
        wanted = f"scan from PostgreSQL, at most {POSTGRES_RATIO} × the time of DuckDB's scanner"
        rows.append((wanted, f"{ratio:.2f} ×", ratio <= POSTGRES_RATIO))
        ratio = _ratio(kept["scan"], "mysql")
        wanted = "scan from MariaDB, at least 3 × as fast as DuckDB's scanner"
        rows.append((wanted, f"{1 / ratio:.2f} × as fast", ratio <= MYSQL_RATIO))
    if "fixed" in kept:
        cold = kept["fixed"]["cold"]["seconds"]["dovetail query"]["median"]
        wanted = f"`dovetail query` on a small CSV file, cold process, at most {COLD_SECONDS} s"
        rows.append((wanted, f"{cold:.2f} s", cold <= COLD_SECONDS))
        own = kept["fixed"]["trivial"]["texts"]["repeated"]["dovetail"]["own"]["median"]
        wanted = f"own time of a trivial query over two sources, at most {OWN_MILLISECONDS:g} ms"
        rows.append((wanted, f"{own:.1f} ms", own <= OWN_MILLISECONDS))
    shown = [(wanted, got, "met" if met else "**missed**") for wanted, got, met in rows]
    return "## Targets\n\n" + _table(("target", "measured", ""), shown)


def _scan(figures: dict[str, Any]) -> str:
    parts = [
        "## Scan of lineitem, nine columns\n",
        f"{figures['rounds']} alternating runs each, a process per run. The aggregate at the end "
        "is the same for all, and so was its answer. Seconds; processor seconds of the client and "
        "of the server; most memory the client held.\n",
    ]
    for kind, place in figures["sources"].items():
        of = place["contenders"]
        rows = []
        for name, values in of.items():
            seconds = values["seconds"]
            server = values.get("server_cpu_seconds")
            memory = values.get("peak_mib")
            client = values["cpu_seconds"]["median"]
            versus = seconds["median"] / of["dovetail"]["seconds"]["median"]
            rows.append(
                (
                    NAMES[name],
                    f"{seconds['median']:.2f}",
                    f"{seconds['best']:.2f} to {seconds['worst']:.2f}",
                    f"{versus:.2f}",
                    f"{client:.1f}",
                    f"{server['median']:.1f}" if server else "unknown",
                    f"{client + server['median']:.1f}" if server else "unknown",
                    f"{memory['median']:.0f} MiB" if memory else "unknown",
                )
            )
        head = ("reader", "median s", "range", "Dovetail = 1", "client CPU", "server CPU", "both",
                "memory")  # fmt: skip
        rest = "a server given" if kind in figures.get("given", ()) else "a private server"
        parts.append(f"### {KINDS[kind]}\n")
        parts.append(f"{place['server']}, {rest}; {place['rows']:,} rows.\n")
        parts.append(_table(head, rows))
    return "\n".join(parts)


def _fixed(figures: dict[str, Any]) -> str:
    cold, trivial = figures["cold"], figures["trivial"]
    parts = [
        "## Fixed costs\n",
        "### A cold process\n",
        f"Whole processes from start to end, {cold['runs']} alternating runs each, on a CSV file "
        f"of {cold['csv_rows']:,} rows. Bytecode and file cache are warm; the process is cold.\n",
        _table(
            ("command", "median s", "best s", "worst s", "CPU s, median"),
            [
                (
                    f"`{name}`",
                    *(f"{of[key]:.3f}" for key in ("median", "best", "worst")),
                    f"{cold['cpu_seconds'][name]['median']:.3f}",
                )
                for name, of in cold["seconds"].items()
            ],
        ),
        "### A trivial query over two sources, warm\n",
        f"Ten rows of PostgreSQL joined with thirty of MariaDB, {trivial['runs']} alternating runs,"
        " milliseconds. *Own* is when no source was being waited for, seen by a relay between"
        " client and servers, whose own hops count as *own*; *direct* is the whole query without"
        " that relay, *CPU* the client's processor time in it.\n",
    ]
    rows = []
    for text, of_text in trivial["texts"].items():
        for name, of in of_text.items():
            medians = [f"{of[k]['median']:.1f}" for k in ("own", "waited", "relayed", "direct")]
            best, cpu = f"{of['own']['best']:.1f}", f"{of['cpu']['median']:.1f}"
            trips = f"{of['round_trips']['median']:.0f}"
            shown = {"repeated": "the same text again", "new": "another literal each time"}[text]
            rows.append((NAMES[name], shown, medians[0], best, cpu, *medians[1:], trips))
    head = ("", "text", "own", "own, best", "CPU", "waited", "total, relayed", "total, direct",
            "round trips")  # fmt: skip
    parts.append(_table(head, rows))
    return "\n".join(parts)


def _planning(figures: dict[str, Any]) -> str:
    kinds = ("first", "changed", "repeated")
    of_all = figures["queries"]
    rows = []
    for name, of in of_all.items():
        shown = name if of["road"] == "plan" else f"{name} ({of['road']})"
        rows.append((shown, *(f"{of[kind]['median']:.1f}" for kind in kinds)))
    medians = {k: [of[k]["median"] for of in of_all.values()] for k in kinds}
    rows.append(("**median**", *(f"**{statistics.median(medians[k]):.1f}**" for k in kinds)))
    rows.append(("worst", *(f"{max(medians[k]):.1f}" for k in kinds)))
    head = ("query", "first seen", "another text of it", "the same text again")
    return (
        "## Planning\n\nMilliseconds to plan TPC-H's queries over split A with the catalog read, "
        f"{figures['rounds']} sessions.\n\n" + _table(head, rows)
    )


def _late(figures: dict[str, Any]) -> str:
    rows = []
    for kind, of_kind in figures["sources"].items():
        for query, of in of_kind.items():
            seconds = [of[how]["seconds"]["median"] for how in ("with", "without")]
            moved = [of[how]["bytes"] / 1e6 for how in ("with", "without")]
            chosen = any("not fetched late" not in text for text in of["decisions"])
            rows.append(
                (
                    KINDS[kind], query, "yes" if chosen else "no",
                    *(f"{value:.2f}" for value in seconds), *(f"{value:.1f}" for value in moved),
                )
            )  # fmt: skip
    head = ("wide table in", "rows", "chosen", "s, with the rule", "s, without", "MB, with",
            "MB, without")  # fmt: skip
    return (
        f"## Late fetch\n\nA table of {figures['rows']:,} rows with a text of 2 KB each, joined "
        "with one of the other server; the columns that only reach the result fetched late, by "
        f"key, or with all rows. {figures['rounds']} alternating runs each, over loopback.\n\n"
        + _table(head, rows)
    )


def _about(kept: dict[str, Any]) -> str:
    parts = ["## Machine, versions, how to repeat\n"]
    rows = []
    for part, figures in kept.items():
        about = figures["about"]
        rows.append(
            (
                part,
                about["date"],
                f"`{about['commit']}`",
                f"{about['load_before']} / {about['load_after']}",
                f"`{about['command']}`",
            )
        )
    head = ("part", "date", "commit", "load before / after", "command")
    parts.append(_table(head, rows))
    about = next(iter(kept.values()))["about"]
    box = about["machine"]
    parts.append(
        f"{box['processor']}, {box['cores']} cores, {box['memory_gib']} GiB of memory, "
        f"{box['system']}.\n"
    )
    versions = ", ".join(f"{name} {value}" for name, value in about["versions"].items())
    parts.append(f"Versions: {versions}.\n")
    return "\n".join(parts)
