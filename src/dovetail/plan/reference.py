"""The reference semantics as a service: what DuckDB says of an expression or a query.

Planning must know exact result types and constant values. Instead of re-implementing DuckDB's
typing rules, the planner asks DuckDB itself through this protocol; the engine layer provides it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from dovetail.types import Type


class Reference(Protocol):
    """Answers about SQL text in DuckDB's dialect. Implementations are thread-safe and cached."""

    def types(
        self,
        expressions: Sequence[str],
        columns: Mapping[str, str],
        group_by: Sequence[str] | None = None,
    ) -> list[Type]:
        """The types of ``expressions`` over ``columns`` (name → type text).

        Raises:
            BindError: an expression has no meaning over these columns.
        """
        ...

    def evaluate(self, expressions: Sequence[str]) -> list[tuple[Type, str] | None]:
        """Values of column-free expressions as ``(type, SQL literal)``; None where one fails."""
        ...
