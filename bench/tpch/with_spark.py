"""Spark: the query over JDBC tables, with the pushdown that Spark has by itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.tpch.contenders import Answer, Order, Run, Unable

if TYPE_CHECKING:
    from bench.places import Address

JARS = "DOVETAIL_BENCH_JDBC"
# The manager of drivers does not look into jars that a session adds.
_DRIVERS = {"postgres": "org.postgresql.Driver", "mysql": "com.mysql.cj.jdbc.Driver"}


def opened(order: Order) -> tuple[Run, Callable[[], None]]:
    """A session whose views are the tables; the virtual machine stays up between queries.

    Raises:
        Unable: the drivers' jars are not named.
    """
    from pyspark.sql import SparkSession

    jars = os.environ.get(JARS)
    if not jars:
        raise Unable(f"set {JARS} to the jars of PostgreSQL's and MySQL's JDBC drivers, by commas")
    spark = (
        SparkSession.builder.master("local[*]")
        .appName("bench")
        .config("spark.jars", jars)
        .config("spark.driver.memory", "4g")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    for table in order.columns:
        _view(spark, table, order.addresses[order.split[table]])
    spark.sql("SELECT 1").collect()

    def run() -> Answer:
        rows = spark.sql(order.text).collect()
        return Answer(rows=[tuple(_trimmed(value) for value in row) for row in rows])

    return run, spark.catalog.clearCache


def _view(spark: Any, table: str, address: Address) -> None:
    scheme = {"postgres": "postgresql", "mysql": "mysql"}[address.kind]
    reader = spark.read.format("jdbc").options(
        url=f"jdbc:{scheme}://{address.host}:{address.port}/{address.database}",
        driver=_DRIVERS[address.kind],
        dbtable=table,
        user=address.user,
        password=address.password,
        fetchsize="10000",
    )
    if address.kind == "mysql":  # else the driver holds all rows before the first is read
        reader = reader.option("useCursorFetch", "true")
    reader.load().createOrReplaceTempView(table)


def _trimmed(value: Any) -> Any:
    return value.rstrip() if isinstance(value, str) else value  # CHAR(n) keeps its padding
