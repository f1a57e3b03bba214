"""Files as tables without configuration: ``'path'`` in FROM, ``stdin``, and named data files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dovetail.catalog.catalogs import Catalogs
from dovetail.catalog.model import TableInfo
from dovetail.connectors.base import Connector
from dovetail.errors import Location


class LocalTables:
    """Finds local tables by name. Stub until the files connector lands."""

    def __init__(
        self,
        directories: Sequence[Path],
        stdin: Path | None,
        data: Mapping[str, Path],
        spool_directory: str,
    ) -> None:
        self.connectors: dict[str, Connector] = {}

    def find(
        self, parts: tuple[str, ...], location: Location | None, catalogs: Catalogs
    ) -> TableInfo | None:
        return None

    def allow(self, call: Any) -> None:
        return None

    def directories_for(self, calls: Sequence[Any]) -> list[Path]:
        return []

    def close(self) -> None:
        return None
