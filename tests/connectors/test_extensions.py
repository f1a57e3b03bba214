"""Finding the packaged DuckDB extensions."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from dovetail.connectors.extensions import extension_path
from dovetail.errors import ConfigError


@pytest.fixture(autouse=True)
def _fresh() -> None:
    extension_path.cache_clear()


def test_a_packaged_extension_is_found_and_signed() -> None:
    path = extension_path("postgres_scanner")
    assert Path(path).is_file()
    with duckdb.connect() as connection:
        connection.execute(f"LOAD '{path}'")


def test_a_missing_package_names_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dovetail.connectors.extensions.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'dovetail\[postgres\]'"):
        extension_path("postgres_scanner")
    with pytest.raises(ConfigError, match="pip install duckdb-extension-tpcds"):
        extension_path("tpcds")


def test_a_package_for_another_version_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb, "__version__", "9.9.9")
    with pytest.raises(ConfigError, match=r"for DuckDB v.*9\.9\.9 is installed.*==9\.9\.9"):
        extension_path("postgres_scanner")
