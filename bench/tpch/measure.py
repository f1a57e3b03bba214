"""Measure: for each split, link and query all contenders by turns, answers compared.

The unit that is kept is one query over one split and link. What the file of figures holds already
is not measured again unless asked, so a run that was cut goes on where it was.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from bench import machine
from bench.tpch.clients import Clients
from bench.tpch.contenders import CONTENDERS, Order
from bench.tpch.kept import Figures, Kept
from bench.tpch.links import LINKS
from bench.tpch.site import SETTINGS, Site
from bench.tpch.texts import QUERIES, SPLITS, Texts, differ

# Optional contenders and what must be installed for them.
NEEDS = {"pandas": ("pandas", "sqlalchemy"), "spark": ("pyspark",)}
# Whose answers must have the very types that DuckDB gives.
EXACT = ("dovetail", "never", "duckdb")


def usable() -> list[str]:
    """Contenders whose libraries are installed."""
    return [name for name in CONTENDERS if all(find_spec(module) for module in NEEDS.get(name, ()))]


@dataclass(frozen=True)
class Wanted:
    """What a run is to measure; ``cap`` in seconds per query."""

    contenders: Sequence[str]
    splits: Sequence[str] = tuple(SPLITS)
    links: Sequence[str] = LINKS
    queries: Sequence[str] = QUERIES
    rounds: int = 3
    cap: float = 120.0
    again: bool = False


def measure(
    site: Site,
    texts: Texts,
    wanted: Wanted,
    kept: Kept,
    about: dict[str, Any],
    say: Callable[[str], None],
) -> None:
    """Measure what is wanted and not kept yet."""
    optional = {package for name in wanted.contenders for package in NEEDS.get(name, ())}
    about["versions"] |= {**site.versions(), **{name: version(name) for name in sorted(optional)}}
    run = kept.begin({**about, "load": machine.load(), "settings": SETTINGS})
    for link in wanted.links:
        site.network.open(link)
        clients = Clients(site, link)
        try:
            for split in wanted.splits:
                for query in wanted.queries:
                    cell = kept.cell(split, link, query)
                    names = [n for n in wanted.contenders if wanted.again or n not in cell]
                    if not names:
                        continue
                    order = texts.order(query, split, clients.addresses)
                    found = _alternate(order, clients, names, wanted, texts.expected(query))
                    cell.update({name: {**figures, "run": run} for name, figures in found.items()})
                    kept.write()
                    say(f"{split} {link} {query}: {_line(found)}")
        finally:
            clients.close()


def _alternate(
    order: Order,
    clients: Clients,
    names: Sequence[str],
    wanted: Wanted,
    expected: Sequence[tuple[Any, ...]],
) -> dict[str, Figures]:
    """Figures per contender. Who fails or takes too long is not asked again."""
    found: dict[str, Figures] = {name: {"seconds": [], "bytes": []} for name in names}
    for number in range(wanted.rounds):
        # every other round backwards: whoever runs after a heavy one does not always do so
        for name in names if number % 2 == 0 else list(names)[::-1]:
            if "stopped" not in found[name]:
                _once(replace(order, contender=name), clients, wanted.cap, expected, found[name])
    return found


def _once(
    order: Order,
    clients: Clients,
    cap: float,
    expected: Sequence[tuple[Any, ...]],
    figures: Figures,
) -> None:
    answer, moved = clients.run(order, cap)
    if answer is not None and answer.error:
        figures["stopped"] = answer.error
        return
    figures["bytes"].append(moved)
    if answer is None:
        figures["stopped"] = f"over {cap:g} s"
        return
    figures["seconds"].append(round(answer.seconds, 4))
    if answer.planning is not None:
        figures.setdefault("planning", []).append(round(answer.planning, 2))
    if answer.moved is not None:
        figures.setdefault("moved", []).append(answer.moved)
    problem = differ(answer.rows, expected, exact=order.contender in EXACT)
    if problem:
        figures["differs"] = problem[:300]


def _line(found: Mapping[str, Figures]) -> str:
    shown = []
    for name, figures in found.items():
        text = figures.get("stopped") or f"{statistics.median(figures['seconds']):.2f} s"
        if figures["bytes"]:
            text += f" {statistics.median(figures['bytes']) / 1e6:.1f} MB"
        shown.append(f"{name} {text[:120]}" + (" WRONG" if "differs" in figures else ""))
    return "; ".join(shown)
