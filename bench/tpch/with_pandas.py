"""pandas: ``read_sql`` of the columns a query needs, then merges by hand; small queries only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bench.tpch.contenders import Answer, Order, Run, Unable

if TYPE_CHECKING:
    from bench.places import Address

Frames = dict[str, Any]


def opened(order: Order) -> tuple[Run, Callable[[], None]]:
    """Connections to both servers, and the query as a function.

    Raises:
        Unable: nobody has written this query by hand.
    """
    import pandas
    from sqlalchemy import create_engine

    if order.query not in _QUERIES:
        raise Unable(f"written by hand for {', '.join(_QUERIES)} only")
    engines = {kind: create_engine(_url(address)) for kind, address in order.addresses.items()}
    connections = {kind: engine.connect() for kind, engine in engines.items()}

    def run() -> Answer:
        frames = {}
        for table, columns in order.columns.items():
            kind = order.split[table]
            wanted = f"SELECT {', '.join(columns)} FROM {table}"
            frame = pandas.read_sql(wanted, connections[kind])
            for name, type_ in columns.items():
                if type_.startswith("DECIMAL"):
                    frame[name] = frame[name].astype(float)
                elif type_.startswith("CHAR"):
                    frame[name] = frame[name].str.rstrip()
            frames[table] = frame
        answer = _QUERIES[order.query](frames)
        return Answer(rows=list(answer.itertuples(index=False, name=None)))

    def close() -> None:
        for kind, connection in connections.items():
            connection.close()
            engines[kind].dispose()

    return run, close


def _url(address: Address) -> str:
    driver = {"postgres": "postgresql+psycopg", "mysql": "mysql+pymysql"}[address.kind]
    login = f"{address.user}:{quote(address.password, safe='')}"
    return f"{driver}://{login}@{address.host}:{address.port}/{address.database}"


def _supplied(frames: Frames) -> Any:
    """partsupp with its suppliers, their nations and regions where the query names them."""
    joined = frames["partsupp"].merge(
        frames["supplier"], left_on="ps_suppkey", right_on="s_suppkey"
    )
    return joined.merge(frames["nation"], left_on="s_nationkey", right_on="n_nationkey")


def _q02(frames: Frames) -> Any:
    part, region = frames["part"], frames["region"]
    part = part[(part.p_size == 15) & part.p_type.str.endswith("BRASS")]
    europe = region[region.r_name == "EUROPE"]
    joined = _supplied(frames).merge(europe, left_on="n_regionkey", right_on="r_regionkey")
    joined = joined.merge(part, left_on="ps_partkey", right_on="p_partkey")
    least = joined.groupby("p_partkey").ps_supplycost.transform("min")
    joined = joined[joined.ps_supplycost == least]
    joined = joined.sort_values(
        ["s_acctbal", "n_name", "s_name", "p_partkey"], ascending=[False, True, True, True]
    )
    wanted = "s_acctbal s_name n_name p_partkey p_mfgr s_address s_phone s_comment"
    return joined[wanted.split()].head(100)


def _q11(frames: Frames) -> Any:
    joined = _supplied(frames)
    joined = joined[joined.n_name == "GERMANY"]
    value = joined.ps_supplycost * joined.ps_availqty
    sums = value.groupby(joined.ps_partkey).sum().reset_index(name="value")
    return sums[sums.value > value.sum() * 0.0001].sort_values("value", ascending=False)


def _q16(frames: Frames) -> Any:
    part, supplier = frames["part"], frames["supplier"]
    part = part[
        (part.p_brand != "Brand#45")
        & ~part.p_type.str.startswith("MEDIUM POLISHED")
        & part.p_size.isin([49, 14, 23, 45, 19, 3, 36, 9])
    ]
    blamed = supplier[supplier.s_comment.str.contains("Customer.*Complaints")].s_suppkey
    joined = frames["partsupp"].merge(part, left_on="ps_partkey", right_on="p_partkey")
    joined = joined[~joined.ps_suppkey.isin(blamed)]
    keys = ["p_brand", "p_type", "p_size"]
    return joined.groupby(keys).ps_suppkey.nunique().reset_index(name="supplier_cnt")


def _q22(frames: Frames) -> Any:
    customer, orders = frames["customer"], frames["orders"]
    code = customer.c_phone.str[:2]
    customer = customer.assign(cntrycode=code)[
        code.isin(["13", "31", "23", "29", "30", "18", "17"])
    ]
    rich = customer.c_acctbal > customer[customer.c_acctbal > 0].c_acctbal.mean()
    customer = customer[rich & ~customer.c_custkey.isin(orders.o_custkey)]
    found = customer.groupby("cntrycode").c_acctbal.agg(["count", "sum"])
    return found.reset_index()


_QUERIES = {"q02": _q02, "q11": _q11, "q16": _q16, "q22": _q22}
