"""The planner: stages one to six of the life of a query in :mod:`dovetail.session`."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sqlglot import exp, parse
from sqlglot.errors import SqlglotError

from dovetail.catalog.catalogs import Catalogs
from dovetail.catalog.model import TableInfo, distinct_names
from dovetail.connectors.base import Connector
from dovetail.engines.reference import DuckDBReference
from dovetail.errors import DovetailError, QuerySyntaxError, RefusedError, UsageError
from dovetail.execution import speeds
from dovetail.functions.library import Library
from dovetail.language.sql.bind import Binder
from dovetail.language.sql.judge import Judged, TableRef
from dovetail.language.sql.scope import Names, NotModelled
from dovetail.local_tables import LocalTables
from dovetail.optimize.cardinality import Cardinality
from dovetail.optimize.context import Context
from dovetail.optimize.federate import federate
from dovetail.optimize.optimizer import optimize
from dovetail.plan import nodes
from dovetail.planning.database_paths import database_paths
from dovetail.planning.facts import SourceFacts
from dovetail.planning.fallback import fallback
from dovetail.planning.only_tables import OnlyTables
from dovetail.planning.parameters import checked_parameters, frozen, literal, translated
from dovetail.planning.planned import Planned, TableKey
from dovetail.planning.streaming import Cut, cut_off, streamed
from dovetail.planning.work import retagged, work_of
from dovetail.quoting import quote
from dovetail.types import Type

if TYPE_CHECKING:
    from dovetail.connectors.files_lines import LinesConnector
    from dovetail.connectors.open_lines import OpenLines
    from dovetail.downloads import Downloads
    from dovetail.planning.rule_tables import RuleTables

_Key = tuple[
    str, int | None, bool, frozenset[str], tuple[tuple[str, str], ...], bool, tuple[Any, ...] | None
]
_KEPT_PLANS = 256
_PUSHDOWN = ("cost", "always", "never")


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
        data: Mapping[str, str | Path],
        only_tables: Mapping[str, tuple[str, str | None, str]] | None = None,
        spool_directory: str,
        library: Library | None = None,
        downloads: Downloads | None = None,
    ) -> None:
        self._reference = reference
        self._library = library or Library()
        self._catalogs = catalogs
        self._connectors = connectors
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Key, tuple[dict[TableKey, TableInfo], Planned]] = OrderedDict()
        self._local = LocalTables(
            directories, stdin, data, spool_directory, catalogs.sources, downloads
        )
        self._rules: RuleTables | None = None
        self._only = None if only_tables is None else OnlyTables(only_tables, catalogs)

    def refresh(self) -> None:
        """Fetch addresses again on next use."""
        self._local.refresh()

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
        pushdown: Mapping[str, str] | None = None,
        refused: str = "",
    ) -> Planned:
        """Judge, resolve, describe, bind, optimize and federate.

        ``refused`` says why the engine does not take the plan of this text in any form: then the
        text is given to it as it is written.

        Raises:
            QueryError: the text is refused or has no meaning.
            UsageError: parameters are missing or left over.
            SourceError: a catalog could not be read.
        """
        if dialect != "duckdb":
            text = translated(text, dialect)
        judged = self._judged(text)
        values = checked_parameters(judged, params)
        self._refuse_foreign_calls(judged)
        read: dict[TableKey, TableInfo] = {}
        if judged.files and self._only is not None:
            raise self._only.no_file(judged.files[0])
        if judged.files:
            # From here on a call like read_csv('…') is a table with a name of its own.
            names = [f"dovetail_{uuid.uuid4().hex}" for _ in judged.files]
            read = {
                ("", "", name): self._local.function(call)
                for name, call in zip(names, judged.files, strict=True)
            }
            judged = self._reference.judge(judged.with_files([quote(name) for name in names]))
        tables = {
            ref.key: read[ref.key] if ref.key in read else self._table(ref) for ref in judged.tables
        }
        chosen = self._pushdown(pushdown)
        key = (judged.sql, limit, rules, disabled, chosen, bool(refused), frozen(values))
        known = self._recall(key, tables)
        if known is not None:
            return known
        shadows = {
            key: [(column.name, column.type.text) for column in table.columns]
            for key, table in tables.items()
        }
        written = judged
        if judged.macro_calls:
            judged = self._expanded(judged)
        # Names, types and errors are those of the text as it is written, macros and all.
        described = self._reference.describe(
            written.sql, shadows, values, known_tables=_known(tables)
        )
        try:
            if refused:
                raise NotModelled(refused)
            planned = self._modelled(
                judged, tables, values, described, limit, rules, disabled, dict(chosen)
            )
        except NotModelled as reason:
            planned = fallback(
                judged,
                tables,
                values,
                described,
                limit,
                str(reason),
                self._reference.scanned_columns(judged.sql, shadows, values),
                self._local.connectors,
                rename=bool(written.macro_calls),
            )
        planned = replace(planned, judged=judged, tables=tuple(tables.values()))
        self._remember(key, tables, planned)
        return planned

    def unrepeatable(self, planned: Planned) -> str:
        """Why a later run of a query over the same data may answer otherwise; empty if it may not.

        What a view or a generated column of a server calls is not looked at.
        """
        if planned.judged is None:
            return "it is a goal of rules"
        if planned.judged.statement_kind == "describe":
            return "it reads a catalog"
        reasons = (self._unrepeatable_table(table) for table in planned.tables)
        return planned.judged.unrepeatable or next(filter(None, reasons), "")

    def _unrepeatable_table(self, table: TableInfo) -> str:
        if table.kind == "rule":
            return f"{table.qualified_name} is made by rules"
        if table.details.get("computed"):
            return f"{table.qualified_name} has generated columns"
        connector = self._connectors.get(table.source) or self._local.connectors[table.source]
        if table.kind != "view" or not connector.local:
            return ""
        definition = table.details.get("definition")
        if not isinstance(definition, str) or table.source not in self._connectors:
            return f"{table.qualified_name} is a view, which may read the clock"
        judged = self._reference.judge_view(definition)
        if judged.unrepeatable:
            return f"{table.qualified_name} is a view, and {judged.unrepeatable}"
        catalog = self._catalogs.get(table.source)
        inner = (catalog.table(ref.schema or table.schema, ref.name) for ref in judged.tables)
        reasons = (self._unrepeatable_table(table) for table in inner if table is not None)
        return next(filter(None, reasons), "")

    def _pushdown(self, given: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
        """What cost must not decide, per source: as configured, and as given for this query."""
        chosen = {
            name: str(getattr(connector.settings, "pushdown", "cost"))
            for name, connector in self._connectors.items()
        }
        for name, wanted in (given or {}).items():
            source = self._catalogs.source_name(name)
            if source is None:
                listed = ", ".join(self._connectors) or "there is none"
                raise UsageError(f'no source "{name}" to set pushdown for; sources: {listed}')
            if wanted not in _PUSHDOWN:
                raise UsageError(
                    f'pushdown of {source} may be {", ".join(_PUSHDOWN)}, not "{wanted}"'
                )
            chosen[source] = wanted
        return tuple(sorted((name, how) for name, how in chosen.items() if how != "cost"))

    def _judged(self, text: str) -> Judged:
        try:
            return self._reference.judge(text)
        except QuerySyntaxError:
            # DuckDB's grammar has no 'db.sqlite'.table; the same with double quotes it has.
            rewritten = database_paths(text)
            if rewritten == text:
                raise
            return self._reference.judge(rewritten)

    def _expanded(self, judged: Judged) -> Judged:
        """The same with the bodies of macros in place of their calls."""
        from dovetail.functions.expand import expand

        text = expand(judged, self._library, self._reference.judge)
        # What the user may not write, a body does not do: it is judged like any other text.
        return self._reference.judge(text)

    def _recall(self, key: _Key, tables: Mapping[TableKey, TableInfo]) -> Planned | None:
        """The plan made before for the same text over the same tables, under a new tag."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            self._kept.move_to_end(key)
        planned_for, planned = kept
        if planned_for.keys() != tables.keys() or any(
            planned_for[name] is not table
            and (planned_for[name] != table or planned_for[name].changed())
            for name, table in tables.items()
        ):
            return None
        return replace(planned, work=retagged(planned.work))

    def _remember(self, key: _Key, tables: Mapping[TableKey, TableInfo], planned: Planned) -> None:
        if key[-1] is None or any(table.kind == "rule" for table in tables.values()):
            return
        with self._lock:
            self._kept[key] = (dict(tables), planned)
            if len(self._kept) > _KEPT_PLANS:
                self._kept.popitem(last=False)

    def _table(self, ref: TableRef) -> TableInfo:
        if self._only is not None:
            table = self._only.find(ref)
            self._check_view(table, frozenset())
            return table
        parts = tuple(part for part in ref.key if part)
        rule = self._rules.find(parts) if self._rules is not None else None
        if rule is not None:
            return rule
        local = self._local.find(parts, ref.location, self._catalogs)
        if local is not None:
            self._check_view(local, frozenset())
            return local
        table = self._catalogs.find(parts, ref.location)
        self._check_view(table, frozenset())
        return table

    def _check_view(self, table: TableInfo, above: frozenset[str]) -> None:
        """A view inside a file that the engine reads may only do what a query may.

        Raises:
            RefusedError: it calls what a query may not, or reads beyond its own source.
        """
        definition = table.details.get("definition")
        if not isinstance(definition, str) or table.qualified_name in above:
            return
        view = self._local.qualified_name(table)
        try:
            judged = self._reference.judge_view(definition)
        except DovetailError as error:
            raise RefusedError(
                f"view {view} cannot be read: {error.message}",
                source=table.source,
                table=view,
            ) from None
        local = self._local.connectors.get(table.source)
        catalog = self._catalogs.get(table.source) if local is None else local.catalog()
        for ref in judged.tables:
            inner = catalog.table(ref.schema or table.schema, ref.name)
            if judged.files or inner is None:
                raise RefusedError(
                    f"view {view} cannot be read: {ref.text} is no table of its own database",
                    source=table.source,
                    table=view,
                )
            self._check_view(inner, above | {table.qualified_name})

    # -- what rules ask for ---------------------------------------------------------------------

    @property
    def reference(self) -> DuckDBReference:
        """The reference semantics of this session."""
        return self._reference

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the configured sources."""
        return self._catalogs.sources

    @property
    def spool_directory(self) -> Path:
        """The session's private folder."""
        return self._local.spool_directory

    @property
    def rules(self) -> RuleTables:
        """The programs of rules that SQL may read."""
        if self._rules is None:
            from dovetail.planning.rule_tables import RuleTables

            self._rules = RuleTables(self)
        return self._rules

    def source_named(self, name: str) -> str | None:
        """The configured spelling of a source name, or None."""
        return self._catalogs.source_name(name)

    def find(self, parts: tuple[str, ...]) -> TableInfo:
        """The table that the parts of a name mean, as in FROM."""
        catalog, schema, name = ("", "", *parts)[-3:]
        return self._table(TableRef(catalog, schema, name))

    def file(self, path: str, format: str | None, options: Mapping[str, Any]) -> TableInfo:
        """The table of a path as in FROM, or read by the options of a ``read_…`` call."""
        if self._only is not None:
            raise RefusedError(
                f"{path}: files cannot be read here, only datasets and configured sources"
            )
        return self._local.file(path, format, options)

    def stdin(self) -> TableInfo | None:
        """Standard input as a table, or None when the session has none."""
        return None if self._only is not None else self._local.stdin()

    def open_stdin(self) -> tuple[OpenLines, LinesConnector] | None:
        """Standard input as JSON lines that still come, and their source; None when it is not."""
        return None if self._only is not None else self._local.open_stdin()

    def has_more(self) -> bool:
        """Whether standard input, begun as a stream, is still open."""
        return self._local.has_more()

    def bind(self, text: str, names: Names) -> tuple[nodes.Plan, list[str]]:
        """The plan of a SELECT inside another query, with columns named by ``names``.

        Raises:
            NotModelled: the plan has no place for it.
        """
        judged = self._judged(text)
        self._refuse_foreign_calls(judged)
        tables = {ref.key: self._table(ref) for ref in judged.tables}
        if judged.files or judged.parameters:
            raise NotModelled("reader calls and parameters")
        shadows = {key: [(c.name, c.type.text) for c in t.columns] for key, t in tables.items()}
        described = self._reference.describe(judged.sql, shadows, known_tables=_known(tables))
        if described is None:
            raise NotModelled("its columns are known only when it runs")
        if judged.macro_calls:
            judged = self._expanded(judged)
        bound = self._bound(judged, tables, {}, described, names)
        return bound, distinct_names([name for name, _ in described])

    def table_named(self, written: str) -> TableInfo | None:
        """The table a bare name or quoted path means, or None when the text is a query."""
        stripped = written.strip()
        path = stripped[1:-1] if stripped[:1] == "'" == stripped[-1:] else stripped
        if path == stripped and any(c.isspace() for c in stripped):
            return None
        try:
            judged = self._reference.judge(f"SELECT * FROM {stripped}")
        except DovetailError:
            if self._only is not None:
                raise
            local = self._local.find((path,), None, self._catalogs)
            if local is not None:
                return local
            raise
        if len(judged.tables) != 1:
            return None
        return self._table(judged.tables[0])

    def _refuse_foreign_calls(self, judged: Judged) -> None:
        # Sources and the names under which the engine attaches them: their macros are not judged.
        attached = {
            f"source_{name}".lower() for name in (*self._connectors, *self._local.connectors)
        }
        for qualifier in judged.call_qualifiers:
            first = qualifier.split(".")[0].lower()
            lane = first.startswith("lane:")
            if lane or first in attached or self._catalogs.source_name(first) is not None:
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
        pushdown: Mapping[str, str],
    ) -> Planned:
        if described is None:
            raise NotModelled("its columns are known only when it runs")
        bound = self._bound(judged, tables, values, described)
        return self.finish(judged.sql, bound, described, limit, rules, disabled, pushdown)

    def _bound(
        self,
        judged: Judged,
        tables: Mapping[TableKey, TableInfo],
        values: Mapping[str, Any] | Sequence[Any],
        described: list[tuple[str, Type]],
        names: Names | None = None,
    ) -> nodes.Plan:
        if judged.statement_kind not in ("select", "with", "from", "values"):
            raise NotModelled(judged.statement_kind.upper())
        if judged.positional or not isinstance(values, Mapping):
            raise NotModelled("positional parameters")
        tree = self._parsed(judged)
        literals = {name.lower(): literal(value) for name, value in values.items()}
        by_parts = {tuple(p.lower() for p in key if p): table for key, table in tables.items()}

        def resolve(parts: tuple[str, ...]) -> TableInfo:
            found = by_parts.get(tuple(part.lower() for part in parts))
            if found is None:
                raise NotModelled(f"table {'.'.join(parts)} seen otherwise by DuckDB")
            return found

        binder = Binder(resolve, self._reference, literals)
        binder.names = names or binder.names
        bound = self._as_described(binder, binder.bind(tree).plan, described)
        return bound if self._rules is None else self._rules.expanded(bound, binder.names)

    def finish(
        self,
        text: str,
        bound: nodes.Plan,
        described: list[tuple[str, Type]],
        limit: int | None = None,
        rules: bool = True,
        disabled: frozenset[str] = frozenset(),
        pushdown: Mapping[str, str] | None = None,
        stream: str | None = None,
    ) -> Planned:
        """Optimize and federate a bound plan, whatever language ``text`` is written in.

        ``described`` are its output columns as they are to be called. ``stream`` names a source
        that is read batch by batch.

        Raises:
            NeedsAllRows: the plan has no answer before the last row of ``stream``.
        """
        names = distinct_names([name for name, _ in described])
        if limit is not None:
            bound = nodes.Limit(bound, limit)
        cut = Cut()
        if stream is not None:
            bound, cut = cut_off(bound)
            # Keys that a batch teaches are not those of the whole stream.
            disabled |= {"dynamic_filters"}
        connectors = {**self._connectors, **self._local.connectors}
        context = Context(
            self._reference,
            {name: connector.capabilities for name, connector in connectors.items()},
            disabled,
            push=rules,
            pushdown=dict(self._pushdown(pushdown)),
            cardinality=Cardinality(SourceFacts(connectors)),
            measured=lambda source: speeds.of(connectors[source].place or ""),
        )
        plan, trace = optimize(bound, context) if rules else (bound, [])
        federated = federate(plan, context)
        work, residual = work_of(federated, names, described, context)
        if stream is not None:
            work, residual = streamed(work, federated, stream, names, cut)
        return Planned(
            text,
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
        if not self._reference.same_meaning(judged, tree.sql(dialect="duckdb")):
            raise NotModelled("syntax that is read in two ways")
        return cast(exp.Expression, tree)

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


def _known(tables: Mapping[TableKey, TableInfo]) -> list[str]:
    return [table.qualified_name for table in tables.values()]
