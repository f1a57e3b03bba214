"""From a text to something that can run: the stages of :mod:`dovetail.session` one to six."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlglot import exp, parse
from sqlglot.errors import SqlglotError

from dovetail.catalog.catalogs import Catalogs
from dovetail.catalog.model import TableInfo, distinct_names
from dovetail.connectors.base import (
    Connector,
    FragmentRequest,
    OutputColumn,
    TableScan,
    quote,
)
from dovetail.engines.reference import DuckDBReference
from dovetail.errors import (
    DataError,
    Location,
    QuerySyntaxError,
    RefusedError,
    UsageError,
)
from dovetail.execution.run import Piece, Work
from dovetail.language.sql.bind import Binder
from dovetail.language.sql.judge import Judged, TableRef
from dovetail.language.sql.scope import NotModelled
from dovetail.local_tables import LocalTables
from dovetail.optimize.context import Context
from dovetail.optimize.federate import FederatedPlan, federate
from dovetail.optimize.fragments import request_of
from dovetail.optimize.optimizer import Step, optimize
from dovetail.plan import nodes
from dovetail.plan.expressions import has_subquery, node_expressions, transform_plan
from dovetail.plan.sql import SqlBuilder
from dovetail.types import Type

TableKey = tuple[str, str, str]


@dataclass(frozen=True)
class Planned:
    """A query ready to run. ``columns`` are its output names and types.

    ``road`` is ``plan`` or ``fallback`` (then ``reason`` says why). ``bound`` is the plan before
    the rules, ``trace`` what each rule made of it.
    """

    text: str
    work: Work
    columns: list[tuple[str, str]]
    road: str
    reason: str = ""
    bound: nodes.Plan | None = None
    trace: list[Step] = field(default_factory=list)
    federated: FederatedPlan | None = None
    connectors: Mapping[str, Connector] = field(default_factory=dict)
    residual: str = ""


class Planner:
    """Plans the queries of one session. Thread-safe."""

    def __init__(
        self,
        reference: DuckDBReference,
        catalogs: Catalogs,
        connectors: Mapping[str, Connector],
        *,
        directories: Sequence[Path],
        stdin: Path | None,
        data: Mapping[str, Path],
        spool_directory: str,
    ) -> None:
        self._reference = reference
        self._catalogs = catalogs
        self._connectors = connectors
        self._local = LocalTables(
            directories, stdin, data, spool_directory, catalogs.sources
        )

    def close(self) -> None:
        """Give back what local tables hold."""
        self._local.close()

    # -- the stages -----------------------------------------------------------------------------

    def plan(
        self,
        text: str,
        params: Mapping[str, Any] | Sequence[Any] | None,
        *,
        dialect: str = "duckdb",
        limit: int | None = None,
        rules: bool = True,
        disabled: frozenset[str] = frozenset(),
    ) -> Planned:
        """Judge, resolve, describe, bind, optimize and federate.

        Raises:
            QueryError: the text is refused or has no meaning.
            UsageError: parameters are missing or left over.
            SourceError: a catalog could not be read.
        """
        if dialect != "duckdb":
            text = translated(text, dialect)
        judged = self._reference.judge(text)
        values = _checked_parameters(judged, params)
        self._refuse_foreign_calls(judged)
        read: dict[TableKey, TableInfo] = {}
        if judged.files:
            # From here on a call like read_csv('…') is a table with a name of its own.
            names = [f"dovetail_{uuid.uuid4().hex}" for _ in judged.files]
            read = {
                ("", "", name): self._local.function(call)
                for name, call in zip(names, judged.files, strict=True)
            }
            judged = self._reference.judge(judged.with_files([quote(name) for name in names]))
        tables = {
            ref.key: read[ref.key] if ref.key in read else self._table(ref)
            for ref in judged.tables
        }
        shadows = {
            key: [(column.name, column.type.text) for column in table.columns]
            for key, table in tables.items()
        }
        described = self._reference.describe(
            judged.sql, shadows, values, known_tables=_known(tables)
        )
        try:
            return self._modelled(judged, tables, values, described, limit, rules, disabled)
        except NotModelled as reason:
            return self._fallback(judged, tables, shadows, values, described, limit, str(reason))

    def _table(self, ref: TableRef) -> TableInfo:
        parts = tuple(part for part in ref.key if part)
        local = self._local.find(parts, ref.location, self._catalogs)
        if local is not None:
            return local
        return self._catalogs.find(parts, ref.location)

    def table_named(self, written: str) -> TableInfo | None:
        """The table a bare name or quoted path means, or None when the text is a query."""
        from dovetail.errors import DovetailError

        stripped = written.strip()
        path = stripped[1:-1] if stripped[:1] == "'" == stripped[-1:] else stripped
        if path == stripped and any(c.isspace() for c in stripped):
            return None
        try:
            judged = self._reference.judge(f"SELECT * FROM {stripped}")
        except DovetailError:
            local = self._local.find((path,), None, self._catalogs)
            if local is not None:
                return local
            raise
        if len(judged.tables) != 1:
            return None
        return self._table(judged.tables[0])

    def _refuse_foreign_calls(self, judged: Judged) -> None:
        for qualifier in judged.call_qualifiers:
            if self._catalogs.source_name(qualifier.split(".")[0]) is not None:
                raise RefusedError(
                    f'functions of a source cannot be called: "{qualifier}.…"; use functions '
                    "without a qualifier"
                )

    def _modelled(
        self,
        judged: Judged,
        tables: Mapping[TableKey, TableInfo],
        values: Mapping[str, Any] | Sequence[Any],
        described: list[tuple[str, Type]] | None,
        limit: int | None,
        rules: bool,
        disabled: frozenset[str],
    ) -> Planned:
        if described is None:
            raise NotModelled("its columns are known only when it runs")
        if judged.statement_kind not in ("select", "with", "from", "values"):
            raise NotModelled(judged.statement_kind.upper())
        if judged.positional or not isinstance(values, Mapping):
            raise NotModelled("positional parameters")
        tree = self._parsed(judged)
        literals = {name.lower(): _literal(value) for name, value in values.items()}
        by_parts = {tuple(p.lower() for p in key if p): table for key, table in tables.items()}

        def resolve(parts: tuple[str, ...]) -> TableInfo:
            found = by_parts.get(tuple(part.lower() for part in parts))
            if found is None:
                raise NotModelled(f"table {'.'.join(parts)} seen otherwise by DuckDB")
            return found

        binder = Binder(resolve, self._reference, literals)
        bound = binder.bind(tree).plan
        bound = self._as_described(binder, bound, described)
        names = distinct_names([name for name, _ in described])
        if limit is not None:
            bound = nodes.Limit(bound, limit)
        context = Context(
            self._reference,
            {
                name: connector.capabilities
                for name, connector in {**self._connectors, **self._local.connectors}.items()
            },
            disabled,
            push=rules,
        )
        plan, trace = optimize(bound, context) if rules else (bound, [])
        federated = federate(plan, context)
        work, residual = self._work(federated, names, described, context)
        return Planned(
            judged.sql,
            work,
            [(n, t.text) for n, (_, t) in zip(names, described, strict=True)],
            "plan",
            "",
            bound,
            trace,
            federated,
            self._local.connectors,
            residual,
        )

    def _parsed(self, judged: Judged) -> exp.Expression:
        try:
            trees = parse(judged.sql, dialect="duckdb")
        except SqlglotError as error:
            raise NotModelled(f"syntax outside the model ({type(error).__name__})") from None
        except RecursionError:
            raise NotModelled("a very deep expression") from None
        if len(trees) != 1 or trees[0] is None:
            raise NotModelled("syntax outside the model")
        tree = trees[0]
        # The plan is made from sqlglot's tree, so that tree must say what DuckDB's says.
        if not self._reference.same_meaning(judged.sql, tree.sql(dialect="duckdb")):
            raise NotModelled("syntax that is read in two ways")
        return tree

    @staticmethod
    def _as_described(
        binder: Binder, plan: nodes.Plan, described: list[tuple[str, Type]]
    ) -> nodes.Plan:
        """The plan, checked against DuckDB's own binding of the text."""
        made = [c.type for c in plan.columns]
        wanted = [type_ for _, type_ in described]
        untyped = {i for i, t in enumerate(made) if t.family == "null"}
        if len(made) != len(wanted) or any(
            a != b for i, (a, b) in enumerate(zip(made, wanted, strict=True)) if i not in untyped
        ):
            raise NotModelled(f"types understood as {made}, not {wanted}")
        return plan

    def _work(
        self,
        federated: FederatedPlan,
        names: list[str],
        described: list[tuple[str, Type]],
        context: Context,
    ) -> tuple[Work, str]:
        tag = f"dovetail-{uuid.uuid4().hex[:16]}"
        pieces = tuple(
            Piece(
                fragment.number,
                fragment.source,
                request_of(fragment, context.capabilities[fragment.source], tag),
            )
            for fragment in federated.fragments
        )
        # A name no query text can contain: relations are put in its place in the final text.
        mark = f"fragment_{uuid.uuid4().hex}"
        residual = materialized(federated.plan)

        def leaf(plan: nodes.Plan) -> tuple[exp.Expression, Mapping[str, str]]:
            assert isinstance(plan, nodes.Fragment)
            table = exp.Table(this=exp.Identifier(this=f"{mark}_{plan.number}", quoted=True))
            return table, {c.name: c.name for c in plan.columns}

        text = SqlBuilder(leaf).query(residual, names).sql(dialect="duckdb")

        def statement(relations: Mapping[int, str]) -> str:
            result = text
            # Longest numbers first, so that _1 does not match the beginning of _12.
            for number in sorted(relations, reverse=True):
                result = result.replace(f'"{mark}_{number}"', relations[number])
            return result

        shown = text
        for piece in pieces:
            shown = shown.replace(f'"{mark}_{piece.number}"', f"fragment_{piece.number}")
        types = [t.text for _, t in described]
        work = Work(
            pieces,
            statement,
            types,
            materialize=_read_repeatedly(federated.plan) | _joined(federated, pieces, context),
        )
        return work, shown

    # -- fallback -------------------------------------------------------------------------------

    def _fallback(
        self,
        judged: Judged,
        tables: Mapping[TableKey, TableInfo],
        shadows: Mapping[TableKey, list[tuple[str, str]]],
        values: Mapping[str, Any] | Sequence[Any],
        described: list[tuple[str, Type]] | None,
        limit: int | None,
        reason: str,
    ) -> Planned:
        """The engine runs the text itself, over scans pruned to the columns it reads."""
        scanned = self._reference.scanned_columns(judged.sql, shadows, values)
        tag = f"dovetail-{uuid.uuid4().hex[:16]}"
        pieces: list[Piece] = []
        views: list[tuple[TableKey, TableInfo, int, frozenset[str]]] = []
        for number, (key, table) in enumerate(tables.items(), start=1):
            used = frozenset(c.name for c in table.columns)
            if scanned is not None and key in scanned:
                used = frozenset(n.lower() for n in scanned[key])
                used = frozenset(c.name for c in table.columns if c.name.lower() in used)
            used = used or frozenset({table.columns[0].name})
            pieces.append(Piece(number, table.source, _scan_request(table, used, tag)))
            views.append((key, table, number, used))
        setup: list[str] = []
        catalogs = sorted({key[0] for key in tables if key[0]})
        # A two-part name is source.table or schema.table; a schema of the default database
        # serves both.
        setup += [f"ATTACH ':memory:' AS {quote(name)}" for name in catalogs]

        def prepare(relations: Mapping[int, str]) -> list[str]:
            statements: list[str] = []
            schemas: set[tuple[str, str]] = set()
            for key, table, number, used in views:
                catalog, schema, name = key
                target = quote(name)
                if schema:
                    target = f"{quote(schema)}.{target}"
                    if catalog:
                        target = f"{quote(catalog)}.{target}"
                    where = (catalog.lower(), schema.lower())
                    if where not in schemas:
                        schemas.add(where)
                        prefix = f"{quote(catalog)}." if catalog else ""
                        statements.append(f"CREATE SCHEMA IF NOT EXISTS {prefix}{quote(schema)}")
                columns = ", ".join(
                    quote(c.name) if c.name in used else f"NULL::{c.type} AS {quote(c.name)}"
                    for c in table.columns
                )
                # A table, not a view: the text may read it any number of times.
                statements.append(
                    f"CREATE TABLE {target} AS SELECT {columns} FROM {relations[number]}"
                )
            return statements

        text = judged.sql.strip().rstrip(";")
        if limit is not None and judged.statement_kind in ("select", "with", "from", "values"):
            text = f"SELECT * FROM (\n{text}\n) LIMIT {limit}"
        if described is not None:
            names = distinct_names([name for name, _ in described])
            columns = [(n, t.text) for n, (_, t) in zip(names, described, strict=True)]
        else:
            columns = []
        work = Work(
            pieces,
            lambda relations: text,
            [type_ for _, type_ in columns],
            parameters=values or None,
            prepare=prepare,
            schema_setup=setup,
        )
        return Planned(
            judged.sql, work, columns, "fallback", reason, connectors=self._local.connectors
        )


