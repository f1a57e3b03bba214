"""Reading PostgreSQL's catalog: a handful of queries over pg_catalog in one transaction.

A schema of thousands of tables costs the same number of round trips as one of a few. Nothing here
takes a lock on a table (``pg_relation_size`` would wait behind an ALTER TABLE), so sizes are the
statistics' own and are unknown until the table has been analyzed or vacuumed.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dovetail.catalog.model import (
    ColumnInfo,
    ForeignKey,
    SourceCatalog,
    TableInfo,
    distinct_names,
)
from dovetail.config import PostgresSettings
from dovetail.connectors.postgres_types import SQL_ASCII, dovetail_type

if TYPE_CHECKING:
    import psycopg

_KINDS = {
    "r": "table",
    "p": "table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
}

# libc locales whose order is that of the code points, and so of the UTF-8 bytes
_BYTEWISE = frozenset({"C", "POSIX", "UCS_BASIC", "C.UTF-8", "C.UTF8", "PG_C_UTF8"})

_PLAIN_TEXT = re.compile(r"(?:text|bpchar|character(?: varying)?)(?:\(\d+\))?")

_SERVER = """
SELECT current_setting('server_version_num')::int, current_schema()::text,
       pg_encoding_to_char(d.encoding), d.datcollate::text,
       {provider}, {locale}, scale('1'::money::numeric), current_setting('block_size')::int
FROM pg_database d WHERE d.datname = current_database()
"""

_TABLES = """
SELECT c.oid::bigint, n.nspname::text, c.relname::text, c.relkind::text, c.reltuples::float8,
       c.relpages, obj_description(c.oid, 'pg_class'), c.relhassubclass, c.relispartition,
       has_table_privilege(c.oid, 'SELECT')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND (%(schemas)s::text[] IS NULL OR n.nspname = ANY (%(schemas)s))
  AND (%(schemas)s::text[] IS NOT NULL
       OR n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)')
  AND has_schema_privilege(n.oid, 'USAGE')
  AND has_any_column_privilege(c.oid, 'SELECT')
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""

# A domain stands for its base type, with the modifier that is nearest to it.
_COLUMNS = """
WITH RECURSIVE domains(oid, base, modifier, strict, dimensions) AS (
  SELECT oid, typbasetype, typtypmod, typnotnull, typndims FROM pg_type WHERE typtype = 'd'
  UNION ALL
  SELECT d.oid, t.typbasetype, CASE WHEN d.modifier = -1 THEN t.typtypmod ELSE d.modifier END,
         d.strict OR t.typnotnull, greatest(d.dimensions, t.typndims)
  FROM domains d JOIN pg_type t ON t.oid = d.base AND t.typtype = 'd'
)
SELECT a.attrelid::bigint, a.attnum, a.attname::text,
       format_type(coalesce(d.base, a.atttypid), coalesce(d.modifier, a.atttypmod)),
       greatest(a.attndims, d.dimensions), a.attnotnull OR coalesce(d.strict, false),
       col_description(a.attrelid, a.attnum), k.collname::text, {collation_columns},
       b.typtype::text, b.oid::bigint, t.typtype::text, format_type(a.atttypid, NULL),
       {generated},
       has_column_privilege(a.attrelid, a.attnum, 'SELECT')
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN domains d ON d.oid = a.atttypid
  AND NOT EXISTS (SELECT 1 FROM pg_type u WHERE u.oid = d.base AND u.typtype = 'd')
JOIN pg_type b ON b.oid = coalesce(d.base, a.atttypid)
LEFT JOIN pg_collation k ON k.oid = a.attcollation
WHERE a.attrelid = ANY (%(tables)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""

_KEYS = """
SELECT i.indrelid::bigint, i.indisprimary, (i.indkey::int2[])[0:i.indnkeyatts - 1]
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = ANY (%(tables)s::oid[]) AND i.indisunique AND i.indisvalid
  AND i.indpred IS NULL AND i.indexprs IS NULL
