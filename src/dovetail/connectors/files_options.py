"""Reader options that a configuration or a ``read_…`` call may give, checked and rendered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.errors import BindError, RefusedError
from dovetail.quoting import sql_string

# Words in a text read better here than sixty quoted names.
# ruff: noqa: SIM905
_COMMON = frozenset(
    "filename hive_partitioning hive_types hive_types_autocast union_by_name".split()
)

OPTIONS: dict[str, frozenset[str]] = {
    "csv": _COMMON
    | frozenset(
        "all_varchar allow_quoted_nulls auto_detect auto_type_candidates columns column_names "
        "column_types comment compression dateformat date_format decimal_separator delim "
        "delimiter dtypes encoding escape force_not_null header ignore_errors max_line_size "
        "maximum_line_size names new_line normalize_names null_padding nullstr null parallel "
        "quote sample_size sep skip strict_mode thousands timestampformat timestamp_format "
        "types buffer_size".split()
    ),
    "json": _COMMON
    | frozenset(
        "auto_detect columns compression convert_strings_to_integers date_format dateformat "
        "field_appearance_threshold format ignore_errors map_inference_threshold "
        "maximum_depth maximum_object_size maximum_sample_files records sample_size "
        "timestamp_format timestampformat".split()
    ),
    "parquet": _COMMON | frozenset(["binary_as_string", "file_row_number"]),
    "arrow": frozenset(["union_by_name"]),
    "excel": frozenset(["sheet", "header", "skip", "all_varchar"]),
}
OPTIONS["tsv"] = OPTIONS["csv"]
OPTIONS["jsonl"] = OPTIONS["json"]

_ALIASES = {
    "delimiter": "delim",
    "sep": "delim",
    "column_names": "names",
    "column_types": "types",
    "dtypes": "types",
    "date_format": "dateformat",
    "timestamp_format": "timestampformat",
    "null": "nullstr",
    "maximum_line_size": "max_line_size",
}

# Options of DuckDB's readers that write tables, hold keys or change what is readable.
_REFUSED = {
    "store_rejects": "it writes tables",
    "rejects_table": "it writes tables",
    "rejects_scan": "it writes tables",
    "rejects_limit": "it writes tables",
    "encryption_config": "keys do not belong in SQL",
}


def check_options(format: str, options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The options under one spelling each; ``where`` begins the message of an error.

    Raises :class:`BindError` for an unknown option (listing near ones) and
    :class:`RefusedError` for one that would write or carry keys.
    """
    known = OPTIONS[format]
    result: dict[str, Any] = {}
    for given, value in options.items():
        name = given.lower()
        if name in _REFUSED:
            raise RefusedError(f"{where}: option {name} is not allowed, {_REFUSED[name]}")
        if name not in known:
            from rapidfuzz import process

            near = [match[0] for match in process.extract(name, sorted(known), limit=3)]
            raise BindError(
                f"{where}: {format} has no option {given!r}; did you mean {', '.join(near)}?",
                suggestions=near,
            )
        name = _ALIASES.get(name, name) if format in ("csv", "tsv") else name
        if name in result:
            raise BindError(f"{where}: option {name} is given twice")
        result[name] = value
    return result


def render_value(value: Any) -> str:
    """A Python value as a DuckDB literal: text, numbers, booleans, lists, string-keyed dicts."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(render_value(item) for item in value) + "]"
    if isinstance(value, Mapping):
        pairs = (f"{sql_string(str(key))}: {render_value(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    return sql_string(str(value))


def render_options(options: Mapping[str, Any]) -> str:
    """``, name = literal`` for each option, to stand after the path in a reader's call."""
    return "".join(f", {name} = {render_value(value)}" for name, value in options.items())
