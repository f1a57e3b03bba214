"""DuckDB's errors in our words: what is wrong, where, and what would be valid.

DuckDB says more than its text shows when ``errors_as_json`` is set: the kind, the byte offset in
the query and the name that was not found. :func:`from_duckdb` reads both forms. DuckDB's own
suggestions for tables, functions and types are dropped, since they offer names of its internal
catalog; ours come from the names the query may really use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from dovetail.catalog.catalogs import near_names
from dovetail.errors import (
    BindError,
    CancelledError,
    DataError,
    DovetailError,
    InternalError,
    Location,
    MemoryExceededError,
    NotSupportedError,
    QueryError,
    QuerySyntaxError,
    RefusedError,
    TempSpaceExceededError,
    UnknownNameError,
    UsageError,
)

_HEAD = re.compile(r"^(?:INTERNAL|FATAL|[A-Z][A-Za-z-]*(?: [A-Za-z-]+){0,3}?)\s*Error: ", re.S)
_PLACE = re.compile(r"\n+LINE (\d+): ([^\n]*)\n([ ]*)\^", re.S)
_GROUP = re.compile(r'column "?(.+?)"? must appear in the GROUP BY clause')
_TABLE_WORD = re.compile(r"^(?:Table|View)", re.I)
_FUNCTION_WORD = re.compile(r"Function$|^Macro$", re.I)


def did_you_mean(names: Sequence[str]) -> str:
    """`` ; did you mean "a" or "b"?`` for the end of a message, or nothing."""
    if not names:
        return ""
    return "; did you mean " + " or ".join(f'"{name}"' for name in names) + "?"


@dataclass(frozen=True)
class Names:
    """The names a query may use, for suggestions: columns and tables in scope, functions."""

    columns: Sequence[str] = ()
    tables: Sequence[str] = ()
    functions: Sequence[str] = ()
    near_table: Callable[[str], Sequence[str]] | None = None


@dataclass(frozen=True)
class Report:
    """One error of DuckDB, taken apart. ``position`` is a byte offset in the executed text."""

    kind: str
    text: str
    position: int | None = None
    place: tuple[int, str, int] | None = None
    subtype: str = ""
    name: str = ""
    entry: str = ""
    candidates: tuple[str, ...] = field(default=())

    @property
    def headline(self) -> str:
        """The first line of DuckDB's text, as the start of a sentence of ours."""
        return self.text.split("\n", 1)[0].strip().rstrip("!.")


def read_report(error: BaseException) -> Report:
    """Take a DuckDB exception apart, in either of its two forms."""
    raw = str(error)
    kind = type(error).__name__.removesuffix("Exception")
    brace = raw.find("{")
    if brace >= 0 and '"exception_message"' in raw:
        try:
            data = json.loads(raw[brace:])
        except ValueError:
            data = {}
        if isinstance(data, dict) and "exception_message" in data:
            position = data.get("position")
            return Report(
                kind=kind,
                text=str(data["exception_message"]),
                position=int(position) if position is not None else None,
                subtype=data.get("error_subtype", ""),
                name=data.get("name", ""),
                entry=data.get("type", ""),
                candidates=tuple(c for c in data.get("candidates", "").split(",") if c),
            )
    text = _HEAD.sub("", raw, count=1)
    place = None
    match = _PLACE.search(text)
    if match:
        lead = len(f"LINE {match[1]}: ")
        place = (int(match[1]), match[2], len(match[3]) - lead)
        text = text[: match.start()]
    name = ""
    subtype = ""
    entry = ""
    missing = re.match(r'Referenced column "(.*?)" (?:not found|was not found)', text)
    if missing:
        name, subtype = missing[1], "COLUMN_NOT_FOUND"
    missing = re.match(
        r"(.+?) with name \"?(.*?)\"? (?:does not exist|is not in the catalog)", text
    )
    if missing:
        entry, name, subtype = missing[1], missing[2], "MISSING_ENTRY"
    return Report(kind, text, place=place, name=name, subtype=subtype, entry=entry)


