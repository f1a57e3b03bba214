"""What a MySQL or MariaDB server holds, read from its information_schema."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from dovetail.catalog.model import ColumnInfo, ForeignKey, SourceCatalog, TableInfo, distinct_names
from dovetail.config import MySQLSettings
from dovetail.connectors.mysql_connect import Session
from dovetail.connectors.mysql_types import dovetail_type
from dovetail.errors import ConfigError, SourceError
from dovetail.types import parse_type

_SYSTEM = ("information_schema", "performance_schema", "mysql", "sys")
_JSON_CHECK = re.compile(r"json_valid\(`((?:[^`]|``)+)`\)", re.IGNORECASE)
_KINDS = {
    "BASE TABLE": "table",
    "SYSTEM VERSIONED": "table",
    "VIEW": "view",
    "SYSTEM VIEW": "view",
    "SEQUENCE": "table",
}
_Key = tuple[str, str]


def read_catalog(session: Session, settings: MySQLSettings) -> SourceCatalog:
    """The whole catalog of a source. Raises :class:`ConfigError` for a configured schema that
    does not exist or cannot be seen.
    """
    source = session.source
    schemas = _schemas(session, settings)
    wanted = ", ".join(["%s"] * len(schemas))
    tables = session.rows(
        "SELECT table_schema, table_name, table_type, engine, table_rows, data_length, "
        "table_comment FROM information_schema.tables "
        f"WHERE table_schema IN ({wanted})",
        schemas,
    )
    # By code point: the server's own order leaves open which of `T` and `t` comes first, and with
    # it which of them is visible as `t_1`.
    tables.sort(key=lambda row: (row[0], row[1]))
    columns = _columns(session, settings, schemas, wanted)
    primary, unique = _keys(session, schemas, wanted)
    foreign = _foreign_keys(session, schemas, wanted)
    names = {
        (schema, table): visible
        for schema in schemas
        for table, visible in _visible(row[1] for row in tables if row[0] == schema)
    }
    infos = []
    for schema, table, table_type, engine, rows, size, comment in tables:
        key = (schema, table)
        shown = columns.get(key, ())
        visible_of = {column.source_name: column.name for column in shown}

        def visible(
            keys: Iterable[str], table_names: dict[str, str] = visible_of
        ) -> tuple[str, ...]:
            return tuple(table_names.get(name, name) for name in keys)

        is_table = _KINDS.get(table_type, "table") == "table"
        infos.append(
            TableInfo(
                source=source,
                schema=schema,
                name=names[key],
                source_name=table,
                columns=shown,
                kind=_KINDS.get(table_type, "table"),
                comment="" if comment == "VIEW" else comment or "",
                primary_key=visible(primary.get(key, ())),
                unique_keys=tuple(visible(columns) for columns in unique.get(key, ())),
                foreign_keys=tuple(
                    ForeignKey(visible(local), ref_schema, ref_table, remote)
                    for local, ref_schema, ref_table, remote in foreign.get(key, ())
                ),
                row_estimate=int(rows) if is_table and rows is not None else None,
                byte_estimate=int(size) if is_table and size is not None else None,
                details={"engine": engine} if engine else {},
            )
        )
    default = settings.database or (schemas[0] if len(schemas) == 1 else "")
    default = next((s for s in schemas if s.lower() == default.lower()), default)
    return SourceCatalog(source, default, tuple(infos), time.time())


def _visible(names: Iterable[str]) -> list[tuple[str, str]]:
    found = list(names)
    return list(zip(found, distinct_names(found), strict=True))


def _schemas(session: Session, settings: MySQLSettings) -> list[str]:
    found = [
        row[0]
        for row in session.rows("SELECT schema_name FROM information_schema.schemata ORDER BY 1")
    ]
    if settings.schemas is None:
        shown = [name for name in found if name.lower() not in _SYSTEM]
        if not shown:
            raise SourceError(
                f"source {session.source}: the account sees no database", source=session.source
            )
        return shown
    by_name = {name.lower(): name for name in found}
    missing = [name for name in settings.schemas if name.lower() not in by_name]
    if missing:
        raise ConfigError(
            f"source {session.source}: no database {', '.join(missing)} that the account may see; "
            f"it sees {', '.join(found) or 'none'}"
        )
    return [by_name[name.lower()] for name in settings.schemas]


def _columns(
    session: Session, settings: MySQLSettings, schemas: list[str], wanted: str
) -> dict[_Key, tuple[ColumnInfo, ...]]:
    rows = session.rows(
        "SELECT table_schema, table_name, column_name, column_type, is_nullable, collation_name, "
        f"column_comment FROM information_schema.columns WHERE table_schema IN ({wanted}) "
        "ORDER BY table_schema, table_name, ordinal_position",
        schemas,
    )
    json_columns = _json_columns(session, schemas, wanted)
    grouped: dict[_Key, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        grouped[row[0], row[1]].append(row)
    result = {}
    for key, of_table in grouped.items():
        visible = distinct_names(row[2] for row in of_table)
        infos = []
        for name, (_, _, column, native, nullable, collation, comment) in zip(
            visible, of_table, strict=True
        ):
            native = _text(native)
            type_, unreadable = dovetail_type(native, tinyint1=settings.tinyint1)
            if (*key, column) in json_columns and type_.text == "VARCHAR":
                type_ = parse_type("JSON")
            infos.append(
                ColumnInfo(
                    name=name,
                    source_name=column,
                    type=type_,
                    native_type=native,
                    nullable=nullable == "YES",
                    comment=_text(comment),
                    collation=collation,
                    unreadable=unreadable,
                )
            )
        result[key] = tuple(infos)
    return result


def _json_columns(
    session: Session, schemas: list[str], wanted: str
) -> frozenset[tuple[str, str, str]]:
    """MariaDB's JSON is longtext with a check; MySQL has a type of its own."""
    if not session.mariadb:
        return frozenset()
    rows = session.rows(
        "SELECT constraint_schema, table_name, check_clause "
        f"FROM information_schema.check_constraints WHERE constraint_schema IN ({wanted})",
        schemas,
    )
    found = set()
    for schema, table, clause in rows:
        match = _JSON_CHECK.fullmatch(_text(clause).strip())
        if match:
            found.add((schema, table, match[1].replace("``", "`")))
    return frozenset(found)