def _scan_request(table: TableInfo, used: frozenset[str], tag: str) -> FragmentRequest:
    columns = [c for c in table.columns if c.name in used]
    for column in columns:
        if column.unreadable is not None:
            raise DataError(
                f"column {table.qualified_name}.{column.name} cannot be read: {column.unreadable}",
                source=table.source,
                table=table.qualified_name,
            )
    outputs = tuple(
        OutputColumn(c.name, c.type, c.native_type, f"{table.qualified_name}.{c.name}")
        for c in columns
    )
    alias = exp.Identifier(this="t1", quoted=True)
    query = exp.Select(
        expressions=[
            exp.Alias(
                this=exp.Column(
                    this=exp.Identifier(this=c.source_name, quoted=True), table=alias.copy()
                ),
                alias=exp.Identifier(this=c.name, quoted=True),
            )
            for c in columns
        ],
        from_=exp.From(
            this=exp.Table(
                this=exp.Identifier(this=table.source_name, quoted=True),
                db=exp.Identifier(this=table.source_schema, quoted=True)
                if table.source_schema
                else None,
                alias=exp.TableAlias(this=alias),
            )
        ),
    )
    scan = TableScan(table, tuple((c.source_name, c.name) for c in columns))
    return FragmentRequest(query, outputs, scan, None, tag)