def byte_location(sql: str, position: int) -> Location:
    """The location of a byte offset in the UTF-8 text, as DuckDB's binder counts."""
    return Location.of_offset(sql, char_offset(sql, position))


def char_offset(sql: str, position: int) -> int:
    """The character offset of a byte offset. DuckDB counts every odd space as one byte."""
    if sql.isascii():
        return position
    plain = re.sub(r"[\u00a0\u2000-\u200a\u202f\u205f\u3000]", " ", sql)
    return len(plain.encode("utf-8", "replace")[:position].decode("utf-8", "ignore"))


def _location(report: Report, sql: str, prefix: int) -> Location | None:
    if report.position is not None:
        position = report.position - prefix
        if 0 <= position <= len(sql.encode("utf-8", "replace")):
            return byte_location(sql, position)
        return None
    if report.place is not None:
        number, excerpt, column = report.place
        lines = sql.split("\n")
        if number == 1:
            column -= prefix
        if not 1 <= number <= len(lines):
            return None
        line = lines[number - 1]
        if excerpt.startswith("..."):
            core = excerpt[3:].removesuffix("...")
            start = line.find(core)
            if start < 0:
                return None
            column = column - 3 + start
        return Location(number, max(column, 0) + 1, line)
    return None


def syntax_error(sql: str, message: str, position: int | None) -> QuerySyntaxError:
    """A parser's complaint; ``position`` is a character offset, as DuckDB's parser counts."""
    location = Location.of_offset(sql, position) if position is not None else None
    return QuerySyntaxError(message.strip(), location=location)


def group_error(
    columns: Sequence[str], keys: Sequence[str], location: Location | None
) -> BindError:
    """A selected column that is neither a key nor aggregated: the column and the ways out."""
    named = ", ".join(f'"{column}"' for column in columns)
    first = columns[0]
    verb = "is" if len(columns) == 1 else "are"
    grouped = f" (the keys are: {', '.join(keys)})" if keys else ""
    message = (
        f"column{'s' if len(columns) > 1 else ''} {named} {verb} neither in GROUP BY{grouped} nor "
        f"inside an aggregate; add {first} to GROUP BY, or select any_value({first}), or use "
        f"another aggregate such as min({first}) or count({first})"
    )
    return BindError(
        message,
        location=location,
        suggestions=(f"GROUP BY {', '.join([*keys, first])}", f"any_value({first})"),
    )


def from_duckdb(
    error: BaseException,
    sql: str,
    *,
    names: Names | None = None,
    prefix: int = 0,
) -> DovetailError:
    """Turn an exception of DuckDB about ``sql`` into one of ours (returned, not raised).

    ``prefix`` is the number of bytes that were executed before the user's text (``DESCRIBE ``).
    """
    known = names or Names()
    report = read_report(error)
    where = _location(report, sql, prefix)
    maker = _BY_KIND.get(report.kind)
    if maker is not None:
        return maker(report, where, known)
    return QueryError(report.headline or "the query failed", location=where)


def _parser(report: Report, where: Location | None, names: Names) -> DovetailError:
    return QuerySyntaxError(report.headline, location=where)


def _missing_column(
    name: str, pool: Sequence[str], where: Location | None, of_table: str = ""
) -> UnknownNameError:
    near = near_names(name, pool)
    place = f' in "{of_table}"' if of_table else ""
    tail = did_you_mean(near)
    if not near and pool:
        shown = list(dict.fromkeys(pool))
        tail = "; there is " + ", ".join(shown[:12]) + (", …" if len(shown) > 12 else "")
    return UnknownNameError(f'no column "{name}"{place}{tail}', location=where, suggestions=near)


