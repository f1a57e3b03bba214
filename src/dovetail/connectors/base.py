"""The contract every connector keeps.

A *connector* lives as long as its session and knows one source. For each query that touches the
source it opens one :class:`Snapshot`: all fragments of that query on that source are read from
it, so they see one consistent state. A fragment reaches the engine on one of two roads:

* **native**: the engine reads the source itself (an attached database, ``read_parquet``). The
  snapshot returns a :class:`NativeRelation`, SQL that may stand in a FROM clause of the engine.
* **stream**: the snapshot returns Arrow record batches plus, per column, a decode expression that
  the engine applies (for values that travel as text because the reader cannot carry their type).

Everything a connector raises is a :class:`dovetail.errors.SourceError` that names the source, or
a :class:`dovetail.errors.DataError` that names table and column; driver messages pass through
:func:`dovetail.secrets.redact` first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from sqlglot import exp

from dovetail.catalog.model import ColumnStatistics, SourceCatalog, TableInfo
from dovetail.connectors.file_state import FileState
from dovetail.errors import DATA_MARK, SourceUnavailableError
from dovetail.quoting import sql_string
from dovetail.types import Type

if TYPE_CHECKING:
    import pyarrow as pa

    from dovetail.connectors.capabilities import Capabilities


SMALL_ROWS = 20_000
"""A fragment of so few rows is read without a second thought: one thread, one connection."""


@dataclass(frozen=True)
class OutputColumn:
    """A column that a fragment delivers.

    ``name`` is its name in the fragment's SELECT list, in the stream and in the native relation.
    ``type`` is what the residual plan sees and what must come out exactly. ``native_type`` is the
    source's declared type when the column comes straight from a table, else None (computed).
    ``label`` names it in messages: ``shop.public.orders.total``.
    """

    name: str
    type: Type
    native_type: str | None = None
    label: str = ""


@dataclass(frozen=True)
class TableScan:
    """What a fragment is when it is one table, some of its columns, and nothing else.

    ``columns`` holds ``(source column name, output name)`` pairs, in output order.
    """

    table: TableInfo
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FragmentRequest:
    """A fragment as the planner hands it to a connector.

    ``query`` is a complete SELECT in the source's dialect (translated by the capability table)
    whose output columns are ``columns``, in that order and by those names, *before* wire encoding.
    ``scan`` is set when the fragment is a bare table scan; ``filtered_scan`` when it is one table
    with filters on top and nothing else. ``tag`` is unique per query; connectors put it into a
    leading comment of the SQL so that a running statement can be found and cancelled. ``rows`` is
    how many the planner expects, after the keys it will be given.
    """

    query: exp.Query
    columns: tuple[OutputColumn, ...]
    scan: TableScan | None = None
    filtered_scan: TableScan | None = None
    tag: str = ""
    rows: float | None = None


@dataclass(frozen=True)
class Wire:
    """How one column travels when a reader cannot carry its type exactly.

    ``encode`` wraps the column's expression inside the fragment (source dialect), or is None when
    it travels as it is. ``decode`` is a DuckDB expression with ``{0}`` for the received column
    that yields exactly the declared type, or None when a plain cast to the type is enough.
    """

    encode: Callable[[exp.Expression], exp.Expression] | None = None
    decode: str | None = None


@dataclass(frozen=True)
class NativeRelation:
    """SQL for the engine's FROM clause, yielding the request's columns by name, types exact.

    ``sql`` is a complete parenthesised SELECT or a table expression. ``described_as`` is what
    EXPLAIN and the profile show: the SQL as the source will see it. ``parallel`` is whether several
    threads of the engine can share the reading.
    """

    sql: str
    described_as: str
    parallel: bool = False


@dataclass
class Stream:
    """Arrow batches of a fragment. ``decode[i]`` is a DuckDB expression over ``{0}`` or None.

    Columns come in the request's order under the request's names.
    """

    reader: pa.RecordBatchReader
    decode: tuple[str | None, ...]


@dataclass(frozen=True)
class NativeSetup:
    """What an engine instance runs before it locks down, so that it can read the source natively.

    ``statements`` may contain secrets: they are executed, never logged or shown. ``{alias}`` in
    them stands for the quoted database alias and ``{instance}`` for a name unique to the engine
    instance (to be used as the application name, so that :meth:`Connector.cancel_native` finds
    its statements). ``extensions`` are names of bundled extensions, ``postgres_scanner`` etc.
    """

    extensions: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    allowed_paths: tuple[str, ...] = ()
    allowed_directories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Estimate:
    """A source's own guess for a fragment. ``cost`` is in the source's units; None is unknown."""

    rows: float | None = None
    row_bytes: float | None = None
    cost: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class Health:
    """What ``doctor`` and ``sources --check`` show of one source.

    ``problem`` is None when all is well. Times in seconds, throughput in bytes per second.
    """

    reachable: bool
    authenticated: bool
    version: str = ""
    read_only: bool | None = None
    tls: bool | None = None
    round_trip: float | None = None
    throughput: float | None = None
    clock_skew: float | None = None
    problem: str | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)


class Snapshot(ABC):
    """One query's consistent, read-only view of one source. Not shared between queries.

    Methods may be called from several threads; ``cancel`` and ``close`` at any time, repeatedly.
    """

    def plan_native(self, requests: list[FragmentRequest]) -> None:  # noqa: B027
        """Called once with every fragment of the query on this source, before :meth:`native`."""

    @abstractmethod
    def native(self, request: FragmentRequest, alias: str) -> NativeRelation | None:
        """The fragment as a relation of the engine, or None to use :meth:`read`.

        ``alias`` is the database alias under which the engine attached the source.
        """

    @abstractmethod
    def read(self, request: FragmentRequest) -> Stream:
        """Start the fragment and return its batches. Must not read the whole result first."""

    def begin_native(self, execute: Callable[[str], list[tuple[Any, ...]]], alias: str) -> None:  # noqa: B027
        """Called inside the engine's transaction before native relations are read.

        A connector may run set-up SQL there (``execute`` runs it on the engine connection).
        """

    def prepare(  # noqa: B027
        self, requests: list[FragmentRequest], later: Sequence[FragmentRequest] = ()
    ) -> None:
        """Called once with every *stream* fragment of the query before the first ``read``.

        ``later`` are streams that are read after the engine's transaction has ended.
        """

    def stay(self) -> None:  # noqa: B027
        """Called before the engine's transaction ends: keep what reading ``later`` will need."""

    @abstractmethod
    def cancel(self) -> None:
        """End the work at the source: no statement of this snapshot is left running there."""

    @abstractmethod
    def close(self) -> None:
        """Give back connections. After ``close`` nothing of this snapshot is open."""

    def warnings(self) -> tuple[str, ...]:
        """Documented conversions that happened, with counts (zero dates read as NULL, …)."""
        return ()


