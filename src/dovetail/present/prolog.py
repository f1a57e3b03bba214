"""Rows as Prolog facts that can be read back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dovetail.present.layout import ByteStream

if TYPE_CHECKING:
    import pyarrow as pa

_PLAIN = re.compile(r"[a-z]\w*\Z")
_RESERVED = frozenset(["true", "false", "null", "is", "mod", "rem"])


def write_facts(batches: Iterable[pa.RecordBatch], functor: str, stream: ByteStream) -> int:
    """Write each row as ``functor(…).``; the number of rows."""
    rows = 0
    for batch in batches:
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            arguments = ", ".join(term(value) for value in row)
            stream.write(f"{functor}({arguments}).\n".encode())
        getattr(stream, "flush", lambda: None)()  # the next batch may take long to come
        rows += batch.num_rows
    return rows


def term(value: Any) -> str:
    """A value as a term: text is quoted unless it is a plain name, NULL is ``null``."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return str(value)
        case float():
            return repr(value) if value == value and abs(value) != float("inf") else "null"
        case datetime():
            return f"timestamp('{value.isoformat(' ')}')"
        case date():
            return f"date('{value.isoformat()}')"
        case list():
            return f"[{', '.join(term(item) for item in value)}]"
        case str():
            return _text(value)
        case _:
            return _text(json.dumps(value, default=str, ensure_ascii=False))


def _text(value: str) -> str:
    if _PLAIN.match(value) and value.isascii() and value not in _RESERVED:
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    escaped = escaped.replace("\n", "\\n").replace("\t", "\\t")
    return f"'{escaped}'"