def _binder(report: Report, where: Location | None, names: Names) -> DovetailError:
    text = report.text
    if report.subtype == "COLUMN_NOT_FOUND":
        pool = [*names.columns, *report.candidates]
        return _missing_column(report.name, pool, where)
    match = re.match(r'Table "(.*?)" does not have a column named "(.*?)"', text)
    if match:
        quoted = re.findall(r'"([^"]*)"', text[match.end() :])
        return _missing_column(match[2], [*quoted, *names.columns], where, match[1])
    match = re.match(r'Referenced table "(.*?)" not found', text)
    if match:
        pool = re.findall(r'"([^"]*)"', text[match.end() :])
        near = near_names(match[1], pool) or pool[:3]
        return UnknownNameError(
            f'no table or alias "{match[1]}" in this FROM clause{did_you_mean(near)}',
            location=where,
            suggestions=near,
        )
    match = re.match(r'Column "(.*?)" does not exist on (left|right) side of join', text)
    if match:
        near = near_names(match[1], names.columns)
        return UnknownNameError(
            f'USING names column "{match[1]}", which the {match[2]} side of the join does not '
            f"have{did_you_mean(near)}",
            location=where,
            suggestions=near,
        )
    match = re.match(r'Column "(.*?)" in (EXCLUDE|REPLACE|RENAME) list not found', text)
    if match:
        near = near_names(match[1], names.columns)
        return UnknownNameError(
            f'{match[2]} names column "{match[1]}", which FROM does not have{did_you_mean(near)}',
            location=where,
            suggestions=near,
        )
    match = re.match(r'Catalog "(.*?)" does not exist', text)
    if match:
        return _missing_table(match[1], where, names, "source")
    match = _GROUP.match(text)
    if match:
        return group_error([match[1]], [], where)
    return BindError(_binder_message(report), location=where, suggestions=_signatures(report))


def _binder_message(report: Report) -> str:
    text = report.text
    if text.startswith("WHERE clause cannot contain aggregates"):
        return (
            "WHERE cannot contain an aggregate, because it runs before grouping; put the "
            "condition into HAVING, or compute the aggregate in a subquery"
        )
    if text.startswith("WHERE clause cannot contain window functions"):
        return (
            "WHERE cannot contain a window function, because windows are computed after it; "
            "put the condition into QUALIFY, or select from a subquery"
        )
    if text.startswith("aggregate function calls cannot be nested"):
        return (
            "an aggregate cannot be nested in another aggregate; compute the inner one in a "
            "subquery and aggregate over that"
        )
    if text.startswith("aggregate function calls cannot contain window"):
        return "an aggregate cannot contain a window function; compute the window in a subquery"
    match = re.match(r"(ORDER|GROUP BY) term out of range - should be between 1 and (\d+)", text)
    if match:
        clause = "ORDER BY" if match[1] == "ORDER" else match[1]
        count = int(match[2])
        valid = "only position 1 is valid" if count == 1 else f"valid are 1 to {count}"
        return f"a position in {clause} is out of range; {valid}"
    if text.startswith("Set operations can only apply"):
        return "the branches of a set operation must have the same number of columns"
    match = re.match(r"No function matches the given name and argument types '(.*?)'", text, re.S)
    if match:
        call = _literals(match[1])
        if not call[:1].isalpha():
            sign, _, operands = call.partition("(")
            between = operands.removesuffix(")").replace(", ", " and ")
            return f"no operator {sign} for {between}; an explicit cast may help"
        options = _signatures(report)
        tail = "; valid are " + ", ".join(options) if options else ""
        return f"no function {call}{tail}; an explicit cast may help"
    match = re.match(r"Ambiguous reference to column name \"(.*?)\" \(use: (.*?)\)$", text, re.S)
    if match:
        return f'column "{match[1]}" is ambiguous; use {match[2]}'
    match = re.match(r"Ambiguous reference to table \"(.*?)\"", text)
    if match:
        table = match[1].split(".")[-1]
        return f'table "{table}" is named twice in this FROM clause; give one of them an alias'
    return report.headline


def _literals(call: str) -> str:
    return re.sub(r"\b(INTEGER|STRING)_LITERAL\b", r"\1", call).replace("STRING", "VARCHAR")


