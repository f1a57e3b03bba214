"""SQLite files: the engine scans them in this process.

A SQLite cell may hold any type whatever its column declares, so no SQL of its own is equal to
DuckDB's on every row; and since the file is local, a scan inside the engine moves nothing.
"""

from __future__ import annotations

from dovetail.connectors.capabilities import Capabilities

CAPABILITIES = Capabilities(kind="sqlite", dialect="sqlite", engine_reads=True)
