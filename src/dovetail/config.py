"""The configuration as data: one model per kind of source, limits, and the whole.

:mod:`dovetail.config_load` reads files and dicts into these models and reports every mistake at
once. Each field's description is what ``docs/configuration.md`` and the JSON schema say of it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    WithJsonSchema,
)

from dovetail.secrets import Secret

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?", re.IGNORECASE)
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")


def parse_size(value: object) -> object:
    """Bytes from ``4GB`` (10³ steps), ``512MiB`` (2¹⁰ steps) or a plain number of bytes."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError("not a size; write a number of bytes, or one such as 4GB or 512MiB")
    unit = (match[2] or "").lower()
    step = 1024 if unit.endswith("i") else 1000
    exponent = " kmgt".index(unit[0]) if unit else 0
    return round(float(match[1]) * step**exponent)


def parse_duration(value: object) -> object:
    """Seconds from ``60s``, ``2m``, ``1h30m``, ``7d``, ``500ms`` or a plain number of seconds."""
    if not isinstance(value, str):
        return value
    text = value.strip().lower().replace(" ", "")
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError("not a duration; write seconds, or one such as 60s, 2m or 1h30m")
    days, hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds + milliseconds / 1000


def _absolute(value: object, info: ValidationInfo) -> object:
    """Expand ``~`` and resolve against the configuration's folder, which the loader passes in."""
    if not isinstance(value, (str, Path)):
        return value
    if not str(value):
        raise ValueError("an empty path; write . for the configuration's own folder")
    path = Path(value).expanduser()
    folder = info.context.get("folder") if info.context else None
    return path if folder is None else Path(folder) / path


_UNITS = "^[0-9]+(\\.[0-9]+)? *([kmgtKMGT]i?)?[bB]?$"
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": _UNITS}]}),
]
Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}]}),
]
LocalPath = Annotated[Path, BeforeValidator(_absolute)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class PostgresSettings(_Model):
    """A PostgreSQL server."""

    kind: Literal["postgres"] = Field(description="`postgres`")
    host: str = Field(
        default="localhost",
        min_length=1,
        description="Name or address; a path beginning with `/` is the folder of a Unix socket.",
    )
    port: int = Field(default=5432, ge=1, le=65535, description="TCP port, or the socket's number.")
    database: str = Field(
        default="", description="Database; empty is the server's default for the user."
    )
    user: str = Field(default="", description="Login; one that may only read is best.")
    password: Secret | None = Field(
        default=None, description="A reference such as `${env:NAME}`; see *Passwords*."
    )
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = Field(
        default="prefer", description="TLS, as libpq defines it; `verify-full` over any network."
    )
    sslrootcert: LocalPath | None = Field(
        default=None,
        description="File with the certificate authority for `verify-ca` and `verify-full`.",
    )
    schemas: tuple[str, ...] | None = Field(
        default=None, description="Only these schemas are visible; unset: all but the system's."
    )
    numeric: Literal["decimal", "double", "text"] = Field(
        default="decimal",
        description="How `numeric` without a precision is read: as `DECIMAL(38, numeric_scale)` "
        "with an error for a value that does not fit, as `DOUBLE`, or as text.",
    )
    numeric_scale: int = Field(
        default=10, ge=0, le=38, description="Digits after the point for `numeric: decimal`."
    )
    infinite_dates: Literal["error", "null"] = Field(
        default="error",
        description="What becomes of ±infinity and of years BC and beyond 9999.",
    )
    connect_timeout: Duration = Field(
        default=10.0, gt=0, description="Seconds to wait for a connection."
    )
    max_connections: int = Field(
        default=4,
        ge=1,
        le=64,
        description="Most connections for one query; as many queries at once have as many each.",
    )
    pushdown: Literal["cost", "always", "never"] = Field(
        default="cost",
        description="What the source computes: what is estimated to pay, all it can, or nothing.",
    )


class MySQLSettings(_Model):
    """A MySQL 8 or MariaDB server."""

    kind: Literal["mysql"] = Field(description="`mysql`, for MariaDB too")
    host: str = Field(default="localhost", min_length=1, description="Name or address.")
    port: int = Field(default=3306, ge=1, le=65535, description="TCP port.")
    socket: LocalPath | None = Field(
        default=None, description="Path of the Unix socket; used instead of host and port."
    )
    database: str = Field(
        default="", description="The default schema; the server's other databases are schemas too."
    )
    user: str = Field(default="", description="Login; one that may only read is best.")
    password: Secret | None = Field(
        default=None, description="A reference such as `${env:NAME}`; see *Passwords*."
    )
    ssl: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        default="prefer", description="TLS; `verify-full` over any network."
    )
    ssl_ca: LocalPath | None = Field(
        default=None,
        description="File with the certificate authority for `verify-ca` and `verify-full`.",
    )
    schemas: tuple[str, ...] | None = Field(
        default=None, description="Only these databases are visible; unset: all but the system's."
    )
    zero_dates: Literal["null", "error"] = Field(
        default="null",
        description="What becomes of `0000-00-00` and dates with a zero part; NULLs are counted "
        "in the profile.",
    )
    tinyint1: Literal["integer", "boolean"] = Field(
        default="integer", description="How `tinyint(1)` is read; it can hold more than 0 and 1."
    )
    connect_timeout: Duration = Field(
        default=10.0, gt=0, description="Seconds to wait for a connection."
    )
    max_connections: int = Field(
        default=4,
        ge=1,
        le=64,
        description="Most connections for one query; as many queries at once have as many each.",
    )
    pushdown: Literal["cost", "always", "never"] = Field(
        default="cost",
        description="What the source computes: what is estimated to pay, all it can, or nothing.",
    )


