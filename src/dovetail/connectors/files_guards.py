"""Guards: how the text of a file becomes a value exactly, or an error.

DuckDB's readers convert loosely once a column's type is settled: ``1.5`` in a column sniffed as
BIGINT is read as 2, a time of day in a DATE column is dropped, nanoseconds are cut. Such columns
are read as text and converted by a *guard* that accepts only what the type can hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dovetail.errors import DATA_MARK
from dovetail.quoting import sql_string
from dovetail.types import Type, parse_type

_DATE = r"\d{4}-\d{1,2}-\d{1,2}"
_CLOCK = r"\d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?"
_ZONE = r" ?(Z|UTC|[+-]\d{2}(:?\d{2})?)"
# As DuckDB writes them, which is what nearly all files hold.
_ISO = {"date": "%Y-%m-%d", "timestamp": "%Y-%m-%d %H:%M:%S"}
_PATTERNS = {
    "integer": r"\s*[-+]?(0|[1-9][0-9]*)\s*",  # 007 is text, as DuckDB's sniffer has it
    "date": rf"{_DATE}|-?infinity",
    "time": _CLOCK,
    "timestamp": rf"{_DATE}([ T]{_CLOCK}({_ZONE})?)?|-?infinity",
    "timestamptz": rf"{_DATE}([ T]{_CLOCK}({_ZONE})?)?|-?infinity",
}


@dataclass(frozen=True)
class Guard:
    """How text becomes a value of ``type``, or an error: by pattern, or by a strptime format."""

    type: Type
    pattern: str
    format: str = ""

    def decode(self, value: str, label: str) -> str:
        """The DuckDB expression; a value that does not fit raises ``dovetail-data:…``."""
        if self.format:
            # strptime reads "infinity" and "epoch" as 1900-01-01.
            cast = (
                f"CASE WHEN lower({value}) NOT IN ('infinity', '-infinity', 'epoch') "
                f"THEN CAST(try_strptime({value}, {sql_string(self.format)}) AS {self.type}) END"
            )
        else:
            plain = f"TRY_CAST({value} AS {self.type})"
            if self.type.family == "timestamp":
                # A cast to TIMESTAMP drops an offset; the sniffed readers move it to UTC.
                plain = (
                    f"CASE WHEN regexp_matches({value}, ':.*[+-]\\d\\d(:?\\d\\d)?$') "
                    f"THEN CAST(timezone('UTC', TRY_CAST({value} AS TIMESTAMPTZ)) AS {self.type}) "
                    f"ELSE {plain} END"
                )
            pattern = sql_string(self.pattern)
            cast = f"CASE WHEN regexp_full_match({value}, {pattern}) THEN {plain} END"
        message = sql_string(
            f"{DATA_MARK}{label} holds a value that does not fit {self.type} (sample_size = -1 "
            "looks at every row for the type; types = {'column': 'VARCHAR'} reads text): "
        )
        checked = (
            f"WHEN {value} IS NULL THEN NULL "
            f"ELSE coalesce({cast}, error({message} || left({value}, 80))) END"
        )
        plain = f"TRY_CAST({value} AS {self.type})"
        as_written = f"CASE WHEN CAST({plain} AS VARCHAR) = {value} THEN {plain} {checked}"
        if self.type.family == "integer":
            return f"CASE WHEN {all_digits(value, plain)} THEN {plain} {as_written[5:]}"
        # Text that is what its value is written as needs no pattern, which costs six times as much.
        plainly = self.format in ("", _ISO.get(self.type.family)) and self.type.family in _ISO
        return as_written if plainly else f"CASE {checked}"


def all_digits(text: str, number: str) -> str:
    """A condition that only text can meet whose value is exactly ``number``, its cast.

    Rounding, zeros in front and spaces all make a number of fewer digits than the text has
    characters. What begins with a 0 may be hexadecimal, and a number of as many digits that is
    written with an exponent ends in 00. It takes a third of the time that it takes to write the
    number again and compare.
    """
    least = ", ".join(str(10**digits) for digits in range(1, 19))
    return f"{number} >= ([0, {least}])[strlen({text})] AND {text} >= '1' AND {number} % 100 <> 0"


def guards_of(
    columns: list[tuple[str, str]], options: Mapping[str, Any], given_types: Any
) -> dict[str, Guard]:
    """Guards for the columns whose type DuckDB's reader would convert to loosely.

    A type the user chose is converted as DuckDB does it.
    """
    if options.get("ignore_errors"):
        return {}
    chosen = set()
    if isinstance(given_types, Mapping):
        chosen = {str(name).lower() for name in given_types}
    elif isinstance(given_types, (list, tuple)):
        chosen = {name.lower() for name, _ in columns[: len(given_types)]}
    result = {}
    for name, text in columns:
        type_ = parse_type(text)
        pattern = _PATTERNS.get(type_.family)
        if pattern is None or name.lower() in chosen:
            continue
        if type_.family == "integer" and options.get("thousands"):
            continue
        by_format = {"date": "dateformat", "timestamp": "timestampformat"}.get(type_.family)
        result[name] = Guard(type_, pattern, str(options.get(by_format, "")) if by_format else "")
    return result
