"""Kinds of source: the built-in ones, missing drivers, packages of third parties."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dovetail.config import SQLiteSettings
from dovetail.connectors import registry
from dovetail.connectors.base import Connector
from dovetail.errors import ConfigError


def test_built_in_kinds() -> None:
    assert registry.kinds()[:5] == ("postgres", "mysql", "sqlite", "duckdb", "files")
    for kind in registry.kinds()[:5]:
        found = registry.connector_class(kind)
        assert issubclass(found, Connector)
        assert found.kind == kind


def test_opening_does_not_connect(tmp_path: Path) -> None:
    settings = SQLiteSettings(kind="sqlite", path=tmp_path / "none.db")
    connector = registry.open_connector("old", settings)
    assert (connector.name, connector.kind) == ("old", "sqlite")
    connector.close()


def test_unknown_kinds_list_the_known() -> None:
    with pytest.raises(ConfigError, match="source 'x': no kind 'oracle'; valid kinds are postgres"):
        registry.connector_class("oracle", "x")


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs PyMySQL and .*'dovetail\[mysql\]'"):
        registry.connector_class("mysql", "crm")
    with pytest.raises(ConfigError, match="pip install 'dovetail'"):
        registry.connector_class("sqlite", "old")
    assert registry.connector_class("files").kind == "files"


def _points(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    def entry_points(group: str, name: str | None = None) -> list[Any]:
        assert group == "dovetail.connectors"
        return [
            SimpleNamespace(
                name=p.name, value=p.value, load=p.load, dist=SimpleNamespace(name="some-package")
            )
            for p in points
            if name is None or p.name == name
        ]

    monkeypatch.setattr(registry, "entry_points", entry_points)


def test_kinds_of_third_parties(monkeypatch: pytest.MonkeyPatch) -> None:
    group = registry.GROUP
    _points(
        monkeypatch,
        EntryPoint("iceberg", "dovetail.connectors.duckdb:DuckDBConnector", group),
        EntryPoint("broken", "no.such.module:Thing", group),
        EntryPoint("wrong", "pathlib:Path", group),
        EntryPoint("files", "pathlib:Path", group),
    )
    assert registry.kinds()[5:] == ("broken", "iceberg", "wrong")
    assert registry.connector_class("iceberg").__name__ == "DuckDBConnector"
    assert registry.connector_class("files").kind == "files"
    with pytest.raises(ConfigError, match="package some-package, which does not load"):
        registry.connector_class("broken", "x")
    with pytest.raises(ConfigError, match="is not a connector class"):
        registry.connector_class("wrong", "x")


def test_drivers_are_imported_on_use_only() -> None:
    code = (
        "import sys\n"
        "import dovetail.connectors.registry, dovetail.connectors.files\n"
        "import dovetail.connectors.sqlite, dovetail.connectors.duckdb\n"
        "print([m for m in ('duckdb', 'pyarrow', 'python_calamine', 'psycopg', 'pymysql', "
        "'connectorx') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
