"""The catalog of a SQLite file, read with SQLite's own pragmas through DuckDB's SQLite library."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dovetail.catalog.model import ColumnInfo, ForeignKey, TableInfo
from dovetail.connectors.sqlite_types import column_type, type_of_values
from dovetail.quoting import backticked, sql_string
from dovetail.types import VARCHAR

SCHEMA = "main"
SAMPLED_ROWS = 10_000

Query = Callable[[str], list[tuple[str | None, ...]]]
"""Runs SQLite SQL and returns its rows, every value as text."""


@dataclass(frozen=True)
class _Column:
    name: str
    declared: str
    not_null: bool
    default: str
    key: int
    hidden: int  # 0 ordinary, 1 of a virtual table, 2 and 3 generated


def read_tables(query: Query, source: str) -> tuple[TableInfo, ...]:
    """All tables and views. A table whose columns cannot be told is left with none and a problem.

    ``details`` of each table: ``strict``, ``without_rowid``, ``native`` (the engine may scan it)
    and ``problem``.
    """
    listed = query(
        "SELECT m.name, m.type, l.wr, l.strict, l.type AS detail, "
        "EXISTS (SELECT 1 FROM sqlite_master t WHERE t.type = 'trigger' "
        "AND lower(t.name) = lower(m.name)) AS shadowed "
        "FROM sqlite_master m JOIN pragma_table_list l ON l.name = m.name AND l.schema = 'main' "
        "WHERE m.type IN ('table', 'view') AND substr(m.name, 1, 7) <> 'sqlite_' "
        "AND l.type <> 'shadow' ORDER BY m.name"
    )
    columns, problems = _columns(query, [str(row[0]) for row in listed])
    unique = _unique_keys(query)
    foreign = _foreign_keys(query, columns)
    estimates = _row_estimates(
        query,
        [
            str(name)
            for name, kind, without_rowid, *_ in listed
            if kind == "table" and without_rowid == "0"
        ],
    )
    result = []
    for name_, kind, without_rowid, strict, detail, shadowed in listed:
        name = str(name_)
        own = columns.get(name, [])
        visible = [column for column in own if column.hidden != 1]
        infos = _infos(query, name, visible)
        key = sorted((column for column in own if column.key), key=lambda column: column.key)
        ordinary = kind == "table" and detail == "table"
        result.append(
            TableInfo(
                source,
                SCHEMA,
                name,
                infos,
                kind="view" if kind == "view" else "table",
                primary_key=tuple(column.name for column in key),
                unique_keys=tuple(unique.get(name, ())),
                foreign_keys=tuple(foreign.get(name, ())),
                row_estimate=estimates.get(name),
                details={
                    "strict": strict == "1",
                    "without_rowid": without_rowid == "1",
                    # DuckDB parses defaults as its own SQL, and takes a trigger for the table.
                    "native": ordinary
                    and shadowed == "0"
                    and all(_plain_default(column.default) for column in own),
                    "generated": tuple(c.name for c in visible if c.hidden in (2, 3)),
                    **({"problem": problems[name]} if name in problems else {}),
                },
            )
        )
    return tuple(result)


def _columns(query: Query, names: Sequence[str]) -> tuple[dict[str, list[_Column]], dict[str, str]]:
    """Columns by table. One question for all; one by one when a broken view spoils it."""
    fields = 'x.name, x.type, x."notnull", x.dflt_value, x.pk, x.hidden'
    result: dict[str, list[_Column]] = {}
    problems: dict[str, str] = {}

    def keep(rows: list[tuple[str | None, ...]]) -> None:
        for table, name, declared, not_null, default, key, hidden in rows:
            result.setdefault(str(table), []).append(
                _Column(
                    str(name),
                    declared or "",
                    not_null == "1",
                    default or "",
                    int(key or 0),
                    int(hidden or 0),
                )
            )

    try:
        keep(
            query(
                f"SELECT m.name AS tbl, {fields} "
                "FROM sqlite_master m, pragma_table_xinfo(m.name) x "
                "WHERE m.type IN ('table', 'view') ORDER BY 1, x.cid"
            )
        )
    except Exception:
        result.clear()
        for name in names:
            literal = sql_string(name)
            try:
                keep(
                    query(
                        f"SELECT {literal} AS tbl, {fields} FROM pragma_table_xinfo({literal}) x "
                        "ORDER BY x.cid"
                    )
                )
            except Exception as error:
                problems[name] = str(error).splitlines()[0]
    return result, problems


def _infos(query: Query, table: str, columns: Sequence[_Column]) -> tuple[ColumnInfo, ...]:
    """Column infos; those whose declaration says nothing get the type of their first values."""
    unknown = [column for column in columns if column_type(column.declared) is None]
    found = {}
    if unknown:
        items = ", ".join(
            f"group_concat(DISTINCT typeof({backticked(column.name)})) AS c{index}"
            for index, column in enumerate(unknown)
        )
        inner = ", ".join(backticked(column.name) for column in unknown)
        try:
            rows = query(
                f"SELECT {items} FROM "
                f"(SELECT {inner} FROM {backticked(table)} LIMIT {SAMPLED_ROWS})"
            )
            found = dict(zip((c.name for c in unknown), rows[0], strict=True))
        except Exception:  # a view that cannot run is still listed; reading it tells why
            found = {}
    return tuple(
        ColumnInfo(
            column.name,
            column_type(column.declared)
            or (type_of_values(found[column.name]) if column.name in found else VARCHAR),
            column.declared,
            # The rowid under another name is never NULL; other primary keys may be.
            nullable=not (column.not_null or _is_rowid(column, columns)),
        )
        for column in columns
    )


def _is_rowid(column: _Column, columns: Sequence[_Column]) -> bool:
    alone = sum(1 for other in columns if other.key) == 1
    return bool(column.key) and alone and column.declared.upper() == "INTEGER"


def _unique_keys(query: Query) -> dict[str, list[tuple[str, ...]]]:
    rows = query(
        "SELECT m.name AS tbl, l.name AS idx, i.name "
        "FROM sqlite_master m, pragma_index_list(m.name) l, pragma_index_info(l.name) i "
        "WHERE m.type = 'table' AND l.\"unique\" = 1 AND l.partial = 0 AND l.origin <> 'pk' "
        "ORDER BY m.name, l.seq, i.seqno"
    )
    indexes: dict[tuple[str, str], list[str | None]] = {}
    for table, index, column in rows:
        indexes.setdefault((str(table), str(index)), []).append(column)
    result: dict[str, list[tuple[str, ...]]] = {}
    for (table, _), names in indexes.items():
        if all(name is not None for name in names):  # None: an expression
            result.setdefault(table, []).append(tuple(str(name) for name in names))
    return result


def _foreign_keys(query: Query, columns: dict[str, list[_Column]]) -> dict[str, list[ForeignKey]]:
    rows = query(
        'SELECT m.name, f.id, f."table", f."from", f."to" FROM sqlite_master m, '
        "pragma_foreign_key_list(m.name) f WHERE m.type = 'table' ORDER BY m.name, f.id, f.seq"
    )
    keys: dict[tuple[str, str, str], list[tuple[str, str | None]]] = {}
    for table, number, other, column, other_column in rows:
        place = (str(table), str(number), str(other))
        keys.setdefault(place, []).append((str(column), other_column))
    spelled = {name.lower(): name for name in columns}
    result: dict[str, list[ForeignKey]] = {}
    for (table, _, other), pairs in keys.items():
        target = spelled.get(other.lower(), other)
        primary = sorted((c for c in columns.get(target, []) if c.key), key=lambda c: c.key)
        to = tuple(
            second or (primary[index].name if index < len(primary) else "")
            for index, (_, second) in enumerate(pairs)
        )
        if all(to):
            result.setdefault(table, []).append(
                ForeignKey(tuple(first for first, _ in pairs), SCHEMA, target, to)
            )
    return result


def _row_estimates(query: Query, names: Sequence[str]) -> dict[str, int]:
    """Rows by ANALYZE's statistics, else the largest rowid (exact unless rows were deleted)."""
    result: dict[str, int] = {}
    if query("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'"):
        for table, stat in query("SELECT tbl, stat FROM sqlite_stat1"):
            first = (stat or "").split(" ", 1)[0]
            if first.isdigit():
                result[str(table)] = max(result.get(str(table), 0), int(first))
    rest = [name for name in names if name not in result]
    for start in range(0, len(rest), 100):
        parts = [
            f"SELECT {sql_string(name)} AS tbl, "
            f"(SELECT max(rowid) FROM {backticked(name)}) AS largest"
            for name in rest[start : start + 100]
        ]
        rows = []
        with contextlib.suppress(Exception):  # a virtual table may have no rowid
            rows = query(" UNION ALL ".join(parts))
        for table, largest in rows:
            result[str(table)] = max(int(largest or 0), 0)
    return result


def _plain_default(text: str) -> bool:
    """Whether DuckDB surely parses a default: nothing, a number, a string, NULL, CURRENT_…."""
    return not text or bool(
        re.fullmatch(
            r"[-+]?\d+(\.\d+)?|'([^']|'')*'|(?i:null|true|false|current_\w+)", text.strip()
        )
    )
