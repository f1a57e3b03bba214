"""What the workspace hands out: plain frozen data, no live database objects.

Times are aware UTC datetimes, ids UUID texts, sizes bytes, durations milliseconds. ``etag`` of an
object changes whenever a client could see a change of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """A part of a list: ``next_cursor`` asks for what follows, ``total`` counts all of it."""

    items: tuple[T, ...]
    next_cursor: str | None
    total: int


@dataclass(frozen=True)
class Problem:
    """Why something failed, for people and programs; stored with failed runs and datasets.

    ``code`` is one of the service's problem codes (``sql-binding``, ``not-found``, …), ``extra``
    holds what helps to mend it (``valid``, ``candidates``, ``suggestion``, ``aliases``, …).
    """

    code: str
    title: str
    detail: str
    line: int | None = None
    column: int | None = None
    candidates: tuple[str, ...] = ()
    source: str | None = None
    retryable: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as stored."""
        return {
            "code": self.code,
            "title": self.title,
            "detail": self.detail,
            "line": self.line,
            "column": self.column,
            "candidates": list(self.candidates),
            "source": self.source,
            "retryable": self.retryable,
            "extra": dict(self.extra),
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Problem:
        """The problem that :meth:`to_dict` wrote."""
        return Problem(**{**data, "candidates": tuple(data.get("candidates", ()))})


@dataclass(frozen=True)
class Column:
    """A column of a table or result: unique ``name``, ``label`` as written, DuckDB ``type``."""

    name: str
    type: str
    label: str = ""


@dataclass(frozen=True)
class User:
    """Someone who may use the workspace; ``role`` is viewer, analyst, editor or admin."""

    id: str
    name: str
    role: str
    disabled: bool
    created_at: datetime
    last_login_at: datetime | None
    etag: str


@dataclass(frozen=True)
class TeamMember:
    """A user in a team."""

    user_id: str
    name: str


@dataclass(frozen=True)
class Team:
    """A set of users; ``members`` by name."""

    id: str
    name: str
    members: tuple[TeamMember, ...]
    created_at: datetime


@dataclass(frozen=True)
class Token:
    """An API token as listed: never the token itself. ``scopes`` ⊆ read, query, write, admin."""

    id: str
    name: str
    user_id: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True)
class NewToken:
    """A token just made; ``secret`` (``dvt_`` + 43 characters) is shown this once."""

    token: Token
    secret: str


@dataclass(frozen=True)
class Grant:
    """``right`` (view < query < manage) on one dataset or connection, for one user or one team."""

    id: str
    object_kind: str
    object_id: str
    user_id: str | None
    user_name: str | None
    team_id: str | None
    team_name: str | None
    right: str
    expires_at: datetime | None
    created_at: datetime


@dataclass(frozen=True)
class Dataset:
    """A table known by id.

    ``source_type`` is CSV, TSV, JSON, JSONL, PARQUET, EXCEL, RESULT or TABLE (a source's table by
    reference: then ``connection_id``, ``source_schema`` and ``source_table`` are set). ``status``
    is UPLOADING, PROCESSING, READY, FAILED (``error`` says why) or DELETED. ``right`` is what the
    asker has on it: view, query or manage.
    """

    id: str
    name: str
    description: str | None
    source_type: str
    status: str
    row_count: int | None
    column_count: int | None
    size_bytes: int | None
    dataset_version: int
    default_alias: str
    owner_id: str
    created_at: datetime
    updated_at: datetime
    error: Problem | None
    rejected_rows: int
    notes: Mapping[str, Any]
    connection_id: str | None
    source_schema: str | None
    source_table: str | None
    schema_drift: str | None
    right: str
    etag: str


@dataclass(frozen=True)
class SchemaColumn:
    """One column of a dataset; ``foreign_key`` is ``table.column`` at the source, if any."""

    name: str
    type: str
    nullable: bool
    description: str | None = None
    primary_key: bool = False
    foreign_key: str | None = None


@dataclass(frozen=True)
class DatasetSchema:
    """The columns of a dataset as computed at ``computed_at``."""

    dataset_id: str
    columns: tuple[SchemaColumn, ...]
    total_rows: int | None
    computed_at: datetime


@dataclass(frozen=True)
class ColumnProfile:
    """Figures of one column. Values are texts as DuckDB writes them, or numbers.

    ``top`` holds ``(value, count)``, most frequent first; ``histogram`` 20 buckets of
    ``(low, high, count)`` for numbers and times; ``unique_share`` is distinct ÷ non-null.
    """

    name: str
    type: str
    count: int
    nulls: int
    distinct: int
    approximate: bool
    min: Any
    max: Any
    mean: float | None
    stddev: float | None
    median: float | None
    unique_share: float | None
    top: tuple[tuple[Any, int], ...]
    histogram: tuple[tuple[Any, Any, int], ...]