ORDER BY c.relname COLLATE "C"
"""

_FOREIGN_KEYS = """
SELECT conrelid::bigint, conkey, confrelid::bigint, confkey FROM pg_constraint
WHERE contype = 'f' AND convalidated AND conrelid = ANY (%(tables)s::oid[])
ORDER BY conname COLLATE "C"
"""

_INHERITS = """
SELECT inhparent::bigint, inhrelid::bigint FROM pg_inherits
"""

_ENUMS = """
SELECT enumtypid::bigint, array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum GROUP BY 1
"""


@dataclass
class _Column:
    """A column while its table is put together."""

    number: int
    name: str
    native: str
    nullable: bool
    comment: str
    collation: str | None
    readable: bool
    labels: list[str] | None
    domain: str | None
    generated: bool


def read_catalog(
    cursor: psycopg.Cursor[Any], source: str, settings: PostgresSettings
) -> SourceCatalog:
    """Read every table that the role may read, within the cursor's transaction.

    Raises psycopg errors; the caller turns them into ours.
    """
    version = cursor.connection.info.server_version
    cursor.execute(_server_query(version))
    server = cursor.fetchone()
    assert server is not None
    _, current_schema, encoding, collate, provider, locale, money_scale, block_size = server
    default = _collation_name(provider, locale or collate, True)
    schemas = list(settings.schemas) if settings.schemas is not None else None
    tables = cursor.execute(_TABLES, {"schemas": schemas}).fetchall()
    chosen = {"tables": [row[0] for row in tables]}
    enums = dict(cursor.execute(_ENUMS).fetchall())
    columns = _columns(cursor, version, chosen, enums, default)
    if encoding == "SQL_ASCII":  # the server vouches for no encoding: every text is checked
        for column in (column for found in columns.values() for column in found):
            if _PLAIN_TEXT.fullmatch(column.native):
                column.native += SQL_ASCII
    keys: dict[int, list[tuple[bool, list[int]]]] = defaultdict(list)
    for oid, primary, numbers in cursor.execute(_KEYS, chosen):
        keys[oid].append((primary, numbers))
    references: dict[int, list[tuple[list[int], int, list[int]]]] = defaultdict(list)
    for oid, numbers, target, target_numbers in cursor.execute(_FOREIGN_KEYS, chosen):
        references[oid].append((numbers, target, target_numbers))
    sizes = _sizes(cursor, version, tables)

    schema_names = list(dict.fromkeys(row[1] for row in tables))
    visible_schema = dict(zip(schema_names, _visible(schema_names), strict=True))
    visible: dict[int, tuple[str, str]] = {}
    for schema in schema_names:
        members = [row for row in tables if row[1] == schema]
        for row, name in zip(members, _visible([row[2] for row in members]), strict=True):
            visible[row[0]] = (visible_schema[schema], name)
    visible_columns = {
        oid: dict(zip([c.number for c in found], _visible([c.name for c in found]), strict=True))
        for oid, found in columns.items()
    }

    result = []
    for oid, schema, name, kind, _, _, comment, has_children, is_partition, _ in tables:
        own = columns.get(oid, [])
        names = visible_columns.get(oid, {})
        rows, pages = sizes[oid]
        # A key of a plain parent table says nothing of the rows its child tables add to a scan.
        shared = has_children and kind == "r"
        primary, unique = _key_names([] if shared else keys[oid], names)
        details: dict[str, object] = {"relkind": kind, "encoding": encoding}
        if pages is not None:
            details["pages"] = pages
            # ranges of pages can be read side by side: since version 14, not over child tables
            details["page_ranges"] = version >= 140000 and kind in "rm" and not has_children
        if shared:
            details["inherited"] = True
        if is_partition:
            details["partition"] = True
        for title, chosen_columns in (
            ("enums", {names[c.number]: c.labels for c in own if c.labels is not None}),
            ("domains", {names[c.number]: c.domain for c in own if c.domain is not None}),
        ):
            if chosen_columns:
                details[title] = chosen_columns
        generated = [names[c.number] for c in own if c.generated]
        if generated:
            details["generated"] = generated
        result.append(
            TableInfo(
                source=source,
                schema=visible[oid][0],
                name=visible[oid][1],
                columns=tuple(
                    ColumnInfo(
                        name=names[column.number],
                        type=dovetail_type(column.native, settings, money_scale),
                        native_type=column.native,
                        nullable=column.nullable,
                        source_name=column.name,
                        comment=column.comment,
                        collation=column.collation,
                        unreadable=None
                        if column.readable
                        else "the role may not SELECT this column",
                    )
                    for column in own
                ),
                kind=_KINDS[kind],
                source_schema=schema,
                source_name=name,
                comment=comment or "",
                primary_key=primary,
                unique_keys=unique,
                foreign_keys=_foreign_keys(references[oid], visible, names, visible_columns),
                row_estimate=rows,
                byte_estimate=None if pages is None else pages * block_size,
                details=details,
            )
        )
    return SourceCatalog(
        source=source,
        default_schema=visible_schema.get(current_schema, current_schema or "public"),
        tables=tuple(result),
        read_at=time.time(),
    )


def _visible(names: list[str]) -> list[str]:
    """Distinct names; of two that differ by case, the one that needs no quotes keeps its own."""
    order = sorted(range(len(names)), key=lambda i: names[i] != names[i].lower())
    chosen = dict(zip(order, distinct_names(names[i] for i in order), strict=True))
    return [chosen[i] for i in range(len(names))]


def _server_query(version: int) -> str:
    """``_SERVER`` for a server of that version; the locale's provider moved about."""
    if version >= 170000:
        return _SERVER.format(provider="d.datlocprovider::text", locale="d.datlocale::text")
    if version >= 150000:
        return _SERVER.format(provider="d.datlocprovider::text", locale="d.daticulocale::text")
    return _SERVER.format(provider="'c'", locale="NULL::text")


