"""What a SQL text may do, judged by DuckDB's own parser.

Everything a query can reach is decided here, on the tree that DuckDB itself would run: exactly one
statement, of SELECT shape, calling only functions of the allowlist. The tree comes from
``json_serialize_sql``, which refuses all but SELECT, so a construct that this module does not know
is refused and never overlooked. Tables are only collected; the binder checks them against the
configured sources.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from dovetail.catalog.catalogs import near_names
from dovetail.errors import (
    DovetailError,
    Location,
    NotSupportedError,
    QuerySyntaxError,
    RefusedError,
    UnknownNameError,
)
from dovetail.language.sql import judge_functions as lists
from dovetail.language.sql.errors import (
    char_offset,
    did_you_mean,
    syntax_error,
)
from dovetail.language.sql.judged import FileFunction, Judged, TableRef
from dovetail.language.sql.lexing import (
    call_span,
    edited,
    leading_blank,
    name_span,
    pivot_lists,
    query_of_view,
    split_statements,
)

__all__ = [
    "FileFunction",
    "Judged",
    "TableRef",
    "judge",
    "judge_view",
    "parse_tree",
    "split_statements",
]

_Scope = frozenset[tuple[str, str]]  # (schema, name) of the CTEs in sight, in lower case

_NO_LOCATION: Final = 2**64 - 1
_MAX_TEXT: Final = 1_000_000
_SELECT_WORDS: Final = lists.names(
    """
    select with from values table describe desc summarize show pivot pivot_wider unpivot
    pivot_longer
    """
)
_EXPRESSIONS: Final = lists.names(
    """
    BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT DEFAULT FUNCTION LAMBDA
    LAMBDA_REF OPERATOR PARAMETER POSITIONAL_REFERENCE STAR SUBQUERY WINDOW
    """
)
_RELATIONS: Final = lists.names(
    "BASE_TABLE SUBQUERY JOIN TABLE_FUNCTION EXPRESSION_LIST EMPTY PIVOT SHOW_REF"
)
_QUERIES: Final = lists.names("SELECT_NODE SET_OPERATION_NODE RECURSIVE_CTE_NODE CTE_NODE")
_SYSTEM_SCHEMAS: Final = frozenset(("", "main", "system", "pg_catalog"))

_STATEMENT_HINTS: Final = {
    "alter": "it would change a table",
    "analyze": "it would write statistics",
    "attach": "sources are added in the configuration",
    "begin": "every query already reads one consistent state of each source",
    "call": "procedures may have effects; select from a table function instead",
    "checkpoint": "it would write to a database file",
    "commit": "every query already reads one consistent state of each source",
    "comment": "it would change the catalog",
    "copy": "it would read or write files; use an output option to write a result",
    "create": "it would create an object",
    "deallocate": "parameters are bound with $name",
    "delete": "it would delete rows",
    "detach": "sources are removed in the configuration",
    "drop": "it would drop an object",
    "execute": "parameters are bound with $name",
    "explain": "use the explain command, or session.explain(sql)",
    "export": "it would write files",
    "import": "it would read files and write tables",
    "insert": "it would write rows",
    "install": "it would add an extension to the engine",
    "load": "it would load an extension into the engine",
    "merge": "it would write rows",
    "pragma": "it would read or change the engine's configuration",
    "prepare": "parameters are bound with $name",
    "reset": "it would change the engine's configuration",
    "rollback": "every query already reads one consistent state of each source",
    "set": "it would change the engine's configuration",
    "truncate": "it would delete rows",
    "update": "it would change rows",
    "use": "tables are named source.table or source.schema.table",
    "vacuum": "it would rewrite a database",
}


def judge(sql: str, *, connection: Any, macros: frozenset[str] = lists.MACROS) -> Judged:
    """Judge one SQL text, or raise why it may not run.

    ``connection`` is a DuckDB connection used for parsing only: private, in memory, locked down.
    It is not used by two threads at once. ``macros`` are the names that may be called besides the
    engine's own functions.

    Raises:
        QuerySyntaxError: the text does not parse; with line, column and excerpt.
        RefusedError: it is not exactly one query, or calls what a query may not reach.
        UnknownNameError: a function does not exist; with near names.
        NotSupportedError: a construct that Dovetail cannot run.
    """
    text = _checked_text(sql)
    text, answer = _parse(text, connection)
    checked = text
    edits: list[tuple[int, str]] = []
    if answer.get("error"):
        pivots = pivot_lists(text) if _only_select(answer) else []
        if pivots:
            second = _serialize(edited(text, pivots), connection)
            if not second.get("error"):
                answer, checked, edits = second, edited(text, pivots), pivots
        if answer.get("error"):
            raise _refusal(text, answer, connection)
    statements = answer["statements"]
    if not statements:
        raise QuerySyntaxError("the text holds no statement; write a SELECT")
    if len(statements) > 1:
        raise _too_many(text)
    walk = _Walk(text, checked, edits, macros)
    walk.statement(statements[0])
    named = {entry["key"]: entry["value"] for entry in statements[0].get("named_param_map") or ()}
    parameters = tuple(sorted(walk.parameters, key=lambda name: named.get(name, 0)))
    return Judged(
        sql=text,
        statement_kind=_statement_kind(text),
        ast=statements[0],
        tables=tuple(walk.tables),
        files=tuple(walk.files),
        functions=frozenset(walk.functions),
        table_functions=frozenset(walk.table_functions),
        parameters=parameters,
        positional=bool(parameters) and all(name.isdigit() for name in parameters),
        has_star=walk.has_star,
        has_sample=walk.has_sample,
        dynamic_pivot=bool(edits),
        checked_sql=checked,
        call_qualifiers=frozenset(walk.qualifiers),
        macro_calls=frozenset(walk.macro_calls),
    )


def judge_view(definition: str, *, connection: Any) -> Judged:
    """Judge the ``CREATE VIEW`` text of a source that the engine itself would expand.

    The same rules as for a query, and no file functions. The caller must check that ``tables``
    are tables of that source: a bare name such as ``duckdb_settings`` would mean the engine's own.

    Raises:
        RefusedError: the view reaches out of its source, or is not understood.
    """
    query = query_of_view(definition)
    if query is None:
        raise RefusedError("the definition of the view cannot be read")
    try:
        judged = judge(query, connection=connection)
    except DovetailError as error:
        raise RefusedError(f"the view is refused: {error.message}") from None
    if judged.files:
        raise RefusedError(f'the view is refused: it reads files with "{judged.files[0].name}"')
    if judged.call_qualifiers:
        named = sorted(judged.call_qualifiers)[0]
        raise RefusedError(f'the view is refused: it calls a function of "{named}"')
    return judged


def parse_tree(sql: str, connection: Any) -> list[dict[str, Any]] | None:
    """DuckDB's own tree of each statement, unjudged; None unless all are SELECT-shaped."""
    answer = _serialize(_checked_text(sql), connection)
    return None if answer.get("error") else list(answer["statements"])


