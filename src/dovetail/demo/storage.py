"""The company spread over five kinds of file, as companies do."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.demo.company import COLUMNS, SEED, VERSION, Company, make_company
from dovetail.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

_MARKER = ".dovetail-demo"
_CONTENT = f"company {SEED}, version {VERSION}\n"

CONFIGURATION = """\
# The demo company. Every source is opened read-only.
sources:
  crm:                       # customers, in a SQLite file
    kind: sqlite
    path: crm.sqlite
  shop:                      # orders, in a DuckDB file
    kind: duckdb
    path: shop.duckdb
  exports:                   # products.csv, exchange_rates.csv, returns.jsonl, shipments.parquet
    kind: files
    path: exports
"""


def prepare(folder: Path) -> bool:
    """Make the company in ``folder``, or find it there; returns whether it was made now.

    The files appear together or not at all: they are written to a folder beside and moved.
    Raises :class:`UsageError` when ``folder`` holds something else.
    """
    marker = folder / _MARKER
    if marker.is_file():
        if marker.read_text(encoding="utf-8") == _CONTENT:
            return False
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} holds something else; name another place with --directory")
    building = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    try:
        _write(make_company(), building)
        (building / _MARKER).write_text(_CONTENT, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        building.replace(folder)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return True


def _write(company: Company, folder: Path) -> None:
    exports = folder / "exports"
    exports.mkdir(parents=True)
    (folder / "dovetail.yaml").write_text(CONFIGURATION, encoding="utf-8")
    _write_sqlite(company, folder / "crm.sqlite")
    _write_duckdb(company, folder / "shop.duckdb")
    _write_csv(exports / "products.csv", COLUMNS["products"], company.products)
    _write_csv(exports / "exchange_rates.csv", COLUMNS["rates"], company.rates)
    with (exports / "returns.jsonl").open("w", encoding="utf-8") as lines:
        for row in company.returns:
            record = dict(zip(COLUMNS["returns"], row, strict=True))
            record |= {"returned_on": str(row[2]), "refund": float(row[4])}
            lines.write(json.dumps(record) + "\n")
    _write_parquet(company, exports / "shipments.parquet")


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _write_sqlite(company: Company, path: Path) -> None:
    import sqlite3

    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE customers (customer_id INTEGER PRIMARY KEY, name TEXT NOT NULL, "
            "email TEXT NOT NULL, country TEXT NOT NULL, segment TEXT NOT NULL, "
            "since DATE NOT NULL)"
        )
        rows = [(*row[:5], row[5].isoformat()) for row in company.customers]
        connection.executemany("INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.execute("CREATE INDEX customers_country ON customers (country)")


def orders_table(company: Company) -> pa.Table:
    """The orders as an Arrow table."""
    import pyarrow as pa

    types = [
        pa.int64(),
        pa.int64(),
        pa.int64(),
        pa.date32(),
        pa.int32(),
        pa.decimal128(10, 2),
        pa.string(),
        pa.string(),
    ]
    return _arrow(COLUMNS["orders"], types, company.orders)


def _write_duckdb(company: Company, path: Path) -> None:
    import duckdb

    orders = orders_table(company)
    with duckdb.connect(str(path)) as connection:
        connection.register("made", orders)
        connection.execute(
            "CREATE TABLE orders (order_id BIGINT PRIMARY KEY, customer_id BIGINT NOT NULL, "
            "product_id BIGINT NOT NULL, ordered_on DATE NOT NULL, quantity INTEGER NOT NULL, "
            "unit_price DECIMAL(10,2) NOT NULL, currency VARCHAR NOT NULL, status VARCHAR NOT NULL)"
        )
        connection.execute("INSERT INTO orders SELECT * FROM made")


def _write_parquet(company: Company, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = [pa.int64(), pa.int64(), pa.string(), pa.date32(), pa.date32(), pa.float64()]
    pq.write_table(_arrow(COLUMNS["shipments"], types, company.shipments), path)


def _arrow(names: Sequence[str], types: Sequence[Any], rows: Sequence[tuple[Any, ...]]) -> Any:
    import pyarrow as pa

    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, type_) for column, type_ in zip(columns, types, strict=True)]
    return pa.table(arrays, names=list(names))
