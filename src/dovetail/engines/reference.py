"""DuckDB as the reference of meaning: types, constants and whole queries, without any data.

One private in-memory instance, locked down and empty, answers what an expression or a query means:
the types of expressions, the values of constants, the output columns of a query over *shadow*
tables (empty, with the columns of the real ones). It implements
:class:`dovetail.plan.reference.Reference`. Nothing here reads a source.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

from dovetail.catalog.catalogs import near_names
from dovetail.engines.constants import (
    EXACT_AS_TEXT,
    expressions_of,
    functions_of_constant,
    is_quick,
    literal_of,
    probe,
)
from dovetail.engines.scans import SHADOW, Columns, TableKey, scans_of, shadow_key
from dovetail.errors import (
    BindError,
    DovetailError,
    InternalError,
    NotSupportedError,
    UnknownNameError,
)
from dovetail.functions.library import Library
from dovetail.language.sql import judge_functions
from dovetail.language.sql.errors import (
    Names,
    byte_location,
    did_you_mean,
    explain_grouping,
    from_duckdb,
    read_report,
)
from dovetail.language.sql.judge import Judged, judge, judge_view
from dovetail.language.sql.meaning import tree_means
from dovetail.quoting import quote
from dovetail.types import Type, parse_type

_DESCRIBE: Final = "DESCRIBE "
_CACHE_SIZE: Final = 4096
_MOST_SHADOWS: Final = 2000
_FOLD_SECONDS: Final = 0.5
_FOLD_LENGTH: Final = 10_000
_MEMORY: Final = "256MB"
_KEPT_OPTIMIZERS: Final = frozenset(("unused_columns", "cte_inlining"))
_UNTYPED: Final = re.compile(r"null|\[\s*\]|_value\s*\(\s*\)|_pack\s*\(\s*\)", re.IGNORECASE)

_T = TypeVar("_T")


class _Cache:
    """A small map that forgets what was asked least recently."""

    def __init__(self, size: int = _CACHE_SIZE) -> None:
        self._size = size
        self._items: OrderedDict[Any, Any] = OrderedDict()

    def holds(self, key: Any) -> bool:
        """Whether :meth:`get` would answer without making a value."""
        return key in self._items

    def put(self, key: Any, value: Any) -> None:
        """Keep a value that was made elsewhere."""
        self.get(key, lambda: value)

    def get(self, key: Any, make: Callable[[], _T]) -> _T:
        """The value of ``key``, made on the first call. Errors are not kept."""
        if key in self._items:
            self._items.move_to_end(key)
            found: _T = self._items[key]
            return found
        value = make()
        self._items[key] = value
        if len(self._items) > self._size:
            self._items.popitem(last=False)
        return value


class DuckDBReference:
    """Answers from an empty DuckDB. Thread-safe; every answer is cached by its text."""

    def __init__(self, library: Library | None = None) -> None:
        """``library`` holds the macros that a query may call (default: those that we ship)."""
        import duckdb

        self._error = duckdb.Error
        self._library = library or Library()
        self._lock = threading.RLock()
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "enable_external_access": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "python_enable_replacements": "false",
                "errors_as_json": "true",
                "memory_limit": _MEMORY,
                "threads": "1",
            },
        )
        run = self._connection.execute
        optimizers = {row[0] for row in run("SELECT name FROM duckdb_optimizers()").fetchall()}
        # What a query reads must be read off its plan, and the shadow tables are empty: every
        # optimizer that could drop a scan because of that is off.
        run(f"SET disabled_optimizers = '{','.join(sorted(optimizers - _KEPT_OPTIMIZERS))}'")
        run("SET TimeZone = 'UTC'")
        # A name of our own for the default database, so that a source may be called "memory".
        run(f"ATTACH ':memory:' AS {SHADOW}")
        run(f"USE {SHADOW}")
        run("DETACH memory")
        run("SET lock_configuration = true")
        self._cache = _Cache()
        self._catalogs: set[str] = set()
        self._macros: set[str] = set()
        self._schemas: set[tuple[str, str]] = set()
        self._tables: dict[TableKey, tuple[tuple[str, str], ...]] = {}

    def close(self) -> None:
        """Give the instance back; no method may be called afterwards."""
        with self._lock:
            self._connection.close()

    # -- judging ----------------------------------------------------------------------------

    def judge(self, sql: str) -> Judged:
        """:func:`dovetail.language.sql.judge.judge` on this instance, cached by text."""
        with self._lock:
            return self._cache.get(
                ("judge", sql),
                lambda: judge(sql, connection=self._connection, macros=self._library.names),
            )

    def judge_view(self, definition: str) -> Judged:
        """:func:`dovetail.language.sql.judge.judge_view` on this instance, cached by text."""
        with self._lock:
            return self._cache.get(
                ("view", definition), lambda: judge_view(definition, connection=self._connection)
            )

    def same_meaning(self, judged: Judged, sql: str) -> bool:
        """Whether DuckDB would answer a text as the query judged, as far as can be proved."""
        if judged.sql == sql:
            return True
        if judged.dynamic_pivot:  # its tree is that of another text
            return False
        with self._lock:
            return tree_means(judged.ast, sql, self._connection)

    # -- expressions ------------------------------------------------------------------------

    def types(
        self,
        expressions: Sequence[str],
        columns: Mapping[str, str],
        group_by: Sequence[str] | None = None,
    ) -> list[Type]:
        """The types of SQL scalar expressions over ``columns`` (name → type text).

        With ``group_by`` (which may be empty: one group) the expressions may hold aggregates. An
        untyped NULL has the type ``"NULL"``.

        Raises:
            BindError: an expression has no meaning over these columns.
        """
        if not expressions:
            return []
        row = ", ".join(
            f"CAST(NULL AS {type_}) AS {quote(name)}" for name, type_ in columns.items()
        )
        source = f" FROM (SELECT {row})" if row else ""
        grouped = f" GROUP BY {', '.join(group_by)}" if group_by else ""
        tail = source + grouped
        key = ("types", tuple(expressions), tail)
        with self._lock:
            return list(self._cache.get(key, lambda: self._bind_types(expressions, tail)))

    def _bind_types(self, expressions: Sequence[str], tail: str) -> tuple[Type, ...]:
        items = ", ".join(f"{text} AS c{i}" for i, text in enumerate(expressions))
        with self._mapped(items):
            rows = self._connection.execute(f"DESCRIBE SELECT {items}{tail}").fetchall()
        types = [parse_type(row[1]) for row in rows]
        if len(types) != len(expressions):
            raise InternalError("an expression expands to several columns")
        # DESCRIBE calls an untyped NULL an INTEGER; typeof() knows better but runs the query.
        doubtful = [i for i, type_ in enumerate(types) if type_.text.startswith("INTEGER")]
        if doubtful and _UNTYPED.search(items + tail.replace("CAST(NULL AS ", "")):
            probes = ", ".join(f"typeof({expressions[i]})" for i in doubtful)
            try:
                row = self._connection.execute(f"SELECT {probes}{tail} LIMIT 1").fetchone()
            except self._error:
                row = None
            for i, text in zip(doubtful, row or (), strict=False):
                types[i] = parse_type(text)
        return tuple(types)

    def evaluate(self, expressions: Sequence[str]) -> list[tuple[Type, str] | None]:
        """The values of constant expressions as ``(type, SQL literal)``.

        None where an expression has columns, parameters, subqueries, aggregates or volatile
        functions, where it fails (so that the error comes when the query runs), and where the work
        or the value could be large. Functions with one value per query (``now()``) are evaluated
        afresh at every call; all others are cached.
        """
        with self._lock:
            self._learn(expressions)
            return [self._evaluate(text) for text in expressions]

    def _learn(self, expressions: Sequence[str]) -> None:
        """Fill the cache for several expressions with one statement each way."""
        new = [t for t in dict.fromkeys(expressions) if not self._cache.holds(("fold", t))]
        nodes = self._items(new) if len(new) > 1 else None
        for text, node in zip(new, nodes or (), strict=False):
            self._cache.put(("fold", text), functions_of_constant(node))
        quick = [
            text
            for text in dict.fromkeys(expressions)
            if not self._cache.holds(("value", text))
            and self._cache.holds(("fold", text))
            and is_quick(self._cache.get(("fold", text), frozenset))
        ]
        if len(quick) < 2:
            return
        row = self._bounded("SELECT " + ", ".join(map(probe, quick)), False)
        if row is not None:
            for i, text in enumerate(quick):
                value = self._checked(text, parse_type(row[2 * i]), row[2 * i + 1], True)
                self._cache.put(("value", text), value)

    def _evaluate(self, text: str) -> tuple[Type, str] | None:
        functions = self._cache.get(("fold", text), lambda: self._functions(text))
        if functions is None:
            return None
        if functions & judge_functions.CONSTANT_PER_QUERY:
            return self._fold(text, functions, check=False)  # a second look would see a later time
        return self._cache.get(("value", text), lambda: self._fold(text, functions))

    def _functions(self, text: str) -> frozenset[str] | None:
        """The functions of a constant expression, or None when it may not be folded."""
        items = self._items([text])
        return functions_of_constant(items[0]) if items else None

    def _items(self, expressions: Sequence[str]) -> list[dict[str, Any]] | None:
        """DuckDB's tree of each expression, or None unless each is exactly one expression."""
        if any(len(text) > _FOLD_LENGTH or "\0" in text for text in expressions):
            return None
        row = self._connection.execute(
            "SELECT json_serialize_sql(?::VARCHAR)", [f"SELECT {', '.join(expressions)}"]
        ).fetchone()
        try:
            tree: dict[str, Any] = json.loads(row[0] if row else "{}")
        except RecursionError:
            return None
        statements = tree.get("statements") or []
        if tree.get("error") or len(statements) != 1:
            return None
        node = statements[0]["node"]
        if node.get("type") != "SELECT_NODE" or node["from_table"]["type"] != "EMPTY":
            return None
        others = {k: v for k, v in node.items() if k not in ("select_list", "from_table", "type")}
        plain: tuple[Any, ...] = ("STANDARD_HANDLING", {"map": []})
        if any(value and value not in plain for value in others.values()):
            return None
        items: list[dict[str, Any]] = node["select_list"]
        return items if len(items) == len(expressions) else None

    def _fold(
        self, text: str, functions: frozenset[str], check: bool = True
    ) -> tuple[Type, str] | None:
        row = self._bounded(f"SELECT {probe(text)}", not is_quick(functions))
        return None if row is None else self._checked(text, parse_type(row[0]), row[1], check)

    def _checked(
        self, text: str, type_: Type, value: str | None, check: bool
    ) -> tuple[Type, str] | None:
        """The value as a literal, if the literal gives exactly that value back."""
        if type_.family == "null":
            return type_, "NULL"
        if value is None:
            return type_, f"CAST(NULL AS {type_})"
        if len(value) > _FOLD_LENGTH or "\0" in value:
            return None
        literal = literal_of(type_, value)
        if not check or type_.family in EXACT_AS_TEXT:
            return type_, literal
        same = self._bounded(
            f"SELECT typeof({literal}) = typeof({text}) AND {literal} IS NOT DISTINCT FROM ({text})"
        )
        return (type_, literal) if same is not None and same[0] is True else None

    def _bounded(self, sql: str, timed: bool = True) -> tuple[Any, ...] | None:
        """The one row of a statement, or None when it fails or takes too long."""
        timer = threading.Timer(_FOLD_SECONDS, self._connection.interrupt) if timed else None
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            row: tuple[Any, ...] | None = self._connection.execute(sql).fetchone()
        except self._error:
            return None
        finally:
            if timer is not None:
                timer.cancel()
        return row

    def _know_macros(self, judged: Judged) -> None:
        """Make the macros that a query calls, so that it is described as it is written."""
        for name in sorted((judged.functions & self._library.names) - self._macros):
            self._connection.execute(self._library[name].statement)
            self._macros.add(name)

    def _written_names(self, judged: Judged, names: list[str]) -> list[str]:
        if not judged.macro_calls or judged.statement_kind != "select":
            return names
        from dovetail.functions.naming import written_names

        def run(sql: str, argument: str) -> str:
            row = self._connection.execute(sql, [argument]).fetchone()
            return str(row[0]) if row else ""

        return written_names(judged.ast, names, self._library.names, run)

    # -- queries ----------------------------------------------------------------------------

    def describe(
        self,
        sql: str,
        tables: Mapping[TableKey, Columns],
        parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        *,
        files: Sequence[Columns] = (),
        known_tables: Sequence[str] = (),
    ) -> list[tuple[str, Type]] | None:
        """Bind a query as it is written and return its output columns.

        ``tables`` maps each table as written in the query (:attr:`TableRef.key`) to its columns as
        ``(name, type text)``; ``files`` holds the columns of each file function of the query, in
        the order of :attr:`Judged.files`. ``known_tables`` are names to suggest for an unknown
        one. The answer is None for a PIVOT without an IN list, whose columns depend on the data;
        its names have been checked all the same.

        Raises:
            QueryError: the text is refused or has no meaning; located in the text.
        """
        judged = self.judge(sql)
        with self._lock:
            self._know_macros(judged)
            self._prepare(judged, tables, known_tables)
            shown, tables = self._with_file_shadows(judged, tables, files)
            if judged.dynamic_pivot:
                self._check_dynamic(judged, tables, known_tables)
                return None
            text, prefix = _describing(shown)
            with self._mapped(judged.sql, judged, tables, known_tables, prefix):
                rows = self._execute(text, parameters).fetchall()
            names = self._written_names(judged, [row[0] for row in rows])
            return [(name, parse_type(row[1])) for name, row in zip(names, rows, strict=True)]

    def scanned_columns(
        self,
        sql: str,
        tables: Mapping[TableKey, Columns],
        parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        *,
        files: Sequence[Columns] = (),
    ) -> dict[TableKey, frozenset[str]] | None:
        """The columns of each table that running the query as written reads, from DuckDB's plan.

        Columns of file functions are keyed by ``("", "", text of the call)``. A superset of what
        the answer depends on. The engine must still offer the other columns by
        name (``NULL`` of their type is enough), since names and ``*`` are bound against them. None
        when it cannot be told.
        """
        judged = self.judge(sql)
        if judged.dynamic_pivot:
            return None
        with self._lock:
            self._prepare(judged, tables, ())
            shown, shadowed = self._with_file_shadows(judged, tables, files)
            try:
                rows = self._execute(f"EXPLAIN (FORMAT JSON) {shown.sql}", parameters).fetchall()
                plan = json.loads(rows[0][1])
            except (self._error, ValueError, RecursionError):
                return None
        scans = scans_of(plan, shadowed)
        if scans is None or not files:
            return scans
        calls = [judged.sql[slice(*file.span)] for file in judged.files if file.span]
        read = {key: scans[key] for key in tables}
        for call, name in zip(calls, _file_names(judged), strict=True):
            key = ("", "", call)
            read[key] = read.get(key, frozenset()) | scans["", "", name]
        return read

    def _execute(self, sql: str, parameters: Mapping[str, Any] | Sequence[Any] | None) -> Any:
        if not parameters:
            return self._connection.execute(sql)
        values = dict(parameters) if isinstance(parameters, Mapping) else list(parameters)
        return self._connection.execute(sql, values)

    def _prepare(
        self,
        judged: Judged,
        tables: Mapping[TableKey, Columns],
        known_tables: Sequence[str],
    ) -> None:
        """Check that every name in FROM is one of ``tables``, and make their shadows."""
        given = {shadow_key(key) for key in tables}
        for ref in judged.tables:
            if shadow_key(ref.key) not in given:
                near = near_names(ref.text, known_tables or [_text(key) for key in tables])
                raise UnknownNameError(
                    f'no table "{ref.text}"{did_you_mean(near)}',
                    location=ref.location,
                    suggestions=near,
                )
        if len(self._tables) > _MOST_SHADOWS:
            self._drop_shadows()
        for key, columns in tables.items():
            self._shadow(key, tuple(columns))
        names = {name.lower() for columns in tables.values() for name, _ in columns}
        if "rowid" not in names:
            # The shadows are DuckDB tables and have a hidden rowid; the real tables have none.
            for node in expressions_of(judged.ast):
                if node["class"] == "COLUMN_REF" and node["column_names"][-1].lower() == "rowid":
                    where = byte_location(judged.sql, node["query_location"])
                    raise UnknownNameError('no column "rowid"', location=where)

    def _with_file_shadows(
        self, judged: Judged, tables: Mapping[TableKey, Columns], files: Sequence[Columns]
    ) -> tuple[Judged, Mapping[TableKey, Columns]]:
        """Shadow tables in the place of file functions, by names of the very same length.

        So every position that DuckDB reports is still one of the text as written.
        """
        if not files:
            return judged, tables
        names = _file_names(judged)
        shadows: dict[TableKey, Columns] = {}
        for name, columns in zip(names, files, strict=True):
            shadows["", "", name] = columns
            self._shadow(("", "", name), tuple(columns))
        text = judged.with_files([quote(name) for name in names])
        return replace(judged, sql=text), {**tables, **shadows}

    def _shadow(self, key: TableKey, columns: tuple[tuple[str, str], ...]) -> None:
        folded = shadow_key(key)
        if self._tables.get(folded) == columns:
            return
        catalog, schema, name = folded
        if not columns:
            raise NotSupportedError(f'table "{_text(key)}" has no column that can be read')
        definition = ", ".join(f"{quote(column)} {type_}" for column, type_ in columns)
        place = f"{quote(catalog)}.{quote(schema)}.{quote(name)}"
        run = self._connection.execute
        try:
            if catalog not in self._catalogs | {SHADOW}:
                run(f"ATTACH ':memory:' AS {quote(catalog)}")
                self._catalogs.add(catalog)
            if schema != "main" and (catalog, schema) not in self._schemas:
                run(f"CREATE SCHEMA {quote(catalog)}.{quote(schema)}")
                self._schemas.add((catalog, schema))
            run(f"CREATE OR REPLACE TABLE {place} ({definition})")
        except self._error as error:
            reason = read_report(error).headline
            raise InternalError(f"no shadow of table {_text(key)}: {reason}") from error
        self._tables[folded] = columns

    def _drop_shadows(self) -> None:
        """Forget all shadow tables: a long life with ever new names must not grow for ever."""
        for catalog, schema, name in self._tables:
            place = f"{quote(catalog)}.{quote(schema)}.{quote(name)}"
            self._connection.execute(f"DROP TABLE {place}")
        self._tables.clear()

    def _check_dynamic(
        self,
        judged: Judged,
        tables: Mapping[TableKey, Columns],
        known_tables: Sequence[str],
    ) -> None:
        """Report unknown names of a query whose columns are not known before it runs."""
        names = self._names(tables, known_tables)
        try:
            self._connection.execute(f"EXPLAIN {judged.checked_sql}")
        except self._error as error:
            mapped = from_duckdb(error, judged.checked_sql, names=names, prefix=len("EXPLAIN "))
            if isinstance(mapped, UnknownNameError) and not judged.parameters:
                mapped.location = None
                raise mapped from None

    @contextmanager
    def _mapped(
        self,
        sql: str,
        judged: Judged | None = None,
        tables: Mapping[TableKey, Columns] | None = None,
        known_tables: Sequence[str] = (),
        prefix: int = 0,
    ) -> Iterator[None]:
        """Turn DuckDB's errors into ours."""
        try:
            yield
        except self._error as error:
            raise self._translated(error, sql, judged, tables, known_tables, prefix) from None

    def _translated(
        self,
        error: BaseException,
        sql: str,
        judged: Judged | None,
        tables: Mapping[TableKey, Columns] | None,
        known_tables: Sequence[str],
        prefix: int,
    ) -> DovetailError:
        if judged is None or tables is None:
            mapped = from_duckdb(error, sql, names=Names(functions=self._callable()))
            mapped.location = None
            return mapped if isinstance(mapped, BindError) else BindError(mapped.message)
        folded = {shadow_key(key): columns for key, columns in tables.items()}

        def columns_of(node: dict[str, Any]) -> list[str]:
            key = (node.get("catalog_name") or "", node.get("schema_name") or "")
            return [name for name, _ in folded.get(shadow_key((*key, node["table_name"])), ())]

        grouping = explain_grouping(error, sql, judged.ast, columns_of, prefix=prefix)
        if grouping is not None:
            return grouping
        return from_duckdb(error, sql, names=self._names(tables, known_tables), prefix=prefix)

    def _callable(self) -> list[str]:
        return sorted(judge_functions.ALLOWED | self._library.names)

    def _names(self, tables: Mapping[TableKey, Columns], known_tables: Sequence[str]) -> Names:
        return Names(
            columns=list(dict.fromkeys(name for columns in tables.values() for name, _ in columns)),
            tables=known_tables or [_text(key) for key in tables],
            functions=self._callable(),
        )


def _file_names(judged: Judged) -> list[str]:
    """A table name for each file function, quoted as many bytes long as the call."""
    names = []
    for number, file in enumerate(judged.files):
        start, end = file.span or (0, 0)
        length = len(judged.sql[start:end].encode("utf-8")) - 2
        names.append(f"{number}".rjust(max(length, 1), "_"))
    return names


def _text(key: Sequence[str]) -> str:
    return ".".join(part for part in key if part)


def _describing(judged: Judged) -> tuple[str, int]:
    """A statement that binds the query, and how many bytes stand before its text."""
    if judged.statement_kind in ("describe", "summarize"):
        lead = _DESCRIBE + "SELECT * FROM ("
        return f"{lead}{judged.sql.rstrip().rstrip(';')}\n)", len(lead)
    return _DESCRIBE + judged.sql, len(_DESCRIBE)
