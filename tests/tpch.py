"""TPC-H at a small scale: tables of the declared types, 22 queries, three splits over sources.

Data comes from ``tpchgen-cli``; types and keys are those of the TPC-H specification, section 1.4.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.databases import Declared
from tests.federated import Federated, federate
from tests.servers import Server

SCALE = 0.01


def _table(
    columns: str,
    primary_key: str,
    *foreign_keys: tuple[str, str, str],
) -> Declared:
    pairs = [line.rsplit(" ", 1) for line in columns.strip().splitlines()]
    types = {name.strip(): type_text for name, type_text in pairs}
    return Declared(
        types,
        tuple(primary_key.split()),
        tuple((tuple(a.split()), other, tuple(b.split())) for a, other, b in foreign_keys),
        frozenset(types),
    )


# In an order in which foreign keys can be loaded.
TABLES: dict[str, Declared] = {
    "region": _table(
        """r_regionkey INTEGER
        r_name CHAR(25)
        r_comment VARCHAR(152)""",
        "r_regionkey",
    ),
    "nation": _table(
        """n_nationkey INTEGER
        n_name CHAR(25)
        n_regionkey INTEGER
        n_comment VARCHAR(152)""",
        "n_nationkey",
        ("n_regionkey", "region", "r_regionkey"),
    ),
    "part": _table(
        """p_partkey INTEGER
        p_name VARCHAR(55)
        p_mfgr CHAR(25)
        p_brand CHAR(10)
        p_type VARCHAR(25)
        p_size INTEGER
        p_container CHAR(10)
        p_retailprice DECIMAL(15,2)
        p_comment VARCHAR(23)""",
        "p_partkey",
    ),
    "supplier": _table(
        """s_suppkey INTEGER
        s_name CHAR(25)
        s_address VARCHAR(40)
        s_nationkey INTEGER
        s_phone CHAR(15)
        s_acctbal DECIMAL(15,2)
        s_comment VARCHAR(101)""",
        "s_suppkey",
        ("s_nationkey", "nation", "n_nationkey"),
    ),
    "partsupp": _table(
        """ps_partkey INTEGER
        ps_suppkey INTEGER
        ps_availqty INTEGER
        ps_supplycost DECIMAL(15,2)
        ps_comment VARCHAR(199)""",
        "ps_partkey ps_suppkey",
        ("ps_partkey", "part", "p_partkey"),
        ("ps_suppkey", "supplier", "s_suppkey"),
    ),
    "customer": _table(
        """c_custkey INTEGER
        c_name VARCHAR(25)
        c_address VARCHAR(40)
        c_nationkey INTEGER
        c_phone CHAR(15)
        c_acctbal DECIMAL(15,2)
        c_mktsegment CHAR(10)
        c_comment VARCHAR(117)""",
        "c_custkey",
        ("c_nationkey", "nation", "n_nationkey"),
    ),
    "orders": _table(
        """o_orderkey BIGINT
        o_custkey INTEGER
        o_orderstatus CHAR(1)
        o_totalprice DECIMAL(15,2)
        o_orderdate DATE
        o_orderpriority CHAR(15)
        o_clerk CHAR(15)
        o_shippriority INTEGER
        o_comment VARCHAR(79)""",
        "o_orderkey",
        ("o_custkey", "customer", "c_custkey"),
    ),
    "lineitem": _table(
        """l_orderkey BIGINT
        l_partkey INTEGER
        l_suppkey INTEGER
        l_linenumber INTEGER
        l_quantity DECIMAL(15,2)
        l_extendedprice DECIMAL(15,2)
        l_discount DECIMAL(15,2)
        l_tax DECIMAL(15,2)
        l_returnflag CHAR(1)
        l_linestatus CHAR(1)
        l_shipdate DATE
        l_commitdate DATE
        l_receiptdate DATE
        l_shipinstruct CHAR(25)
        l_shipmode CHAR(10)
        l_comment VARCHAR(44)""",
        "l_orderkey l_linenumber",
        ("l_orderkey", "orders", "o_orderkey"),
        ("l_partkey l_suppkey", "partsupp", "ps_partkey ps_suppkey"),
    ),
}

# Which kind of place holds which table. The three together use every kind of place.
SPLITS: dict[str, dict[str, str]] = {
    "A": {
        **dict.fromkeys(["lineitem", "orders", "partsupp"], "postgres"),
        **dict.fromkeys(["customer", "part", "supplier"], "mysql"),
        **dict.fromkeys(["nation", "region"], "sqlite"),
    },
    "B": {
        **dict.fromkeys(["lineitem", "orders"], "mysql"),
        **dict.fromkeys(["customer", "part", "supplier"], "postgres"),
        **dict.fromkeys(["partsupp", "nation", "region"], "parquet"),
    },
    "C": {
        **dict.fromkeys(["part", "partsupp", "lineitem", "nation", "region"], "postgres"),
        "orders": "mysql",
        "customer": "parquet",
        "supplier": "sqlite",
    },
}


def queries() -> dict[str, str]:
    """The 22 queries by name, ``q01`` to ``q22``, with validation parameters."""
    folder = Path(__file__).with_name("tpch_queries")
    return {path.stem: path.read_text() for path in sorted(folder.glob("q*.sql"))}


def generate(scale: float = SCALE) -> Path:
    """A folder with ``TABLE.parquet`` of every table; made once and kept in the temp folder."""
    release = version("tpchgen-cli")
    target = Path(tempfile.gettempdir()) / f"dovetail-tpch-{os.getuid()}-{release}-{scale}"
    if not target.exists():
        program = Path(sys.executable).with_name("tpchgen-cli")
        made = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=target.parent))
        subprocess.run(
            [str(program), "parquet", "-s", str(scale), "--output-dir", str(made)],
            check=True,
            capture_output=True,
        )
        try:
            made.rename(target)
        except OSError:  # another worker was first
            shutil.rmtree(made)
    return target


def table(name: str, scale: float = SCALE) -> pa.Table:
    """One table as generated (integers 64 bits wide; :data:`TABLES` declares what they become)."""
    return pq.read_table(generate(scale) / f"{name}.parquet")


def split(
    places: str | dict[str, str],
    folder: Path,
    server: Callable[[str], Server],
    *,
    scale: float = SCALE,
) -> Federated:
    """Load a split (``A``, ``B``, ``C``, or a mapping table → kind of place)."""
    chosen = SPLITS[places] if isinstance(places, str) else places
    name = f"tpch_{places}" if isinstance(places, str) else "tpch"
    return federate(name, TABLES, chosen, lambda t: table(t, scale), folder, server)
