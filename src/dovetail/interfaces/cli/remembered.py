"""The names of tables as ``dovetail tables`` saw them last, for completion without a connection.

One small file per configuration in the user's cache folder; names only, no data.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

_MOST = 5000


def _file(config: str | None) -> Path | None:
    from platformdirs import user_cache_path

    from dovetail.config_load import find

    path, _ = find(config)
    if path is None:
        return None
    name = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]
    return user_cache_path("dovetail", appauthor=False) / f"tables-{name}.json"


def remember_tables(config: str | None, names: Sequence[str]) -> None:
    """Keep the qualified names of all tables of a configuration. Failing to is no error."""
    file = _file(config)
    if file is None:
        return
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps(list(names)[:_MOST]), encoding="utf-8")
        beside.replace(file)


def remembered_tables(config: str | None) -> list[str]:
    """The names kept last, or none."""
    file = _file(config)
    try:
        names = json.loads(file.read_text(encoding="utf-8")) if file is not None else []
    except (OSError, ValueError):
        return []
    return [name for name in names if isinstance(name, str)]
