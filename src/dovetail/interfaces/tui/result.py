"""A result on screen, with everything the keys of the results do to it."""

from __future__ import annotations

from dovetail.interfaces.tui.result_base import Host
from dovetail.interfaces.tui.result_filters import Filtering
from dovetail.interfaces.tui.result_looking import Looking
from dovetail.interfaces.tui.result_moving import Moving
from dovetail.interfaces.tui.result_search import Searching

__all__ = ["Host", "ResultPane"]


class ResultPane(Moving, Filtering, Searching, Looking):
    """One result: made when the first rows are there, or by itself (statistics, frequencies)."""