@dataclass(frozen=True)
class TableProfile:
    """Figures of all columns; ``sampled_rows`` is set when only a sample was read."""

    columns: tuple[ColumnProfile, ...]
    total_rows: int
    sampled_rows: int | None
    computed_at: datetime


@dataclass(frozen=True)
class Rows:
    """Rows as one Arrow table with their columns, in order.

    ``table`` is a ``pyarrow.Table`` whose fields are named as ``columns``; ``total_rows`` is None
    when it is not known.
    """

    columns: tuple[Column, ...]
    table: Any
    offset: int
    total_rows: int | None


@dataclass(frozen=True)
class Membership:
    """A dataset in a group under an alias. Without the right to see it ``dataset`` is None."""

    id: str
    dataset_id: str
    alias: str
    display_order: int
    accessible: bool
    created_at: datetime
    dataset: Dataset | None


@dataclass(frozen=True)
class Group:
    """A set of datasets under aliases; ``dataset_count`` leaves deleted members out."""

    id: str
    name: str
    description: str | None
    owner_id: str
    created_at: datetime
    updated_at: datetime
    dataset_count: int
    memberships: tuple[Membership, ...]
    etag: str


@dataclass(frozen=True)
class MemberSchema:
    """A member with its columns, or with why they cannot be read."""

    dataset_id: str
    dataset_name: str | None
    alias: str
    status: str
    row_count: int | None
    columns: tuple[SchemaColumn, ...]
    error: Problem | None


@dataclass(frozen=True)
class MemberPreview:
    """A member with its first rows, or with why they cannot be read."""

    dataset_id: str
    dataset_name: str | None
    alias: str
    status: str
    row_count: int | None
    rows: Rows | None
    error: Problem | None


@dataclass(frozen=True)
class Relationship:
    """A known join of two members; ``source`` is user or suggested."""

    id: str
    from_alias: str
    from_column: str
    to_alias: str
    to_column: str
    join_type: str
    source: str


@dataclass(frozen=True)
class Connection:
    """A source as the workspace stores it; ``settings`` holds no password.

    ``url`` and ``options`` say the same as ``settings`` in another form.

    ``managed_by`` is workspace or config (from ``dovetail.yaml``, not editable). ``status`` is
    unknown, ok or failed, as of the last test or use.
    """

    id: str
    name: str
    kind: str
    settings: Mapping[str, Any]
    url: str
    options: Mapping[str, Any]
    password_set: bool
    status: str
    managed_by: str
    read_only: bool
    owner_id: str | None
    created_at: datetime
    last_ok_at: datetime | None
    right: str
    etag: str


@dataclass(frozen=True)
class ConnectionTest:
    """What a test found; ``stage`` of a failure is resolve, connect, tls, auth or query."""

    ok: bool
    latency_ms: float
    server_version: str | None
    read_only: bool
    stage: str | None = None
    problem: Problem | None = None


@dataclass(frozen=True)
class MetadataColumn:
    """A column of a source's table."""

    name: str
    type: str
    native_type: str
    nullable: bool
    comment: str


@dataclass(frozen=True)
class MetadataTable:
    """A table or view of a source."""

    schema: str
    name: str
    kind: str
    comment: str
    columns: tuple[MetadataColumn, ...]
    primary_key: tuple[str, ...]
    foreign_keys: tuple[Mapping[str, Any], ...]
    row_estimate: int | None


@dataclass(frozen=True)
class Metadata:
    """A page of a source's tables, as read at ``retrieved_at``."""

    connection_id: str
    default_schema: str
    tables: Page[MetadataTable]
    retrieved_at: datetime
    stale: bool


@dataclass(frozen=True)
class Target:
    """What a query runs over: one dataset, one group, or connections under aliases.

    ``connection_ids`` are ids or source names, ``("*",)`` every one the asker may query;
    ``database_aliases`` maps alias → id or name of one of them.
    """

    dataset_id: str | None = None
    group_id: str | None = None
    connection_ids: tuple[str, ...] | None = None
    database_aliases: Mapping[str, str] | None = None


@dataclass(frozen=True)
class QueryRequest:
    """A query to run. ``limit`` None is the default (1,000); ``timeout`` seconds, None the default.

    ``params`` are Python values by name. ``origin`` is typed, nl, builder or saved; ``question``
    what the SQL was generated from.
    """

    sql: str
    target: Target
    params: Mapping[str, Any] | None = None
    limit: int | None = None
    apply_limit: bool = True
    timeout: float | None = None
    cache: bool = True
    origin: str = "typed"
    question: str | None = None


