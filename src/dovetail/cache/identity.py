"""When two results are the same: what a query runs, where, over which data, and for whom."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dovetail.connectors.base import Connector
from dovetail.connectors.file_state import FileState
from dovetail.errors import DovetailError
from dovetail.faults import version as our_version
from dovetail.planning.parameters import frozen
from dovetail.secrets import Secret

if TYPE_CHECKING:
    from dovetail.planning import Planned

# The planner names a call like read_csv('…') afresh each time.
_NEW_NAME = re.compile(r"dovetail_[0-9a-f]{32}")
_FORM = 1  # of what is hashed; another one makes every entry another's
# libpq and the MySQL client take what the configuration leaves open from the environment.
_FROM_ENVIRONMENT = ("PG", "MYSQL", "MARIADB")


class NotKept(Exception):
    """The result must not come from the cache nor go there; the text says why."""


@dataclass(frozen=True)
class Identity:
    """``key`` names the result; ``versions`` are the files behind each of its tables.

    A table at a server has None for a version: nothing tells cheaply whether it has changed.
    """

    key: str
    versions: tuple[tuple[FileState, ...] | None, ...]


def identity(
    planned: Planned, connectors: Mapping[str, Connector], *, scope: str, salt: bytes
) -> Identity:
    """What the result of a planned query is known by.

    ``scope`` is who may see it, beyond this user of this machine; ``salt`` goes into the digest of
    passwords. The caller has checked that the query gives the same answer twice.

    Raises:
        NotKept: the result must not be kept.
    """
    work = planned.work
    if not work.pieces:
        raise NotKept("it reads no source")
    parameters = frozen(work.parameters or ())
    if parameters is None:
        raise NotKept("the value of a parameter is no plain one")
    versions = versions_of(planned, connectors)
    for table, version in zip(planned.tables, versions, strict=True):
        for state in version or ():
            spool = connectors[table.source].options.get("spool_directory")
            if spool and state.path.startswith(os.path.join(os.path.realpath(spool), "")):
                raise NotKept(f"{table.name} is there for this session only")
            if not state.settled:
                raise NotKept(f"{state.path} was changed a moment ago, perhaps still is")
    relations = {piece.number: f"fragment_{piece.number}" for piece in work.pieces}
    if work.kept is not None:
        relations[work.kept.number] = f"({work.kept.statement(relations)})"
    asked = {
        "form": _FORM,
        "program": [our_version(), _duckdb_version()],
        "for": [os.getuid(), scope],
        "columns": planned.columns,
        "statement": work.statement(relations),
        "before": [*work.schema_setup, *(work.prepare(relations) if work.prepare else ())],
        "parameters": parameters,
        "fragments": [
            [
                piece.number,
                piece.source,
                connectors[piece.source].render(replace(piece.request, tag="")),
                [[c.name, c.type.text, c.native_type] for c in piece.request.columns],
            ]
            for piece in work.pieces
        ],
        "sources": {
            name: _configured(connectors[name], salt)
            for name in sorted({piece.source for piece in work.pieces})
        },
        "tables": [
            [
                [table.source, table.source_schema, table.source_name, table.kind],
                [[c.source_name, c.type.text, c.native_type] for c in table.columns],
                None if version is None else [list(vars(state).values()) for state in version],
            ]
            for table, version in zip(planned.tables, versions, strict=True)
        ],
    }
    text = _numbered(json.dumps(asked, sort_keys=True))
    return Identity(hashlib.sha256(text.encode()).hexdigest(), versions)


def versions_of(
    planned: Planned, connectors: Mapping[str, Connector]
) -> tuple[tuple[FileState, ...] | None, ...]:
    """The files behind each table of a query, as they are now.

    Raises:
        NotKept: that cannot be told.
    """
    try:
        return tuple(connectors[table.source].version(table) for table in planned.tables)
    except (OSError, DovetailError) as error:
        # Whoever runs the query finds the same, and says it properly.
        raise NotKept(f"a table is not what it was: {error}") from error


def _configured(connector: Connector, salt: bytes) -> list[Any]:
    """What a source is set to, its secrets as a digest."""
    settings = connector.settings
    shown = None if settings is None else settings.model_dump(mode="json")
    secrets = list(_secrets(connector))
    return [connector.kind, shown, _digest(json.dumps(secrets), salt) if secrets else None]


def _secrets(connector: Connector) -> Iterator[list[str]]:
    for name, value in connector.settings or ():
        if isinstance(value, Secret):
            yield [name, value.reveal()]
    if not connector.local:
        for name, value in sorted(os.environ.items()):
            if name.startswith(_FROM_ENVIRONMENT):
                yield [name, value]


_digests: dict[tuple[bytes, bytes], str] = {}


def _digest(text: str, salt: bytes) -> str:
    """A digest from which a guessed password cannot be confirmed in less than some ten ms."""
    known = (hashlib.sha256(text.encode()).digest(), salt)
    if known not in _digests:
        _digests[known] = hashlib.scrypt(text.encode(), salt=salt, n=1 << 13, r=8, p=1).hex()
    return _digests[known]


def _numbered(text: str) -> str:
    """``text`` with the planner's new names in the order in which they come."""
    names: dict[str, str] = {}
    return _NEW_NAME.sub(lambda m: names.setdefault(m[0], f"dovetail_{len(names)}"), text)


def _duckdb_version() -> str:
    import duckdb

    return duckdb.__version__
