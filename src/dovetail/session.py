"""The front door: a configured set of sources, an engine and limits.

The life of a query, stage by stage (``Session.sql``):

1. **judge** (:meth:`dovetail.engines.reference.DuckDBReference.judge`): DuckDB's own parser says
   whether the text is one SELECT that may run, and which tables it names.
2. **resolve** (:meth:`dovetail.catalog.catalogs.Catalogs.find`): every table is found in the
   catalog of its source.
3. **describe** (:meth:`~dovetail.engines.reference.DuckDBReference.describe`): DuckDB binds the
   text over empty tables of the declared types; from here on names and types are known good.
4. **bind** (:class:`dovetail.language.sql.bind.Binder`): the text becomes a plan. What the plan
   does not model takes the fallback road: DuckDB runs the text itself over pruned scans.
5. **optimize** (:func:`dovetail.optimize.optimizer.optimize`): the rules rewrite the plan.
6. **federate** (:func:`dovetail.optimize.federate.federate`): the plan is cut into fragments.
7. **run** (:class:`dovetail.execution.run.Run`): fragments are read in parallel from one snapshot
   per source, the engine runs the residual plan, rows stream out with a profile. If that is asked
   for, the rows of an earlier run are taken instead (:class:`dovetail.cache.lookup.Lookup`).
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.catalog.catalogs import Catalogs
from dovetail.catalog.model import TableInfo
from dovetail.connectors import known
from dovetail.connectors.base import Connector, Health
from dovetail.engines.duckdb import DuckDBEngine, EngineLimits
from dovetail.engines.reference import DuckDBReference
from dovetail.errors import StaleCatalogError, UsageError
from dovetail.execution.errors import RefusedPlanError
from dovetail.execution.profile import Profile
from dovetail.execution.result import Result
from dovetail.execution.run import Run, run_query
from dovetail.execution.work import RunLimits
from dovetail.functions.library import Library
from dovetail.planning import Planned, Planner

if TYPE_CHECKING:
    from dovetail.cache.lookup import Lookup
    from dovetail.config import Config
    from dovetail.downloads import Downloads, Web
    from dovetail.explanation import Explanation
    from dovetail.program import Program

Progress = Callable[[Profile], None]


@dataclass(frozen=True)
class SourceStatus:
    """A configured source as listings show it; ``address`` holds no secret."""

    name: str
    kind: str
    address: str
    state: str = "not checked"


@dataclass(frozen=True)
class ColumnDescription:
    """One column of a table or query as ``describe`` shows it."""

    column: str
    type: str
    nullable: bool
    key: str = ""
    comment: str = ""


class Session:
    """One configured set of sources. Thread-safe; close it, or use it in a ``with`` block."""

    def __init__(
        self,
        config: Config,
        *,
        allowed_directories: Sequence[str | Path] = (),
        stdin: str | Path | None = None,
        data: Mapping[str, str | Path] | None = None,
        only_tables: Mapping[str, tuple[str, str | None, str]] | None = None,
        temporary_directory: str | Path | None = None,
        cache_scope: str = "",
        web: Web | None = None,
    ) -> None:
        """``allowed_directories`` are where bare ``'path'`` tables may lie (besides the
        configuration's); ``stdin`` is a file with what the table ``stdin`` holds; ``data`` gives
        further files names. ``only_tables`` maps names to ``(source, schema, table)`` and makes
        these all that a query can see: no other table, no file. The session's private folder is
        made in ``temporary_directory`` (default: the system's). Kept results are found again only
        under the same ``cache_scope``. ``web`` lets a query read addresses (``https://…`` in FROM);
        without it they are refused.
        """
        from dovetail.connectors.extensions import extension_path
        from dovetail.connectors.registry import open_connector

        self.config = config
        self._temporary = tempfile.mkdtemp(prefix="dovetail-", dir=temporary_directory)
        self._cleanup = weakref.finalize(self, shutil.rmtree, self._temporary, True)
        atexit.register(self._cleanup)
        options = {"spool_directory": self._temporary}
        self._connectors: dict[str, Connector] = {
            name: open_connector(name, settings, options)
            for name, settings in config.sources.items()
        }
        limits = config.limits
        self._engine = DuckDBEngine(
            EngineLimits(
                limits.memory,
                limits.threads,
                str(limits.temp_directory or self._temporary),
                limits.temp_space,
            ),
            extension_path,
        )
        self._catalogs = Catalogs({n: c.catalog for n, c in self._connectors.items()})
        self._reference: DuckDBReference | None = None
        self._planner: Planner | None = None
        self._lock = threading.Lock()
        self._running: weakref.WeakSet[Run] = weakref.WeakSet()
        self._directories = tuple(
            Path(d).resolve() for d in (*config.allowed_directories, *allowed_directories)
        )
        self._stdin = None if stdin is None else Path(stdin)
        self._data = dict(data or {})
        self._web = web
        self._only_tables = only_tables
        self._cache_scope = cache_scope
        self._closed = False

    @staticmethod
    def open(config: str | Path | Mapping[str, Any] | None = None, **overrides: Any) -> Session:
        """A session from a configuration file, a dict of the same shape, or nothing at all."""
        from dovetail.config import Config
        from dovetail.config_load import load

        limits = overrides.pop("limits", None)
        profile = overrides.pop("profile", None)
        if config is None:
            loaded = Config()
        elif isinstance(config, Config):
            loaded = config
        else:
            loaded = load(config, profile=profile)
        if limits:
            changed = loaded.limits.model_copy(update=dict(limits))
            loaded = loaded.model_copy(update={"limits": changed})
        return Session(loaded, **overrides)

    # -- queries --------------------------------------------------------------------------------

    def sql(
        self,
        text: str,
        params: Mapping[str, Any] | Sequence[Any] | None = None,
        *,
        dialect: str = "duckdb",
        limit: int | None = None,
        timeout: float | None = None,
        rules: bool | Collection[str] = True,
        pushdown: Mapping[str, str] | None = None,
        cache: bool | float | None = None,
        on_progress: Progress | None = None,
        on_start: Callable[[Callable[[], None]], None] | None = None,
    ) -> Result:
        """Run one query and return its rows as a stream.

        ``limit`` cuts the result after so many rows and is put on the plan, so fewer rows leave
        the sources. ``timeout`` in seconds overrides the configured one. ``rules`` False runs
        without any pushdown; names of rules leave those out. ``pushdown`` overrides, per source,
        what the configuration says of it: ``cost``, ``always`` or ``never``. ``cache`` True takes
        the rows of an earlier run that the configuration does not call too old, or keeps those of
        this one; a number of seconds says itself what is too old, False does neither (default: as
        configured, see ``docs/cache.md``). ``on_progress`` is
        called with the profile, from any thread, when the fragments begin, ten times a second
        at most, and once at the end; what it raises ends the query and comes out of the result.
        ``on_start`` is given a function that cancels the run, from any thread, before there is a
        result to cancel.

        Raises:
            DovetailError: see :mod:`dovetail.errors`.
        """
        refused, refreshed = "", False
        form: bool | Collection[str] | None = rules
        while True:
            started = time.perf_counter()
            planned = self._plan(text, params, dialect, limit, form, pushdown, refused)
            profile = Profile(planning_milliseconds=(time.perf_counter() - started) * 1e3)
            profile.road, profile.fallback_reason = planned.road, planned.reason or refused
            lookup = self._lookup(planned, cache)
            if lookup is not None:
                max_rows = self.config.limits.max_rows
                kept = lookup.find(profile, max_rows, on_progress, on_start)
                if kept is not None:
                    return kept
            try:
                result = self._run(planned, profile, timeout, on_progress, on_start)
                return result if lookup is None else lookup.record(result)
            except RefusedPlanError as error:
                # Then without rules, at last as it is written: that the engine has taken already.
                form = None if form is False else False
                refused = f"the engine refuses the optimized plan: {error.message}"
            except StaleCatalogError:
                # The source changed since its catalog was read: it is read again, once.
                if refreshed:
                    raise
                refreshed = True

    def rules(
        self,
        program: str,
        goal: str | None = None,
        params: Mapping[str, Any] | None = None,
        *,
        result: int | None = None,
        limit: int | None = None,
        timeout: float | None = None,
        rules: bool | Collection[str] = True,
        on_progress: Progress | None = None,
        on_start: Callable[[Callable[[], None]], None] | None = None,
        **options: Any,
    ) -> Result:
        """Run a goal of a rules program, or the one goal that its text holds.

        ``result`` chooses among several goals of the text, from 1. ``options`` are those of
        :class:`dovetail.program.Program`; the others are as in :meth:`sql`.

        Raises:
            RulesError: every mistake in the program, or in the goal.
        """
        return self.program(program, params, **options).run(
            goal,
            result=result,
            limit=limit,
            timeout=timeout,
            rules=rules,
            on_progress=on_progress,
            on_start=on_start,
        )

    def load_rules(
        self,
        name: str,
        program: str,
        params: Mapping[str, Any] | None = None,
        *,
        folder: str | Path | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> list[str]:
        """Offer the predicates of a program to SQL as ``rules.<name>.<predicate>``.

        A predicate that only one loaded program has is also ``rules.<predicate>``. Returns the
        names of the predicates.

        Raises:
            RulesError: every mistake in the program.
        """
        from dovetail.program import load

        return load(self._open_planner(), name, program, params, folder, limits, self._directories)

    def program(
        self, text: str | bytes, params: Mapping[str, Any] | None = None, **options: Any
    ) -> Program:
        """A rules program, parsed and checked.

        Raises:
            RulesError: every mistake in it.
        """
        from dovetail.program import Program

        return Program(self, text, params, **options)

    def explain(
        self,
        text: str,
        params: Mapping[str, Any] | Sequence[Any] | None = None,
        *,
        analyze: bool = False,
        dialect: str = "duckdb",
        rules: bool | Collection[str] = True,
        pushdown: Mapping[str, str] | None = None,
        cache: bool | float | None = None,
        timeout: float | None = None,
        on_start: Callable[[Callable[[], None]], None] | None = None,
    ) -> Explanation:
        """The plan of a query; with ``analyze`` the query runs and the profile is added.

        ``timeout`` and ``on_start`` are for that run, as in :meth:`sql`. It never takes kept rows,
        nor keeps its own; with ``cache`` the explanation says whether :meth:`sql` would.
        """
        from dovetail.explanation import Explanation

        started = time.perf_counter()
        planned = self._plan(text, params, dialect, None, rules, pushdown)
        planning = (time.perf_counter() - started) * 1e3
        sent = {
            piece.number: self._connectors_of(planned)[piece.source].render(piece.request)
            for piece in planned.work.pieces
        }
        lookup = self._lookup(planned, cache)
        kept = None if lookup is None else lookup.to_dict()
        profile = None
        if analyze:
            with self.sql(
                text,
                params,
                dialect=dialect,
                rules=rules,
                pushdown=pushdown,
                cache=False,
                timeout=timeout,
                on_start=on_start,
            ) as result:
                for _ in result.batches():
                    pass
                profile = result.profile
        return Explanation(planned, sent, planning, profile, kept)

    def _plan(
        self,
        text: str,
        params: Mapping[str, Any] | Sequence[Any] | None,
        dialect: str,
        limit: int | None,
        rules: bool | Collection[str] | None,
        pushdown: Mapping[str, str] | None,
        refused: str = "",
    ) -> Planned:
        """Plan with all rules, those left that are not named, or none; with None not at all, since
        plans of this text are ``refused``.
        """
        return self._open_planner().plan(
            text,
            params,
            dialect=dialect,
            limit=limit,
            rules=rules not in (False, None),
            disabled=frozenset(() if rules is None or isinstance(rules, bool) else rules),
            pushdown=pushdown,
            refused=refused if rules is None else "",
        )

    def _lookup(self, planned: Planned, cache: bool | float | None) -> Lookup | None:
        """The query's place in the cache, or None when it is not to be used."""
        settings = self.config.cache
        wanted = settings.enabled if cache is None else cache
        if wanted is False:
            return None
        max_age = settings.max_age if wanted is True else float(wanted)
        if not max_age > 0:
            raise UsageError(f"cache takes True, False or seconds above 0, not {cache!r}")
        from dovetail.cache.lookup import Lookup, store_of

        return Lookup(
            store_of(settings),
            planned,
            self._connectors_of(planned),
            self._open_planner().unrepeatable(planned),
            max_age=max_age,
            scope=self._cache_scope,
        )

    def _open_planner(self) -> Planner:
        with self._lock:
            if self._closed:
                raise UsageError("the session is closed")
            if self._planner is None:
                library = self._macros()
                self._reference = DuckDBReference(library)
                self._planner = Planner(
                    self._reference,
                    self._catalogs,
                    self._connectors,
                    directories=self._directories,
                    stdin=self._stdin,
                    data=self._data,
                    only_tables=self._only_tables,
                    spool_directory=self._temporary,
                    library=library,
                    downloads=self._downloads(),
                )
            return self._planner

    def _downloads(self) -> Downloads | None:
        if self._web is None:
            return None
        from dovetail.downloads import Downloads

        limits = self.config.limits
        return Downloads(
            self._web,
            Path(self._temporary),
            most_bytes=limits.max_download,
            timeout=limits.timeout,
        )

    def _macros(self) -> Library:
        if not self.config.macros:
            return Library()
        from dovetail.functions.own import own_macros

        return own_macros(self.config.macros)

    def _connectors_of(self, planned: Planned) -> Mapping[str, Connector]:
        return {**self._connectors, **planned.connectors}

    def _run(
        self,
        planned: Planned,
        profile: Profile,
        timeout: float | None,
        on_progress: Progress | None,
        on_start: Callable[[Callable[[], None]], None] | None,
    ) -> Result:
        def started(run: Run) -> None:
            self._running.add(run)
            if on_start is not None:
                on_start(run.cancel)

        def failed(error: BaseException) -> None:
            # Once rows are out the query cannot begin again, but the next one will be right.
            if isinstance(error, StaleCatalogError):
                self._catalogs.refresh(error.source)

        limits = self.config.limits
        return run_query(
            self._engine,
            self._connectors_of(planned),
            planned.work,
            RunLimits(
                timeout if timeout is not None else limits.timeout,
                limits.max_rows,
                limits.max_bytes_moved,
            ),
            profile,
            on_progress,
            started,
            failed,
        )

    # -- looking around -------------------------------------------------------------------------

    def sources(self) -> list[SourceStatus]:
        """The configured sources, without connecting."""
        return [
            SourceStatus(name, settings.kind, _address(settings))
            for name, settings in self.config.sources.items()
        ]

    def check(self, source: str) -> Health:
        """Look at one source now."""
        name = self._catalogs.source_name(source)
        if name is None:
            self._catalogs.get(source)  # raises, with near names
        assert name is not None
        return self._connectors[name].check()

    def tables(self, source: str | None = None, pattern: str | None = None) -> list[TableInfo]:
        """Tables of one source or of all; ``pattern`` is a glob over ``source.schema.table``."""
        from fnmatch import fnmatchcase

        catalogs = [self._catalogs.get(source)] if source is not None else self._catalogs.all()
        found = [table for catalog in catalogs for table in catalog.tables]
        if pattern is None:
            return found
        wanted = pattern.lower()
        return [
            t
            for t in found
            if any(
                fnmatchcase(name.lower(), wanted)
                for name in (t.qualified_name, f"{t.source}.{t.name}", t.name)
            )
        ]

    def describe(self, name_or_sql: str) -> list[ColumnDescription]:
        """Columns of a table, a file (a quoted path) or a query."""
        table = self._open_planner().table_named(name_or_sql)
        if table is not None:
            return [
                ColumnDescription(
                    column.name,
                    column.type.text,
                    column.nullable,
                    "primary" if column.name in table.primary_key else "",
                    column.comment,
                )
                for column in table.columns
            ]
        planned = self._plan(name_or_sql, None, "duckdb", None, True, None)
        return [ColumnDescription(name, type_, True) for name, type_ in planned.columns]

    def refresh(self, source: str | None = None) -> None:
        """Read the catalog of one source, or of all, anew on next use; then addresses too."""
        self._catalogs.refresh(source)
        for name, connector in self._connectors.items():
            if source is None or name.lower() == source.lower():
                known.forget(connector.login)
        if source is None and self._planner is not None:
            self._planner.refresh()

    # -- end ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Cancel what runs, close connections, remove temporary files. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for run in list(self._running):
            run.close()
        self._engine.close()
        for connector in self._connectors.values():
            connector.close()
        if self._planner is not None:
            self._planner.close()
        if self._reference is not None:
            self._reference.close()
        self._cleanup()
        atexit.unregister(self._cleanup)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _address(settings: Any) -> str:
    """Where a source is, for people: no user, no secret."""
    path = getattr(settings, "path", None)
    if path is not None:
        return str(path)
    socket = getattr(settings, "socket", None)
    place = str(socket) if socket is not None else f"{settings.host}:{settings.port}"
    return f"{place}/{settings.database}" if settings.database else place
