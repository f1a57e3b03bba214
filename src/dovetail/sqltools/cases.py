"""``sql case``: writes a CASE, from the edges of bands or from a list of values."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from dovetail.errors import UsageError
from dovetail.quoting import sql_string


def case_of_bands(column: str, bands: str) -> str:
    """A CASE that labels ``column`` by the rising edges in ``bands``, as the macro ``band`` does.

    Raises:
        UsageError: an edge is no number, or they do not rise.
    """
    try:
        edges = [Decimal(part.strip()) for part in bands.split(",")]
    except InvalidOperation:
        raise UsageError(f'--bands takes numbers such as 0,25,50, not "{bands}"') from None
    if any(a >= b for a, b in itertools.pairwise(edges)) or not edges:
        raise UsageError("--bands: the edges must rise")
    lines = [f"WHEN {column} < {edges[0]} THEN '<{edges[0]}'"]
    lines += [
        f"WHEN {column} < {high} THEN '{low}-{high}'" for low, high in itertools.pairwise(edges)
    ]
    lines.append(f"WHEN {column} >= {edges[-1]} THEN '>={edges[-1]}'")
    return _case("CASE", lines)


def case_of_values(column: str, text: str) -> str:
    """A CASE over the values in ``text``: a value per line, or ``value,label``.

    Raises:
        UsageError: there is no value.
    """
    rows: Sequence[list[str]] = [row for row in csv.reader(io.StringIO(text)) if row and row[0]]
    if not rows:
        raise UsageError("--values: the file holds no value")
    lines = [
        f"WHEN {sql_string(row[0])} THEN {sql_string(row[1] if len(row) > 1 else row[0])}"
        for row in rows
    ]
    return _case(f"CASE {column}", lines)


def _case(head: str, lines: Sequence[str]) -> str:
    return "\n".join([head, *(f"  {line}" for line in lines), "END"])
