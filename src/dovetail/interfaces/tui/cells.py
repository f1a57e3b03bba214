"""The text of the cells on screen: made for visible rows only, and kept for a while."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dovetail.interfaces.tui.analyst import Analyst
from dovetail.present.grid import visible, width

if TYPE_CHECKING:
    import pyarrow as pa

_KEPT = 60_000  # cells
_LONGEST = 500  # characters of a cell that the grid looks at
_MEASURED = 1_000  # rows
_WIDEST, _NARROWEST = 40, 3
_RIGHT = frozenset(
    ("tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger",
     "ubigint", "uhugeint", "float", "double", "decimal", "bignum")
)  # fmt: skip


class Cells:
    """Texts of cells by row number and column. For one thread: the one that paints."""

    def __init__(self, analyst: Analyst) -> None:
        self._analyst = analyst
        self._kept: OrderedDict[tuple[int, int], str | None] = OrderedDict()
        self._widths: dict[int, int] = {}
        self._last: tuple[Sequence[int], Sequence[int], dict[tuple[int, int], str | None]]
        self._last = ((), (), {})
        self._plain = [_plain_kind(kind.id, str(kind)) for kind in analyst.kinds]

    def is_number(self, column: int) -> bool:
        """Whether the column is written to the right."""
        return self._analyst.kinds[column].id in _RIGHT

    def texts(
        self, rows: Sequence[int], columns: Sequence[int]
    ) -> dict[tuple[int, int], str | None]:
        """``(row, column)`` → the exact text, None for NULL."""
        if self._last[0] == rows and self._last[1] == columns:  # the cursor has moved
            return self._last[2]
        found: dict[tuple[int, int], str | None] = {}
        missing: dict[tuple[int, ...], list[int]] = {}
        for column in columns:
            wanted = []
            for row in rows:
                key = (row, column)
                if key in self._kept:
                    self._kept.move_to_end(key)
                    found[key] = self._kept[key]
                else:
                    wanted.append(row)
            if wanted:
                missing.setdefault(tuple(wanted), []).append(column)
        for wanted_rows, group in missing.items():
            for column, texts in zip(group, self._make(wanted_rows, group), strict=True):
                for row, text in zip(wanted_rows, texts, strict=True):
                    found[(row, column)] = self._kept[(row, column)] = text
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        self._last = (rows, columns, found)
        return found

    def text(self, row: int, column: int) -> str | None:
        """The exact text of one cell."""
        return self.texts([row], [column])[(row, column)]

    def _make(self, rows: Sequence[int], columns: Sequence[int]) -> list[list[str | None]]:
        made: dict[int, list[str | None]] = {}
        hard: list[int] = []
        gathered: dict[int, pa.ChunkedArray] = {}
        for column in columns:
            values = gathered[column] = _gather(self._analyst.table.column(column), rows)
            plain = self._plain[column]
            if plain is None:
                hard.append(column)
                continue
            try:
                made[column] = [None if v is None else plain(v) for v in values.to_pylist()]
            except (ValueError, OverflowError):  # a date that Python does not have
                hard.append(column)
        if hard:
            import pyarrow as pa

            table = pa.Table.from_arrays([gathered[c] for c in hard], names=[str(c) for c in hard])
            for column, texts in zip(hard, self._analyst.texts(table, hard), strict=True):
                made[column] = texts
        return [made[column] for column in columns]

    def width(self, column: int) -> int:
        """The width of a column from its header and its first rows, at most 40."""
        known = self._widths.get(column)
        if known is None:
            known = self._widths[column] = self.measure(column, range(_MEASURED))
        return known

    def measure(self, column: int, rows: Sequence[int]) -> int:
        """The width that fits the header, the type and these rows, at most 40."""
        this = self._analyst.columns[column]
        head = max(width(visible(this.name)) + 2, min(len(this.type), 12), _NARROWEST)
        last = self._analyst.table.num_rows
        wanted = [row for row in rows if row < last]
        texts = self._make(wanted, [column])[0] if wanted else []
        longest = max((_cell_width(text) for text in texts), default=0)
        return min(max(head, longest), _WIDEST)

    def forget_widths(self) -> None:
        """Measure anew: more rows have come."""
        self._widths.clear()


def _gather(column: pa.ChunkedArray, rows: Sequence[int]) -> pa.ChunkedArray:
    """The values of these rows, taken out piece by piece: ``take`` would copy all chunks first."""
    import pyarrow as pa

    pieces = []
    start = previous = rows[0]
    for row in [*rows[1:], -1]:
        if row == previous + 1:
            previous = row
            continue
        pieces.extend(column.slice(start, previous - start + 1).chunks)
        start = previous = row
    return pa.chunked_array(pieces, column.type)


def _cell_width(text: str | None) -> int:
    return 4 if text is None else width(shown(text))


def shown(text: str) -> str:
    """A value as one line of the grid: line breaks as ``⏎``, control codes as escapes."""
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "…"
    if "\n" in text:
        text = text.replace("\r\n", "⏎").replace("\n", "⏎")
    return visible(text)


def _plain_kind(kind: str, name: str) -> Any:
    """A function that writes a Python value of this type just as DuckDB would, or None."""
    if name == "VARCHAR":
        return str
    if kind in ("tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger",
                "ubigint", "double"):  # fmt: skip
        return str
    if kind == "boolean":
        return {True: "true", False: "false"}.__getitem__
    if kind == "date":
        return str
    if kind in ("decimal", "hugeint", "uhugeint"):
        return _decimal
    return None


def _decimal(value: Decimal | int) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)
