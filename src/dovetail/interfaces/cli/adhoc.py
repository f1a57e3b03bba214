"""``--source NAME=URL`` and ``--data NAME=PATH``: sources that exist for one run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dovetail.errors import UsageError

_SQLITE = (".sqlite", ".sqlite3", ".db", ".db3")
_DUCKDB = (".duckdb", ".ddb")


def parse_source(given: str) -> tuple[str, dict[str, Any]]:
    """``NAME=URL`` or ``NAME=PATH`` as a source of the configuration.

    Raises :class:`UsageError` for a password written out: other users of the machine can read
    the arguments of a command.
    """
    name, equals, address = given.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name) or not address:
        raise UsageError(
            "--source takes NAME=URL with a plain name, for example "
            "shop=postgres://analyst@db.internal/shop or old=legacy.sqlite"
        )
    if "://" in address:
        from dovetail.config_url import UrlError, expand, holds_password

        if holds_password(address):
            raise UsageError(
                f"--source {name}: a password in an argument is visible to others on this "
                f"machine; write a reference in its place: ${{env:{name.upper()}_PASSWORD}}"
            )
        try:
            expand(address)
        except UrlError as error:
            raise UsageError(f"--source {name}: {error}") from None
        return name, {"url": address}
    suffix = Path(address).suffix.lower()
    kind = "sqlite" if suffix in _SQLITE else "duckdb" if suffix in _DUCKDB else "files"
    if kind == "files" and Path(address).expanduser().is_file():
        raise UsageError(f"--source {name}: {address} is a file; use --data {name}={address}")
    return name, {"kind": kind, "path": str(Path(address).expanduser().absolute())}


def parse_data(given: Sequence[str]) -> dict[str, str]:
    """``NAME=PATH`` or ``PATH`` as name → path; a bare path is named after its stem.

    Raises :class:`UsageError` when two files get the same name, naming both.
    """
    found: dict[str, str] = {}
    for item in given:
        name, equals, path = item.partition("=")
        if not equals or "/" in name:  # an address may hold a = of its own
            equals, path = "", item
            name = re.sub(r"\W+", "_", Path(item).name.split(".")[0]).strip("_").lower()
            name = f"t_{name}" if not name or name[0].isdigit() else name
        if not re.fullmatch(r"[A-Za-z_]\w*", name) or not path:
            raise UsageError(f'--data takes NAME=PATH with a plain name, not "{item}"')
        if name in found:
            raise UsageError(f'--data: "{name}" names both {found[name]} and {path}')
        local = "://" not in path and not any(c in path for c in "*?[")
        if local and not Path(path).expanduser().exists():
            raise UsageError(f"--data {name}: there is no file {path}")
        found[name] = path
    return found