def _checked_text(sql: str) -> str:
    if "\0" in sql:
        raise QuerySyntaxError(
            "the text holds a NUL character, where SQL would end unseen",
            location=Location.of_offset(sql, sql.index("\0")),
        )
    try:
        sql.encode("utf-8")
    except UnicodeEncodeError as error:
        raise QuerySyntaxError(
            "the text is not valid Unicode (a lone surrogate)",
            location=Location.of_offset(sql, error.start),
        ) from None
    if len(sql) > _MAX_TEXT:
        raise RefusedError(f"the text is longer than {_MAX_TEXT:,} characters")
    return sql


def _serialize(sql: str, connection: Any) -> dict[str, Any]:
    row = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    try:
        answer: dict[str, Any] = json.loads(row[0])
    except RecursionError:
        raise RefusedError("the query is nested too deeply") from None
    return answer


def _only_select(answer: dict[str, Any]) -> bool:
    return "Only SELECT statements" in str(answer.get("error_message"))


def _parse(sql: str, connection: Any) -> tuple[str, dict[str, Any]]:
    """Serialise the text; where only ``:name`` does not parse, read it as ``$name``."""
    answer = _serialize(sql, connection)
    while (
        answer.get("error")
        and answer.get("error_message") == 'syntax error at or near ":"'
        and "position" in answer
    ):
        at = int(answer["position"])
        if not re.match(r":[A-Za-z_]\w*", sql[at:]):
            break
        changed = sql[:at] + "$" + sql[at + 1 :]
        second = _serialize(changed, connection)
        if second.get("error") and int(second.get("position", at + 1)) <= at:
            break
        sql, answer = changed, second
    return sql, answer


