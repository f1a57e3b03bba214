"""Rules over JSON lines against the same query written for DuckDB by hand.

Five aggregates with HAVING and a second grouping over the groups, on files of growing size: the
time should grow as the file does, stay within 1.15 times DuckDB's, and the file be read once.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.measure import alternate, summary

RECORDS = 10_000_000
PROGRAM = """
:- source(events, '{path}').
city_stats(State, City, N, Total, Avg, Low, High) :-
    group_by([State, City], json_record([state-State, city-City, amount-A]),
             [count(N), sum(A, Total), avg(A, Avg), min(A, Low), max(A, High)]),
    N > 10.
state(State, Cities, Best) :-
    group_by(State, city_stats(State, City, _, Total, _, _, _), [count(Cities), max(Total, Best)]).
"""
GOAL = "state(State, Cities, Best)"
SQL = """
select state, count(*) as cities, max(total) as best from (
  select state, city, count(*) as n, sum(amount) as total, avg(amount) as mean,
         min(amount) as low, max(amount) as high
  from read_json('{path}', format = 'newline_delimited',
                 columns = {{state: 'VARCHAR', city: 'VARCHAR', amount: 'BIGINT'}})
  group by state, city having count(*) > 10)
group by state
"""


def write(path: Path, records: int, seed: int = 7) -> None:
    """A file of ``records`` lines in 100 groups of two keys."""
    draw = random.Random(seed)
    groups = [(f"S{i % 10}", f"City {i}") for i in range(100)]
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, records, 10_000):
            lines = []
            for number in range(start, min(start + 10_000, records)):
                state, city = draw.choice(groups)
                record = {
                    "id": number, "state": state, "city": city, "amount": draw.randrange(1000),
                    "note": "as it comes",
                }  # fmt: skip
                lines.append(json.dumps(record))
            file.write("\n".join(lines) + "\n")


def measure(rounds: int, say: Callable[[str], None], records: int = RECORDS) -> dict[str, Any]:
    """Seconds of both for a tenth, a third and the whole of ``records``.

    ``first`` holds the time of the first run of rules on a file, which includes the look at it:
    types are those of all its lines. The look is kept for the runs after.
    """
    import duckdb

    import dovetail

    found: dict[str, Any] = {"records": records, "cores": os.cpu_count(), "sizes": {}}
    with tempfile.TemporaryDirectory(prefix="dovetail-bench-") as folder:
        for size in (records // 10, records // 3, records):
            path = Path(folder) / f"events_{size}.jsonl"
            write(path, size)
            text = PROGRAM.format(path=path)
            with (
                dovetail.connect(None, allowed_directories=[folder]) as session,
                duckdb.connect() as connection,
            ):
                started = time.perf_counter()
                program = session.program(text)
                rows = sorted(program.run(GOAL).rows())
                first = time.perf_counter() - started
                sql = SQL.format(path=path)
                if rows != sorted(connection.execute(sql).fetchall()):
                    raise AssertionError("the two answers differ")
                timed = {
                    "rules": _seconds(lambda text=text: session.rules(text, GOAL).rows()),
                    "duckdb": _seconds(lambda sql=sql: connection.execute(sql).fetchall()),
                }
                runs = alternate(timed, rounds)
                plan = program.explain(GOAL).to_dict()
            figures = {name: summary(values) for name, values in runs.items()}
            found["sizes"][str(size)] = {
                **figures, "first": first, "bytes": path.stat().st_size, "scans": plan["scans"],
                "aggregations": plan["aggregations"],
            }  # fmt: skip
            path.unlink()
            say(f"rules over {size:,} lines: {figures}")
    return found


def _seconds(run: Callable[[], Any]) -> Callable[[], float]:
    def timed() -> float:
        started = time.perf_counter()
        run()
        return time.perf_counter() - started

    return timed
