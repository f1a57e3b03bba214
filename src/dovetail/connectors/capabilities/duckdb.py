"""DuckDB files and plain files: the engine reads them itself, with its own semantics."""

from __future__ import annotations

from dovetail.connectors.capabilities import Capabilities

CAPABILITIES = Capabilities(kind="duckdb", dialect="duckdb", engine_reads=True)
