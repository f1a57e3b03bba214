"""The tables of a case file, as the interpreter takes them: declared sources read the plain way."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from tests.language.rules.interpreter import Table
from tests.language.rules.reader import Path, Term, Text
from tests.language.rules.values import Value


def tables_of(case: Mapping[str, Any], text: Text) -> dict[str, Table]:
    """Every source that the program declares, or standard input where it declares none."""
    found: dict[str, Table] = {}
    for directive in text.directives:
        if isinstance(directive, Term) and directive.name == "source":
            found[directive.args[0].name] = _located(case, directive.args[1])
    return found or ({"stdin": _json_lines(case["stdin"])} if "stdin" in case else {})


def _located(case: Mapping[str, Any], location: Any) -> Table:
    if isinstance(location, Path):
        source, *_, table = location.parts
        return _sqlite(case["sources"][source]["init_sql"], table)
    if isinstance(location, Term):
        return _json_lines(case["stdin"])
    content = case["files"][location]
    return _comma_separated(content) if location.endswith(".csv") else _json_lines(content)


def _sqlite(script: str, table: str) -> Table:
    with sqlite3.connect(":memory:") as connection:
        connection.executescript(script)
        cursor = connection.execute(f'select * from "{table}"')
        columns = tuple(column[0] for column in cursor.description)
        rows = tuple(cursor.fetchall())
    connection.close()
    return Table(columns, rows)


def _json_lines(content: str) -> Table:
    records = [json.loads(line) for line in content.splitlines() if line.strip()]
    columns = tuple(dict.fromkeys(name for record in records for name in record))
    return Table(columns, tuple(tuple(_value(r.get(c)) for c in columns) for r in records))


def _value(value: Any) -> Value:
    return tuple(map(_value, value)) if isinstance(value, list) else value


def _comma_separated(content: str) -> Table:
    header, *lines = csv.reader(content.splitlines())
    columns = [_typed([line[number] for line in lines]) for number in range(len(header))]
    return Table(tuple(header), tuple(zip(*columns, strict=True)))


def _typed(texts: list[str]) -> list[Value]:
    """A column of the first type that reads every value; empty is NULL."""
    for convert in (int, float, date.fromisoformat):
        try:
            return [convert(text) if text else None for text in texts]
        except ValueError:
            continue
    return [text or None for text in texts]


def plain(value: Value) -> Any:
    """A value as a case file writes it."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value