class SQLiteSettings(_Model):
    """A SQLite file, opened read-only."""

    kind: Literal["sqlite"] = Field(description="`sqlite`")
    path: LocalPath = Field(description="The database file.")


class DuckDBSettings(_Model):
    """A DuckDB file, opened read-only."""

    kind: Literal["duckdb"] = Field(description="`duckdb`")
    path: LocalPath = Field(description="The database file.")


class FileTableSettings(_Model):
    """One table of a `files` source given by name."""

    path: str = Field(min_length=1, description="A file or glob, relative to the source's folder.")
    format: Literal["csv", "tsv", "json", "jsonl", "parquet", "arrow", "excel"] | None = Field(
        default=None, description="Unset: from the file's ending."
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Reader options by DuckDB's names (`delim`, `header`, `types`, …); `sheet` "
        "for Excel.",
    )


class FilesSettings(_Model):
    """A folder of files: each file, or hive-partitioned subfolder, is a table named by its stem."""

    kind: Literal["files"] = Field(description="`files`")
    path: LocalPath = Field(description="The folder.")
    tables: dict[str, FileTableSettings] = Field(
        default_factory=dict, description="Tables whose files or options are spelled out."
    )
    hidden: bool = Field(
        default=False, description="Whether files whose names begin with `.` count."
    )


SourceSettings = Annotated[
    PostgresSettings | MySQLSettings | SQLiteSettings | DuckDBSettings | FilesSettings,
    Field(discriminator="kind"),
]

KINDS: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["kind"].annotation)[0]: model
    for model in (PostgresSettings, MySQLSettings, SQLiteSettings, DuckDBSettings, FilesSettings)
}


class Limits(_Model):
    """What one query may use; unset is no limit."""

    memory: Size | None = Field(
        default=None,
        gt=0,
        description="Memory of the engine, on the command line of the whole process; what needs "
        "more goes to disk.",
    )
    threads: int | None = Field(
        default=None, ge=1, le=1024, description="Threads of the engine; unset: one per processor."
    )
    timeout: Duration | None = Field(default=None, gt=0, description="Time for one query.")
    max_rows: int | None = Field(default=None, ge=0, description="Rows of the result.")
    max_bytes_moved: Size | None = Field(
        default=None,
        gt=0,
        description="Bytes that all fragments of one query may fetch from the sources.",
    )
    max_download: Size | None = Field(
        default=2_000_000_000,
        gt=0,
        description="Bytes of one file read from an address (`https://…`), and of those kept.",
    )
    temp_space: Size | None = Field(default=None, gt=0, description="Disk space for spilling.")
    temp_directory: LocalPath | None = Field(
        default=None,
        description="Where to spill; unset: a private folder in the system's temp folder.",
    )


