"""What answers look like: the documented shapes, made from what the workspace hands out.

Each model is both the OpenAPI schema and the writer of an answer. Times are RFC 3339 in UTC with
milliseconds and ``Z``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from dovetail.interfaces.rest.problems import STATUSES
from dovetail.workspace.shapes import Problem


def timestamp(moment: datetime) -> str:
    """A moment as every answer writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + (
        f"{moment.microsecond // 1000:03d}Z"
    )


def stored_problem(problem: Any) -> Any:
    """The problem kept with a failed run or dataset, without the request that met it."""
    if not isinstance(problem, Problem):
        return problem
    data: dict[str, Any] = {
        "type": f"/problems/{problem.code}",
        "title": problem.title,
        "status": STATUSES.get(problem.code, 500),
        "detail": problem.detail,
        "code": problem.code,
    }
    if problem.line is not None:
        data["line"], data["column"] = problem.line, problem.column
    if problem.candidates:
        data["candidates"] = list(problem.candidates)
    return {**problem.extra, **data}


Moment = Annotated[
    datetime,
    PlainSerializer(timestamp, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class Body(BaseModel):
    """An answer; read from the attributes of a workspace shape."""

    model_config = ConfigDict(from_attributes=True, protected_namespaces=())


class ProblemBody(Body):
    """RFC 9457 problem document. ``code`` is what programs act on; ``GET {type}`` explains it."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str | None = None
    request_id: str | None = None
    errors: list[dict[str, Any]] | None = None
    valid: list[Any] | None = None
    candidates: list[str] | None = None
    suggestion: str | None = None
    line: int | None = None
    column: int | None = None
    retryable: bool | None = None


StoredProblem = Annotated[
    dict[str, Any] | None,
    BeforeValidator(stored_problem),
    WithJsonSchema({"anyOf": [{"$ref": "#/components/schemas/ProblemBody"}, {"type": "null"}]}),
]


class ColumnBody(Body):
    """A column of a result: unique ``name``, DuckDB ``type``; ``label`` is the name so far."""

    name: str
    label: str
    type: str


class DatasetBody(Body):
    """A table known by id."""

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
    created_at: Moment
    updated_at: Moment
    error: StoredProblem
    rejected_rows: int
    notes: Mapping[str, Any]
    connection_id: str | None
    source_schema: str | None
    source_table: str | None
    schema_drift: str | None
    right: str


class SchemaColumnBody(Body):
    """A column of a dataset."""

    name: str
    type: str
    nullable: bool
    description: str | None
    primary_key: bool
    foreign_key: str | None


class SchemaBody(Body):
    """The columns of a dataset."""

    dataset_id: str
    columns: list[SchemaColumnBody]
    total_rows: int | None
    computed_at: Moment


class ColumnProfileBody(Body):
    """Figures of a column; ``histogram`` holds ``[low, high, count]``."""

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
    top: list[tuple[Any, int]]
    histogram: list[tuple[Any, Any, int]]


class ProfileBody(Body):
    """Figures of all columns of a dataset or result."""

    columns: list[ColumnProfileBody]
    total_rows: int
    sampled_rows: int | None
    computed_at: Moment


class MembershipBody(Body):
    """A dataset in a group; without the right to see it ``dataset`` is null."""

    id: str
    dataset_id: str
    alias: str
    display_order: int
    accessible: bool
    created_at: Moment
    dataset: DatasetBody | None


class GroupSummaryBody(Body):
    """A group as lists show it."""

    id: str
    name: str
    description: str | None
    owner_id: str
    created_at: Moment
    updated_at: Moment
    dataset_count: int


class GroupBody(GroupSummaryBody):
    """A group with its members, by ``display_order``, then time added."""

    memberships: list[MembershipBody]


class MemberSchemaBody(Body):
    """The columns of a member, or ``error``."""

    dataset_id: str
    dataset_name: str | None
    alias: str
    status: str
    row_count: int | None
    columns: list[SchemaColumnBody]
    error: StoredProblem


class MemberPreviewBody(Body):
    """The first rows of a member, or ``error``."""

    dataset_id: str
    dataset_name: str | None
    alias: str
    status: str
    row_count: int | None
    columns: list[ColumnBody]
    rows: list[Any]
    error: StoredProblem


class RelationshipBody(Body):
    """A known join of two members."""

    id: str
    from_alias: str
    from_column: str
    to_alias: str
    to_column: str
    join_type: str
    source: str


class ConnectionBody(Body):
    """A source; its password is never shown."""

    id: str
    name: str
    kind: str
    settings: Mapping[str, Any]
    url: str = Field(description="The settings as a URL, without a password.")
    options: Mapping[str, Any] = Field(description="Settings that are no part of the URL.")
    password_set: bool
    status: str
    managed_by: str
    read_only: bool
    owner_id: str | None
    created_at: Moment
    last_ok_at: Moment | None
    right: str


class ConnectionTestBody(Body):
    """What a test found."""

    ok: bool
    latency_ms: float
    server_version: str | None
    read_only: bool
    stage: str | None
    error: Annotated[StoredProblem, Field(validation_alias="problem")] = None


class MetadataColumnBody(Body):
    """A column of a source's table."""

    name: str
    type: str
    native_type: str
    nullable: bool
    comment: str


class MetadataTableBody(Body):
    """A table or view of a source."""

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)

    schema_name: Annotated[str, Field(alias="schema")]
    name: str
    kind: str
    comment: str
    columns: list[MetadataColumnBody]
    primary_key: list[str]
    foreign_keys: list[Mapping[str, Any]]
    row_estimate: int | None


class MetadataBody(Body):
    """A page of a source's tables; the next is in ``Link``, the count in ``X-Total-Count``."""

    connection_id: str
    default_schema: str
    tables: list[MetadataTableBody]
    retrieved_at: Moment
    stale: bool


class SubQueryBody(Body):
    """One fragment: what a source was sent, and what it cost."""

    connection_id: str | None
    connection_name: str | None
    dataset_id: str | None
    database_type: str
    query: str
    row_count: int | None
    bytes: int | None
    execution_time_ms: float | None
    started_ms: float | None
    pushed: list[str]
    status: str
    cache: str
    error: str | None


class StatsBody(Body):
    """Where the time went."""

    plan_ms: float | None
    sources_ms: float | None
    finish_ms: float | None
    encode_ms: float | None
    bytes_moved: int | None
    rows_moved: int | None
    peak_memory_bytes: int | None
    engine: str
    cache: str


class QueryResultBody(Body):
    """Rows with their columns; order objects by ``columns``."""

    query_id: str
    status: str
    sql: str
    columns: list[ColumnBody]
    rows: list[dict[str, Any]] | list[list[Any]]
    row_count: int
    total_rows: int | None
    truncated: bool
    limit_applied: bool
    execution_time_ms: float
    executed_at: Moment
    retrieved_columns: list[str]
    warnings: list[str]
    sub_queries: list[SubQueryBody]
    stats: StatsBody


class NlResultBody(QueryResultBody):
    """The answer to a question, with the SQL it was turned into."""

    explanation: str
    assumptions: list[str]
    attempts: int
    model: str


class NlSqlBody(Body):
    """The SQL that a question was turned into, not run."""

    sql: str
    retrieved_columns: list[str]
    explanation: str
    assumptions: list[str]
    attempts: int
    model: str


class CrossDatabaseBody(Body):
    """The answer of a cross-database query."""

    original_query: str
    query_id: str
    sub_queries: list[SubQueryBody]
    columns: list[ColumnBody]
    results: list[dict[str, Any]] | list[list[Any]]
    row_count: int
    execution_time_ms: float
    limit_applied: bool
    truncated: bool
    executed_at: Moment
    warnings: list[str]


class AcceptedBody(Body):
    """An asynchronous query was taken; poll ``GET /api/v1/queries/{query_id}``."""

    query_id: str
    status: Literal["PENDING", "RUNNING", "SUCCESS", "FAILED", "CANCELLED"]


class ProgressBody(Body):
    """How far a query is; ``fraction`` is null where nobody knows."""

    rows: int
    bytes: int
    fraction: float | None


class RunBody(Body):
    """A run: the item of the history, and what a poll gets."""

    query_id: str
    user_id: str
    user_name: str
    sql: str
    target: Mapping[str, Any]
    origin: str
    question: str | None
    mode: str
    status: str
    error: StoredProblem
    columns: list[ColumnBody]
    row_count: int | None
    total_rows: int | None
    truncated: bool
    limit_applied: bool
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    execution_time_ms: float | None
    stats: StatsBody
    progress: ProgressBody
    result: str
    result_bytes: int | None
    expires_at: Moment | None
    favourite: bool
    shared: bool
    warnings: list[str]
    sub_queries: list[SubQueryBody]


class RowsBody(Body):
    """A page of rows."""

    columns: list[ColumnBody]
    rows: list[dict[str, Any]] | list[list[Any]]
    offset: int
    row_count: int
    total_rows: int | None


class ExplainBody(Body):
    """The plan of a query; ``text`` is for people."""

    text: str
    plan: Mapping[str, Any]


class DiagnosticBody(Body):
    """What is wrong with a text, and where."""

    line: int | None
    column: int | None
    length: int | None
    severity: str
    code: str
    message: str
    suggestion: str | None


class ValidationBody(Body):
    """Whether a text would run; with the columns of its result if so."""

    valid: bool
    diagnostics: list[DiagnosticBody]
    columns: list[ColumnBody]


class FormattedBody(Body):
    """SQL laid out; ``changed`` says whether the text is another."""

    sql: str
    changed: bool


class SavedQueryBody(Body):
    """A kept query."""

    id: str
    name: str
    description: str | None
    text: str
    language: str
    target: Mapping[str, Any]
    params: list[Mapping[str, Any]]
    tags: list[str]
    folder: str | None
    chart: Mapping[str, Any] | None
    version: int
    owner_id: str
    created_at: Moment
    updated_at: Moment
    right: str


class SavedVersionBody(Body):
    """An earlier text of a saved query."""

    version: int
    text: str
    params: list[Mapping[str, Any]]
    saved_at: Moment
    saved_by: str


class StatsRowBody(Body):
    """Runs of one day, source or user."""

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


class QueryStatsBody(Body):
    """Figures over the runs that the asker may see."""

    since: Moment | None
    until: Moment | None
    overall: StatsRowBody
    rows: list[StatsRowBody]
    slowest: list[RunBody]


class UserBody(Body):
    """Someone who may use the workspace."""

    id: str
    name: str
    role: str
    disabled: bool
    created_at: Moment
    last_login_at: Moment | None


class TeamMemberBody(Body):
    """A user in a team."""

    user_id: str
    name: str


class TeamBody(Body):
    """A set of users to whom rights can be granted at once."""

    id: str
    name: str
    members: list[TeamMemberBody]
    created_at: Moment


class TokenBody(Body):
    """An API token, without the token itself."""

    id: str
    name: str
    user_id: str
    scopes: list[str]
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None


class NewTokenBody(TokenBody):
    """A token just made; ``token`` is shown this once."""

    token: str


class SessionBody(Body):
    """Who is logged in, and what he may do."""

    user_id: str
    name: str
    role: str
    scopes: list[str]


class GrantBody(Body):
    """A right on one dataset or connection."""

    id: str
    object_kind: str
    object_id: str
    user_id: str | None
    user_name: str | None
    team_id: str | None
    team_name: str | None
    right: str
    expires_at: Moment | None
    created_at: Moment


class AuditBody(Body):
    """A line of the audit log."""

    id: int
    at: Moment
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


class ExplanationBody(Body):
    """What a problem code means and what to do about it."""

    code: str
    title: str
    status: int
    explanation: str


class HealthBody(Body):
    """The process answers."""

    status: Literal["ok"]


class ReadinessBody(Body):
    """Whether requests can be served; ``degraded`` when only a source is down."""

    status: Literal["ready", "degraded", "not ready"]
    checks: Mapping[str, Mapping[str, str]]
