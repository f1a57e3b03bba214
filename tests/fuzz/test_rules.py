"""Random rule programs over all kinds of source: the compiler and the interpreter must agree.

``make fuzz`` runs for ``DOVETAIL_FUZZ_SECONDS`` (300); ``DOVETAIL_FUZZ_SEED`` repeats one world.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import hypothesis
import pyarrow as pa
import pytest
from hypothesis import HealthCheck

import dovetail
from tests.conftest import server_or_fail
from tests.databases import Declared
from tests.federated import SOURCE_OF, federate
from tests.language.rules.agreement import assert_agreement
from tests.language.rules.generate import Program, Source, programs, random_source
from tests.language.rules.placed import facts, json_lines, text_of
from tests.servers import Run

PROGRAMS_PER_WORLD = 150
TYPES = {
    "int": ("BIGINT", pa.int64()),
    "text": ("VARCHAR(20)", pa.string()),
    "num": ("DECIMAL(12,2)", pa.decimal128(12, 2)),
    "date": ("DATE", pa.date32()),
}
KINDS = ("postgres", "mysql", "sqlite", "duckdb", "parquet")


def test_random_programs(
    server_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = float(os.environ.get("DOVETAIL_FUZZ_SECONDS", "300"))
    given = os.environ.get("DOVETAIL_FUZZ_SEED")
    seed = int(given) if given else random.SystemRandom().randrange(10**9)
    started, worlds, ran = time.monotonic(), 0, 0
    while worlds == 0 or (not given and time.monotonic() - started < seconds):
        with capsys.disabled():
            print(f"\nseed {seed}", end="", flush=True)
        ran += world(seed, server_run, tmp_path / str(seed))
        worlds += 1
        seed += 1
    with capsys.disabled():
        print(f"\n{ran} programs over {worlds} worlds in {time.monotonic() - started:.0f} s")


def world(seed: int, run: Run, folder: Path) -> int:
    """One set of tables in databases and the programs over it; how many ran."""
    rng = random.Random(seed)
    folder.mkdir(parents=True)
    sources = {s.name: s for s in (random_source(f"w{k[:2]}", k, rng, list(TYPES)) for k in KINDS)}
    made = federate(
        "rules",
        {name: Declared({c: TYPES[k][0] for c, k in s.columns}) for name, s in sources.items()},
        {name: source.place for name, source in sources.items()},
        lambda name: _arrow(sources[name]),
        folder,
        lambda kind: server_or_fail(run, kind),
    )
    ran = 0
    try:
        with dovetail.connect(made.config, allowed_directories=[folder]) as session:
            places = dict.fromkeys(KINDS, _table) | {"facts": facts, "json": json_lines(folder)}

            @hypothesis.seed(seed)
            @hypothesis.settings(
                max_examples=PROGRAMS_PER_WORLD,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @hypothesis.given(program=programs(given=list(sources.values())))
            def check(program: Program) -> None:
                nonlocal ran
                ran += 1
                assert_agreement(session, program, text_of(program, places))

            check()
    finally:
        made.close()
    return ran


def _arrow(source: Source) -> pa.Table:
    columns = zip(*source.rows, strict=True) if source.rows else ((),) * len(source.columns)
    return pa.table(
        {
            name: pa.array(list(values), TYPES[kind][1])
            for (name, kind), values in zip(source.columns, columns, strict=True)
        }
    )


def _table(source: Source) -> str:
    return f":- source({source.name}, {SOURCE_OF[source.place]}.{source.name})."