class CacheSettings(_Model):
    """Results that are kept on disk for the next time the same is asked."""

    enabled: bool = Field(
        default=False, description="Whether queries that say nothing about it use the cache."
    )
    max_age: Duration = Field(
        default=300.0,
        gt=0,
        description="How old a kept result may be. Changes in files show at once; changes at a "
        "server only when the result is older than this.",
    )
    max_bytes: Size = Field(
        default=1_000_000_000,
        gt=0,
        description="Disk space for all kept results; the longest unused go first.",
    )
    directory: LocalPath | None = Field(
        default=None,
        description="A folder that is yours alone; unset: `results` in dovetail's folder of "
        "the user's cache.",
    )


class TuiSettings(_Model):
    """The full-screen interface (`dovetail tui`)."""

    theme: str = Field(default="textual-dark", description="A theme of Textual; `F12` lists them.")
    keymap: Literal["vim", "plain"] = Field(
        default="vim", description="Keys of the results: letters as in vim, or arrows and Ctrl."
    )
    editor: Literal["plain", "vi"] = Field(
        default="plain", description="Keys of the editor: those of a shell, or modes as in vi."
    )
    keys: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description="Own keys by place (`editor`, `vi`, `results`, `catalog`, "
        "`everywhere`): the keys, "
        "then the action; `dovetail tui --keys` lists both.",
    )
    max_rows: int = Field(
        default=1_000_000, gt=0, description="Rows of a result that are fetched to be looked at."
    )
    max_bytes: Size = Field(
        default=512_000_000, gt=0, description="Bytes of a result that are held in memory."
    )
    parallel: int = Field(default=4, ge=1, le=32, description="Queries that may run at once.")
    queries: LocalPath = Field(
        default=Path("queries"),
        description="The folder of saved queries (`.sql` files), from the folder of this file.",
    )


class MacroSettings(_Model):
    """A macro of your own: an expression with a name and parameters."""

    parameters: tuple[str, ...] = Field(
        default=(),
        description="Their names in order; one written `name := value` may be left out in a call.",
    )
    sql: str = Field(
        min_length=1,
        description="One expression over the parameters. It may call functions and other macros, "
        "and reads no table.",
    )
    description: str = Field(default="", description="What `dovetail functions` says of it.")


class Config(_Model):
    """A whole configuration, checked."""

    sources: dict[str, SourceSettings] = Field(
        default_factory=dict, description="The connected systems, by the name used in SQL."
    )
    engine: Literal["duckdb"] = Field(default="duckdb", description="What finishes the work.")
    limits: Limits = Field(default=Limits(), description="What one query may use.")
    cache: CacheSettings = Field(
        default=CacheSettings(), description="Results that are kept for the next time."
    )
    allowed_directories: tuple[LocalPath, ...] = Field(
        default=(),
        description="Folders whose files a query may name as `'path'` in FROM, besides what the "
        "caller allows.",
    )
    macros: dict[str, MacroSettings] = Field(
        default_factory=dict,
        description="Functions of your own, written out before a query is planned, so their parts "
        "can be pushed. One named like a macro of Dovetail takes its place.",
    )
    tui: TuiSettings | None = Field(default=None, description="The full-screen interface.")

    _warnings: tuple[str, ...] = PrivateAttr(())
    _path: Path | None = PrivateAttr(None)
    _profile: str | None = PrivateAttr(None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is unwise but works: plain passwords, secret files that others may read."""
        return self._warnings

    @property
    def path(self) -> Path | None:
        """The file it was read from, or None for a dict."""
        return self._path

    @property
    def profile(self) -> str | None:
        """The profile that was laid over the file, or None."""
        return self._profile
