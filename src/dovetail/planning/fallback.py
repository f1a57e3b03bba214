"""The fallback road: the engine runs the text itself, over scans pruned to what it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlglot import exp

from dovetail.catalog.model import TableInfo, distinct_names
from dovetail.connectors.base import Connector, FragmentRequest, OutputColumn, TableScan
from dovetail.errors import DataError
from dovetail.execution.carried import carried
from dovetail.execution.work import Piece, Work
from dovetail.language.sql.judge import Judged
from dovetail.planning.planned import Planned, TableKey, new_tag
from dovetail.quoting import quote
from dovetail.types import Type


def fallback(
    judged: Judged,
    tables: Mapping[TableKey, TableInfo],
    values: Mapping[str, Any] | Sequence[Any],
    described: list[tuple[str, Type]] | None,
    limit: int | None,
    reason: str,
    scanned: Mapping[TableKey, frozenset[str]] | None,
    connectors: Mapping[str, Connector],
    *,
    rename: bool = False,
) -> Planned:
    """A query of which DuckDB runs the text itself.

    With ``rename`` its columns are named as described: the text is not the one that was written.

    ``described`` are its columns as far as they are known before it runs, ``scanned`` the columns
    it reads of each table (None: all). The other columns stay there by name, as NULL, so that
    names and stars mean the same.

    Raises:
        DataError: it reads a column whose values cannot be carried.
    """
    tag = new_tag()
    pieces: list[Piece] = []
    views: list[tuple[TableKey, TableInfo, int, frozenset[str]]] = []
    for number, (key, table) in enumerate(tables.items(), start=1):
        used = frozenset(c.name for c in table.columns)
        if scanned is not None and key in scanned:
            used = frozenset(n.lower() for n in scanned[key])
            used = frozenset(c.name for c in table.columns if c.name.lower() in used)
        used = used or frozenset({table.columns[0].name})
        pieces.append(Piece(number, table.source, _scan_request(table, used, tag)))
        views.append((key, table, number, used))
    catalogs = sorted({key[0] for key in tables if key[0]})
    # A two-part name is source.table or schema.table; a schema of the default database
    # serves both.
    setup = [f"ATTACH ':memory:' AS {quote(name)}" for name in catalogs]

    def prepare(relations: Mapping[int, str]) -> list[str]:
        statements: list[str] = []
        schemas: set[tuple[str, str]] = set()
        for key, table, number, used in views:
            catalog, schema, name = key
            target = quote(name)
            if schema:
                target = f"{quote(schema)}.{target}"
                if catalog:
                    target = f"{quote(catalog)}.{target}"
                where = (catalog.lower(), schema.lower())
                if where not in schemas:
                    schemas.add(where)
                    prefix = f"{quote(catalog)}." if catalog else ""
                    statements.append(f"CREATE SCHEMA IF NOT EXISTS {prefix}{quote(schema)}")
            columns = ", ".join(
                quote(c.name) if c.name in used else f"NULL::{c.type} AS {quote(c.name)}"
                for c in table.columns
            )
            # A table, not a view: the text may read it any number of times.
            statements.append(f"CREATE TABLE {target} AS SELECT {columns} FROM {relations[number]}")
        return statements

    text = judged.sql.strip().rstrip(";")
    if limit is not None and judged.statement_kind in ("select", "with", "from", "values"):
        text = f"SELECT * FROM (\n{text}\n) LIMIT {limit}"
    if rename and described is not None:
        named = ", ".join(quote(name) for name in distinct_names([name for name, _ in described]))
        text = f"SELECT * FROM (\n{text}\n) AS written({named})"
    if described is not None:
        names = distinct_names([name for name, _ in described])
        columns = [(n, t.text) for n, (_, t) in zip(names, described, strict=True)]
    else:
        columns = []
    text = carried(text, columns)
    work = Work(
        pieces,
        lambda relations: text,
        [type_ for _, type_ in columns],
        parameters=values or None,
        prepare=prepare,
        schema_setup=setup,
    )
    return Planned(judged.sql, work, columns, "fallback", reason, connectors=connectors)


def _scan_request(table: TableInfo, used: frozenset[str], tag: str) -> FragmentRequest:
    columns = [c for c in table.columns if c.name in used]
    for column in columns:
        if column.unreadable is not None:
            raise DataError(
                f"column {table.qualified_name}.{column.name} cannot be read: {column.unreadable}",
                source=table.source,
                table=table.qualified_name,
            )
    outputs = tuple(
        OutputColumn(c.name, c.type, c.native_type, f"{table.qualified_name}.{c.name}")
        for c in columns
    )
    alias = exp.Identifier(this="t1", quoted=True)
    query = exp.Select(
        expressions=[
            exp.Alias(
                this=exp.Column(
                    this=exp.Identifier(this=c.source_name, quoted=True), table=alias.copy()
                ),
                alias=exp.Identifier(this=c.name, quoted=True),
            )
            for c in columns
        ],
        from_=exp.From(
            this=exp.Table(
                this=exp.Identifier(this=table.source_name, quoted=True),
                db=exp.Identifier(this=table.source_schema, quoted=True)
                if table.source_schema
                else None,
                alias=exp.TableAlias(this=alias),
            )
        ),
    )
    scan = TableScan(table, tuple((c.source_name, c.name) for c in columns))
    return FragmentRequest(query, outputs, scan, None, tag)
