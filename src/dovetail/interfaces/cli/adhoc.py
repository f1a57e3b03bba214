"""``--source NAME=URL`` and ``--data NAME=PATH``: sources that exist for one run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dovetail.errors import UsageError

_SERVERS = {
    "postgres": "postgres",
    "postgresql": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
}
_SQLITE = (".sqlite", ".sqlite3", ".db", ".db3")
_DUCKDB = (".duckdb", ".ddb")
_REFERENCE = re.compile(r"\$\{(?:env|file|keyring):[^}]+\}")


def parse_source(given: str) -> tuple[str, dict[str, Any]]:
    """``NAME=URL`` as a source of the configuration.

    Raises :class:`UsageError` for a password written out: other users of the machine can read
    the arguments of a command.
    """
    name, equals, address = given.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name) or not address:
        shown = name if equals else _without_password(given)
        raise UsageError(
            f'--source takes NAME=URL with a plain name, not "{shown}"; for example '
            "shop=postgres://analyst@db.internal/shop or old=./legacy.sqlite"
        )
    scheme = address.partition("://")[0].lower() if "://" in address else ""
    if scheme in _SERVERS:
        return name, _server(name, _SERVERS[scheme], address)
    if scheme in ("sqlite", "duckdb", "file"):
        rest = address.partition("://")[2]
        # sqlite:///relative and sqlite:////absolute, as SQLAlchemy has them; file:///absolute
        address = rest[1:] if rest.startswith("/") and scheme != "file" else rest
    elif scheme:
        known = ", ".join([*_SERVERS, "sqlite", "duckdb", "file"])
        raise UsageError(f'--source {name}: no kind of source "{scheme}"; known are {known}')
    path = Path(address).expanduser()
    if scheme in ("sqlite", "duckdb"):
        return name, {"kind": scheme, "path": str(path.absolute())}
    suffix = path.suffix.lower()
    kind = "sqlite" if suffix in _SQLITE else "duckdb" if suffix in _DUCKDB else "files"
    return name, {"kind": kind, "path": str(path.absolute())}


def _server(name: str, kind: str, address: str) -> dict[str, Any]:
    references = _REFERENCE.findall(address)
    plain = address
    for number, reference in enumerate(references):
        plain = plain.replace(reference, f"reference{number}", 1)
    try:
        parts = urlsplit(plain)
        port = parts.port
    except ValueError:
        raise UsageError(f"--source {name}: the address is no URL") from None
    password = parts.password
    if "password" in parts.query.lower() or (
        password is not None and re.fullmatch(r"reference\d+", password) is None
    ):
        raise UsageError(
            f"--source {name}: a password in an argument is visible to others on this machine; "
            f"write a reference: {name}={kind}://{parts.username or 'user'}:"
            f"${{env:{name.upper()}_PASSWORD}}@{parts.hostname or 'host'}{parts.path}"
        )
    settings: dict[str, Any] = {"kind": kind, "host": parts.hostname or "localhost"}
    if port is not None:
        settings["port"] = port
    if parts.username:
        settings["user"] = unquote(parts.username)
    if password is not None:
        settings["password"] = references[int(password.removeprefix("reference"))]
    if parts.path.strip("/"):
        settings["database"] = unquote(parts.path.strip("/"))
    return settings


def _without_password(address: str) -> str:
    return re.sub(r"(//[^:/@]*):.*@", r"\1:***@", address)


def parse_data(given: Sequence[str]) -> dict[str, str]:
    """``NAME=PATH`` or ``PATH`` as name → path; a bare path is named after its stem.

    Raises :class:`UsageError` when two files get the same name, naming both.
    """
    found: dict[str, str] = {}
    for item in given:
        name, equals, path = item.partition("=")
        if not equals:
            path = item
            name = re.sub(r"\W+", "_", Path(item).name.split(".")[0]).strip("_").lower()
            name = f"t_{name}" if not name or name[0].isdigit() else name
        if not re.fullmatch(r"[A-Za-z_]\w*", name) or not path:
            raise UsageError(f'--data takes NAME=PATH with a plain name, not "{item}"')
        if name in found:
            raise UsageError(f'--data: "{name}" names both {found[name]} and {path}')
        if not any(c in path for c in "*?[") and not Path(path).expanduser().exists():
            raise UsageError(f"--data {name}: there is no file {path}")
        found[name] = path
    return found
