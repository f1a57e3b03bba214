"""What makes a cold start short. Each point is worth some tens of milliseconds."""

from __future__ import annotations

import gc
import sys


def load_arrow_without_numpy() -> None:
    """Import pyarrow as if NumPy were not installed.

    pyarrow works without NumPy and loads it when it is there, which takes longer than pyarrow
    itself. Nothing in the command line converts to NumPy; a driver that wants it still gets it,
    because the name is free again afterwards.
    """
    if "pyarrow" in sys.modules or "numpy" in sys.modules:
        return
    sys.modules["numpy"] = None  # type: ignore[assignment]
    try:
        import pyarrow  # noqa: F401
    finally:
        del sys.modules["numpy"]


def collect_less() -> None:
    """Let the garbage collector run seldom: imports make many objects and next to no garbage."""
    gc.set_threshold(100_000, 20, 50)
