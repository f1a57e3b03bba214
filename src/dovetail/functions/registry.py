"""Every function that a query may call: the engine's own, from its live catalog, and our macros."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from dovetail.functions.elsewhere import LEFT_OUT, NAMES, Elsewhere
from dovetail.functions.macros import Macro, macros
from dovetail.language.sql import judge_functions as lists

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FAMILIES = {
    "string": "Text",
    "text_similarity": "Text similarity",
    "regex": "Regular expressions",
    "date": "Date and time",
    "timestamp": "Date and time",
    "interval": "Date and time",
    "list": "Lists",
    "array": "Lists",
    "lambda": "Lists",
    "map": "Maps",
    "struct": "Structs",
    "blob": "Bytes",
    "numeric": "Numbers",
    "json": "JSON",
    "enum": "Types",
    "type": "Types",
    "union": "Types",
    "variant": "Types",
}
_BY_NAME = (
    (r"icu_collate_|icu_", "Collations"),
    (
        r"pg_|has_.*_privilege$|inet_|format_pg|map_to_pg|col_desc|obj_desc|shobj",
        "PostgreSQL names",
    ),
    (r"json|(from|to)_json|row_to_json|array_to_json", "JSON"),
    (r"regexp_", "Regular expressions"),
    (r"list_|array_|flatten|unnest|generate_|range", "Lists"),
    (r"map_|map$|cardinality", "Maps"),
    (r"struct_|row$", "Structs"),
    (r"st_", "Geometry"),
    (
        r"date|time|year|month|week|day|hour|minute|second|epoch|era|century|decade|millen|quarter"
        r"|to_(year|month|week|day|hour|minute|second|mill|micro|dec|cent|quart)|age|ago|now|today"
        r"|microsec|millisec|nanosec|iso|julian|last_day|make_|str[fp]time|try_strptime|current_",
        "Date and time",
    ),
    (r"enum_|union_|typeof|can_cast|cast_to|get_type|make_type|replace_type|variant_", "Types"),
)
_OPERATOR = re.compile(r"[a-z]\w*")


@dataclass(frozen=True)
class FunctionInfo:
    """What is known of one function. ``result`` is the value of ``example`` as text.

    ``kind`` is ``scalar``, ``aggregate``, ``table`` or ``macro``; ``sql`` the body of a macro.
    """

    name: str
    family: str
    kind: str
    signatures: tuple[str, ...]
    description: str = ""
    example: str = ""
    result: str | None = None
    alias_of: str = ""
    sql: str = ""


def functions(own: Mapping[str, Macro] | None = None) -> dict[str, FunctionInfo]:
    """All functions by name: the user's ``own`` macros, ours, and the engine's by families.

    One of the user's takes the place of ours of the same name.
    """
    found = {name: _of_macro(macro) for name, macro in (own or {}).items()}
    return found | {name: info for name, info in _given().items() if name not in found}


@cache
def _given() -> dict[str, FunctionInfo]:
    """The functions of every user, ours first, each family in alphabetical order."""
    import duckdb

    with duckdb.connect(
        config={
            "enable_external_access": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
    ) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = {macro.name: _of_macro(macro) for macro in macros().values()}
        for info in _natives(connection):
            found.setdefault(info.name, info)
    return found


def names(own: Iterable[str] = ()) -> tuple[str, ...]:
    """The names of all functions and of the user's ``own``, without opening a database."""
    allowed = {n for n in lists.CALLABLE if _OPERATOR.fullmatch(n)}
    return tuple(sorted(allowed | set(own)))


def search(
    pattern: str | None = None, own: Mapping[str, Macro] | None = None
) -> list[FunctionInfo]:
    """The functions whose name matches a glob, or has ``pattern`` in name, family or description.

    A name that exists gives that function alone.
    """
    known = functions(own)
    if pattern is None:
        return list(known.values())
    wanted = pattern.strip().lower().removesuffix("()")
    if wanted in known:
        return [known[wanted]]
    if any(c in wanted for c in "*?["):
        return [info for name, info in known.items() if fnmatch.fnmatchcase(name, wanted)]
    by_name = [info for name, info in known.items() if wanted in name]
    rest = [
        info
        for info in known.values()
        if wanted in f"{info.family} {info.description}".lower() and info not in by_name
    ]
    return by_name + rest


def elsewhere(name: str) -> tuple[Elsewhere, bool] | None:
    """What a name from another tool is here, and whether it was left out on purpose."""
    wanted = name.strip().lower().removesuffix("()")
    if wanted in NAMES:
        return NAMES[wanted], False
    return (LEFT_OUT[wanted], True) if wanted in LEFT_OUT else None


def _of_macro(macro: Macro) -> FunctionInfo:
    example, result = macro.examples[0] if macro.examples else ("", None)
    return FunctionInfo(
        macro.name,
        macro.family,
        "macro",
        (macro.signature,),
        macro.description,
        example,
        result,
        sql=macro.body,
    )


def _natives(connection: Any) -> Iterable[FunctionInfo]:
    rows = connection.execute(
        "SELECT function_name, function_type, categories, description, examples, parameters, "
        "return_type, varargs, alias_of FROM duckdb_functions() "
        "WHERE database_name = 'system' ORDER BY function_name, function_oid"
    ).fetchall()
    groups: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        name = str(row[0])
        if _OPERATOR.fullmatch(name) and (name in lists.ALLOWED or name in lists.TABLE_FUNCTIONS):
            groups.setdefault(name, []).append(row)
    made = [_of_rows(name, group, connection) for name, group in groups.items()]
    return sorted(made, key=lambda info: (info.family, info.name))


def _of_rows(name: str, rows: list[tuple[Any, ...]], connection: Any) -> FunctionInfo:
    kind = "aggregate" if any(r[1] == "aggregate" for r in rows) else str(rows[0][1])
    kind = {"table_macro": "table", "macro": "scalar"}.get(kind, kind)
    signatures = dict.fromkeys(_signature(row) for row in rows)
    description = next((str(row[3]) for row in rows if row[3]), "")
    examples = next((row[4] for row in rows if row[4]), None) or ()
    example, result = "", None
    for text in examples:
        example, result = str(text), _result(str(text), name, connection)
        if result is not None:
            break
    return FunctionInfo(
        name,
        _family(name, kind, rows),
        kind,
        tuple(signatures),
        " ".join(description.split()),
        example,
        result,
        next((str(row[8]) for row in rows if row[8]), ""),
    )


def _signature(row: tuple[Any, ...]) -> str:
    parameters = [str(p) for p in row[5] or ()]
    if row[7]:
        parameters.append("...")
    answer = f" -> {row[6]}" if row[6] else ""
    return f"{row[0]}({', '.join(parameters)}){answer}"


def _family(name: str, kind: str, rows: list[tuple[Any, ...]]) -> str:
    if kind == "aggregate":
        return "Aggregates"
    for row in rows:
        for category in row[2] or ():
            if category in _FAMILIES:
                return _FAMILIES[category]
    for pattern, family in _BY_NAME:
        if re.match(pattern, name):
            return family
    return "Table functions" if kind == "table" else "Other"


def _result(example: str, name: str, connection: Any) -> str | None:
    """The value of a constant example as text; None when it needs a table or is never the same."""
    if name in lists.VOLATILE or name in lists.CONSTANT_PER_QUERY:
        return None
    import duckdb

    try:
        row = connection.execute(f"SELECT CAST(({example}) AS VARCHAR)").fetchone()
    except duckdb.Error:
        return None
    return None if row is None or row[0] is None else str(row[0])
