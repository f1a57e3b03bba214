"""The configuration: one model per kind of source, limits, and the loader that checks it all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dovetail.secrets import Secret


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class PostgresSettings(_Model):
    """A PostgreSQL server. ``url`` is expanded into the parts by the loader."""

    kind: Literal["postgres"]
    host: str = "localhost"  # a path beginning with / is the folder of a Unix socket
    port: int = 5432
    database: str = ""
    user: str = ""
    password: Secret | None = None
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    sslrootcert: Path | None = None
    schemas: tuple[str, ...] | None = None  # None: all but the system's
    numeric: Literal["decimal", "double", "text"] = "decimal"  # numeric without precision
    numeric_scale: int = 10
    infinite_dates: Literal["error", "null"] = "error"
    connect_timeout: float = 10.0
    max_connections: int = 4


class MySQLSettings(_Model):
    """A MySQL 8 or MariaDB server."""

    kind: Literal["mysql"]
    host: str = "localhost"
    port: int = 3306
    socket: Path | None = None
    database: str = ""  # the default schema; other databases are schemas too
    user: str = ""
    password: Secret | None = None
    ssl: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    ssl_ca: Path | None = None
    schemas: tuple[str, ...] | None = None
    zero_dates: Literal["null", "error"] = "null"
    tinyint1: Literal["integer", "boolean"] = "integer"
    connect_timeout: float = 10.0
    max_connections: int = 4


class SQLiteSettings(_Model):
    """A SQLite file, opened read-only."""

    kind: Literal["sqlite"]
    path: Path


class DuckDBSettings(_Model):
    """A DuckDB file, opened read-only."""

    kind: Literal["duckdb"]
    path: Path


class FileTableSettings(_Model):
    """One table of a ``files`` source given by name: a path or glob, and reader options."""

    path: str
    format: Literal["csv", "tsv", "json", "jsonl", "parquet", "arrow", "excel"] | None = None
    options: dict[str, Any] = Field(default_factory=dict)  # DuckDB reader options; sheet for Excel


class FilesSettings(_Model):
    """A folder of files. Each file (or hive-partitioned subfolder) is a table by its stem."""

    kind: Literal["files"]
    path: Path
    tables: dict[str, FileTableSettings] = Field(default_factory=dict)
    hidden: bool = False


SourceSettings = Annotated[
    PostgresSettings | MySQLSettings | SQLiteSettings | DuckDBSettings | FilesSettings,
    Field(discriminator="kind"),
]


class Limits(_Model):
    """What one query may use. None is no limit. Sizes in bytes, times in seconds."""

    memory: int | None = None
    threads: int | None = None
    timeout: float | None = None
    max_rows: int | None = None
    max_bytes_moved: int | None = None
    temp_space: int | None = None
    temp_directory: Path | None = None


class Config(_Model):
    """A whole configuration, checked."""

    sources: dict[str, SourceSettings] = Field(default_factory=dict)
    engine: Literal["duckdb"] = "duckdb"
    limits: Limits = Limits()
    allowed_directories: tuple[Path, ...] = ()