def _collation_name(provider: str, locale: str, deterministic: bool) -> str:
    """``C`` when text is ordered and compared by its bytes, else the locale's name.

    ``nondeterministic:`` before the name says that different strings may be equal.
    """
    bytewise = provider in ("c", "b") and locale.upper() in _BYTEWISE
    if provider == "b" or bytewise:  # the builtin provider orders by code point, always
        return "C"
    return locale if deterministic else f"nondeterministic:{locale}"


def _columns(
    cursor: psycopg.Cursor[Any],
    version: int,
    chosen: dict[str, list[int]],
    enums: dict[int, list[str]],
    default: str,
) -> dict[int, list[_Column]]:
    deterministic = "k.collisdeterministic" if version >= 120000 else "true"
    locale = "k.collcollate::text"
    if version >= 170000:
        locale = "coalesce(k.colllocale, k.collcollate)::text"
    elif version >= 150000:
        locale = "coalesce(k.colliculocale, k.collcollate)::text"
    query = _COLUMNS.format(
        collation_columns=f"k.collprovider::text, {locale}, {deterministic}",
        generated="a.attgenerated <> ''" if version >= 120000 else "false",
    )
    columns: dict[int, list[_Column]] = defaultdict(list)
    cursor.execute(query, chosen)
    for row in cursor:
        oid, number, name, native, dimensions, strict, comment = row[:7]
        collation, provider, locale, exact, base_kind, base_oid, kind, declared = row[7:15]
        generated, readable = row[15:]
        if collation == "default":
            collation = default
        elif collation is not None:
            collation = _collation_name(provider, locale or collation, exact)
        if native.endswith("[]") and dimensions > 1:
            native += "[]" * (dimensions - 1)
        columns[oid].append(
            _Column(
                number=number,
                name=name,
                native=native,
                nullable=not strict,
                comment=comment or "",
                collation=collation,
                readable=readable,
                labels=enums.get(base_oid, []) if base_kind == "e" else None,
                domain=declared if kind == "d" else None,
                generated=generated,
            )
        )
    return columns


def _sizes(
    cursor: psycopg.Cursor[Any], version: int, tables: list[tuple[Any, ...]]
) -> dict[int, tuple[int | None, int | None]]:
    """Rows and pages by table; None is unknown. A parent's are the sum of its leaves'."""
    known: dict[int, tuple[int | None, int | None]] = {}
    parents = set()
    for oid, _, _, kind, rows, pages, _, has_children, _, _ in tables:
        if has_children:
            parents.add(oid)
        # 14 and later say -1 for "never analyzed"; before, that was 0 rows in 0 pages
        unknown = rows < 0 or kind == "v" or (version < 140000 and rows == 0 and pages == 0)
        known[oid] = (
            None if unknown else round(rows),
            None if unknown or kind in ("f", "p") else pages,
        )
    if not parents:
        return known
    children: dict[int, list[int]] = defaultdict(list)
    for parent, child in cursor.execute(_INHERITS):
        children[parent].append(child)
    plain = {row[0] for row in tables if row[3] != "p"}

    def leaves(oid: int, seen: frozenset[int] = frozenset()) -> list[int]:
        found = [oid] if oid in plain else []
        for child in children[oid]:
            if child not in seen:
                found += leaves(child, seen | {oid})
        return found

    result = dict(known)
    for oid in parents:
        parts = [known.get(leaf, (None, None)) for leaf in set(leaves(oid))]
        rows_known = [rows for rows, _ in parts if rows is not None]
        pages_known = [pages for _, pages in parts if pages is not None]
        complete = bool(parts) and len(rows_known) == len(parts)
        result[oid] = (
            sum(rows_known) if complete else None,
            sum(pages_known) if complete and len(pages_known) == len(parts) else None,
        )
    return result


def _key_names(
    keys: list[tuple[bool, list[int]]], names: dict[int, str]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    primary: tuple[str, ...] = ()
    unique = []
    for is_primary, numbers in keys:
        if not all(number in names for number in numbers):
            continue
        columns = tuple(names[number] for number in numbers)
        if is_primary:
            primary = columns
        elif columns:
            unique.append(columns)
    return primary, tuple(unique)


def _foreign_keys(
    references: list[tuple[list[int], int, list[int]]],
    visible: dict[int, tuple[str, str]],
    names: dict[int, str],
    visible_columns: dict[int, dict[int, str]],
) -> tuple[ForeignKey, ...]:
    found = []
    for numbers, target, target_numbers in references:
        there = visible_columns.get(target, {})
        if target not in visible or not all(number in there for number in target_numbers):
            continue  # the role may not see the other table
        if all(number in names for number in numbers):
            schema, table = visible[target]
            found.append(
                ForeignKey(
                    tuple(names[number] for number in numbers),
                    schema,
                    table,
                    tuple(there[number] for number in target_numbers),
                )
            )
    return tuple(found)
