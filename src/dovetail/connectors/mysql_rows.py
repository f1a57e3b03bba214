"""Rows of the MySQL text protocol, straight from the socket into Arrow.

A fragment asks the server for one binary text per row: its values as exact text, separated and
ended by bytes that UTF-8 never contains (:func:`row_sql`). So a chunk of packets, received as it
comes, needs no work per cell in Python: NumPy finds the row ends, blanks the packet headers, and
what is left is a delimited text that Arrow's CSV reader parses, typed, without the GIL.

That row ends are where they seem is proven for each chunk, not assumed: the packet headers must
form an unbroken chain of lengths. Whatever is not an ordinary row (the end of the result, an error
in mid-stream, a row too large for the server's functions) breaks the chain and is read packet by
packet. A result without its end packet is an error, never a short result.

Measured on 2 cores over loopback against the alternatives: docs/decisions (MySQL reader).
"""

from __future__ import annotations

import binascii
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dovetail.connectors.base import OutputColumn
from dovetail.connectors.mysql_types import Road
from dovetail.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 1 << 20
"""Bytes parsed at once: larger ones leave the processor's cache, smaller ones cost more calls."""
_FIRST = 1 << 16  # the buffer at first: most fragments are small, and memory costs time

_END = b"\xfe\xfe\xfd"
_FIELD, _NULL = b"\xff", b"\xfc"
# The server's separator, row end and the three bytes that would confuse a CSV reader, exchanged
# for bytes that can stand for them: UTF-8 contains none of 0xF5 to 0xFF.
_TO_CSV = bytearray(range(256))
for _from, _to in ((0xFD, 0x0A), (0x0A, 0xF8), (0x0D, 0xF9), (0xFF, 0x01), (0x01, 0xF7)):
    _TO_CSV[_from] = _to
_TO_CSV_TABLE = bytes(_TO_CSV)
_FROM_CSV = bytearray(range(256))
for _from, _to in ((0xF8, 0x0A), (0xF9, 0x0D), (0xF7, 0x01)):
    _FROM_CSV[_from] = _to
_FROM_CSV_TABLE = bytes(_FROM_CSV)
_ZERO_DATE = r"^0000-00-00|^\d{4}-00-|^\d{4}-\d\d-00"


@dataclass(frozen=True)
class Field:
    """A column of a fragment on its road."""

    column: OutputColumn
    road: Road
    nullable: bool = True


def row_sql(fields: Sequence[Field], expressions: Sequence[str], limit: int) -> tuple[str, int]:
    """The SELECT list that makes one value of a row, and how many values follow it.

    ``limit`` is what a function of the server may return (half of ``max_allowed_packet``; beyond
    that CONCAT_WS answers NULL). Where declared widths may exceed it, each row is measured: a
    larger one comes as separate raw values behind a NULL instead.
    """
    cells = [f.road.encode.format(e) for f, e in zip(fields, expressions, strict=True)]
    # The casts make the separators weigh as much as a column's character set, so that the whole
    # becomes binary instead of the separators being checked as text.
    null = _binary(_NULL)
    marked = "".join(
        f"IFNULL({cell}, {null}), " if f.nullable else f"{cell}, "
        for f, cell in zip(fields, cells, strict=True)
    )
    row = f"CONCAT_WS({_binary(_FIELD)}, '', {marked}{_binary(_END)})"
    known = sum(f.road.width or 0 for f in fields) + 16 * len(fields)
    if all(f.road.width is not None for f in fields) and known <= limit:
        return f"{row} AS dovetail_row", 0
    lengths = [
        f"IFNULL({f.road.length.format(e)}, 0)"
        for f, e in zip(fields, expressions, strict=True)
        if f.road.width is None or f.road.width > 4096
    ]
    short = sum(f.road.width or 0 for f in fields if (f.road.width or 0) <= 4096)
    fits = f"({' + '.join(lengths) or '0'}) <= {max(0, limit - short - 16 * len(fields))}"
    parts = [f"IF({fits}, {row}, NULL) AS dovetail_row"]
    for number, (f, e) in enumerate(zip(fields, expressions, strict=True)):
        value = f.road.raw.format(e) if _is_wide(f) else f.road.encode.format(e)
        parts.append(f"IF({fits}, NULL, {value}) AS dovetail_wide_{number}")
    return ", ".join(parts), len(fields)


