"""The progress of a query in one line."""

from __future__ import annotations

from typing import Any

from dovetail.interfaces.cli.quantities import shown_size


def describe_progress(profile: Any) -> str:
    """``shop 120,000 rows 4.1 MB · crm done``."""
    parts = []
    for fragment in profile.fragments:
        if fragment.rows is None:
            parts.append(f"{fragment.source} reading")
        else:
            size = shown_size(fragment.bytes or 0)
            parts.append(f"{fragment.source} {fragment.rows:,} rows {size}")
    return " · ".join(parts) or f"{profile.rows:,} rows so far"
