"""``python -m bench.cli``: the command beside the DuckDB client, sqlite-utils and q.

Every run is a process of its own, as at a prompt: start, read, compute, write a CSV file. Bytecode
is written before, as an installed package has it. ``--rounds 3`` takes about ten minutes. Of these
``--only peers --rounds 1`` takes five at most: a peer is stopped after ``--most`` seconds. The
machine should have nothing else to do. Figures go to ``bench/results/cli.json`` and from there to
``docs/benchmarks-cli.md``.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

import dovetail
from bench import machine
from bench.measure import alternate, summary

PARTS = ("start", "duckdb", "peers", "memory")
ROOT = Path(__file__).parents[1]
DOVETAIL = machine.program("dovetail")
PEERS = {"sqlite-utils": "sqlite-utils", "q": "q-text-as-data"}  # program → package

# Bytes of one row of the file that `generate` writes, about.
_ROW = 61
_GENERATE = """
COPY (
  SELECT i AS id, (hash(i) % 200000)::INT AS customer, 'product ' || (hash(i, 1) % 5000) AS product,
    ['north', 'south', 'east', 'west'][1 + (hash(i, 2) % 4)::INT] AS region,
    (hash(i, 3) % 100)::INT AS qty, (hash(i, 4) % 100000)::INT / 100 AS price,
    DATE '2020-01-01' + (hash(i, 5) % 2000)::INT AS day
  FROM range({rows}) t(i)
) TO '{path}' (HEADER)
"""
_GENERATE_SECOND = """
COPY (
  SELECT i AS customer, 'customer ' || i AS name, 'segment ' || (hash(i) % 20) AS segment
  FROM range(200000) t(i)
) TO '{path}' (HEADER)
"""
QUERIES = {
    "group by": "select product, region, count(*) as n, sum(qty) as qty, avg(price) as price "
    "from '{big}' group by product, region order by product, region",
    "filter": "select id, customer, price from '{big}' where price > 990 and region = 'east' "
    "order by id",
    "join": "select c.segment, count(*) as n, sum(o.qty * o.price) as value from '{big}' o "
    "join '{second}' c on o.customer = c.customer group by c.segment order by c.segment",
}
MEMORY_QUERIES = {
    "800,000 groups": "select customer, region, count(*) as n, sum(qty) as qty, "
    "max(price) as price from '{big}' group by customer, region",
    "one group per row": "select id, region, sum(qty) as qty, max(price) as price "
    "from '{big}' group by id, region",
    "sort": "select * from '{big}' order by price, id",
    "join": "select o.id, o.region, o.qty * o.price as value, c.name, c.segment "
    "from '{big}' o join '{second}' c on o.customer = c.customer",
}
# The client of DuckDB as a script of its own would use it.
_CLIENT = "import sys, duckdb; duckdb.sql(sys.argv[1]).write_csv(sys.argv[2])"
# The same within a limit that DuckDB has all for itself.
_LIMITED_CLIENT = (
    "import sys, duckdb; limited = duckdb.connect(config={'memory_limit': sys.argv[3]}); "
    "limited.sql(sys.argv[1]).write_parquet(sys.argv[2])"
)


def generate(folder: Path, name: str, size: int) -> Path:
    """A CSV file of about ``size`` bytes; made once."""
    path = folder / f"{name}-{size}.csv"
    if not path.exists():
        beside = path.with_suffix(".part")
        # In a process of its own: what this one ever held counts as held by those that it starts.
        made = "import sys, duckdb; duckdb.execute(sys.argv[1])"
        sql = _GENERATE.format(rows=size // _ROW, path=beside)
        subprocess.run([sys.executable, "-c", made, sql], check=True)
        beside.rename(path)
    return path


def second_file(folder: Path) -> Path:
    """The other side of the join: 200,000 customers."""
    path = folder / "customers.csv"
    if not path.exists():
        duckdb.execute(_GENERATE_SECOND.format(path=path))
    return path


def run(
    command: Sequence[str],
    folder: Path,
    stdout: Path | None = None,
    most: float | None = None,
) -> dict[str, float]:
    """Run a process and tell wall clock and processor seconds, and its highest memory in MB.

    After ``most`` seconds it is stopped, and ``stopped`` is 1; else it is 0.
    """
    out = stdout.open("wb") if stdout is not None else subprocess.DEVNULL
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        process.kill()

    clock = threading.Timer(most or 0, stop)
    if most is not None:
        clock.start()
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    clock.cancel()
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if stdout is not None:
        out.close()  # type: ignore[union-attr]
    if process.returncode and not stopped.is_set():
        raise RuntimeError(f"{' '.join(command)[:200]}: {error.decode(errors='replace')[-500:]}")
    return {
        "seconds": wall,
        "processor": usage.ru_utime + usage.ru_stime,
        "megabytes": usage.ru_maxrss * 1024 / 1e6,
        **({} if most is None else {"stopped": float(stopped.is_set())}),
    }


def measured(
    contenders: dict[str, Callable[[], dict[str, float]]],
    rounds: int,
    say: Callable[[str], None],
    first: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Each contender in turn; before, uncounted, those of ``first`` (all) warm the disk's cache."""
    for name in contenders if first is None else first:
        contenders[name]()
    found = alternate(contenders, rounds, say)
    return {
        name: {key: summary([run[key] for run in runs]) for key in runs[0]}
        for name, runs in found.items()
    }


