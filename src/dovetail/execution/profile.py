"""What a query cost: per fragment and in all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class FragmentProfile:
    """One fragment as it ran.

    ``road`` is ``native`` (the engine read the source itself), ``stream`` (Arrow batches) or
    ``cache`` (nothing was read: the rows are those of an earlier run).
    ``bytes`` counts Arrow bytes for streams; for native fragments it is rows times the width of
    the engine's types (16 for a text of any length), since the engine does not count the wire.
    ``milliseconds`` is from the start of a stream to its last row, of which ``waited`` was spent
    waiting for the engine to take rows; for native fragments it is the time the engine spent in
    its scans, all threads together. Of a native fragment over files, ``rows`` are those that came
    out of the files. They are None when the engine did not tell, or not surely of which fragment.
    ``keys`` counts, per dynamic filter, what other fragments taught this one. ``complete`` is
    whether the source delivered all of it, ``started`` when it was asked, in milliseconds after the
    run began. ``cache`` is that of the whole query's :class:`Profile`.
    """

    number: int
    source: str
    kind: str
    sql: str
    road: str
    rows: int | None = None
    bytes: int | None = None
    milliseconds: float | None = None
    waited: float = 0.0
    cache: str = "none"
    keys: dict[int, int] = field(default_factory=dict)
    complete: bool = False
    started: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The profile as plain data."""
        return {
            "number": self.number,
            "source": self.source,
            "kind": self.kind,
            "sql": self.sql,
            "road": self.road,
            "rows": self.rows,
            "bytes": self.bytes,
            "milliseconds": _rounded(self.milliseconds),
            "waited": _rounded(self.waited),
            "started": _rounded(self.started),
            "complete": self.complete,
            "cache": self.cache,
            "keys": {str(number): count for number, count in self.keys.items()},
        }


@dataclass
class Profile:
    """A whole query. Times in milliseconds, sizes in bytes; None is not known (yet).

    ``peak_memory`` and ``spilled_bytes`` are the engine's own account of its buffers and temporary
    files. It keeps the highest values over several queries: a query that stays below an earlier
    one's gets None.

    ``cache`` is ``hit`` (the rows are those of an earlier run, which began ``cache_age`` seconds
    ago), ``miss`` (they could have been) or ``none``. ``cache_note`` says why not, or why the rows
    were not kept.
    """

    fragments: list[FragmentProfile] = field(default_factory=list)
    planning_milliseconds: float = 0.0
    milliseconds: float | None = None
    rows: int = 0
    peak_memory: int | None = None
    spilled_bytes: int | None = None
    road: str = "plan"  # or "fallback": the engine ran the original text
    fallback_reason: str = ""
    cache: str = "none"
    cache_age: float | None = None
    cache_note: str = ""
    streamed: bool = False  # rows came out while a source was still open
    record_errors: dict[str, int] = field(default_factory=dict)  # by declared source of a program

    @property
    def bytes_moved(self) -> int:
        """Bytes of all fragments so far."""
        return sum(fragment.bytes or 0 for fragment in self.fragments)

    def to_dict(self) -> dict[str, Any]:
        """The profile as plain data."""
        return {
            "milliseconds": _rounded(self.milliseconds),
            "planning_milliseconds": _rounded(self.planning_milliseconds),
            "rows": self.rows,
            "bytes_moved": self.bytes_moved,
            "peak_memory": self.peak_memory,
            "spilled_bytes": self.spilled_bytes,
            "road": self.road,
            "fallback_reason": self.fallback_reason,
            "cache": self.cache,
            **({} if self.cache_age is None else {"cache_age_seconds": _rounded(self.cache_age)}),
            **({"cache_note": self.cache_note} if self.cache_note else {}),
            **({"record_errors": self.record_errors} if self.record_errors else {}),
            "fragments": [fragment.to_dict() for fragment in self.fragments],
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
