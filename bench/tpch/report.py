"""The part of ``docs/benchmarks.md`` about TPC-H over two servers."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from bench.tpch.figures import (
    Group,
    geometric_mean,
    groups,
    median,
    moved,
    ran,
    timed,
    worst,
)
from bench.tpch.kept import Figures
from bench.tpch.links import LINKS
from bench.tpch.texts import SPLITS

PLOT = "benchmarks-tpch.svg"
NAMES = {
    "dovetail": "Dovetail",
    "never": "Dovetail, never pushing",
    "duckdb": "DuckDB `ATTACH`",
    "connectorx": "ConnectorX",
    "pandas": "pandas",
    "spark": "Spark JDBC",
}
SHOWN_LINKS = {"loopback": "loopback", "1gbit": "1 Gbit/s", "100mbit": "100 Mbit/s"}

# At most this geometric mean of times over DuckDB's; over loopback no query above WORST; bytes; a
# query over its never-pushed self; milliseconds of planning.
TARGETS = {"loopback": 0.5, "1gbit": 1 / 3, "100mbit": 0.1}
WORST = 1.1
BYTES = 0.05
OVER_NEVER = 1.1
PLANNING = 30.0


def section(kept: dict[str, Any]) -> str:
    """The section, from the file of figures."""
    found = groups(kept["cells"], LINKS)
    runs = kept["runs"]
    places = "; ".join(f"**{name}**: {_places(split)}" for name, split in SPLITS.items())
    parts = [
        f"## TPC-H over PostgreSQL and MariaDB, scale {kept['scale']:g}\n",
        f"{places}.\n",
        "The contenders take turns on each query; medians. Every run is a new session or connection"
        " whose catalogs have been read, so every plan is made for the first time. Bytes are those"
        " on the interface, both directions, headers included (DuckDB's MySQL scanner compresses"
        " what it fetches; the others do not). A query over the cap counts with the cap. Answers"
        " are compared with DuckDB over local Parquet.\n",
        f"![Dovetail's time over DuckDB's, by query]({PLOT})\n",
        "### Against DuckDB with its own scanners\n",
        _summary(found),
        "### Against never pushing\n",
        _never(found),
        "### Sums of seconds and of megabytes\n",
        _sums(found),
    ]
    for group in found:
        parts += [f"### Split {group.split} over {SHOWN_LINKS[group.link]}\n", _queries(group)]
    parts += ["### The machine of these runs\n", _about(runs)]
    return "\n".join(parts)


def _places(split: dict[str, str]) -> str:
    return ", ".join(
        f"{shown} has {' '.join(t for t, place in split.items() if place == kind)}"
        for kind, shown in (("postgres", "PostgreSQL"), ("mysql", "MariaDB"))
    )


def _mark(value: float, target: float, shown: str) -> str:
    return shown if value <= target else f"**{shown}**"


def _summary(found: Sequence[Group]) -> str:
    rows = []
    for group in found:
        ratios = group.ratios()
        mean, high, data = geometric_mean(ratios), worst(ratios), group.bytes_ratio()
        target = TARGETS[group.link]
        plans = group.planning()
        wrong = [f"{query} {NAMES[name]}" for query, name in group.wrong()]
        rows.append(
            (
                group.split,
                SHOWN_LINKS[group.link],
                str(len(ratios)),
                "" if mean is None else _mark(mean, target, f"{mean:.2f}"),
                f"{target:.2f}",
                "" if high is None else _mark(high[1], WORST, f"{high[1]:.2f} ({high[0]})"),
                "" if data is None else _mark(data, BYTES, f"{data:.3f}"),
                f"{statistics.median(plans):.0f} / {max(plans):.0f}" if plans else "",
                f"**wrong: {', '.join(wrong)}**" if wrong else "equal",
            )
        )
    head = (
        "split", "link", "queries", "geometric mean", "target", f"worst (target {WORST})",
        f"bytes (target {BYTES})", "planning ms, median / worst", "answers",
    )  # fmt: skip
    return "Dovetail over DuckDB; bold misses its target.\n\n" + _table(head, rows)


def _never(found: Sequence[Group]) -> str:
    rows = []
    for group in found:
        ratios = group.ratios(theirs="never")
        mean, high = geometric_mean(ratios), worst(ratios)
        if mean is None or high is None:
            continue
        slower = {query: ratio for query, ratio in ratios.items() if ratio > OVER_NEVER}
        shown = ", ".join(f"{query} {ratio:.2f}" for query, ratio in slower.items())
        rows.append(
            (
                group.split,
                SHOWN_LINKS[group.link],
                f"{mean:.2f}",
                f"{high[1]:.2f} ({high[0]})",
                f"**{shown}**" if shown else "none",
            )
        )
    head = ("split", "link", "geometric mean", "worst", "slower by more than 10 %")
    return _table(head, rows)


def _sums(found: Sequence[Group]) -> str:
    names = [n for n in NAMES if any(n in group.contenders() for group in found)]
    rows = []
    for group in found:
        row = [group.split, SHOWN_LINKS[group.link]]
        for name in names:
            of = [cell[name] for cell in group.cells.values() if name in cell and ran(cell[name])]
            seconds = [timed(figures) for figures in of]
            known = [value for value in seconds if value is not None]
            data = sum(moved(figures) or 0 for figures in of)
            capped = sum(1 for figures in of if median(figures) is None)
            text = f"{sum(known):.1f} s, {data / 1e6:.0f} MB" if known else ""
            if known and len(of) < len(group.cells):
                text += f" ({len(of)} queries)"
            if capped:
                text += f" ({capped} stopped)"
            row.append(text)
        rows.append(row)
    return _table(("split", "link", *(NAMES[name] for name in names)), rows)


def _queries(group: Group) -> str:
    names = [name for name in NAMES if name in group.contenders()]
    ratios = group.ratios()
    rows = []
    for query, cell in group.cells.items():
        row = [query]
        row += [_figure(cell[name]) if name in cell else "" for name in names]
        row.append(f"{ratios[query]:.2f}" if query in ratios else "")
        rows.append(row)
    return _table(("query", *(NAMES[name] for name in names), "Dovetail / DuckDB"), rows)


def _figure(figures: Figures) -> str:
    if not ran(figures):
        return ""
    if "stopped" in figures:
        text = figures["stopped"]
        text = text if text.startswith("over ") else f"failed ({text.split(':')[0]})"
    else:
        text = f"{median(figures):.2f} s"
    data = moved(figures)
    if data is not None:
        text += f", {data / 1e6:.1f} MB" if data < 1e9 else f", {data / 1e9:.2f} GB"
    return f"{text}, **wrong**" if "differs" in figures else text


def _about(runs: Sequence[dict[str, Any]]) -> str:
    box = runs[-1]["machine"]
    versions = ", ".join(f"{name} {value}" for name, value in runs[-1]["versions"].items())
    settings = "; ".join(
        f"{kind}: {', '.join(f'{name} = {value}' for name, value in given.items())}"
        for kind, given in runs[-1]["settings"].items()
    )
    rows = [
        (about["date"], f"`{about['commit']}`", str(about["load"]), f"`{about['command']}`")
        for about in runs
    ]
    return (
        f"{box['processor']}, {box['cores']} cores, {box['memory_gib']} GiB of memory, "
        f"{box['system']}. Versions: {versions}. Servers: {settings}. Clients and servers share "
        "the machine; the links are a veth pair between network namespaces with a token bucket at "
        "both ends.\n\n" + _table(("begun", "commit", "load before", "command"), rows)
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