def materialized(plan: nodes.Plan) -> nodes.Plan:
    """WITH definitions that read fragments are marked so that the engine computes them once."""

    def visit(node: nodes.Plan) -> nodes.Plan:
        if isinstance(node, nodes.With) and node.step is None and node.materialized is not True:
            return nodes.With(node.name, node.definition, node.body, None, node.union_all, True)
        return node

    return transform_plan(plan, visit)


def _joined(
    federated: FederatedPlan, pieces: Sequence[Piece], context: Context
) -> frozenset[int]:
    """Fragments to read into the engine before a join over them is planned.

    The engine knows nothing of the size of a stream or of a query run at a source, and an order
    of joins chosen blindly can be wrong by orders of magnitude (TPC-DS 72 took minutes). Once the
    rows are there it knows their number exactly. Scans that the engine does itself bring their
    own estimates and stay.
    """
    if len(pieces) < 2 or not _joins(federated.plan):
        return frozenset()
    return frozenset(
        piece.number
        for piece in pieces
        if not context.capabilities[piece.source].engine_reads
    )


def _joins(plan: nodes.Plan) -> bool:
    """Whether the residual plan joins anything; subqueries are joins too."""
    return any(
        isinstance(node, nodes.Join) or any(has_subquery(e) for e in node_expressions(node))
        for node in plan.walk()
    )


