"""Secrets are references; their values live in :class:`Secret` and are shown to nobody."""

from __future__ import annotations


class Secret:
    """A value that ``str``, ``repr``, pickling and JSON never show; ``reveal`` gives it out."""

    __slots__ = ("_reveal", "reference")

    def __init__(self, value: str, reference: str = "") -> None:
        self._reveal = value
        self.reference = reference

    def reveal(self) -> str:
        """The value itself. Only connectors call this, at the moment they connect."""
        return self._reveal

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__