def _signatures(report: Report) -> tuple[str, ...]:
    if "Candidate functions:" not in report.text or "argument types '" not in report.text:
        return ()
    if not report.text.split("argument types '", 1)[1][:1].isalpha():
        return ()  # an operator: the list would be long and say nothing
    lines = report.text.split("Candidate functions:", 1)[-1].split("\n")
    found = [line.strip() for line in lines if line.strip()]
    return tuple(found[:6])


def _missing_table(
    name: str, where: Location | None, names: Names, word: str = "table"
) -> UnknownNameError:
    near = list(names.near_table(name)) if names.near_table else near_names(name, names.tables)
    return UnknownNameError(
        f'no {word} "{name}"{did_you_mean(near)}', location=where, suggestions=near
    )


def _catalog(report: Report, where: Location | None, names: Names) -> DovetailError:
    if report.subtype == "MISSING_ENTRY":
        if _TABLE_WORD.match(report.entry) and not _FUNCTION_WORD.search(report.entry):
            return _missing_table(report.name, where, names)
        if _FUNCTION_WORD.search(report.entry):
            return _missing_function(report, where, names)
        what = report.entry.lower() or "name"
        return UnknownNameError(f'no {what} "{report.name}"', location=where)
    match = re.match(r'Table with name "(.*?)" does not exist because schema', report.text)
    if match:
        return _missing_table(match[1], where, names)
    match = re.match(
        r'(.*?) with name "?(.*?)"? (?:does not exist|is not in the catalog)', report.text
    )
    if match:
        return UnknownNameError(f'no {match[1].lower()} "{match[2]}"', location=where)
    return UnknownNameError(report.headline, location=where)


def _missing_function(report: Report, where: Location | None, names: Names) -> DovetailError:
    if report.name.lower() in names.functions:
        # It exists, but not as the kind that was called: a window function without OVER, an
        # aggregate used as a scalar, a table function outside FROM.
        use = {"Scalar Function": "it needs OVER (…)", "Table Function": "it cannot stand in FROM"}
        hint = use.get(report.entry, "it cannot be used here")
        return BindError(f'function "{report.name}" is not valid here; {hint}', location=where)
    near = near_names(report.name, names.functions)
    return UnknownNameError(
        f'no function "{report.name}"{did_you_mean(near)}', location=where, suggestions=near
    )


def _data(report: Report, where: Location | None, names: Names) -> DovetailError:
    return DataError(report.headline, location=where)


def _invalid_input(report: Report, where: Location | None, names: Names) -> DovetailError:
    text = report.text
    match = re.match(
        r"Values were not provided for the following prepared statement parameters: (.*)", text
    )
    if match:
        return UsageError(f"no value was given for parameter {match[1]}")
    match = re.match(
        r"Parameter argument/count mismatch, identifiers of the excess parameters: (.*)", text
    )
    if match:
        return UsageError(f"the query has no parameter {match[1]}")
    if text.startswith("More than one row returned by a subquery"):
        return DataError(
            "a subquery that stands for a single value returned more than one row; limit it to "
            "one row, aggregate it, or use IN",
            location=where,
        )
    return DataError(report.headline, location=where)


def _refused(report: Report, where: Location | None, names: Names) -> DovetailError:
    match = re.search(r'Cannot access (?:file|directory) "(.*?)"', report.text)
    if match:
        return RefusedError(
            f'"{match[1]}" is outside the directories this session may read', location=where
        )
    return RefusedError(report.headline, location=where)


def _not_supported(report: Report, where: Location | None, names: Names) -> DovetailError:
    if "Mixing named and positional parameters" in report.text:
        return QuerySyntaxError("named and positional parameters cannot be mixed", location=where)
    return NotSupportedError(report.headline, location=where)


def _memory(report: Report, where: Location | None, names: Names) -> DovetailError:
    if "max_temp_directory_size" in report.text:
        return TempSpaceExceededError("the temporary space is used up while spilling")
    return MemoryExceededError("the query needs more memory than limits.memory allows")


