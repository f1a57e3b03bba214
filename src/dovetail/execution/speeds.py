"""How fast sources were seen to deliver rows: learnt from every run, kept while the process lives.

A whole table that is read as it is shows what source, link and reader do together, and when that
takes much longer than the work on its rows explains, the link is what takes it. Any other fragment
may have waited for the source to compute, so it only shows that they do no less.
"""

from __future__ import annotations

import threading

_LEAST_BYTES = 1 << 20  # less than that is over before the link is busy
_MOST_PLACES = 1000
_EXPLAINED = 2.5  # times the seconds that its rows should take: machines have other work to do

_lock = threading.Lock()
_speeds: dict[str, float] = {}


def learn(
    place: str, size: int, seconds: float, *, whole_table: bool, explained: float = 0.0
) -> None:
    """Take note that a fragment brought ``size`` bytes from ``place`` in so many seconds.

    ``explained`` are the seconds that reading and sending its rows should take by themselves.
    """
    if size < _LEAST_BYTES or seconds <= 0:
        return
    seen = size / seconds
    with _lock:
        known = _speeds.get(place)
        if whole_table and seconds > _EXPLAINED * explained:
            _speeds[place] = seen if known is None else (known + seen) / 2
        elif known is not None and seen > known:
            _speeds[place] = seen
        while len(_speeds) > _MOST_PLACES:
            del _speeds[next(iter(_speeds))]


def of(place: str) -> float | None:
    """Bytes per second from ``place``, or None when nothing large has come from there."""
    with _lock:
        return _speeds.get(place)


def forget() -> None:
    """Know nothing again."""
    with _lock:
        _speeds.clear()