def _read_repeatedly(plan: nodes.Plan) -> frozenset[int]:
    """Fragments in the repeated part of a recursion: read in every round."""
    found: set[int] = set()

    def collect(node: nodes.Plan) -> nodes.Plan:
        if isinstance(node, nodes.Fragment):
            found.add(node.number)
        return node

    def visit(node: nodes.Plan) -> nodes.Plan:
        if isinstance(node, nodes.With) and node.step is not None:
            transform_plan(node.step, collect)
        return node

    transform_plan(plan, visit)
    return frozenset(found)


def _known(tables: Mapping[TableKey, TableInfo]) -> list[str]:
    return [table.qualified_name for table in tables.values()]


def translated(text: str, dialect: str) -> str:
    """Text in another SQL dialect as DuckDB's.

    Raises:
        QuerySyntaxError: it does not parse there.
        UsageError: the dialect is unknown.
    """
    from sqlglot.dialects.dialect import Dialect

    try:
        Dialect.get_or_raise(dialect)
    except ValueError as error:
        raise UsageError(f'no SQL dialect "{dialect}"; {str(error).splitlines()[0]}') from None
    try:
        trees = parse(text, dialect=dialect)
    except SqlglotError as error:
        details = getattr(error, "errors", None) or [{}]
        first = details[0]
        where = None
        if first.get("line"):
            where = Location(first["line"], first.get("col") or 1)
        raise QuerySyntaxError(
            f"not {dialect} SQL: {first.get('description') or error}", location=where
        ) from None
    return ";\n".join(tree.sql(dialect="duckdb") for tree in trees if tree is not None)


