"""``python -m bench``: measure, keep the figures, write ``docs/benchmarks.md``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench import fixed, late, machine, planning, report, rules, scan
from bench.places import Address, BadAddressError, Servers
from bench.tpch import kept, links, measure, plot, site, texts
from bench.tpch.report import PLOT

PARTS = ("scan", "fixed", "planning", "late", "rules", "tpch")
USUAL = PARTS[:-1]  # the TPC-H runs take hours
KINDS = ("postgres", "mysql")
ROOT = Path(__file__).parents[1]


def _arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Side-by-side benchmarks on private PostgreSQL and MariaDB servers. The "
        "machine should have nothing else to do. bench/README.md says what is measured and how.",
    )
    parser.add_argument(
        "--only", default=",".join(USUAL), metavar="PARTS",
        help=f"which parts, by commas: {', '.join(PARTS)} (default: {', '.join(USUAL)})",
    )  # fmt: skip
    parser.add_argument("--scale", type=float, default=1, help="of lineitem in scans (default: 1)")
    parser.add_argument("--rounds", type=int, default=3, help="runs per contender (default: 3)")
    for kind in KINDS:
        parser.add_argument(
            f"--{kind}", metavar="URL", default=os.environ.get(f"DOVETAIL_BENCH_{kind.upper()}"),
            help="scan this database, which is only read, instead of loading a private one: "
            f"{kind}://user:password@host:port/database (or ${{DOVETAIL_BENCH_{kind.upper()}}})",
        )  # fmt: skip
    parser.add_argument(
        "--table", default="lineitem", help="the table there, in its default schema"
    )
    _tpch_arguments(parser.add_argument_group("the part tpch"))
    parser.add_argument(
        "--results", type=Path, default=ROOT / "bench" / "results", help="folder for the figures"
    )
    parser.add_argument("--docs", type=Path, help="page to write (default: docs/benchmarks.md)")
    parser.add_argument(
        "--report", action="store_true", help="measure nothing, write the page from kept figures"
    )
    options = parser.parse_args(given)
    options.parts = [part.strip() for part in options.only.split(",") if part.strip()]
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown or options.rounds < 1:
        parser.error(f"--only takes {', '.join(PARTS)}; --rounds at least 1")
    for option, known in _LISTS.items():
        given_here = getattr(options, option)
        chosen = [part.strip() for part in given_here.split(",") if part.strip()]
        if option == "queries":
            chosen = [f"q{int(part):02d}" if part.isdigit() else part for part in chosen]
        wrong = [part for part in chosen if part not in known]
        if wrong:
            parser.error(f"--{option} takes {', '.join(known)}; not {', '.join(wrong)}")
        setattr(options, option, chosen)
    if options.docs is None:
        usual = options.results == ROOT / "bench" / "results"
        options.docs = (ROOT / "docs" if usual else options.results) / "benchmarks.md"
    return options


_LISTS = {
    "splits": tuple(texts.SPLITS),
    "links": links.LINKS,
    "queries": texts.QUERIES,
    "contenders": measure.usable(),
}


def _tpch_arguments(group: Any) -> None:
    group.add_argument("--tpch-scale", type=float, default=1, help="of its data (default: 1)")
    for option, known in _LISTS.items():
        shown = ", ".join(known) if option != "queries" else "1, 2, … 22"
        usual = [name for name in known if name != "spark"]
        group.add_argument(
            f"--{option}", default=",".join(usual), metavar="LIST", help=f"by commas, of: {shown}"
        )
    group.add_argument(
        "--cap", type=float, default=120, metavar="SECONDS", help="per query (default: 120)"
    )
    group.add_argument(
        "--again", action="store_true", help="measure also what is kept from an earlier run"
    )
    group.add_argument(
        "--data", type=Path, metavar="FOLDER",
        help="where its servers keep their data (default: in the temporary folder, by scale)",
    )  # fmt: skip


def main(given: list[str]) -> int:
    """Measure what is asked for; 2 for a mistake in the arguments."""
    options = _arguments(given)
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", file=sys.stderr, flush=True)

    if not options.report:
        try:
            addresses = {k: Address.parse(k, u) for k in KINDS if (u := getattr(options, k))}
        except BadAddressError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        about = machine.describe(given)
        say(f"load average {machine.load()} on {about['machine']['cores']} cores")
        options.results.mkdir(parents=True, exist_ok=True)
        with Servers.private() as servers, contextlib.ExitStack() as stack:
            measuring = _Measuring(options, servers, addresses, stack, about, say)
            for part in options.parts:
                before = machine.load()
                figures = getattr(measuring, part)()
                if figures is None:
                    continue  # it has written its own
                loads = {"load_before": before, "load_after": machine.load()}
                path = options.results / f"{part}.json"
                path.write_text(_text({"about": {**about, **loads}, **figures}))
                say(f"{part}: {path}")
    options.docs.parent.mkdir(parents=True, exist_ok=True)
    options.docs.write_text(report.page(options.results))
    if (figures := report.tpch_figures(options.results)) is not None:
        options.docs.with_name(PLOT).write_text(plot.drawn(figures))
    say(f"wrote {options.docs}")
    return 0


@dataclass
class _Measuring:
    """What the parts of one run share."""

    options: argparse.Namespace
    servers: Servers
    addresses: dict[str, Address]
    stack: contextlib.ExitStack
    about: dict[str, Any]
    say: Callable[[str], None]

    def scan(self) -> dict[str, Any]:
        places = {}
        for kind in KINDS:
            if kind not in self.addresses:
                scale = f"{self.options.scale:g}"
                self.say(f"loading lineitem, scale {scale}, into a private {kind} server")
            places[kind] = self.addresses.get(kind) or self.servers.lineitem(
                kind, self.options.scale
            )
        tables = {kind: self.options.table if kind in self.addresses else "lineitem"
                  for kind in KINDS}  # fmt: skip
        figures = scan.measure(places, self.options.rounds, tables, self.say)
        return {"scale": self.options.scale, "given": sorted(self.addresses), **figures}

    def fixed(self) -> dict[str, Any]:
        return {"cold": fixed.cold(self.say), "trivial": fixed.trivial(self.servers, self.say)}

    def planning(self) -> dict[str, Any]:
        self.say(f"loading TPC-H, scale {planning.SCALE:g}, over split {planning.SPLIT}")
        federated = self.stack.enter_context(planning.loaded(self.servers))
        return planning.measure(federated, self.options.rounds, self.say)

    def late(self) -> dict[str, Any]:
        return late.measure(late.loaded(self.servers, self.say), self.options.rounds, self.say)

    def rules(self) -> dict[str, Any]:
        return rules.measure(self.options.rounds, self.say)

    def tpch(self) -> None:
        """Writes its figures after every query, into the file that an earlier run began."""
        from tests import tpch

        options = self.options
        scale = options.tpch_scale
        wanted = measure.Wanted(
            options.contenders, options.splits, options.links, options.queries,
            options.rounds, options.cap, options.again,
        )  # fmt: skip
        figures = kept.Kept(options.results / "tpch.json", scale)
        usual = Path(tempfile.gettempdir()) / f"dovetail-bench-{os.getuid()}-{scale:g}"
        rows = partial(tpch.generate, scale)
        network = self.stack.enter_context(links.network())
        place = site.site(network, scale, options.data or usual, rows, self.say)
        with place as running:
            about = dict(self.about)
            measure.measure(running, texts.Texts(rows()), wanted, figures, about, self.say)


def _text(kept: dict[str, Any]) -> str:
    """JSON with a list of figures per line."""
    text = json.dumps(kept, indent=1)
    return re.sub(r"\[[^\[\]{}\"]*\]", lambda found: " ".join(found[0].split()), text) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