def _io(report: Report, where: Location | None, names: Names) -> DovetailError:
    if "No space left" in report.text:
        return TempSpaceExceededError("the disk is full while spilling")
    return QueryError(report.headline, location=where)


def _interrupted(report: Report, where: Location | None, names: Names) -> DovetailError:
    return CancelledError("the query was cancelled")


def _internal(report: Report, where: Location | None, names: Names) -> DovetailError:
    return InternalError(f"the engine failed: {report.headline}")


_BY_KIND: dict[str, Callable[[Report, Location | None, Names], DovetailError]] = {
    "Parser": _parser,
    "Syntax": _parser,
    "Binder": _binder,
    "Catalog": _catalog,
    "Conversion": _data,
    "OutOfRange": _data,
    "TypeMismatch": _data,
    "InvalidType": _data,
    "InvalidInput": _invalid_input,
    "Permission": _refused,
    "NotImplemented": _not_supported,
    "IO": _io,
    "OutOfMemory": _memory,
    "Interrupt": _interrupted,
    "Internal": _internal,
    "Fatal": _internal,
}


def explain_grouping(
    error: BaseException,
    sql: str,
    statement: dict[str, Any],
    columns_of: Callable[[dict[str, Any]], Sequence[str]],
    *,
    prefix: int = 0,
) -> BindError | None:
    """The message for a column that is neither grouped nor aggregated, or None for other errors.

    ``statement`` is DuckDB's tree of the query; ``columns_of`` gives the columns of a BASE_TABLE
    node of it. With ``SELECT *`` all columns concerned are listed, since DuckDB names only one.
    """
    report = read_report(error)
    match = _GROUP.match(report.text)
    if match is None:
        return None
    position = report.position - prefix if report.position is not None else None
    if position is not None:
        select = _select_with(statement, position)
        keys = _keys(select) if select else []
        return group_error([match[1]], keys, byte_location(sql, position))
    for select in _selects(statement):
        stars = [item for item in select["select_list"] if item.get("class") == "STAR"]
        if not stars:
            continue
        columns = [
            column
            for table in _dicts(select.get("from_table"))
            if table.get("type") == "BASE_TABLE"
            for column in columns_of(table)
        ]
        keys = _keys(select, columns if len(select["select_list"]) == 1 else ())
        grouped = {key.split(".")[-1].lower() for key in keys}
        named = [column for column in dict.fromkeys(columns) if column.lower() not in grouped]
        if keys and named:
            at = stars[0].get("query_location", 2**64 - 1)
            return group_error(named, keys, byte_location(sql, at) if at < 2**63 else None)
    return group_error([match[1]], [], None)


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    """Every dict inside a JSON value, outermost first."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from _dicts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _dicts(item)


def _selects(statement: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (node for node in _dicts(statement) if node.get("type") == "SELECT_NODE")


def _select_with(statement: dict[str, Any], position: int) -> dict[str, Any] | None:
    """The innermost SELECT that holds the expression at a byte offset."""
    found = None
    for select in _selects(statement):
        if any(node.get("query_location") == position for node in _dicts(select)):
            found = select
    return found


def _keys(select: dict[str, Any], expanded: Sequence[str] = ()) -> list[str]:
    """The GROUP BY keys of a SELECT as text, where they are names or positions.

    ``expanded`` are the output columns of a SELECT that is a single ``*``.
    """
    keys = []
    for key in select.get("group_expressions") or ():
        node = key
        if node.get("class") == "CONSTANT":
            place = node["value"].get("value")
            items = select["select_list"]
            if isinstance(place, int) and 0 < place <= len(expanded):
                keys.append(expanded[place - 1])
                continue
            if isinstance(place, int) and 0 < place <= len(items):
                node = items[place - 1]
        if node.get("class") == "COLUMN_REF":
            keys.append(".".join(node["column_names"]))
        else:
            keys.append(node.get("alias") or "an expression")
    return keys
