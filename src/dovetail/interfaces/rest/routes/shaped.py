"""Parameters that say how rows are written."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query

Shape = Annotated[Literal["objects", "arrays"], Query(description="Rows as objects, or as arrays.")]
Numbers = Annotated[
    Literal["native", "string"],
    Query(description="`string` writes every BIGINT, HUGEINT and DECIMAL as text."),
]
