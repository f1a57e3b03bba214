"""The store's tables. A change here needs a migration (``migrations/versions``), both ways.

Ids are UUID texts made by us; times are stored in UTC; ``revision`` counts the changes of an
object and is what its etag is made of.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC time; SQLite keeps no zone, so it is added when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC, whatever zone it came in."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def new_id() -> str:
    """A random UUID as text."""
    return str(uuid.uuid4())


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """Root of the models; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012
        datetime: UtcTime,
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
    }


Id = String(36)


class UserRow(Base):
    """A user; ``name_key`` is the name in lower case."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(100))
    name_key: Mapped[str] = mapped_column(String(100), unique=True)
    role: Mapped[str] = mapped_column(String(20))
    password_hash: Mapped[str | None] = mapped_column(Text)
    disabled: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_login_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(default=1)


class TeamRow(Base):
    """A set of users; names are unique, ignoring case."""

    __tablename__ = "teams"

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(100))
    name_key: Mapped[str] = mapped_column(String(100), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)

    members: Mapped[list[TeamMemberRow]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True
    )


class TeamMemberRow(Base):
    """A user in a team."""

    __tablename__ = "team_members"

    team_id: Mapped[str] = mapped_column(
        ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[str] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )

    user: Mapped[UserRow] = relationship()


class TokenRow(Base):
    """An API token or a login session; only its SHA-256 is kept."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(10))
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class ConnectionRow(Base):
    """A source. ``password_sealed`` is encrypted with a key that is not in the database."""

    __tablename__ = "connections"

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(63))
    name_key: Mapped[str] = mapped_column(String(63), unique=True)
    kind: Mapped[str] = mapped_column(String(20))
    settings: Mapped[dict[str, Any]]
    password_reference: Mapped[str | None] = mapped_column(Text)
    password_sealed: Mapped[str | None] = mapped_column(Text)
    owner_id: Mapped[str | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    status: Mapped[str] = mapped_column(String(10), default="unknown")
    last_ok_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    revision: Mapped[int] = mapped_column(default=1)


class DatasetRow(Base):
    """A table known by id: files of ours, or a source's table by reference.

    ``connection_id`` has no foreign key, since connections of the configuration have no row.
    ``worker_id`` is the process that is reading the upload in.
    """

    __tablename__ = "datasets"
    __table_args__ = (Index("ix_datasets_created", "created_at", "id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    source_type: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(12), index=True)
    version: Mapped[int] = mapped_column(default=1)
    row_count: Mapped[int | None] = mapped_column(BigInteger)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    default_alias: Mapped[str] = mapped_column(String(63))
    columns: Mapped[list[Any]] = mapped_column(default=list)
    column_notes: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[dict[str, Any] | None]
    rejected_rows: Mapped[int] = mapped_column(BigInteger, default=0)
    notes: Mapped[dict[str, Any]] = mapped_column(default=dict)
    connection_id: Mapped[str | None] = mapped_column(Id, index=True)
    source_schema: Mapped[str | None] = mapped_column(Text)
    source_table: Mapped[str | None] = mapped_column(Text)
    worker_id: Mapped[str | None] = mapped_column(Id)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    deleted_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(default=1)

    versions: Mapped[list[DatasetVersionRow]] = relationship(
        cascade="all, delete-orphan", order_by="DatasetVersionRow.version", passive_deletes=True
    )


class DatasetVersionRow(Base):
    """One content of a dataset: ``folder`` (below the store's ``files``) holds ``data.parquet``."""

    __tablename__ = "dataset_versions"

    dataset_id: Mapped[str] = mapped_column(
        ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(primary_key=True)
    folder: Mapped[str] = mapped_column(String(100))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    profile: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    retired_at: Mapped[datetime | None]


class GroupRow(Base):
    """A dataset group; names are unique per owner, ignoring case."""

    __tablename__ = "dataset_groups"
    __table_args__ = (UniqueConstraint("owner_id", "name_key"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(100))
    name_key: Mapped[str] = mapped_column(String(100))
    description: Mapped[str | None] = mapped_column(Text)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    revision: Mapped[int] = mapped_column(default=1)

    members: Mapped[list[MemberRow]] = relationship(
        cascade="all, delete-orphan",
        order_by="MemberRow.display_order, MemberRow.created_at, MemberRow.id",
        passive_deletes=True,
    )


class MemberRow(Base):
    """A dataset in a group under an alias."""

    __tablename__ = "dataset_group_members"
    __table_args__ = (UniqueConstraint("group_id", "alias_key"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    group_id: Mapped[str] = mapped_column(
        ForeignKey("dataset_groups.id", ondelete="CASCADE"), index=True
    )
    dataset_id: Mapped[str] = mapped_column(
        ForeignKey("datasets.id", ondelete="CASCADE"), index=True
    )
    alias: Mapped[str] = mapped_column(String(63))
    alias_key: Mapped[str] = mapped_column(String(63))
    display_order: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)

    dataset: Mapped[DatasetRow] = relationship()


class RelationshipRow(Base):
    """A known join of two members of a group."""

    __tablename__ = "relationships"

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    group_id: Mapped[str] = mapped_column(
        ForeignKey("dataset_groups.id", ondelete="CASCADE"), index=True
    )
    from_alias: Mapped[str] = mapped_column(String(63))
    from_column: Mapped[str] = mapped_column(Text)
    to_alias: Mapped[str] = mapped_column(String(63))
    to_column: Mapped[str] = mapped_column(Text)
    join_type: Mapped[str] = mapped_column(String(10))
    source: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[datetime] = mapped_column(default=now)


class GrantRow(Base):
    """A right of a user, or of a team, on a dataset or connection."""

    __tablename__ = "grants"
    __table_args__ = (
        UniqueConstraint("object_id", "object_kind", "user_id"),
        UniqueConstraint("team_id", "object_kind", "object_id"),
        CheckConstraint("(user_id IS NULL) <> (team_id IS NULL)", name="one_grantee"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    object_kind: Mapped[str] = mapped_column(String(12))
    object_id: Mapped[str] = mapped_column(Id)
    user_id: Mapped[str | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    team_id: Mapped[str | None] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    right: Mapped[str] = mapped_column(String(10))
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)

    user: Mapped[UserRow | None] = relationship()
    team: Mapped[TeamRow | None] = relationship()


class WorkerRow(Base):
    """A process that runs queries; it holds a lock on ``workers/<id>.lock`` as long as it lives."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now)


class QueryRow(Base):
    """A run. ``user_name`` stays readable when the user is gone."""

    __tablename__ = "queries"
    __table_args__ = (
        Index("ix_queries_created", "created_at", "id"),
        Index("ix_queries_user_created", "user_id", "created_at"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    user_id: Mapped[str] = mapped_column(Id)
    user_name: Mapped[str] = mapped_column(String(100))
    sql: Mapped[str] = mapped_column(Text)
    target: Mapped[dict[str, Any]]
    origin: Mapped[str] = mapped_column(String(10), default="typed")
    question: Mapped[str | None] = mapped_column(Text)
    mode: Mapped[str] = mapped_column(String(5))
    status: Mapped[str] = mapped_column(String(10), index=True)
    problem: Mapped[dict[str, Any] | None]
    columns: Mapped[list[Any]] = mapped_column(default=list)
    row_count: Mapped[int | None] = mapped_column(BigInteger)
    truncated: Mapped[bool] = mapped_column(default=False)
    limit_applied: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    execution_ms: Mapped[float | None]
    plan_ms: Mapped[float | None]
    sources_ms: Mapped[float | None]
    finish_ms: Mapped[float | None]
    bytes_moved: Mapped[int | None] = mapped_column(BigInteger)
    rows_moved: Mapped[int | None] = mapped_column(BigInteger)
    peak_memory: Mapped[int | None] = mapped_column(BigInteger)
    engine: Mapped[str] = mapped_column(String(10), default="duckdb")
    cache: Mapped[str] = mapped_column(String(10), default="none")
    result_bytes: Mapped[int | None] = mapped_column(BigInteger)
    expires_at: Mapped[datetime | None] = mapped_column(index=True)
    favourite: Mapped[bool] = mapped_column(default=False)
    shared: Mapped[bool] = mapped_column(default=False)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    warnings: Mapped[list[Any]] = mapped_column(default=list)
    worker_id: Mapped[str | None] = mapped_column(Id, index=True)

    fragments: Mapped[list[FragmentRow]] = relationship(
        cascade="all, delete-orphan", order_by="FragmentRow.number", passive_deletes=True
    )
    reads: Mapped[list[ReadRow]] = relationship(cascade="all, delete-orphan", passive_deletes=True)


class FragmentRow(Base):
    """What one source was sent in a run, and what it cost."""

    __tablename__ = "query_fragments"

    query_id: Mapped[str] = mapped_column(
        ForeignKey("queries.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(20))
    sql: Mapped[str] = mapped_column(Text)
    road: Mapped[str] = mapped_column(String(10))
    status: Mapped[str] = mapped_column(String(10))
    rows: Mapped[int | None] = mapped_column(BigInteger)
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    milliseconds: Mapped[float | None]
    started_ms: Mapped[float | None]
    cache: Mapped[str] = mapped_column(String(10))
    connection_id: Mapped[str | None] = mapped_column(Id)
    connection_name: Mapped[str | None] = mapped_column(Text)
    dataset_id: Mapped[str | None] = mapped_column(Id)
    pushed: Mapped[list[Any]] = mapped_column(default=list)
    error: Mapped[str | None] = mapped_column(Text)


class ReadRow(Base):
    """A dataset, group or connection that a run was aimed at: who may read it must see these."""

    __tablename__ = "query_reads"

    query_id: Mapped[str] = mapped_column(
        ForeignKey("queries.id", ondelete="CASCADE"), primary_key=True
    )
    object_kind: Mapped[str] = mapped_column(String(12), primary_key=True)
    object_id: Mapped[str] = mapped_column(Id, primary_key=True, index=True)


class SavedQueryRow(Base):
    """A saved query."""

    __tablename__ = "saved_queries"
    __table_args__ = (Index("ix_saved_queries_created", "created_at", "id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(100))
    description: Mapped[str | None] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(String(10))
    target: Mapped[dict[str, Any]] = mapped_column(default=dict)
    params: Mapped[list[Any]] = mapped_column(default=list)
    tags: Mapped[list[Any]] = mapped_column(default=list)
    folder: Mapped[str | None] = mapped_column(String(255))
    chart: Mapped[dict[str, Any] | None]
    version: Mapped[int] = mapped_column(default=1)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    revision: Mapped[int] = mapped_column(default=1)

    versions: Mapped[list[SavedVersionRow]] = relationship(
        cascade="all, delete-orphan", order_by="SavedVersionRow.version", passive_deletes=True
    )
    shares: Mapped[list[SavedShareRow]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True
    )


class SavedVersionRow(Base):
    """A text that a saved query had, the present one included."""

    __tablename__ = "saved_query_versions"

    saved_id: Mapped[str] = mapped_column(
        ForeignKey("saved_queries.id", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    params: Mapped[list[Any]] = mapped_column(default=list)
    saved_at: Mapped[datetime] = mapped_column(default=now)
    saved_by: Mapped[str] = mapped_column(String(100))


class SavedShareRow(Base):
    """Someone who may see or edit a saved query: ``grantee`` is a user's id or ``role:<role>``."""

    __tablename__ = "saved_query_shares"

    saved_id: Mapped[str] = mapped_column(
        ForeignKey("saved_queries.id", ondelete="CASCADE"), primary_key=True
    )
    grantee: Mapped[str] = mapped_column(String(40), primary_key=True)
    right: Mapped[str] = mapped_column(String(10))


class AuditRow(Base):
    """One act; rows are only ever added, and removed when they are past their time."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    at: Mapped[datetime] = mapped_column(default=now, index=True)
    user_id: Mapped[str | None] = mapped_column(Id)
    user_name: Mapped[str | None] = mapped_column(String(100))
    token_id: Mapped[str | None] = mapped_column(Id)
    address: Mapped[str | None] = mapped_column(String(100))
    request_id: Mapped[str | None] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(50))
    object_kind: Mapped[str | None] = mapped_column(String(20))
    object_id: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(String(40))
    sql: Mapped[str | None] = mapped_column(Text)


class IdempotencyRow(Base):
    """A request that was carried out, or is being (``status`` 0)."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[str] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    status: Mapped[int] = mapped_column(default=0)
    body: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(default=now)
