"""The row reader alone: any rows, however the network cuts them, come out as they went in."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.connectors.base import OutputColumn
from dovetail.connectors.mysql_rows import CHUNK, Field, RowReader, error_packet, row_sql
from dovetail.connectors.mysql_types import road
from dovetail.errors import SourceError
from dovetail.types import parse_type

Row = Sequence[Any]


def fields(*types: str) -> tuple[Field, ...]:
    columns = [OutputColumn(f"c{i}", parse_type(t), None, f"s.t.c{i}") for i, t in enumerate(types)]
    return tuple(Field(column, road(column)) for column in columns)


def cell(value: bytes | None) -> bytes:
    if value is None:
        return b"\xfb"
    size = len(value)
    if size < 251:
        return bytes([size]) + value
    if size < 1 << 16:
        return b"\xfc" + struct.pack("<H", size) + value
    if size < 1 << 24:
        return b"\xfd" + struct.pack("<I", size)[:3] + value
    return b"\xfe" + struct.pack("<Q", size) + value


class Wire:
    """Packets as a server sends them."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._number = 1

    def packet(self, payload: bytes) -> None:
        while True:
            part, payload = payload[:0xFFFFFF], payload[0xFFFFFF:]
            self.data += struct.pack("<I", len(part))[:3] + bytes([self._number % 256]) + part
            self._number += 1
            if len(part) < 0xFFFFFF:
                return

    def row(self, values: Row, extra: int = 0) -> None:
        cells = [b"\xfc" if v is None else encoded(v) for v in values]
        text = b"\xff" + b"\xff".join(cells) + b"\xff\xfe\xfe\xfd"
        self.packet(cell(text) + b"\xfb" * extra)

    def wide(self, values: Row) -> None:
        raw = [v if isinstance(v, bytes) or v is None else str(v).encode() for v in values]
        self.packet(b"\xfb" + b"".join(map(cell, raw)))

    def end(self) -> None:
        self.packet(b"\xfe\x00\x00\x02\x00")


def encoded(value: Any) -> bytes:
    return value.hex().upper().encode() if isinstance(value, bytes) else str(value).encode()


def lost(payload: bytes | None) -> Exception:
    text = "lost" if payload is None else "{}: {}".format(*error_packet(payload))
    return SourceError(text, source="s")


def receiver(data: bytes, cut: Callable[[], int]) -> Callable[[memoryview], int]:
    position = 0

    def receive(view: memoryview) -> int:
        nonlocal position
        part = data[position : position + max(1, min(cut(), len(view)))]
        view[: len(part)] = part
        position += len(part)
        return len(part)

    return receive


def parsed(
    data: bytes, chosen: tuple[Field, ...], extra: int = 0, cut: Callable[[], int] = lambda: 1 << 30
) -> list[Row]:
    reader = RowReader(chosen, extra, "s", receiver(data, cut), lost)
    return [tuple(row.values()) for batch in reader for row in batch.to_pylist()]


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=300)
VALUES = st.tuples(
    st.none() | TEXTS,
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.binary(max_size=300),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(VALUES, max_size=30), st.integers(1, 5000), st.booleans(), st.data())
def test_rows_come_out_as_they_went_in(
    rows: list[Row], step: int, mixed: bool, data: st.DataObject
) -> None:
    """Ordinary and wide rows side by side, received in pieces of any size."""
    chosen = fields("VARCHAR", "BIGINT", "BLOB")
    wire = Wire()
    extra = len(chosen) if mixed else 0
    for row in rows:
        if mixed and data.draw(st.booleans()):
            wire.wide(row)
        else:
            wire.row(row, extra)
    wire.end()
    assert parsed(bytes(wire.data), chosen, extra, lambda: step) == rows


def test_rows_over_many_chunks_with_every_packet_number_and_length() -> None:
    chosen = fields("BIGINT", "VARCHAR", "DOUBLE")
    rows = [(i, None if i % 7 == 0 else "x" * (i % 600), i / 2) for i in range(20_000)]
    wire = Wire()
    for row in rows:
        wire.row(row)
    wire.end()
    assert len(wire.data) > 3 * CHUNK
    pieces = random.Random(7)
    assert parsed(bytes(wire.data), chosen, cut=lambda: pieces.randint(1, 200_000)) == rows


def test_wide_rows_full_of_what_looks_like_a_rows_end() -> None:
    chosen = fields("BLOB", "BIGINT")
    trap = b"\xff\xfe\xfe\xfd\xfb\xfb" * 50_000
    packets = Wire()
    packets.row((b"a", 1), 2)
    end = bytes(packets.data)
    rows = [(b"a", 1), (trap, 2), (end * 20_000, 3), (b"", None), (b"\xfe" * 17_000_000, 4)]
    wire = Wire()
    for number, row in enumerate(rows):
        wire.row(row, 2) if number in (0, 3) else wire.wide(row)
    wire.end()
    pieces = random.Random(3)
    for cut in (lambda: 1 << 30, lambda: pieces.randint(1, 400_000)):
        assert parsed(bytes(wire.data), chosen, 2, cut) == rows


@pytest.mark.parametrize("length", [0, 3, 5, 40, 700, 70_000])
def test_a_result_that_is_cut_off_never_looks_whole(length: int) -> None:
    chosen = fields("VARCHAR", "BIGINT")
    wire = Wire()
    for i in range(50):
        wire.row(("x" * (i * 40), i))
    wire.end()
    data = bytes(wire.data)[: -(length + 1)]
    with pytest.raises(SourceError, match="lost"):
        parsed(data, chosen)


def test_an_error_packet_after_rows_is_raised_after_them() -> None:
    chosen = fields("BIGINT")
    wire = Wire()
    wire.row((1,))
    wire.packet(b"\xff" + struct.pack("<H", 1317) + b"#70100Query execution was interrupted")
    reader = RowReader(chosen, 0, "s", receiver(bytes(wire.data), lambda: 1 << 30), lost)
    batches = iter(reader)
    assert next(batches).to_pylist() == [{"c0": 1}]
    with pytest.raises(SourceError, match="1317: Query execution was interrupted"):
        next(batches)


def test_a_broken_chain_of_packets_is_an_error() -> None:
    """A length that lies must not shift rows."""
    chosen = fields("BIGINT")
    wire = Wire()
    for i in range(10):
        wire.row((i,))
    wire.end()
    data = bytearray(wire.data)
    size = len(data) // 10
    data[3 * size] += 1
    with pytest.raises(SourceError, match="lost"):
        parsed(bytes(data), chosen)


def test_wide_columns_are_measured_and_narrow_ones_are_not() -> None:
    def field(native: str, type_: str) -> Field:
        column = OutputColumn("c", parse_type(type_), native)
        return Field(column, road(column))

    narrow = [field("int(11)", "INTEGER"), field("varchar(100)", "VARCHAR")]
    text, extra = row_sql(narrow, ["a", "b"], 1 << 22)
    assert extra == 0
    assert "OCTET_LENGTH" not in text
    text, extra = row_sql([*narrow, field("longtext", "VARCHAR")], ["a", "b", "c"], 1 << 22)
    assert extra == 3
    assert text.count("OCTET_LENGTH(c)") == 4
    text, extra = row_sql([field("varchar(16000)", "VARCHAR")] * 100, ["a"] * 100, 1 << 22)
    assert extra == 100
