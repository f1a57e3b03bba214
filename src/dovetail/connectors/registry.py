"""From the kind of a source to its connector class, imported on first use only.

Third parties add a kind with an entry point of the group ``dovetail.connectors`` whose name is the
kind and whose value is a :class:`dovetail.connectors.base.Connector` subclass. A built-in kind
cannot be replaced that way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, cast

from dovetail.connectors.base import Connector
from dovetail.errors import ConfigError

GROUP = "dovetail.connectors"


@dataclass(frozen=True)
class _Kind:
    """Where a kind's class is, the packages it needs, and the extra that installs them."""

    module: str
    name: str
    packages: Mapping[str, str]  # import name → name for pip
    extra: str


_KINDS: dict[str, _Kind] = {
    "postgres": _Kind(
        "dovetail.connectors.postgres",
        "PostgresConnector",
        {
            "psycopg": "psycopg",
            "duckdb_extension_postgres_scanner": "duckdb-extension-postgres-scanner",
        },
        "postgres",
    ),
    "mysql": _Kind(
        "dovetail.connectors.mysql",
        "MySQLConnector",
        {"pymysql": "PyMySQL", "numpy": "numpy"},
        "mysql",
    ),
    "sqlite": _Kind(
        "dovetail.connectors.sqlite",
        "SQLiteConnector",
        {"duckdb_extension_sqlite_scanner": "duckdb-extension-sqlite-scanner"},
        "",
    ),
    "duckdb": _Kind("dovetail.connectors.duckdb", "DuckDBConnector", {}, ""),
    "files": _Kind("dovetail.connectors.files", "FilesConnector", {}, ""),
}


def kinds() -> tuple[str, ...]:
    """Every kind that a source may have: the built-in ones, then those of installed packages."""
    found = [point.name for point in entry_points(group=GROUP) if point.name not in _KINDS]
    return (*_KINDS, *sorted(set(found)))


def connector_class(kind: str, source: str = "") -> type[Connector]:
    """The class for ``kind``. ``source`` is named in errors.

    Raises :class:`ConfigError` for an unknown kind (listing the known ones), for a kind whose
    driver is not installed (naming the extra that brings it), and for a package whose entry point
    does not load.
    """
    where = f"source {source!r}: " if source else ""
    known = _KINDS.get(kind)
    if known is None:
        return _from_entry_point(kind, where)
    missing = [pip for module, pip in known.packages.items() if find_spec(module) is None]
    if missing:
        extra = f"dovetail[{known.extra}]" if known.extra else "dovetail"
        raise ConfigError(
            f"{where}kind {kind} needs {' and '.join(missing)}, which this Python does not have; "
            f"install with: pip install '{extra}'"
        )
    return cast(type[Connector], getattr(import_module(known.module), known.name))


def open_connector(name: str, settings: Any, options: Mapping[str, Any] | None = None) -> Connector:
    """The connector for a configured source. Does not connect yet. Errors as above."""
    return connector_class(settings.kind, name)(name, settings, options)


def _from_entry_point(kind: str, where: str) -> type[Connector]:
    for point in entry_points(group=GROUP, name=kind):
        package = point.dist.name if point.dist is not None else point.value
        try:
            loaded = point.load()
        except Exception as error:
            raise ConfigError(
                f"{where}kind {kind} comes from package {package}, which does not load: {error}"
            ) from error
        if not (isinstance(loaded, type) and issubclass(loaded, Connector)):
            raise ConfigError(
                f"{where}kind {kind} comes from package {package}, whose entry point "
                f"{point.value} is not a connector class"
            )
        return loaded
    raise ConfigError(f"{where}no kind {kind!r}; valid kinds are {', '.join(kinds())}")