def _binary(content: bytes) -> str:
    return f"CAST(_binary x'{content.hex().upper()}' AS BINARY)"


def _is_wide(field: Field) -> bool:
    return field.road.carrier in ("text", "hex")


class RowReader:
    """Parses one running statement. Iterate once; yields record batches of the fields.

    ``receive`` fills a buffer and returns the number of bytes (0: connection closed); ``failed``
    makes the exception for an error packet (its payload) or None for a lost connection.
    ``zero_dates`` is the setting of that name; :attr:`zeros` counts them per column label.
    """

    def __init__(
        self,
        fields: Sequence[Field],
        extra: int,
        source: str,
        receive: Callable[[memoryview], int],
        failed: Callable[[bytes | None], Exception],
        zero_dates: str = "null",
    ) -> None:
        self.fields = tuple(fields)
        self.extra = extra
        self.source = source
        self.zero_dates = zero_dates
        self.zeros: dict[str, int] = {}
        self.finished = False
        self.schema = _schema(self.fields)
        self._receive = receive
        self._failed = failed
        self._names = [f"c{number}" for number in range(len(self.fields))]
        self._careful: set[int] = set()
        self._buffer = bytearray(_FIRST)
        self._filled = 0
        self._searched = 0
        self._complete = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        while not self.finished:
            if self._special():
                yield from self._packet()
                continue
            end = self._fill()
            if end:
                batch, consumed = self._ordinary(end)
                self._drop(consumed)
                if batch is not None:
                    yield batch
                elif not self._special():
                    raise self._failed(None)

    # --- buffer -----------------------------------------------------------------------------

    def _fill(self) -> int:
        """Receive until a chunk is full or something special waits; the end of the last row."""
        self._complete = 0
        while True:
            # An end whose trailing values are not all here yet counts next time.
            start = max(0, self._searched - 2 - self.extra)
            last = self._buffer.rfind(_END, start, max(0, self._filled - self.extra))
            if last >= 0:
                self._complete = last + 3 + self.extra
            self._searched = self._filled
            complete = self._complete
            if self._filled - complete >= 5 and self._buffer[complete + 4] in (0xFB, 0xFE, 0xFF):
                return complete
            # Where wide rows may come, their bytes can look like a row's end: do not wait there.
            if complete and (self.extra or self._filled >= CHUNK):
                return complete
            if len(self._buffer) - self._filled < len(self._buffer) // 4:
                # A new one: a debugger may hold a view of this one, which then cannot grow.
                self._buffer = self._buffer + bytes(len(self._buffer))
            self._more()

    def _more(self) -> None:
        with memoryview(self._buffer) as view:
            count = self._receive(view[self._filled :])
        if count == 0:
            raise self._failed(None)
        self._filled += count

    def _drop(self, count: int) -> None:
        rest = self._filled - count
        self._buffer[:rest] = self._buffer[count : self._filled]
        self._filled = rest
        self._searched = 0

    def _special(self) -> bool:
        return self._filled >= 5 and self._buffer[4] in (0xFB, 0xFE, 0xFF)

    # --- what is not an ordinary row ---------------------------------------------------------

    def _packet(self) -> Iterator[pa.RecordBatch]:
        payload = self._payload()
        first = payload[0]
        if first == 0xFF:
            raise self._failed(payload)
        if first == 0xFE and len(payload) < 9:
            self.finished = True
            return
        cells = _cells(payload)
        if first != 0xFB or len(cells) != self.extra + 1:
            raise self._failed(None)
        if self.extra == 0:
            raise DataError(
                f"{self.source}: a computed row is larger than the server's max_allowed_packet "
                "lets a function return; select the large columns as they are, or raise it there",
                source=self.source,
            )
        yield self._wide_row(cells[1:])

    def _payload(self) -> bytes:
        parts = []
        while True:
            while self._filled < 4:
                self._more()
            size = int.from_bytes(self._buffer[:3], "little")
            if len(self._buffer) < size + 4:
                self._buffer.extend(bytes(size + 4 + CHUNK - len(self._buffer)))
            while self._filled < size + 4:
                self._more()
            parts.append(bytes(self._buffer[4 : 4 + size]))
            self._drop(size + 4)
            if size < 0xFFFFFF:
                return b"".join(parts)

    def _wide_row(self, cells: list[bytes | None]) -> pa.RecordBatch:
        import pyarrow as pa

        arrays: list[Any] = []
        for field, cell in zip(self.fields, cells, strict=True):
            if field.road.carrier == "hex":
                arrays.append(pa.array([cell], self.schema.field(len(arrays)).type))
            else:
                arrays.append(self._convert(field, pa.array([cell], pa.binary())))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    # --- ordinary rows ----------------------------------------------------------------------

    def _ordinary(self, end: int) -> tuple[pa.RecordBatch | None, int]:
        """The rows in the buffer up to ``end``, or up to where the chain of lengths breaks.

        Returns the batch and how many bytes it took; None and 0 when the first row is no row.
        """
        import numpy as np

        view = np.frombuffer(self._buffer, dtype=np.uint8, count=end)
        ends = np.flatnonzero(view == 0xFD)
        ends = ends[ends >= 8]
        ends = ends[(view[ends - 1] == 0xFE) & (view[ends - 2] == 0xFE)]
        if not len(ends):
            return None, 0
        starts = np.empty(len(ends), dtype=np.int64)
        starts[0] = 0
        starts[1:] = ends[:-1] + 1 + self.extra
        inside = int(np.searchsorted(starts, end - 4))  # a wide row's bytes may look like an end
        starts, ends = starts[:inside], ends[:inside]
        sizes = view[starts].astype(np.int64)
        sizes |= view[starts + 1].astype(np.int64) << 8
        sizes |= view[starts + 2].astype(np.int64) << 16
        chained = starts + 4 + sizes == ends + 1 + self.extra
        lead = view[starts + 4]
        chained &= (lead < 0xFB) | (lead == 0xFC) | (lead == 0xFD)
        if not chained.all():
            broken = int(chained.argmin())
            starts, ends, lead = starts[:broken], ends[:broken], lead[:broken]
        if not len(starts):
            return None, 0
        # Blank the headers: they hold any byte, separators too.
        for offset in range(5):
            view[starts + offset] = 0x20
        if int(lead.max()) >= 0xFC:
            for value, width in ((0xFC, 2), (0xFD, 3)):
                long = starts[lead == value]
                for offset in range(5, 5 + width):
                    view[long + offset] = 0x20
        stop = int(ends[-1]) + 1
        del view
        text = self._buffer[:stop].translate(_TO_CSV_TABLE)
        return self._parse(text, len(starts)), stop + self.extra

    def _parse(self, text: bytearray, rows: int) -> pa.RecordBatch:
        import pyarrow as pa

        try:
            table = self._csv(text, rows, self._careful)
            arrays = [_only_chunk(table, name) for name in self._names]
        except pa.ArrowInvalid:
            try:
                arrays = [self._one_column(text, rows, n) for n in range(len(self.fields))]
            except pa.ArrowInvalid:  # no field at fault alone: a byte that only we may use
                raise DataError(
                    f"{self.source}: a text value of this fragment holds bytes that are not UTF-8 "
                    f"(one of {', '.join(f.column.label or f.column.name for f in self.fields)})",
                    source=self.source,
                ) from None
        for number in self._careful:
            arrays[number] = self._convert(self.fields[number], _translate_back(arrays[number]))
        for number, field in enumerate(self.fields):
            if number not in self._careful:
                arrays[number] = _finish(field.road.carrier, arrays[number])
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _one_column(self, text: bytearray, rows: int, number: int) -> pa.Array:
        """A column on its own; one that does not parse is read as bytes from now on."""
        import pyarrow as pa

        name = self._names[number]
        if number not in self._careful:
            try:
                return _only_chunk(self._csv(text, rows, set(), [name]), name)
            except pa.ArrowInvalid:
                self._careful.add(number)
        return _only_chunk(self._csv(text, rows, {number}, [name]), name)

    def _csv(
        self, text: bytearray, rows: int, careful: set[int], names: list[str] | None = None
    ) -> pa.Table:
        import pyarrow as pa
        from pyarrow import csv

        types = {
            name: pa.binary() if number in careful else _csv_type(self.fields[number].road.carrier)
            for number, name in enumerate(self._names)
        }
        table = csv.read_csv(
            pa.BufferReader(pa.py_buffer(text)),
            read_options=csv.ReadOptions(
                use_threads=False,
                block_size=len(text) + 1,
                column_names=["header", *self._names, "end"],
            ),
            parse_options=csv.ParseOptions(
                delimiter="\x01",
                quote_char=False,
                double_quote=False,
                escape_char=False,
                newlines_in_values=False,
                ignore_empty_lines=False,
            ),
            convert_options=csv.ConvertOptions(
                column_types=types,
                null_values=[b"\xfc"],
                strings_can_be_null=True,
                include_columns=self._names if names is None else names,
                check_utf8=True,
            ),
        )
        if table.num_rows != rows:
            raise self._failed(None)
        return table

    # --- careful conversion ------------------------------------------------------------------

    def _convert(self, field: Field, array: pa.Array) -> pa.Array:
        """Bytes of a column that the fast parser refused, one way or another exact."""
        import pyarrow as pa

        carrier = field.road.carrier
        if carrier in ("text", "hex"):
            try:
                return _finish(carrier, array.cast(pa.string()))
            except (pa.ArrowInvalid, binascii.Error):
                raise self._not_utf8(field, array) from None
        try:
            text = array.cast(pa.string())
        except pa.ArrowInvalid:
            raise self._not_utf8(field, array) from None
        if carrier in ("date", "timestamp", "timestamptz"):
            text = self._without_zero_dates(field, text)
        kind = _csv_type(carrier)
        try:
            if carrier.startswith("decimal"):
                raise pa.ArrowInvalid("Arrow's cast from text to decimal wraps round unnoticed")
            return _finish(carrier, text.cast(kind))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            values = [self._value(field, value) for value in text.to_pylist()]
        try:
            return _finish(carrier, pa.array(values, kind))
        except (pa.ArrowInvalid, OverflowError):
            raise self._misfit(field, None) from None

    def _without_zero_dates(self, field: Field, text: pa.Array) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        zero = pc.match_substring_regex(text, pattern=_ZERO_DATE)
        count = pc.sum(zero).as_py() or 0
        if count:
            self._zero_dates(field, count, pc.filter(text, zero)[0].as_py())
            text = pc.if_else(zero, pa.scalar(None, pa.string()), text)
        return text

    def _zero_dates(self, field: Field, count: int, example: str) -> None:
        label = field.column.label or field.column.name
        if self.zero_dates == "error":
            raise DataError(
                f"{label} holds {example!r}, which is no date; `zero_dates: null` on source "
                f"{self.source} reads such values as NULL",
                source=self.source,
                table=label.rpartition(".")[0] or None,
            )
        self.zeros[label] = self.zeros.get(label, 0) + count

    def _value(self, field: Field, text: str | None) -> Any:
        """One value by way of Python, for what Arrow's text casts do not take."""
        from datetime import datetime
        from decimal import Decimal, InvalidOperation

        if text is None:
            return None
        carrier = field.road.carrier
        if carrier in ("date", "timestamp", "timestamptz"):
            try:
                value = datetime.fromisoformat(text)
                return value.date() if carrier == "date" else value
            except ValueError:
                if re.match(r"\d{4}-\d\d-\d\d", text) is None:
                    raise self._misfit(field, text) from None
                self._zero_dates(field, 1, text)  # 30 February, where the server let it in
                return None
        if carrier == "time":
            raise self._misfit(field, text)
        try:
            number = Decimal(text)
            if carrier in ("float", "double"):
                return float(number)
            if carrier.startswith("decimal"):
                return self._rescaled(field, number)
            if number != number.to_integral_value():
                raise self._misfit(field, text)
            return int(number)
        except InvalidOperation:
            raise self._misfit(field, text) from None

    def _rescaled(self, field: Field, number: Any) -> Any:
        from decimal import Context, Decimal, Inexact, InvalidOperation

        scale = int(field.road.carrier.rstrip(")").split(",")[1])
        precision = int(field.road.carrier.split("(")[1].split(",")[0])
        context = Context(prec=precision, traps=[Inexact, InvalidOperation])
        try:
            return number.quantize(Decimal(1).scaleb(-scale), context=context)
        except (Inexact, InvalidOperation):
            raise self._misfit(field, str(number)) from None

    def _misfit(self, field: Field, text: str | None) -> DataError:
        label = field.column.label or field.column.name
        shown = "" if text is None else f": {text[:80]}"
        return DataError(
            f"{label} holds a value that does not fit {field.column.type}{shown}",
            source=self.source,
            table=label.rpartition(".")[0] or None,
        )

    def _not_utf8(self, field: Field, array: pa.Array) -> DataError:
        label = field.column.label or field.column.name
        example = ""
        for value in array.to_pylist():
            try:
                (value or b"").decode("utf-8")
            except UnicodeDecodeError:
                example = f": 0x{value[:40].hex()}"
                break
        return DataError(
            f"{label} holds bytes that are not UTF-8 text{example}",
            source=self.source,
            table=label.rpartition(".")[0] or None,
        )