def _keys(
    session: Session, schemas: list[str], wanted: str
) -> tuple[dict[_Key, tuple[str, ...]], dict[_Key, list[tuple[str, ...]]]]:
    rows = session.rows(
        "SELECT table_schema, table_name, index_name, column_name "
        f"FROM information_schema.statistics WHERE table_schema IN ({wanted}) "
        "AND non_unique = 0 ORDER BY table_schema, table_name, index_name, seq_in_index",
        schemas,
    )
    indexes: dict[tuple[str, str, str], list[str | None]] = defaultdict(list)
    for schema, table, index, column in rows:
        indexes[schema, table, index].append(column)
    primary: dict[_Key, tuple[str, ...]] = {}
    unique: dict[_Key, list[tuple[str, ...]]] = defaultdict(list)
    for (schema, table, index), columns in indexes.items():
        if any(column is None for column in columns):
            continue  # an index over an expression says nothing about columns
        named = tuple(column for column in columns if column is not None)
        if index == "PRIMARY":
            primary[schema, table] = named
        else:
            unique[schema, table].append(named)
    return primary, unique


def _foreign_keys(
    session: Session, schemas: list[str], wanted: str
) -> dict[_Key, list[tuple[tuple[str, ...], str, str, tuple[str, ...]]]]:
    rows = session.rows(
        "SELECT table_schema, table_name, constraint_name, column_name, "
        "referenced_table_schema, referenced_table_name, referenced_column_name "
        f"FROM information_schema.key_column_usage WHERE table_schema IN ({wanted}) "
        "AND referenced_table_name IS NOT NULL "
        "ORDER BY table_schema, table_name, constraint_name, ordinal_position",
        schemas,
    )
    grouped: dict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
    for schema, table, name, column, ref_schema, ref_table, ref_column in rows:
        grouped[schema, table, name, ref_schema, ref_table].append((column, ref_column))
    result: dict[_Key, list[tuple[tuple[str, ...], str, str, tuple[str, ...]]]] = defaultdict(list)
    for (schema, table, _, ref_schema, ref_table), pairs in grouped.items():
        local, remote = zip(*pairs, strict=True)
        result[schema, table].append((local, ref_schema, ref_table, remote))
    return result


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