def _refusal(sql: str, answer: dict[str, Any], connection: Any) -> DovetailError:
    """Why the text did not serialise: a syntax error, or a statement that is not a query."""
    message = str(answer.get("error_message", ""))
    position = int(answer["position"]) if answer.get("position") else None
    if _only_select(answer):
        parts = split_statements(sql)
        for number, (offset, part) in enumerate(parts, start=1):
            if not _only_select(_serialize(part, connection)):
                continue
            pivots = pivot_lists(part)
            if pivots and not _serialize(edited(part, pivots), connection).get("error"):
                continue
            return _not_a_query(sql, number, len(parts), offset, part)
        return RefusedError("read-only: only queries (SELECT and its relatives) may run")
    if "A CTE needs a SELECT" in message:
        return RefusedError("read-only: a WITH clause may hold queries only, no INSERT or DELETE")
    if "Mixing named and positional" in message:
        return QuerySyntaxError("named and positional parameters cannot be mixed")
    if "NameListToString" in message:
        return QuerySyntaxError(
            "a table name has at most three parts: source.schema.table or source.table"
        )
    if answer.get("error_type") == "parser":
        if position is None and "depth limit" in message:
            return RefusedError("the query is nested too deeply")
        return syntax_error(sql, message, position)
    return NotSupportedError(f"the query cannot be checked: {message.splitlines()[0]}")


def _not_a_query(sql: str, number: int, count: int, offset: int, part: str) -> RefusedError:
    word = (re.match(r"\w+", part) or [part[:10]])[0]
    if word.lower() in _SELECT_WORDS:
        found = re.search(r"\b(insert|update|delete|merge|create)\b", part, re.IGNORECASE)
        word = found[1] if found else word
    hint = _STATEMENT_HINTS.get(word.lower(), "only queries (SELECT and its relatives) may run")
    which = f"statement {number} ({word.upper()})"
    return RefusedError(
        f"read-only: {which} is refused; {hint}", location=Location.of_offset(sql, offset)
    )


def _too_many(sql: str) -> RefusedError:
    parts = split_statements(sql)
    if len(parts) < 2:
        return RefusedError("read-only: only one statement may run at a time")
    offset, part = parts[1]
    word = (re.match(r"\w+", part) or [part[:10]])[0].upper()
    return RefusedError(
        f"only one statement may run at a time; statement 2 ({word}) begins here",
        location=Location.of_offset(sql, offset),
    )


def _statement_kind(sql: str) -> str:
    word = re.match(r"\w*", sql[leading_blank(sql) :])
    first = word[0].lower() if word else ""
    if first in ("describe", "desc", "show"):
        return "describe"
    if first in ("summarize", "values", "pivot", "unpivot"):
        return first
    return "select"