def _only_chunk(table: pa.Table, name: str) -> pa.Array:
    import pyarrow as pa

    chunks = table.column(name).chunks
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)


def _cells(payload: bytes) -> list[bytes | None]:
    """The length-prefixed cells of a row packet."""
    cells: list[bytes | None] = []
    position = 0
    while position < len(payload):
        first = payload[position]
        position += 1
        if first == 0xFB:
            cells.append(None)
            continue
        width = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first, 0)
        size = int.from_bytes(payload[position : position + width], "little") if width else first
        position += width
        cells.append(payload[position : position + size])
        position += size
    return cells


def error_packet(payload: bytes) -> tuple[int, str]:
    """Number and text of an error packet's payload."""
    number = struct.unpack_from("<H", payload, 1)[0]
    text = payload[3:]
    if text[:1] == b"#":
        text = text[6:]
    return number, text.decode("utf-8", "replace")


def _csv_type(carrier: str) -> pa.DataType:
    import pyarrow as pa

    if carrier.startswith("decimal"):
        precision, scale = re.findall(r"\d+", carrier)
        return pa.decimal128(int(precision), int(scale))
    types: dict[str, pa.DataType] = {
        "boolean": pa.int64(),
        "float": pa.float32(),
        "double": pa.float64(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
        "timestamptz": pa.timestamp("us"),
        "time": pa.time64("us"),
        "text": pa.string(),
        "hex": pa.binary(),
    }
    return types.get(carrier) or getattr(pa, carrier)()


def _schema(fields: Sequence[Field]) -> pa.Schema:
    import pyarrow as pa

    final = {
        "boolean": pa.bool_(),
        "timestamptz": pa.timestamp("us", "UTC"),
        "hex": pa.binary(),
    }
    return pa.schema(
        [
            pa.field(f.column.name, final.get(f.road.carrier) or _csv_type(f.road.carrier))
            for f in fields
        ]
    )


def _finish(carrier: str, array: pa.Array) -> pa.Array:
    """From what the parser yields to what the stream carries, where they differ."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if carrier == "boolean":
        return pc.not_equal(array, 0)
    if carrier == "timestamptz":
        return array.view(pa.timestamp("us", "UTC"))
    if carrier == "hex":
        return _unhex(array)
    return array


def _unhex(array: pa.Array) -> pa.Array:
    """Hexadecimal cells to bytes, all at once: the cells lie end to end in one buffer."""
    import numpy as np
    import pyarrow as pa

    validity, offsets, data = array.buffers()
    places = np.frombuffer(offsets, dtype=np.int32)[array.offset : array.offset + len(array) + 1]
    low, high = int(places[0]), int(places[-1])
    content = binascii.unhexlify(memoryview(data)[low:high]) if data is not None else b""
    halved = ((places - low) // 2).astype(np.int32)
    if array.offset:
        validity = None if array.null_count == 0 else pa.array(array.is_valid()).buffers()[1]
    return pa.Array.from_buffers(
        pa.binary(), len(array), [validity, pa.py_buffer(halved), pa.py_buffer(content)]
    )


def _translate_back(array: pa.Array) -> pa.Array:
    """Undo the exchange of control characters inside text."""
    import pyarrow as pa

    validity, offsets, data = array.buffers()
    if data is None:
        return array
    content = data.to_pybytes().translate(_FROM_CSV_TABLE)
    return pa.Array.from_buffers(
        array.type, len(array), [validity, offsets, pa.py_buffer(content)], offset=array.offset
    )
