"""``python -m bench``: measure, keep the figures, write ``docs/benchmarks.md``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench import fixed, machine, queries, report, scan
from bench.places import Address, BadAddressError, Servers

PARTS = ("scan", "fixed", "planning", "tpch")
KINDS = ("postgres", "mysql")
ROOT = Path(__file__).parents[1]


def _arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Side-by-side benchmarks on private PostgreSQL and MariaDB servers. The "
        "machine should have nothing else to do. bench/README.md says what is measured and how.",
    )
    parser.add_argument(
        "--only", default=",".join(PARTS), metavar="PARTS",
        help=f"which parts, by commas: {', '.join(PARTS)} (default: all)",
    )  # fmt: skip
    parser.add_argument("--scale", type=float, default=1, help="of lineitem in scans (default: 1)")
    parser.add_argument(
        "--tpch-scale", type=float, default=0.1, help="of the 22 queries' data (default: 0.1)"
    )
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
    if options.docs is None:
        usual = options.results == ROOT / "bench" / "results"
        options.docs = (ROOT / "docs" if usual else options.results) / "benchmarks.md"
    return options


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
            measuring = _Measuring(options, servers, addresses, stack, say)
            for part in options.parts:
                before = machine.load()
                figures = getattr(measuring, part)()
                loads = {"load_before": before, "load_after": machine.load()}
                path = options.results / f"{part}.json"
                path.write_text(_text({"about": {**about, **loads}, **figures}))
                say(f"{part}: {path}")
    options.docs.parent.mkdir(parents=True, exist_ok=True)
    options.docs.write_text(report.page(options.results))
    say(f"wrote {options.docs}")
    return 0


@dataclass
class _Measuring:
    """What the parts of one run share."""

    options: argparse.Namespace
    servers: Servers
    addresses: dict[str, Address]
    stack: contextlib.ExitStack
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
        figures = queries.planning(self._split, self.options.rounds, self.say)
        return {"scale": self.options.tpch_scale, **figures}

    def tpch(self) -> dict[str, Any]:
        figures = queries.running(self._split, self.options.rounds, self.say)
        return {"scale": self.options.tpch_scale, **figures}

    @cached_property
    def _split(self) -> Any:
        scale = self.options.tpch_scale
        self.say(f"loading TPC-H, scale {scale:g}, over split {queries.SPLIT}")
        return self.stack.enter_context(queries.loaded(self.servers, scale))


def _text(kept: dict[str, Any]) -> str:
    """JSON with a list of figures per line."""
    text = json.dumps(kept, indent=1)
    return re.sub(r"\[[^\[\]{}\"]*\]", lambda found: " ".join(found[0].split()), text) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