@dataclass(frozen=True)
class FragmentRun:
    """One fragment of a run: what a source was sent, and what it cost.

    ``source`` is the name in the query; ``connection_id`` and ``dataset_id`` say what stands
    behind it. ``pushed`` names what the source does: projection, filter, semi_join, join,
    aggregate, distinct, sort, limit, set_operation. Times in milliseconds, None where not known.
    """

    number: int
    source: str
    kind: str
    sql: str
    road: str
    status: str
    rows: int | None
    bytes: int | None
    milliseconds: float | None
    started_ms: float | None
    cache: str
    connection_id: str | None
    connection_name: str | None
    dataset_id: str | None
    pushed: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class QueryRun:
    """A run as stored: the history's item and the poll's answer.

    ``status`` is PENDING, RUNNING, SUCCESS, FAILED or CANCELLED. ``total_rows`` is None when the
    result was cut (``truncated``). ``result`` is none, stored or expired. ``progress_rows`` and
    ``progress_bytes`` are what has been read so far.
    """

    id: str
    user_id: str
    user_name: str
    sql: str
    target: Mapping[str, Any]
    origin: str
    question: str | None
    mode: str
    status: str
    problem: Problem | None
    columns: tuple[Column, ...]
    row_count: int | None
    total_rows: int | None
    truncated: bool
    limit_applied: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    execution_ms: float | None
    plan_ms: float | None
    sources_ms: float | None
    finish_ms: float | None
    bytes_moved: int | None
    rows_moved: int | None
    peak_memory: int | None
    engine: str
    cache: str
    result: str
    result_bytes: int | None
    expires_at: datetime | None
    progress_rows: int
    progress_bytes: int
    favourite: bool
    shared: bool
    warnings: tuple[str, ...]
    fragments: tuple[FragmentRun, ...]


@dataclass(frozen=True)
class QueryAnswer:
    """A run with its rows."""

    run: QueryRun
    rows: Rows


@dataclass(frozen=True)
class StoredResult:
    """The whole rows of a finished run, in an Arrow IPC file (``path``).

    ``columns`` gives names and DuckDB types in the file's order. ``open()`` streams.
    """

    run: QueryRun
    columns: tuple[Column, ...]
    path: str
    rows: int
    bytes: int

    def open(self) -> Any:
        """A new ``pyarrow.RecordBatchReader`` over the rows."""
        from dovetail.workspace.result_files import open_result

        return open_result(self.path)


@dataclass(frozen=True)
class Explained:
    """A plan: ``text`` for people, ``data`` for programs (fragments with their SQL, reasons)."""

    text: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Validation:
    """Whether a text would run: ``problems`` empty means yes, then ``columns`` are its result's."""

    problems: tuple[Problem, ...]
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class SavedQuery:
    """A kept query; ``text`` is SQL, a question or a builder's document, as ``language`` says.

    ``language`` is sql, nl or builder. ``right`` is what the asker may do: view, edit or own.
    """

    id: str
    name: str
    description: str | None
    text: str
    language: str
    target: Mapping[str, Any]
    params: Sequence[Mapping[str, Any]]
    tags: tuple[str, ...]
    folder: str | None
    chart: Mapping[str, Any] | None
    version: int
    owner_id: str
    created_at: datetime
    updated_at: datetime
    right: str
    etag: str


@dataclass(frozen=True)
class SavedVersion:
    """An earlier text of a saved query."""

    version: int
    text: str
    params: Sequence[Mapping[str, Any]]
    saved_at: datetime
    saved_by: str


@dataclass(frozen=True)
class StatsRow:
    """Runs of one day, source or user (``key``); of fragments when by source.

    Times are of successful runs that no cache answered, so that a quick refusal does not flatter
    them; ``cached`` counts the cache's.
    """

    key: str
    count: int
    failed: int
    average_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    rows: int
    bytes: int
    cached: int = 0


@dataclass(frozen=True)
class QueryStats:
    """Figures over the runs that the asker may see; ``slowest`` holds 20 at most."""

    since: datetime | None
    until: datetime | None
    overall: StatsRow
    rows: tuple[StatsRow, ...]
    slowest: tuple[QueryRun, ...]


@dataclass(frozen=True)
class AuditEntry:
    """One line of the audit log."""

    id: int
    at: datetime
    user_id: str | None
    user_name: str | None
    token_id: str | None
    address: str | None
    request_id: str | None
    action: str
    object_kind: str | None
    object_id: str | None
    outcome: str
    sql: str | None


@dataclass(frozen=True)
class Remembered:
    """The answer given before for an idempotency key: whatever the caller stored."""

    status: int
    body: str


@dataclass(frozen=True)
class Readiness:
    """``ready`` is False when a check failed; each check is ok, degraded or failed, with a note."""

    ready: bool
    checks: Mapping[str, Mapping[str, str]]
