"""What has been rendered already: repeated queries bring the same fragments under another tag."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from dovetail.connectors.base import FragmentRequest

_KEPT = 512
_UNSAFE = re.compile(r"[^A-Za-z0-9_.:-]")

_Text = TypeVar("_Text")


class Rendered(Generic[_Text]):
    """Renderings by the identity of the request's query: nodes of a plan are never edited.

    The planner keeps plans, and what it recalls holds the very same query objects; to render one
    takes longer than all the rest that a connector does in a small query. ``render`` must not look
    at the tag, which is another one each time. Thread-safe.
    """

    def __init__(self, render: Callable[[FragmentRequest], _Text]) -> None:
        self._render = render
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, tuple[FragmentRequest, _Text]] = OrderedDict()

    def of(self, request: FragmentRequest) -> _Text:
        """What ``render`` made, or makes now, of this request."""
        key = id(request.query)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and _same(kept[0], request):
                self._kept.move_to_end(key)
                return kept[1]
        made = self._render(request)
        with self._lock:
            self._kept[key] = (request, made)  # keeps the query, so that its id stays its own
            self._kept.move_to_end(key)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made


def _same(kept: FragmentRequest, request: FragmentRequest) -> bool:
    return (
        kept.query is request.query
        and kept.columns is request.columns
        and kept.scan is request.scan
        and kept.filtered_scan is request.filtered_scan
    )


def comment(tag: str) -> str:
    """The comment that carries a tag, with a space behind it; empty without a tag."""
    safe = _UNSAFE.sub("", tag)
    return f"/* {safe} */ " if safe else ""