class _Walk:
    """One pass over the tree: checks every node and collects what the query refers to."""

    def __init__(
        self, shown: str, parsed: str, edits: list[tuple[int, str]], macros: frozenset[str]
    ) -> None:
        self.shown = shown
        self.parsed = parsed
        self.edits = edits
        self.macros = macros
        self.macro_calls: set[tuple[int, str]] = set()
        self.tables: list[TableRef] = []
        self.files: list[FileFunction] = []
        self.functions: set[str] = set()
        self.table_functions: set[str] = set()
        self.parameters: dict[str, None] = {}
        self.qualifiers: set[str] = set()
        self.has_star = False
        self.has_sample = False

    def statement(self, statement: dict[str, Any]) -> None:
        try:
            self.query(statement["node"], frozenset())
        except RecursionError:
            raise RefusedError("the query is nested too deeply") from None

    def offset(self, node: dict[str, Any]) -> int | None:
        """Where the node stands in the text as written, in characters."""
        position = node.get("query_location", _NO_LOCATION)
        if position == _NO_LOCATION:
            return None
        offset = char_offset(self.parsed, position)
        for place, inserted in self.edits:
            if offset > place:
                offset -= min(len(inserted), offset - place)
        return offset

    def location(self, node: dict[str, Any]) -> Location | None:
        offset = self.offset(node)
        return None if offset is None else Location.of_offset(self.shown, offset)

    def query(self, node: dict[str, Any], scope: _Scope) -> None:
        kind = node.get("type")
        if kind not in _QUERIES:
            raise RefusedError(f"the query holds a part that cannot be judged ({kind})")
        for entry in (node.get("cte_map") or {}).get("map") or ():
            name = entry["key"].lower()
            value = entry["value"]
            inner = value["query"]["node"]
            self.query(inner, scope)
            self.children({k: v for k, v in value.items() if k != "query"}, scope)
            scope = scope | {("", name)}
        if kind in ("RECURSIVE_CTE_NODE", "CTE_NODE"):
            name = str(node.get("cte_name", "")).lower()
            if kind == "RECURSIVE_CTE_NODE":
                own = scope | {("", name), ("recurring", name)}
                self.query(node["left"], scope)
                self.query(node["right"], own)
                rest = {k: v for k, v in node.items() if k not in ("left", "right", "cte_map")}
                self.children(rest, own)
                return
            self.query(node["query"], scope)
            self.query(node["child"], scope | {("", name)})
            return
        self.children({k: v for k, v in node.items() if k != "cte_map"}, scope)

    def values(self, value: Any, scope: _Scope) -> None:
        """Walk whatever stands inside a node: lists, plain values and further nodes."""
        if isinstance(value, list):
            for item in value:
                if isinstance(item, (dict, list)):
                    self.values(item, scope)
        elif isinstance(value, dict):
            if "class" in value:
                self.expression(value, scope)
                return
            kind = value.get("type")
            if "cte_map" in value:
                self.query(value, scope)
                return
            if isinstance(kind, str) and ("sample" in value or kind in _RELATIONS):
                self.relation(value, scope)
                return
            self.children(value, scope)

    def children(self, node: dict[str, Any], scope: _Scope) -> None:
        for key, item in node.items():
            if key == "sample" and item is not None:
                self.has_sample = True
            if isinstance(item, (dict, list)):
                self.values(item, scope)

    def expression(self, node: dict[str, Any], scope: _Scope) -> None:
        kind = node["class"]
        if kind not in _EXPRESSIONS:
            raise RefusedError(
                f"the query holds a part that cannot be judged ({kind})",
                location=self.location(node),
            )
        if kind in ("FUNCTION", "WINDOW"):
            self.function(node)
        elif kind == "PARAMETER":
            self.parameters[str(node["identifier"])] = None
        elif kind == "STAR":
            self.has_star = True
        self.children(node, scope)

    def function(self, node: dict[str, Any]) -> None:
        name = str(node.get("function_name", "")).lower()
        self.qualify(node)
        if name in lists.REFUSED:
            raise self.refused(name, node)
        if name in lists.FILE_FUNCTIONS:
            raise RefusedError(
                f'"{name}" reads files, so it may only stand in FROM', location=self.location(node)
            )
        if name in self.macros:
            self.macro_calls.add((self.offset(node) or 0, name))
        elif name not in lists.ALLOWED:
            raise self.unknown(name, node)
        self.functions.add(name)

    def qualify(self, node: dict[str, Any]) -> None:
        for part in (node.get("catalog") or "", node.get("schema") or ""):
            if part.lower() not in _SYSTEM_SCHEMAS:
                self.qualifiers.add(part.lower())

    def refused(self, name: str, node: dict[str, Any]) -> RefusedError:
        return RefusedError(
            f'function "{name}" is refused: {lists.REFUSED[name]}', location=self.location(node)
        )

    def unknown(self, name: str, node: dict[str, Any]) -> UnknownNameError:
        callable_ = lists.ALLOWED | self.macros
        near = near_names(name, (n for n in callable_ if n.isidentifier()))
        return UnknownNameError(
            f'no function "{name}"{did_you_mean(near)}',
            location=self.location(node),
            suggestions=near,
        )

    def relation(self, node: dict[str, Any], scope: _Scope) -> None:
        kind = node["type"]
        if kind not in _RELATIONS:
            raise RefusedError(
                f"the query holds a table of a kind that cannot be judged ({kind})",
                location=self.location(node),
            )
        if kind == "BASE_TABLE":
            self.base_table(node, scope)
        elif kind == "TABLE_FUNCTION":
            self.table_function(node, scope)
            return
        elif kind == "SHOW_REF" and node.get("query") is None:
            raise RefusedError(
                "SHOW lists the engine's own catalog, not your sources; use `dovetail tables` "
                "(session.tables()) or `dovetail sources`",
                location=Location.of_offset(self.shown, leading_blank(self.shown)),
            )
        elif kind == "PIVOT":
            for pivot in node.get("pivots") or ():
                if pivot.get("pivot_enum"):
                    raise NotSupportedError(
                        f'PIVOT over the enum type "{pivot["pivot_enum"]}" is not supported; '
                        "write the values out",
                        location=self.location(node),
                    )
        self.children(node, scope)

    def base_table(self, node: dict[str, Any], scope: _Scope) -> None:
        catalog = node.get("catalog_name") or ""
        schema = node.get("schema_name") or ""
        name = node["table_name"]
        where = self.location(node)
        if node.get("at_clause") is not None:
            raise NotSupportedError(f'table "{name}" with AT is not supported', location=where)
        if not catalog and (schema.lower(), name.lower()) in scope:
            return
        span = name_span(self.shown, self.offset(node))
        self.tables.append(TableRef(catalog, schema, name, where, span))

    def table_function(self, node: dict[str, Any], scope: _Scope) -> None:
        call = node["function"]
        name = str(call.get("function_name", "")).lower()
        qualifier = call.get("schema") or call.get("catalog") or ""
        where = self.location(call)
        if call.get("class") != "FUNCTION":
            raise RefusedError("the query holds a table that cannot be judged", location=where)
        if name == "query" and qualifier.lower() not in _SYSTEM_SCHEMAS:
            raise NotSupportedError(
                f"{qualifier}.query('…') is not supported yet; name the tables in FROM instead",
                location=where,
            )
        self.qualify(call)
        if name in lists.REFUSED:
            raise self.refused(name, call)
        if name in lists.FILE_FUNCTIONS:
            self.files.append(self.file_function(name, call, where))
            rest = {k: v for k, v in node.items() if k != "function"}
            self.children(rest, scope)
            return
        if name not in lists.TABLE_FUNCTIONS:
            if name in lists.ALLOWED:
                raise RefusedError(
                    f'function "{name}" may not stand in FROM; valid there are '
                    + ", ".join(sorted(lists.TABLE_FUNCTIONS)),
                    location=where,
                )
            near = near_names(name, lists.TABLE_FUNCTIONS | lists.FILE_FUNCTIONS)
            raise UnknownNameError(
                f'no table function "{name}"{did_you_mean(near)}', location=where, suggestions=near
            )
        self.table_functions.add(name)
        if name in lists.VOLATILE:
            self.functions.add(name)
        self.children(call, scope)
        self.children({k: v for k, v in node.items() if k != "function"}, scope)

    def file_function(
        self, name: str, call: dict[str, Any], where: Location | None
    ) -> FileFunction:
        arguments: list[Any] = []
        options: dict[str, Any] = {}
        for child in call.get("children") or ():
            key = child.get("alias") or ""
            value = child
            if child.get("type") == "COMPARE_EQUAL" and child["left"]["class"] == "COLUMN_REF":
                key = child["left"]["column_names"][-1]
                value = child["right"]
            try:
                constant = _constant(value)
            except ValueError:
                raise RefusedError(
                    f'the arguments of "{name}" must be constants', location=where
                ) from None
            if key:
                options[key.lower()] = constant
            else:
                arguments.append(constant)
        if not arguments and name != "stdin":
            raise RefusedError(f'"{name}" needs the path of a file', location=where)
        return FileFunction(
            name, tuple(arguments), options, where, call_span(self.shown, self.offset(call))
        )


def _constant(node: dict[str, Any]) -> Any:
    """The Python value of a constant expression; ValueError for anything else."""
    kind = node.get("class")
    if kind == "CONSTANT":
        value = node["value"]
        if value.get("is_null"):
            return None
        held = value.get("value")
        if isinstance(held, (str, int, float, bool)):
            identifier = value["type"]["id"]
            info = value["type"].get("type_info") or {}
            if identifier == "DECIMAL":
                return int(held) / 10 ** info.get("scale", 0)
            return held
    elif kind == "CAST" and node["child"].get("class") == "CONSTANT":
        inner = _constant(node["child"])
        if node["cast_type"]["id"] == "BOOLEAN" and isinstance(inner, str):
            return inner.lower() in ("t", "true", "1")
        return inner
    elif kind == "FUNCTION":
        name = node["function_name"].lower()
        children = node.get("children") or []
        if name in ("list_value", "list_pack", "array_value"):
            return [_constant(child) for child in children]
        if name == "struct_pack":
            return {child["alias"]: _constant(child) for child in children}
        if name == "-" and len(children) == 1:
            inner = _constant(children[0])
            if isinstance(inner, (int, float)):
                return -inner
    raise ValueError(kind)
