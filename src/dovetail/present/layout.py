"""The choices of a writer that are not its format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Layout:
    """How a result is laid out. What does not apply to a format is ignored by it.

    ``null`` is the text for NULL (None: the format's own, ``NULL`` or nothing). ``max_width``
    cuts cells and ``max_rows`` the result of the layouts meant for eyes; 0 is no limit. ``table``
    and ``dialect`` are those of INSERT statements. With ``prompt`` rows are written as they come,
    not gathered first: their source may pause at any time.
    """

    null: str | None = None
    header: bool = True
    bom: bool = False
    escape_formulas: bool = False
    exact_numbers: bool = False
    max_width: int = 0
    max_rows: int = 0
    color: bool = False
    compression: str = "zstd"
    row_group_rows: int = 122_880
    table: str = "t"
    dialect: str = "duckdb"
    prompt: bool = False


class ByteStream(Protocol):
    """Where bytes go: an open binary file."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Write all of ``data``."""


class Writer(Protocol):
    """One result in one format: ``begin``, any number of chunks, ``end``."""

    def begin(self) -> None:
        """Write what stands before the first row."""

    def chunk(self, table: pa.Table) -> None:
        """Write some rows."""

    def end(self) -> None:
        """Write what stands after the last row."""

    def close(self) -> None:
        """Release what the writer holds; also called when the result failed half-way."""
