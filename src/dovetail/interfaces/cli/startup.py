"""What makes a cold start short. Each point is worth some tens of milliseconds."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress

# Blocks of this size and more are mapped one by one, and so unmapped when they are freed
# (mallopt(3)): a column of one batch has half a megabyte.
_M_MMAP_THRESHOLD = -3
_LARGE_BLOCK = 128 << 10


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


def give_back_freed_memory() -> None:
    """Let memory that Arrow's buffers no longer need go back to the system at once.

    Batches are made in one thread and freed in another. Arrow's own allocator keeps what was freed,
    and so does glibc once it has learnt that large blocks come and go.
    """
    import ctypes

    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    with suppress(OSError, AttributeError):  # another libc than glibc
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


def prepare() -> None:
    """Settings of the process that must be made before anything is imported.

    The garbage collector runs seldom: imports make many objects and next to no garbage. pydantic
    does not look for plug-ins, for which it would read the entry points of every installed package.
    """
    gc.set_threshold(100_000, 20, 50)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