def _checked_parameters(
    judged: Judged, params: Mapping[str, Any] | Sequence[Any] | None
) -> Mapping[str, Any] | Sequence[Any]:
    given: Mapping[str, Any] | Sequence[Any] = params if params is not None else {}
    if isinstance(given, Mapping):
        wanted = {name.lower() for name in judged.parameters}
        have = {str(name).lower() for name in given}
        if judged.positional and not have:
            raise UsageError(f"the query has {len(judged.parameters)} parameters; none is given")
        missing = sorted(wanted - have)
        if missing:
            raise UsageError(f"parameter {', '.join(missing)} has no value", suggestions=missing)
        unused = sorted(have - wanted)
        if unused:
            raise UsageError(
                f"parameter {', '.join(unused)} is not used in the query"
                + (f"; it has {', '.join(judged.parameters)}" if judged.parameters else "")
            )
        return {name: v for name, v in given.items()}
    if len(given) != len(judged.parameters):
        raise UsageError(
            f"the query has {len(judged.parameters)} parameters, {len(given)} are given"
        )
    return given


def _literal(value: Any) -> exp.Expression:
    """A bound parameter as a typed constant of the plan.

    It is a node of the tree, never text: each dialect's generator quotes it.
    """

    def typed(text: str, type_: str) -> exp.Expression:
        return exp.Cast(
            this=exp.Literal.string(text), to=exp.DataType.build(type_, dialect="duckdb")
        )

    match value:
        case None:
            return exp.Null()
        case bool():
            return exp.Boolean(this=value)
        case int():
            for type_, bits in (("INTEGER", 31), ("BIGINT", 63), ("HUGEINT", 127)):
                if -(2**bits) <= value < 2**bits:
                    return typed(str(value), type_)
            raise NotModelled("an integer parameter beyond HUGEINT")
        case float():
            return typed(repr(value), "DOUBLE")
        case Decimal() if value.is_finite():
            _, digits, exponent = value.as_tuple()
            scale = max(0, -int(exponent))
            precision = max(len(digits), scale, len(digits) + max(0, int(exponent)), 1)
            if precision > 38:
                raise NotModelled("a decimal parameter of more than 38 digits")
            return typed(format(value, "f"), f"DECIMAL({precision},{scale})")
        case str():
            return typed(value, "VARCHAR")
        case datetime() if value.tzinfo is not None:
            return typed(
                value.astimezone(timezone.utc).isoformat(sep=" "), "TIMESTAMP WITH TIME ZONE"
            )
        case datetime():
            return typed(value.isoformat(sep=" "), "TIMESTAMP")
        case date():
            return typed(value.isoformat(), "DATE")
        case time() if value.tzinfo is None:
            return typed(value.isoformat(), "TIME")
        case _:
            raise NotModelled(f"a parameter of Python type {type(value).__name__}")


