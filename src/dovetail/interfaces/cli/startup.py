"""What makes a cold start short. Each point is worth some tens of milliseconds."""

from __future__ import annotations

import gc
import os
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


def prepare() -> None:
    """Settings of the process that must be made before anything is imported.

    The garbage collector runs seldom: imports make many objects and next to no garbage. pydantic
    does not look for plug-ins, for which it would read the entry points of every installed package.
    """
    gc.set_threshold(100_000, 20, 50)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
