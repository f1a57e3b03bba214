"""The demo company, and the tour query against a computation that shares no code with it."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import defaultdict
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

import dovetail
from dovetail.demo.company import make_company
from dovetail.demo.storage import prepare
from dovetail.demo.tour import TOUR_QUERY
from dovetail.errors import UsageError
from tests.databases import Database
from tests.servers import Server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "demo-data"
    assert prepare(path)
    return path


def tour_in_python(folder: Path) -> list[tuple[Any, ...]]:
    """The tour query as loops over the files, read by each format's own library."""
    exports = folder / "exports"
    with closing(sqlite3.connect(folder / "crm.sqlite")) as crm:
        country = dict(crm.execute("select customer_id, country from customers"))
    with duckdb.connect(str(folder / "shop.duckdb"), read_only=True) as shop:
        orders = shop.execute("from orders").fetchall()
    with (exports / "products.csv").open(newline="", encoding="utf-8") as file:
        category = {int(row["product_id"]): row["category"] for row in csv.DictReader(file)}
    with (exports / "exchange_rates.csv").open(newline="", encoding="utf-8") as file:
        rate = {(r["currency"], r["month"]): float(r["rate_to_eur"]) for r in csv.DictReader(file)}
    lines = (exports / "returns.jsonl").read_text(encoding="utf-8").splitlines()
    returned = {json.loads(line)["order_id"] for line in lines}
    delivered = {
        row["order_id"]: row["delivered_on"]
        for row in pq.read_table(exports / "shipments.parquet").to_pylist()
    }
    groups: dict[str, list[tuple[float, int | None, bool]]] = defaultdict(list)
    for order_id, customer, product, day, quantity, price, currency, _status in orders:
        if category[product] != "Camping" or day < date(2025, 1, 1) or order_id not in delivered:
            continue
        euros = quantity * float(price) * rate[currency, str(day.replace(day=1))]
        arrival = delivered[order_id]
        days = None if arrival is None else (arrival - day).days
        groups[country[customer]].append((euros, days, order_id in returned))
    answer = []
    for name, rows in groups.items():
        waits = [days for _, days, _ in rows if days is not None]
        back = sum(was_returned for _, _, was_returned in rows)
        revenue = sum(euros for euros, _, _ in rows)
        answer.append((name, len(rows), revenue, sum(waits) / len(waits), 100 * back / len(rows)))
    return sorted(answer, key=lambda row: -row[2])


def test_the_tour_query_is_right(folder: Path) -> None:
    expected = tour_in_python(folder)
    with dovetail.connect(folder / "dovetail.yaml") as session:
        result = session.sql(TOUR_QUERY)
        rows = [tuple(row) for row in result.rows()]
        sources = {fragment.source for fragment in result.profile.fragments}
    assert len(rows) == 12
    assert [row[:2] for row in rows] == [row[:2] for row in expected]
    for got, want in zip(rows, expected, strict=True):
        assert got[2:] == pytest.approx(want[2:], abs=0.0051)
    assert sources == {"crm", "shop", "exports"}


def test_the_company_is_the_same_everywhere(folder: Path) -> None:
    company = make_company()
    sizes = [len(company.customers), len(company.orders), len(company.shipments)]
    assert sizes == [5_000, 100_000, 96_115]
    assert len(company.returns) == 6_509
    digest = hashlib.sha256(repr(company).encode()).hexdigest()
    assert digest == DIGEST
    with duckdb.connect(str(folder / "shop.duckdb"), read_only=True) as shop:
        assert shop.execute("from orders").fetchall() == company.orders
    with closing(sqlite3.connect(folder / "crm.sqlite")) as crm:
        stored = crm.execute("select * from customers").fetchall()
    assert stored == [(*row[:5], str(row[5])) for row in company.customers]


# A change here changes every figure in the documentation: count VERSION up with it.
DIGEST = "3fb251cd452e4d7775789a58c4b0a1ae1b7afc6e5460c59695de75092b103a2c"


def test_it_is_made_once_and_never_over_something_else(folder: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert not prepare(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="holds something else"):
        prepare(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_an_older_company_is_made_anew(folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "demo-data"
    shutil.copytree(folder, old)
    (old / ".dovetail-demo").write_text("company 1, version 0\n")
    (old / "exports" / "products.csv").unlink()
    assert prepare(old)
    assert (old / "exports" / "products.csv").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["demo-data"]


@pytest.mark.servers
def test_part_of_it_on_servers(
    folder: Path,
    postgres_database: Database,
    mariadb_server: Server,
    tmp_path: Path,
) -> None:
    """Through the command: the passwords are references, and show up nowhere."""
    here = tmp_path / "demo-data"
    shutil.copytree(folder, here)
    postgres = postgres_database.server
    passwords = {
        "PG_PASSWORD": postgres.admin_password,
        "MY_PASSWORD": mariadb_server.admin_password,
    }
    command = [
        str(Path(sys.executable).with_name("dovetail")),
        "demo",
        "--servers",
        "--postgres",
        f"postgres://{postgres.admin_user}:${{env:PG_PASSWORD}}@{postgres.host}:{postgres.port}"
        f"/{postgres_database.name}",
        "--mysql",
        f"mysql://{mariadb_server.admin_user}:${{env:MY_PASSWORD}}@{mariadb_server.host}"
        f":{mariadb_server.port}",
    ]
    try:
        for _ in range(2):  # the second run finds everything there and makes it anew
            done = subprocess.run(
                command,
                cwd=tmp_path,
                env={**os.environ, **passwords},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert done.stdout.count(" Germany        |   2301 |   534662.57 |") == 2
            assert "shop_pg (postgres)" in done.stdout
            assert "crm_my (mysql)" in done.stdout
        written = (here / "dovetail.servers.yaml").read_text()
        for password in passwords.values():
            assert password not in done.stdout + done.stderr + written
    finally:
        with closing(mariadb_server.connect()) as connection:
            connection.cursor().execute("DROP DATABASE IF EXISTS dovetail_demo")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--servers"], 2, "needs both"),
        (["--postgres", "postgres://me:hush@x/y", "--mysql", "mysql://me@x"], 2, "${env:"),
        (["--postgres", "mysql://me@x", "--mysql", "mysql://me@x"], 2, "begins with postgres://"),
        (
            ["--postgres", "postgres://me@127.0.0.1:1/y", "--mysql", "mysql://me@127.0.0.1:1"],
            3,
            "PostgreSQL at 127.0.0.1:1",
        ),
    ],
)
def test_servers_that_will_not_do(
    folder: Path, arguments: list[str], code: int, words: str
) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("dovetail")), "demo", *arguments],
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "hush" not in done.stderr
