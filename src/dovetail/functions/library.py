"""The macros that the queries of one session may call: the user's own, and those that we ship."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from dovetail.functions.macros import Macro, macros
from dovetail.language.sql.judge_functions import MACROS


@dataclass(frozen=True)
class Library:
    """Macros by name, in small letters. One of the user's hides a shipped one of the same name."""

    own: Mapping[str, Macro] = field(default_factory=dict)

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all, without reading the file of those that we ship."""
        return MACROS | self.own.keys()

    def __getitem__(self, name: str) -> Macro:
        return self.own[name] if name in self.own else macros()[name]
