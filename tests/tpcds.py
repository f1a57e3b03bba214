"""TPC-DS at a small scale: 24 tables over PostgreSQL, MariaDB, Parquet and CSV, 99 queries.

Schema, data and queries come from DuckDB's ``tpcds`` extension, which the package
``duckdb-extension-tpcds`` carries.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa

from tests.databases import Declared
from tests.federated import Federated, federate
from tests.servers import Server

SCALE = 0.01

# customer and time_dim hold empty strings, which a CSV file cannot tell from NULL.
PLACES: dict[str, str] = {
    **dict.fromkeys(
        [
            *("store_sales", "store_returns", "customer", "customer_address", "date_dim"),
            *("household_demographics", "inventory"),
        ],
        "postgres",
    ),
    **dict.fromkeys(
        [
            *("catalog_sales", "catalog_returns", "catalog_page", "item", "time_dim"),
            *("customer_demographics", "web_site"),
        ],
        "mysql",
    ),
    **dict.fromkeys(["web_sales", "web_returns", "warehouse", "promotion"], "parquet"),
    **dict.fromkeys(
        ["store", "call_center", "web_page", "reason", "ship_mode", "income_band"], "csv"
    ),
}


def _extension() -> str:
    import duckdb_extension_tpcds

    folder = Path(duckdb_extension_tpcds.__file__).parent / "extensions"
    return str(folder / f"v{duckdb.__version__}" / "tpcds.duckdb_extension")


@cache
def queries() -> dict[str, str]:
    """The 99 queries by name, ``q01`` to ``q99``."""
    with duckdb.connect() as connection:
        connection.execute(f"LOAD '{_extension()}'")
        rows = connection.execute("SELECT query_nr, query FROM tpcds_queries()").fetchall()
    return {f"q{number:02}": query for number, query in rows}


def generate(scale: float = SCALE) -> Path:
    """A DuckDB file with all tables; made once and kept in the temp folder."""
    name = f"dovetail-tpcds-{os.getuid()}-{duckdb.__version__}-{scale}.duckdb"
    target = Path(tempfile.gettempdir()) / name
    if not target.exists():
        made = Path(tempfile.mkdtemp(dir=target.parent)) / "tpcds.duckdb"
        with duckdb.connect(str(made)) as connection:
            connection.execute(f"LOAD '{_extension()}'")
            connection.execute(f"CALL dsdgen(sf = {scale}, keys = true)")
        made.rename(target)  # when another worker was first, its file is replaced by the same
        made.parent.rmdir()
    return target


def declared(connection: duckdb.DuckDBPyConnection) -> dict[str, Declared]:
    """The shape of every table as the extension declares it; texts get the longest length."""
    shapes = {}
    keys = dict(
        connection.execute(
            "SELECT table_name, constraint_column_names FROM duckdb_constraints()"
            " WHERE constraint_type = 'PRIMARY KEY'"
        ).fetchall()
    )
    for name in PLACES:
        rows = connection.execute(f"DESCRIBE {name}").fetchall()
        shapes[name] = Declared(
            {c: "VARCHAR(200)" if t == "VARCHAR" else t for c, t, *_ in rows},
            tuple(keys[name]),
            (),
            frozenset(c for c, _, null, *_ in rows if null == "NO"),
        )
    return shapes


def split(folder: Path, server: Callable[[str], Server], *, scale: float = SCALE) -> Federated:
    """Load all 24 tables; ``local`` of the result reads the generated DuckDB file."""
    local = duckdb.connect(str(generate(scale)), read_only=True, config={"threads": 1})

    def table(name: str) -> pa.Table:
        return local.execute(f"SELECT * FROM {name}").to_arrow_table()

    return federate("tpcds", declared(local), PLACES, table, folder, server, local)
