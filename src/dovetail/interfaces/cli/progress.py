"""The progress of a query in one line."""

from __future__ import annotations

from typing import Any

from dovetail.interfaces.cli.quantities import shown_size


def describe_progress(progress: Any) -> str:
    """``shop 120,000 rows 4.1 MB · crm done``."""
    parts = []
    for fragment in progress.fragments:
        total = f" of {fragment.total:,}" if getattr(fragment, "total", None) else ""
        parts.append(
            f"{fragment.source} {fragment.rows:,}{total} rows {shown_size(fragment.bytes)}"
        )
    return " · ".join(parts) or "planning"