def check_same(first: Path, second: Path) -> None:
    """Both files hold the same rows, numbers within rounding. Raises ValueError."""
    sql = (
        "SELECT count(*) FROM (FROM read_csv('{}', all_varchar = true)) a "
        "POSITIONAL JOIN (FROM read_csv('{}', all_varchar = true)) b WHERE {}"
    )
    columns = [row[0] for row in duckdb.sql(f"DESCRIBE FROM read_csv('{first}')").fetchall()]
    differs = " OR ".join(
        f'(a."{c}" IS DISTINCT FROM b."{c}" AND coalesce(abs(try_cast(a."{c}" AS DOUBLE) - '
        f'try_cast(b."{c}" AS DOUBLE)) > 1e-9 * abs(try_cast(a."{c}" AS DOUBLE)), true))'
        for c in columns
    )
    row = duckdb.sql(sql.format(first, second, differs)).fetchone()
    assert row is not None
    if row[0]:
        raise ValueError(f"{first.name} and {second.name} differ in {row[0]} rows")


# -- the parts ----------------------------------------------------------------------------------


def part_start(options: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> Any:
    """Whole processes that do next to nothing."""
    small = folder / "small.csv"
    small.write_text("trader,qty\n" + "".join(f"t{i % 3},{i}\n" for i in range(50)))
    sql = "select trader, sum(qty) as qty from 'small.csv' group by trader order by trader"
    contenders: dict[str, list[str]] = {
        "dovetail --version": [DOVETAIL, "--version"],
        "dovetail --help": [DOVETAIL, "--help"],
        "completion": [
            "env",
            "_DOVETAIL_COMPLETE=bash_complete",
            "COMP_CWORD=3",
            "COMP_WORDS=dovetail query --format ",
            DOVETAIL,
        ],
        "dovetail query": [DOVETAIL, "query", sql],
        "python and duckdb": [sys.executable, "-c", _CLIENT, sql, str(folder / "small-out.csv")],
        "python alone": [sys.executable, "-c", "pass"],
    }
    runs = {name: partial(run, command, folder) for name, command in contenders.items()}
    return measured(runs, max(options.rounds, 5), say)


def part_duckdb(options: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> Any:
    """Beside the Python client of DuckDB on a large file."""
    big, second = generate(folder, "orders", options.size), second_file(folder)
    found = {}
    for name, text in QUERIES.items():
        sql = text.format(big=big.name, second=second.name)
        ours, theirs = folder / "ours.csv", folder / "theirs.csv"
        found[name] = measured(
            {
                "dovetail": partial(run, [DOVETAIL, "query", "-q", "-o", str(ours), sql], folder),
                "duckdb": partial(run, [sys.executable, "-c", _CLIENT, sql, str(theirs)], folder),
            },
            options.rounds,
            lambda text, name=name: say(f"{name}: {text}"),
        )
        check_same(ours, theirs)
    return {"bytes": big.stat().st_size, "queries": found}


def part_peers(options: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> Any:
    """Beside sqlite-utils and q, which load a file into SQLite for each query."""
    big = generate(folder, "peers", options.peer_size)
    second = second_file(folder)
    programs, missing = install_peers(folder / "peers", say)
    found: dict[str, Any] = {}
    for name, text in QUERIES.items():
        sql = text.format(big=big.name, second=second.name)
        ours = folder / "ours.csv"
        contenders = {
            "dovetail": partial(run, [DOVETAIL, "query", "-q", "-o", str(ours), sql], folder)
        }
        outs = {}
        if "sqlite-utils" in programs:
            tables = text.replace("'{big}'", f'"{big.stem}"').replace("'{second}'", "customers")
            outs["sqlite-utils"] = folder / "sqlite-utils.csv"
            contenders["sqlite-utils"] = partial(
                run,
                [programs["sqlite-utils"], "memory", big.name, second.name, tables, "--csv"],
                folder,
                outs["sqlite-utils"],
                options.most,
            )
        if "q" in programs:
            tables = text.replace("'{big}'", big.name).replace("'{second}'", second.name)
            outs["q"] = folder / "q.csv"
            contenders["q"] = partial(
                run, [programs["q"], "-H", "-O", "-d", ",", tables], folder, outs["q"], options.most
            )
        found[name] = measured(
            contenders,
            min(options.rounds, 3),
            lambda text, name=name: say(f"{name}: {text}"),
            first=["dovetail"],  # the others take too long to run twice
        )
        for peer, out in outs.items():
            if not found[name][peer]["stopped"]["worst"]:
                check_same(ours, out)
    return {"bytes": big.stat().st_size, "queries": found, "missing": missing}


def install_peers(
    folder: Path, say: Callable[[str], None]
) -> tuple[dict[str, str], dict[str, str]]:
    """The peers in an environment of their own: their programs, and why one is missing."""
    if not (folder / "bin" / "python").exists():
        venv.create(folder, with_pip=True)
    programs, missing = {}, {}
    for name, package in PEERS.items():
        path = folder / "bin" / name
        if not path.exists():
            say(f"installing {package}")
            done = subprocess.run(
                [str(folder / "bin" / "pip"), "install", "-q", package],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode or not path.exists():
                missing[name] = f"{package} could not be installed"
                continue
        programs[name] = str(path)
    return programs, missing


def part_memory(options: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> Any:
    """A file of several times the limit: grouped, sorted, and joined with a small one."""
    big, second = generate(folder, "large", options.large_size), second_file(folder)
    out = folder / "large-out.parquet"
    found = {}
    for name, text in MEMORY_QUERIES.items():
        sql = text.format(big=big.name, second=second.name)
        query = ["query", "-q", "--memory", options.memory, "--format", "parquet", "-o", str(out)]
        found[name] = {
            "dovetail": _within(partial(run, [DOVETAIL, *query, sql], folder), out),
            "duckdb": _within(
                partial(
                    run,
                    [sys.executable, "-c", _LIMITED_CLIENT, sql, str(out), options.memory],
                    folder,
                ),
                out,
            ),
        }
        say(f"{name}: {found[name]}")
    return {"bytes": big.stat().st_size, "limit": options.memory, "queries": found}


def _within(contender: Callable[[], dict[str, float]], out: Path) -> dict[str, Any]:
    """What a run within the limit took and how many rows it wrote, or why it failed."""
    try:
        found: dict[str, Any] = dict(contender())
    except RuntimeError as error:  # the limit is too small for the query, and it says so
        return {"failed": "out of memory" if "emory" in str(error) else str(error)[-200:]}
    [(found["rows"],)] = duckdb.sql(f"SELECT count(*) FROM '{out}'").fetchall()
    out.unlink()
    return found


# -- the page -----------------------------------------------------------------------------------


def page(results: dict[str, Any]) -> str:
    """``docs/benchmarks-cli.md`` from the kept figures."""
    lines = [
        "# The command beside others",
        "",
        "Whole processes: start, read, compute, write a CSV file. Contenders take turns; a first",
        "round that warms the disk's cache does not count. Medians in seconds, best in brackets.",
        "Written by `python -m bench.cli` from `bench/results/cli.json`.",
    ]
    for part, kept in results.items():
        about = kept["about"]
        cores = about["machine"]["cores"]
        lines += ["", f"## {_TITLES[part]}", ""]
        lines.append(
            f"{about['date']}, commit {about['commit'] or 'unknown'}, {cores} cores, load average "
            f"{about['load_before']} before and {about['load_after']} after."
        )
        lines += ["", *_TABLES[part](kept["figures"])]
    return "\n".join(lines) + "\n"


def _seconds(figure: dict[str, Any]) -> str:
    if _was_stopped(figure):
        return f"more than {figure['seconds']['best']:.0f}"
    return f"{figure['seconds']['median']:.2f} ({figure['seconds']['best']:.2f})"


def _was_stopped(figure: dict[str, Any]) -> bool:
    return bool(figure.get("stopped", {}).get("worst"))


def _start_table(figures: dict[str, Any]) -> list[str]:
    lines = ["| process | seconds | processor seconds |", "|---|---|---|"]
    for name, found in figures.items():
        lines.append(f"| {name} | {_seconds(found)} | {found['processor']['median']:.2f} |")
    return lines


def _beside_table(figures: dict[str, Any], *, swapped: bool = False) -> list[str]:
    """With the peers' times in ours, or ``swapped``."""
    names = list(next(iter(figures["queries"].values())))
    ratios = [f"dovetail / {name}" if swapped else f"{name} / dovetail" for name in names[1:]]
    lines = [
        f"A file of {figures['bytes'] / 1e6:,.0f} MB.",
        "",
        f"| query | {' | '.join(names)} | {' | '.join(ratios)} |",
        f"|---|{'---|' * (2 * len(names) - 1)}",
    ]
    for query, found in figures["queries"].items():
        ours = found["dovetail"]["seconds"]["median"]
        cells = [_seconds(found[name]) for name in names]
        for name in names[1:]:
            ratio = found[name]["seconds"]["median"] / ours
            more = "more than " if _was_stopped(found[name]) else ""
            cells.append(f"{more}{1 / ratio if swapped else ratio:.2f}")
        lines.append(f"| {query} | {' | '.join(cells)} |")
    lines += [f"\n{why}." for why in figures.get("missing", {}).values()]
    return lines


def _memory_table(figures: dict[str, Any]) -> list[str]:
    lines = [
        f"A file of {figures['bytes'] / 1e6:,.0f} MB, `--memory {figures['limit']}`, written as "
        "Parquet. Memory is the highest of the whole process. DuckDB's client has the same limit, "
        "which it takes for what it counts itself.",
        "",
        "| query | rows | dovetail, s | memory, MB | duckdb, s | memory, MB |",
        "|---|---|---|---|---|---|",
    ]
    for query, found in figures["queries"].items():
        rows = {f"{kept['rows']:,}" for kept in found.values() if "rows" in kept}
        cells = [query, " or ".join(sorted(rows))]
        for kept in found.values():
            if "failed" in kept:
                cells += [kept["failed"], ""]
            else:
                cells += [f"{kept['seconds']:.1f}", f"{kept['megabytes']:,.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


_TITLES = {
    "start": "Cold start",
    "duckdb": "Beside DuckDB's Python client",
    "peers": "Beside sqlite-utils and q",
    "memory": "A file larger than the memory limit",
}
_TABLES: dict[str, Callable[[Any], list[str]]] = {
    "start": _start_table,
    "duckdb": partial(_beside_table, swapped=True),
    "peers": _beside_table,
    "memory": _memory_table,
}


def main(given: list[str]) -> int:
    """Measure what is asked for and write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.cli", description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help=f"of: {', '.join(PARTS)}")
    parser.add_argument("--size", type=int, default=10**9, help="bytes, beside DuckDB")
    parser.add_argument("--peer-size", type=int, default=10**8, help="bytes, beside the peers")
    parser.add_argument("--large-size", type=int, default=2 * 10**9, help="bytes, for memory")
    parser.add_argument("--memory", default="500MB", help="the limit (default: 500MB)")
    parser.add_argument("--most", type=float, default=60, help="seconds of a peer's query")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, help="folder for the files, kept; else a private one")
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "benchmarks-cli.md")
    options = parser.parse_args(given)
    parts = [part for part in options.only.split(",") if part]
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"no part {unknown[0]}; the parts are {', '.join(PARTS)}")
    compileall.compile_dir(Path(dovetail.__file__).parent, quiet=1)
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", file=sys.stderr, flush=True)

    path = options.results / "cli.json"
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    with tempfile.TemporaryDirectory(prefix="dovetail-bench-") as temporary:
        folder = options.data or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for part in parts:
            before = machine.load()
            figures = globals()[f"part_{part}"](options, folder, say)
            about = {
                **machine.describe(given),
                "load_before": before,
                "load_after": machine.load(),
            }
            about["command"] = about["command"].replace("bench ", "bench.cli ", 1)
            kept[part] = {"about": about, "figures": figures}
            options.results.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(kept, indent=1) + "\n")
    ordered = {part: kept[part] for part in PARTS if part in kept}
    options.docs.write_text(page(ordered))
    highest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    say(f"wrote {options.docs}; the largest process took {highest:,.0f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
