"""The 222 cases of ``tests/data/cli_cases.jsonl``, each on every road.

As files; with its files loaded into PostgreSQL, MariaDB, SQLite and DuckDB under declared types,
rules on and off; and with its tables spread in turn over several sources. Expectations were
written by hand and then run on DuckDB.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

import dovetail
from dovetail.errors import DovetailError
from dovetail.session import Session
from tests.conftest import server_or_fail
from tests.databases import Declared, create_database, load_duckdb, load_sqlite
from tests.servers import Run

pytestmark = pytest.mark.servers

CASES = {
    case["id"]: case
    for line in (Path(__file__).parents[1] / "data" / "cli_cases.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
    for case in [json.loads(line)]
}
SOURCES = ("pg", "my", "lite", "duck")
# Where each occurrence of a file goes, in turn.
SPREAD = ("pg", "my", "lite")
# Columns whose declared type is another one there.
ANOTHER_TYPE = {"my": ("BOOLEAN", "TIME"), "lite": ()}
# The cases that run as text over pruned scans, and why; take them out as the plan learns more.
FALLBACKS = {
    "sel-07": "COLUMNS",
    "sel-18": "a struct constant",
    "fun-17": "unnest",
    "fun-18": "a table function",
    "joi-16": "ASOF join",
    "joi-17": "a lateral subquery",
    "joi-18": "a table function",
    "cte-08": "VALUES of mixed types",
    "cte-09": "VALUES of mixed types",
    "cte-14": "BY NAME",
    "cte-15": "BY NAME",
    "grp-23": "PIVOT",
    "ord-10": "COLLATE",
    "ord-13": "VALUES of mixed types",
    "agg-15": "VALUES of mixed types",
    "fil-11": "a field of a nested value",
}


def in_sources(case: dict[str, Any]) -> bool:
    """Whether the case's files are plain CSV tables named by path, so that databases can serve."""
    files = case["files"]
    plain = all(name.endswith(".csv") and isinstance(text, str) for name, text in files.items())
    if not files or not plain or "error_names" in case:
        return False
    if re.search(r"\b(read_\w+|glob|sniff_csv)\s*\(", case["sql"]):
        return False
    return all(f"'{name}'" in case["sql"] for name in files)


IN_SOURCES = [name for name, case in CASES.items() if in_sources(case)]


def write_files(folder: Path, case: dict[str, Any]) -> None:
    for name, content in case["files"].items():
        path = folder / name
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8", newline="")
        else:
            path.write_bytes(base64.b64decode(content["base64"]))


@dataclass
class Places:
    """A session over everything, and what happened on each road."""

    session: Session
    folder: Path
    types: dict[str, list[str]]
    shared: Session | None = None
    fallbacks: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def places(server_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """Every plain CSV file of the cases as a table of each source; contents never clash."""
    folder = tmp_path_factory.mktemp("cases")
    made = {"pg": server_or_fail(server_run, "postgres"), "my": server_or_fail(server_run, "mysql")}
    databases = {name: create_database(server, "cases") for name, server in made.items()}
    types: dict[str, list[str]] = {}
    contents: dict[str, str] = {}
    with duckdb.connect(str(folder / "duck.duckdb")) as duck:
        for case_id in IN_SOURCES:
            write_files(folder / case_id, CASES[case_id])
            for name, text in CASES[case_id]["files"].items():
                assert contents.setdefault(name, text) == text
                table = name.removesuffix(".csv")
                if table in types:
                    continue
                rows = duck.read_csv(str(folder / case_id / name)).to_arrow_table()
                described = duck.execute(
                    f"DESCRIBE FROM read_csv('{folder / case_id / name}')"
                ).fetchall()
                declared = Declared({row[0]: row[1] for row in described})
                types[table] = list(declared.columns.values())
                load_duckdb(duck, table, rows, declared)
                load_sqlite(folder / "lite.db", table, rows, declared)
                for database in databases.values():
                    database.load(table, rows, declared)
    config = {
        "sources": {
            **{name: database.source() for name, database in databases.items()},
            "lite": {"kind": "sqlite", "path": str(folder / "lite.db")},
            "duck": {"kind": "duckdb", "path": str(folder / "duck.duckdb")},
        }
    }
    with dovetail.connect(config) as session:
        opened = Places(session, folder, types)
        yield opened
        if opened.shared is not None:
            opened.shared.close()
    for database in databases.values():
        database.drop()


def in_place(case: dict[str, Any], source: Callable[[], str]) -> str:
    """The case's SQL with each quoted path replaced by a table of the source that is next."""
    sql: str = case["sql"]
    for name in case["files"]:
        table = '"' + name.removesuffix(".csv") + '"'
        sql = re.sub(re.escape(f"'{name}'"), lambda _, t=table: f"{source()}.{t}", sql)
    return sql


def normal(value: Any, type_: str) -> Any:
    """A value as the cases write it."""
    match value:
        case bool() | int() | str() | None:
            return value
        case float():
            if math.isfinite(value):
                return value
            return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
        case Decimal():
            return int(value) if type_ == "HUGEINT" else str(value)
        case datetime():
            return value.isoformat(sep=" ")
        case date():
            return value.isoformat()
        case list():
            return [normal(v, "") for v in value]
        case dict():
            return {k: normal(v, "") for k, v in value.items()}
    raise AssertionError(f"no form for {value!r}")


def same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, int | float) and not isinstance(b, bool):
        return math.isclose(a, b, rel_tol=1e-9)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and bool(a == b)


