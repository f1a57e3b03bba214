"""What makes a cold start short. Each point is worth some tens of milliseconds."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from typing import Any

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
    """Let freed memory go back to the system at once, which three allocators would keep for reuse.

    Batches are made in one thread and freed in another. Arrow's own allocator keeps what was freed,
    and so does glibc once it has learnt that large blocks come and go. DuckDB's keeps it for a
    second, and does not count it: 150 MB beyond its limit while spilled groups are read back.
    """
    import ctypes

    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    with suppress(OSError, AttributeError):  # another libc than glibc
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)
    with suppress(OSError, AttributeError):  # a DuckDB without an allocator of its own
        import _duckdb

        _set_decay(ctypes.CDLL(_duckdb.__file__).duckdb_je_mallctl, 0)


def _set_decay(mallctl: Any, milliseconds: int) -> None:
    """Tell jemalloc for how long to keep freed pages, in the arenas of today and of tomorrow."""
    from ctypes import byref, c_size_t, c_ssize_t, c_uint, sizeof

    arenas, size = c_uint(), c_size_t(sizeof(c_uint))
    mallctl(b"arenas.narenas", byref(arenas), byref(size), None, c_size_t())
    kept = c_ssize_t(milliseconds)
    for place in ("arenas", *(f"arena.{number}" for number in range(arenas.value))):
        for pages in ("dirty", "muzzy"):
            name = f"{place}.{pages}_decay_ms".encode()  # an arena that is not in use refuses
            mallctl(name, None, None, byref(kept), c_size_t(sizeof(c_ssize_t)))


def prepare() -> None:
    """Settings of the process that must be made before anything is imported.

    The garbage collector runs seldom: imports make many objects and next to no garbage. pydantic
    does not look for plug-ins, for which it would read the entry points of every installed package.
    """
    gc.set_threshold(100_000, 20, 50)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
