"""Plan tests as text: a file of blocks, each a query with everything that becomes of it.

A file begins with a ``-- tables`` section of ``place.table (column type, …)`` lines, each followed
by its rows; ``primary key (column, …)`` may stand last among the columns. Then come blocks
separated by ``====``: comment lines (``#``), ``sql`` lines, optional ``expect:`` and
``expect-not:`` lines with rule names and a ``pushdown:`` line (``pg=always, my=never``), and below
``----`` what the runner writes: the bound plan, the plan after each rule that fired, the fragments
as sent, what was not pushed and the rows. Rows are those of plain DuckDB; the query must give them
with and without rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import duckdb

from dovetail.session import Session
from tests.databases import Declared
from tests.three_ways import check

BETWEEN = "====\n"
BELOW = "----\n"


@dataclass
class Table:
    """A table of the set-up section: its rows as lines of comma-separated constants."""

    place: str
    name: str
    declared: Declared
    rows: list[str] = field(default_factory=list)


@dataclass
class Block:
    """One query; ``head`` is what people wrote, kept as it is."""

    head: str
    sql: str
    expect: list[str]
    expect_not: list[str]
    ordered: bool
    pushdown: dict[str, str]


def parse(text: str) -> tuple[str, list[Table], list[Block]]:
    """The set-up section as written, its tables, and the blocks."""
    setup, *parts = text.split(BETWEEN)
    tables: list[Table] = []
    for line in setup.splitlines():
        match = re.fullmatch(r"(\w+)\.(\w+) \((.*)\)", line)
        if match:
            columns = dict(c.strip().split(" ", 1) for c in re.split(r", (?=[a-z_]+ )", match[3]))
            key = columns.pop("primary", "").removeprefix("key ").strip("()")
            declared = Declared(columns, tuple(key.split(", ")) if key else ())
            tables.append(Table(match[1], match[2], declared))
        elif line.startswith("  ") and tables:
            tables[-1].rows.append(line.strip())
    return setup, tables, [_block(part.split(BELOW)[0]) for part in parts]


def _block(head: str) -> Block:
    expect: list[str] = []
    expect_not: list[str] = []
    sql: list[str] = []
    pushdown: dict[str, str] = {}
    for line in head.splitlines():
        if line.startswith("expect: "):
            expect += line.removeprefix("expect: ").split(", ")
        elif line.startswith("expect-not: "):
            expect_not += line.removeprefix("expect-not: ").split(", ")
        elif line.startswith("pushdown: "):
            pairs = line.removeprefix("pushdown: ").split(", ")
            pushdown |= (pair.split("=") for pair in pairs)
        elif line and not line.startswith("#"):
            sql.append(line)
    text = "\n".join(sql)
    # The order of rows is part of the answer when the outermost query asks for one.
    tail = re.sub(r"\([^()]*\)", "", text.lower())
    return Block(head.rstrip("\n") + "\n", text, expect, expect_not, "order by" in tail, pushdown)


def outcome(block: Block, session: Session, local: duckdb.DuckDBPyConnection) -> str:
    """What becomes of a block: plans, fragments and rows as text.

    Raises:
        AssertionError: an expected rule did not fire, a forbidden one did, or the three ways of
            running the query differ.
    """
    explained = session.explain(block.sql, pushdown=block.pushdown)
    fired = explained.rules
    missing = [rule for rule in block.expect if rule not in fired]
    assert not missing, f"{block.sql}\nfired {fired}, not {missing}"
    wrong = [rule for rule in block.expect_not if rule in fired]
    assert not wrong, f"{block.sql}\nfired {wrong}"
    lines = list(_lines(explained))
    rows = check(session, local, block.sql, ordered=block.ordered, pushdown=block.pushdown).rows
    listed = [", ".join("NULL" if v is None else str(v) for v in row) for row in rows]
    lines += ["rows", *(f"  {row}" for row in (listed if block.ordered else sorted(listed)))]
    return stable("\n".join(lines) + "\n")


def _lines(explained: object) -> Iterator[str]:
    from dovetail.explanation import Explanation

    assert isinstance(explained, Explanation)
    data = explained.to_dict()
    if data["fallback_reason"]:
        yield f"fallback: {data['fallback_reason']}"
    else:
        trace = explained.trace().splitlines()
        yield from trace
        yield "federated"
        yield from (f"  {line}" for line in str(data["plan"]).splitlines())
    for fragment in explained.fragments:
        yield f"fragment {fragment['number']} on {fragment['source']}"
        yield from (f"  {line}" for line in str(fragment["sql"]).splitlines())
    if data["not_pushed"]:
        yield "not pushed"
        yield from (f"  {note}" for note in data["not_pushed"])


def stable(made: str) -> str:
    """Without what changes from run to run (the query's tag, database, path).

    How the MySQL connector packs a row into one value is its own matter; it is shown as ``ROW``.
    """
    made = re.sub(r"/\*.*?\*/ ?", "", made)
    made = re.sub(r"dv_\d+_\d+_\w+", "DATABASE", made)
    made = re.sub(r"IFNULL\((.*?), CAST\(_binary x'FC' AS BINARY\)\)", r"\1", made)
    made = re.sub(
        r"CONCAT_WS\(CAST\(_binary x'FF' AS BINARY\), '', (.*?), "
        r"CAST\(_binary x'FEFEFD' AS BINARY\)\)",
        r"ROW(\1)",
        made,
    )
    return re.sub(r"'/[^']*/([^/']+)'", r"'…/\1'", made)


def text(setup: str, blocks: list[Block], outcomes: list[str]) -> str:
    """A whole file."""
    parts = [b.head + BELOW + o + "\n" for b, o in zip(blocks, outcomes, strict=True)]
    return BETWEEN.join([setup, *parts]).rstrip("\n") + "\n"
