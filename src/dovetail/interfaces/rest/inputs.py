"""What requests may hold: every model forbids unknown fields and takes no text for a number."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

SQL_CHARACTERS = 100_000

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]
Text = Annotated[str, StringConstraints(max_length=1_000)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Sql = Annotated[str, StringConstraints(max_length=SQL_CHARACTERS)]
Role = Literal["viewer", "analyst", "editor", "admin"]
TokenScope = Literal["read", "query", "write", "admin"]
Right = Literal["view", "query", "manage"]
Seconds = Annotated[int, Field(ge=1, le=300)]
Moment = Annotated[datetime, Field(strict=False)]


class Input(BaseModel):
    """A request body."""

    model_config = ConfigDict(extra="forbid", strict=True)


class DatasetReference(Input):
    """A source's table as a dataset: no copy, read live."""

    source: Id = Field(description="Id or name of a connection.")
    schema_name: Annotated[str | None, Field(alias="schema", max_length=200)] = None
    table: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    name: Name | None = None


class DatasetChange(Input):
    """What may change of a dataset; a field left out stays."""

    name: Name | None = None
    description: Text | None = None
    columns: dict[str, Text | None] | None = Field(
        default=None, description="Descriptions by column name; null removes one."
    )


class GroupCreate(Input):
    """A new dataset group."""

    name: Name
    description: Text | None = None


class GroupChange(Input):
    """What may change of a group; a field left out stays."""

    name: Name | None = None
    description: Text | None = None


class MemberAdd(Input):
    """A dataset for a group."""

    dataset_id: Id
    alias: Annotated[str, StringConstraints(max_length=200)] | None = None
    display_order: Annotated[int, Field(ge=-(2**31), lt=2**31)] = 0
    allow_repeat: bool = False


class MemberChange(Input):
    """What may change of a membership; a field left out stays."""

    alias: Annotated[str, StringConstraints(max_length=200)] | None = None
    display_order: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = None


class RelationshipCreate(Input):
    """A join that is known."""

    from_alias: Id
    from_column: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    to_alias: Id
    to_column: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    join_type: Literal["inner", "left", "right", "full"] = "inner"
    source: Literal["user", "suggested"] = "user"


class Targeted(Input):
    """Exactly one of ``dataset_id``, ``group_id`` and ``connection_ids``."""

    dataset_id: Id | None = None
    group_id: Id | None = None
    connection_ids: Annotated[list[Id], Field(min_length=1, max_length=16)] | None = None
    database_aliases: Annotated[dict[Id, Id], Field(max_length=16)] | None = None


class SqlQuery(Targeted):
    """SQL over one target."""

    sql: Sql
    params: dict[str, Any] | None = Field(
        default=None, description="`$name` → value, or `{type, value}`."
    )
    limit: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    apply_limit: bool = True
    timeout_secs: Annotated[int, Field(ge=1, le=3600)] | None = Field(
        default=None, description="1–300, in async mode up to 3600."
    )
    mode: Literal["sync", "async"] = "sync"
    engine: Literal["auto", "duckdb"] = "auto"
    cache: bool = Field(
        default=True, description="Whether kept rows may be taken, if the service keeps any."
    )


class NlQuery(Targeted):
    """A question over one target."""

    query: Annotated[str, StringConstraints(min_length=1, max_length=4_000)]
    execute: bool = True
    conversation_id: Id | None = None


class CheckedQuery(Targeted):
    """SQL to explain or validate."""

    sql: Sql
    params: dict[str, Any] | None = None


class SqlText(Input):
    """SQL to format."""

    sql: Sql


class CrossDatabaseQuery(Input):
    """SQL over several connections."""

    query: Sql
    connection_ids: Annotated[list[Id], Field(min_length=1, max_length=16)]
    database_aliases: Annotated[dict[Id, Id], Field(max_length=16)] | None = None
    timeout_secs: Seconds = 60
    apply_limit: bool = True
    limit_value: Annotated[int, Field(ge=1, le=10_000)] = 1_000


class KeepResult(Input):
    """The name of the dataset that a result becomes."""

    name: Name
    description: Text | None = None


class RunChange(Input):
    """What may change of a run."""

    favourite: bool


class Share(Input):
    """Whether a run is open to those who may see what it read."""

    shared: bool = True


class ConnectionCreate(Input):
    """A new connection; ``settings`` as in ``dovetail.yaml``, or a ``url``."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=63)]
    kind: Annotated[str, StringConstraints(min_length=1, max_length=40)] | None = None
    url: Annotated[str, StringConstraints(max_length=2_000)] | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    password: Annotated[str, StringConstraints(max_length=4_096)] | None = Field(
        default=None, description="A reference such as `${env:NAME}`, or text kept encrypted."
    )


class ConnectionChange(Input):
    """What may change of a connection; a field left out stays."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = None
    settings: dict[str, Any] | None = None
    password: Annotated[str, StringConstraints(max_length=4_096)] | None = None


class SavedQueryCreate(Input):
    """A query to keep."""

    name: Name
    text: Sql
    language: Literal["sql", "nl", "builder"] = "sql"
    description: Text | None = None
    target: dict[str, Any] = Field(default_factory=dict)
    params: Annotated[list[dict[str, Any]], Field(max_length=100)] = Field(default_factory=list)
    tags: Annotated[list[Name], Field(max_length=50)] = Field(default_factory=list)
    folder: Text | None = None
    chart: dict[str, Any] | None = None


class SavedQueryChange(Input):
    """What may change of a saved query; a field left out stays."""

    name: Name | None = None
    text: Sql | None = None
    description: Text | None = None
    target: dict[str, Any] | None = None
    params: Annotated[list[dict[str, Any]], Field(max_length=100)] | None = None
    tags: Annotated[list[Name], Field(max_length=50)] | None = None
    folder: Text | None = None
    chart: dict[str, Any] | None = None


class SavedQueryRun(Input):
    """Values for the parameters of a saved query."""

    params: dict[str, Any] | None = None


class SavedQueryShare(Input):
    """Who else may see or edit a saved query."""

    user: Id | None = None
    role: Role | None = None
    right: Literal["view", "edit"] = "view"


class Login(Input):
    """A user's name and password."""

    name: Name
    password: Annotated[str, StringConstraints(min_length=1, max_length=256)]


class UserCreate(Input):
    """A new user."""

    name: Name
    password: Annotated[str, StringConstraints(min_length=12, max_length=256)]
    role: Role = "analyst"


class UserChange(Input):
    """What may change of a user."""

    role: Role | None = None
    disabled: bool | None = None
    password: Annotated[str, StringConstraints(min_length=12, max_length=256)] | None = None


class TokenCreate(Input):
    """A new API token; it never exceeds its owner's rights."""

    name: Name
    scopes: Annotated[list[TokenScope], Field(max_length=4)] = ["read", "query", "write"]
    expires_in_days: Annotated[int, Field(ge=1, le=3650)] | None = 90


class TeamCreate(Input):
    """The name of a team."""

    name: Name


class GrantCreate(Input):
    """A right for a user or for a team: one of them."""

    user: Id | None = Field(default=None, description="Id or name of the user.")
    team: Id | None = Field(default=None, description="Id or name of the team.")
    right: Right
    expires_at: Moment | None = None
