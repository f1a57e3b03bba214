"""A drawn program as text, with its tables where they belong: facts in the text, or JSON lines."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.language.rules.generate import Program, Source, written
from tests.language.rules.interpreter import Table
from tests.language.rules.values import Value

# How a declared type of the generator is called in ``schema``.
SCHEMA_TYPES = {"int": "integer", "num": "decimal(12, 2)", "bool": "boolean"}
_numbers = itertools.count(1)

Place = Callable[[Source], str]


def text_of(program: Program, places: Mapping[str, Place]) -> str:
    """The whole text; ``places`` turns a table into a directive or facts."""
    lines = [places[source.place](source) for source in program.sources]
    return "\n".join([*lines, *program.clauses]) + "\n"


def tables_of(program: Program) -> dict[str, Table]:
    """The same tables for the interpreter."""
    return {s.name: Table(tuple(name for name, _ in s.columns), s.rows) for s in program.sources}


def facts(source: Source) -> str:
    rows = (", ".join(map(written, row)) for row in source.rows)
    return "\n".join(f"{source.name}({row})." for row in rows)


def json_lines(folder: Path) -> Place:
    """A file per table with a declared schema; NULL is ``null`` or, in turn, a missing field."""

    def place(source: Source) -> str:
        path = folder / f"{source.name}_{next(_numbers)}.jsonl"
        names = [name for name, _ in source.columns]
        with path.open("w", encoding="utf-8") as out:
            for number, row in enumerate(source.rows):
                record = dict(zip(names, map(_json, row), strict=True))
                if number % 2:
                    record = {name: value for name, value in record.items() if value is not None}
                out.write(json.dumps(record, ensure_ascii=False) + "\n")
        types = ", ".join(f"{name}-{SCHEMA_TYPES.get(kind, kind)}" for name, kind in source.columns)
        return f":- source({source.name}, '{path}', [schema([{types}])])."

    return place


def _json(value: Value) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return str(value) if isinstance(value, date) else value