class Connector(ABC):
    """One configured source. Thread-safe; opening one does not connect yet."""

    kind: ClassVar[str]
    dialect: ClassVar[str]  # the sqlglot dialect that fragments are written in

    def __init__(self, name: str, settings: Any, options: Mapping[str, Any] | None = None) -> None:
        """``settings`` is the validated model of ``dovetail.config`` for this kind.

        ``options``: ``spool_directory`` (private temp folder of the session).
        """
        self.name = name
        self.settings = settings
        self.options = dict(options or {})

    @property
    def local(self) -> bool:
        """Whether the data lies in files that this process reads: then nothing is moved."""
        return getattr(self.settings, "path", None) is not None

    @property
    def place(self) -> str | None:
        """The server that rows come from, as far as it decides about their speed; None is none."""
        host, port = (getattr(self.settings, name, None) for name in ("host", "port"))
        return f"{self.kind} {host}:{port}" if host else None

    @property
    def login(self) -> tuple[object, ...]:
        """The server's database as it is seen by the user who logs in there."""
        names = ("host", "port", "socket", "database", "user")
        return (self.kind, *(getattr(self.settings, name, None) for name in names))

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What may be pushed to this source without changing the answer."""

    @abstractmethod
    def catalog(self) -> SourceCatalog:
        """Read the whole catalog from the source."""

    @abstractmethod
    def check(self) -> Health:
        """Look at the source now; never raises for a source that is down."""

    @abstractmethod
    def render(self, request: FragmentRequest) -> str:
        """The SQL exactly as the source will get it (wire encoding included)."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Open a consistent view for one query."""

    def native_setup(self) -> NativeSetup | None:
        """How an engine attaches this source, or None if fragments always come as streams."""
        return None

    def cancel_native(self, instance: str) -> None:  # noqa: B027
        """Cancel whatever the engine instance of that name is running at the source."""

    def estimate(self, request: FragmentRequest) -> Estimate | None:
        """The source's own estimate for a fragment, or None if it gives none."""
        return None

    def expected_rows(self, request: FragmentRequest) -> float | None:
        """How many rows a fragment has, going by what the planner expects, else at most by what is
        known of its table: the source is not asked, so it may be outdated. None is unknown.
        """
        if request.rows is not None:
            return request.rows
        scan = request.scan or request.filtered_scan
        return None if scan is None else scan.table.row_estimate

    def statistics(self, table: TableInfo) -> Mapping[str, ColumnStatistics]:
        """What the source knows of the table's columns, by visible name; columns may be missing."""
        return {}

    def version(self, table: TableInfo) -> tuple[FileState, ...] | None:
        """The files that ``table`` is read from, as they are now; None when it is not in files.

        Equal versions, the first of them settled, mean equal rows.

        Raises:
            StaleCatalogError: the table is not what the catalog says any more.
            OSError: a file is gone.
        """
        return None

    def explain(self, request: FragmentRequest) -> str | None:
        """The source's own plan for a fragment, for ``explain --analyze``."""
        return None

    def translate_error(self, error: BaseException) -> Exception | None:
        """Map an engine error met while reading natively to one of ours, or None if not ours."""
        return None

    def close(self) -> None:  # noqa: B027
        """Close pools and temporary files."""


def connection_lost(place: str, source: str, said: str = "") -> SourceUnavailableError:
    """For a source that went away in the middle of a read; ``said`` is what it gave as its reason.

    ``place`` names it, and where it is, in the message.
    """
    advice = f": {said}" if said else "; run the query again, or see the server's log"
    return SourceUnavailableError(
        f"{place} closed the connection while it was read{advice}", source=source, retryable=True
    )


def checked_cast(column: OutputColumn, expression: str = "{0}") -> str:
    """A decode that casts to the column's type and, when a value does not fit, names its place.

    ``expression`` is DuckDB SQL over ``{0}``. The raised text starts with ``dovetail-data:``, which
    the engine turns into a :class:`dovetail.errors.DataError`.
    """
    place = (column.label or column.name).replace("{", "{{").replace("}", "}}")
    message = sql_string(f"{DATA_MARK}{place} holds a value that does not fit {column.type}: ")
    value = f"({expression})"
    return (
        f"CASE WHEN {value} IS NULL THEN NULL ELSE coalesce(TRY_CAST({value} AS {column.type}), "
        f"error({message} || left(CAST({value} AS VARCHAR), 80))) END"
    )