def run(places: Places, case: dict[str, Any], sql: str, *, rules: bool, ordered: bool) -> str:
    """Run a case and compare; the road it took, with the reason of a fallback."""
    with places.session.sql(sql, rules=rules) as result:
        columns = [name for name, _ in result.columns]
        types = [type_ for _, type_ in result.columns]
        rows = [[normal(v, t) for v, t in zip(r, types, strict=True)] for r in result.rows()]
        reason = result.profile.fallback_reason
    assert columns == case["columns"]
    assert [t.replace(" ", "") for t in types] == [t.replace(" ", "") for t in case["types"]]
    expected = case["rows"]
    if not ordered:
        rows, expected = sorted(rows, key=repr), sorted(expected, key=repr)
    assert same(rows, expected), f"{rows}\nexpected {expected}"
    return reason


@pytest.fixture
def files(case_id: str, places: Places, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """The session over the case's folder. A path is relative to where the session was opened.

    Cases share a folder and its session where no file of theirs is seen or changed by another.
    """
    case = CASES[case_id]
    alone = "*." in case["sql"] or any(
        other["files"].get(name, content) != content
        for other in CASES.values()
        for name, content in case["files"].items()
    )
    folder = places.folder / (f"alone-{case_id}" if alone else "shared")
    folder.mkdir(exist_ok=True)
    write_files(folder, case)
    monkeypatch.chdir(folder)
    if alone:
        with dovetail.connect(allowed_directories=[folder]) as session:
            yield replace(places, session=session)
        return
    if places.shared is None:
        places.shared = dovetail.connect(allowed_directories=[folder])
    yield replace(places, session=places.shared)


@pytest.mark.parametrize("rules", [True, False], ids=["rules", "no-rules"])
@pytest.mark.parametrize("case_id", CASES)
def test_files(files: Places, case_id: str, rules: bool) -> None:
    """The files as they are; row order counts."""
    case, places = CASES[case_id], files
    if "error_names" in case:
        with (
            pytest.raises(DovetailError) as caught,
            places.session.sql(case["sql"], rules=rules) as result,
        ):
            result.rows()
        for name in case["error_names"]:
            assert name.lower() in str(caught.value).lower()
        return
    reason = run(places, case, case["sql"], rules=rules, ordered=True)
    if rules and reason:
        places.fallbacks[case_id] = reason


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("case_id", IN_SOURCES)
def test_in_source(places: Places, case_id: str, source: str) -> None:
    """The tables of a case in one source, with and without rules."""
    case = CASES[case_id]
    other = other_type(places, case, (source,))
    sql = in_place(case, lambda: source)
    if other:
        # The column is another one there; the query still runs or says why not.
        with places.session.sql(sql) as result:
            result.rows()
        return
    for rules in (True, False):
        run(places, case, sql, rules=rules, ordered=is_ordered(case))


@pytest.mark.parametrize("case_id", IN_SOURCES)
def test_spread(places: Places, case_id: str) -> None:
    """Tables spread in turn over several sources."""
    case = CASES[case_id]
    turn = iter(SPREAD * 20)
    sql = in_place(case, lambda: next(turn))
    if not other_type(places, case, SPREAD):
        run(places, case, sql, rules=True, ordered=is_ordered(case))


def other_type(places: Places, case: dict[str, Any], sources: tuple[str, ...]) -> bool:
    held = {t for name in case["files"] for t in places.types[name.removesuffix(".csv")]}
    return any(t in held for source in sources for t in ANOTHER_TYPE.get(source, ()))


def is_ordered(case: dict[str, Any]) -> bool:
    """Whether the outermost query asks for an order: a file has one by itself, a table none."""
    sql = case["sql"].lower()
    while (shorter := re.sub(r"\([^()]*\)", "", sql)) != sql:
        sql = shorter
    return "order by" in sql


def test_fallbacks(places: Places) -> None:
    """Of the cases that ran before this, no further one took the road of pruned scans."""
    further = {name: why for name, why in places.fallbacks.items() if name not in FALLBACKS}
    assert not further
