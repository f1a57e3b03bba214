"""Late fetch: the ten newest of 200,000 rows, each with a text of 2 KB, joined with another source.

Once the wide table lies in PostgreSQL and the narrow one in MariaDB, once the other way. The same
queries without the rule bring the text of every row that may take part.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from bench.measure import alternate, summary
from bench.places import Address, Servers
from bench.relay import Relay

ROWS = 200_000
CUSTOMERS = 5_000
_PIECES = 63  # of 32 letters: 2,016 bytes

QUERIES = {
    "the ten newest": """
        select t.id, t.body, c.grade from wide.tickets t join narrow.customers c
        on t.customer = c.id where c.grade < 20 order by t.at desc, t.id limit 10""",
    "four that a filter leaves": """
        select t.id, t.body from wide.tickets t where t.at % 50021 = 7""",
    "every one": """
        select count(*), max(t.body) from wide.tickets t join narrow.customers c
        on t.customer = c.id where c.grade < 20""",
}


def loaded(servers: Servers, say: Callable[[str], None]) -> dict[str, dict[str, Address]]:
    """Per kind of server that holds the wide table, where both tables lie."""
    tickets = "id INTEGER PRIMARY KEY, customer INTEGER, at INTEGER, body TEXT"
    customers = "id INTEGER PRIMARY KEY, grade INTEGER"
    drawn = "{n}, {n} * 7 % " + str(CUSTOMERS) + ", {n} * 7919 % 1000003"
    say(f"loading {ROWS:,} rows of 2 KB into both servers")
    postgres = servers.small(
        "postgres",
        f"CREATE TABLE tickets ({tickets})",
        f"INSERT INTO tickets SELECT {drawn.format(n='i')}, (SELECT string_agg(md5(i || '.' || k), "
        f"'') FROM generate_series(1, {_PIECES}) k) FROM generate_series(1, {ROWS}) i",
        f"CREATE TABLE customers ({customers})",
        f"INSERT INTO customers SELECT i, i % 40 FROM generate_series(1, {CUSTOMERS}) i",
    )
    mysql = servers.small(
        "mysql",
        f"CREATE TABLE tickets ({tickets})",
        f"INSERT INTO tickets SELECT {drawn.format(n='seq')}, REPEAT(MD5(seq), {_PIECES}) "
        f"FROM seq_1_to_{ROWS}",
        f"CREATE TABLE customers ({customers})",
        f"INSERT INTO customers SELECT seq, seq % 40 FROM seq_1_to_{CUSTOMERS}",
    )
    return {
        "postgres": {"wide": postgres, "narrow": mysql},
        "mysql": {"wide": mysql, "narrow": postgres},
    }


def measure(
    places: Mapping[str, dict[str, Address]], rounds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Seconds of each query ``with`` the rule and ``without`` it, and the bytes of a run more."""
    import dovetail

    found: dict[str, Any] = {"rows": ROWS, "rounds": rounds, "sources": {}}
    for kind, of_kind in places.items():
        with Relay([(at.host, at.port) for at in of_kind.values()]) as relay:
            relayed = {
                name: replace(at, port=port)
                for (name, at), port in zip(of_kind.items(), relay.ports, strict=True)
            }
            with (
                dovetail.connect({"sources": _sources(of_kind)}) as session,
                dovetail.connect({"sources": _sources(relayed)}) as counted,
            ):
                found["sources"][kind] = {
                    name: _measured(session, counted, relay, text, rounds)
                    for name, text in QUERIES.items()
                }
        say(f"late fetch, the wide table in {kind}: {found['sources'][kind]}")
    return found


def _sources(places: Mapping[str, Address]) -> dict[str, Any]:
    return {name: address.source() for name, address in places.items()}


def _measured(session: Any, counted: Any, relay: Relay, text: str, rounds: int) -> dict[str, Any]:
    answers: list[list[str]] = []

    def run(how: str, where: Any = session) -> float:
        left_out = ["late_fetch"] if how == "without" else []
        started = time.perf_counter()
        rows = where.sql(text, rules=left_out).rows()
        seconds = time.perf_counter() - started
        answers.append(sorted(map(str, rows)))
        if answers[-1] != answers[0]:
            raise AssertionError("the answers differ")
        return seconds

    moved = {}
    for how in ("with", "without"):
        counted.explain(text)  # the catalog has been read, and what the sources know is known
        relay.take()
        run(how, counted)
        relay.take()
        moved[how] = relay.moved
        run(how)  # uncounted: all find the table in memory
    runs = alternate({how: partial(run, how) for how in moved}, rounds)
    decisions = [text for text in session.explain(text).decisions if "fetched late" in text]
    return {
        **{how: {"seconds": summary(runs[how]), "bytes": moved[how]} for how in runs},
        "decisions": decisions,
    }
