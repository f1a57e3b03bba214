"""Batches between the thread that runs and the one that reads, and from source to engine."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest
from tests.faults import failing, wait_until

from dovetail.errors import CancelledError, DataError, InternalError
from dovetail.execution.handover import Handover, Rows
from dovetail.execution.profile import FragmentProfile
from dovetail.execution.stream import FragmentStream, RereadError


def batch(rows: int) -> pa.RecordBatch:
    return pa.record_batch({"n": list(range(rows))})


def test_batches_come_in_order_and_end() -> None:
    handover = Handover(1)
    for rows in (1, 2, 3):
        handover.put(batch(rows))
    handover.finish(None)
    taken = []
    while (found := handover.take()) is not None:
        taken.append(found.num_rows)
    assert taken == [1, 2, 3]
    assert handover.take() is None


def test_what_is_ahead_is_bounded() -> None:
    handover = Handover(1)
    big, put = batch(1 << 20), []  # 8 MB

    def fill() -> None:
        for _ in range(10):
            handover.put(big)
            put.append(1)

    thread = threading.Thread(target=fill)
    thread.start()
    wait_until(lambda: len(put) >= 3, "nothing is put")
    assert thread.is_alive()
    assert len(put) <= 4
    for _ in range(10):
        assert handover.take() is big
    thread.join(10)
    assert not thread.is_alive()


def test_an_error_is_not_delayed_by_rows() -> None:
    handover = Handover(1)
    handover.put(batch(1))
    handover.finish(DataError("no"))
    failing(handover.take, DataError, 1)


def test_a_stop_waits_for_the_clean_up() -> None:
    handover = Handover(10)
    handover.put(batch(1))
    handover.stop(CancelledError("stopped"))
    cleaned = threading.Event()

    def clean() -> None:
        cleaned.set()
        handover.finish(CancelledError("stopped"))

    threading.Timer(0.2, clean).start()
    failing(handover.take, CancelledError, 5)
    assert cleaned.is_set()


def test_a_stop_does_not_wait_for_ever() -> None:
    handover = Handover(0.3)
    handover.stop(CancelledError("stopped"))
    outcome = failing(handover.take, CancelledError, 2)
    assert outcome.seconds > 0.2
    assert not handover.wait_finished()


def test_a_stop_frees_whoever_puts() -> None:
    handover = Handover(0.1)

    def fill() -> None:
        for _ in range(10):
            handover.put(batch(1 << 20))

    thread = threading.Thread(target=fill)
    thread.start()
    handover.stop(CancelledError("stopped"))
    thread.join(10)
    assert not thread.is_alive()


def test_dropped_rows_are_abandoned() -> None:
    abandoned: list[int] = []
    rows = Rows(batch(1), lambda: None, lambda: abandoned.append(1))
    assert next(rows).num_rows == 1
    with pytest.raises(StopIteration):
        next(rows)
    assert not abandoned
    del rows
    assert abandoned == [1]


# --- fragment streams -----------------------------------------------------------------------------

SCHEMA = pa.schema([("n", pa.int64())])


def stream_of(
    batches: Iterator[pa.RecordBatch], check: object = None
) -> tuple[FragmentStream, FragmentProfile]:
    profile = FragmentProfile(7, "shop", "mysql", "SELECT", "stream")
    reader = pa.RecordBatchReader.from_batches(SCHEMA, batches)
    stream = FragmentStream(lambda: reader, SCHEMA, profile, check or (lambda: None))
    return stream, profile


def test_a_stream_counts_what_passes() -> None:
    stream, profile = stream_of(iter([batch(10), batch(20)]))
    stream.start()
    assert pa.RecordBatchReader.from_stream(stream).read_all().num_rows == 30
    assert stream.join(5)
    assert (profile.rows, profile.bytes) == (30, 240)
    assert profile.milliseconds > 0


def test_an_error_of_the_source_comes_out() -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield batch(1)
        raise DataError("shop.t.n: not a number")

    stream, _ = stream_of(broken())
    stream.start()
    with pytest.raises(Exception, match="not a number"):
        pa.RecordBatchReader.from_stream(stream).read_all()
    assert "not a number" in str(stream.error)


def test_a_stopped_stream_does_not_look_complete() -> None:
    gate = threading.Event()

    def slow() -> Iterator[pa.RecordBatch]:
        yield batch(1)
        gate.wait(10)

    stream, _ = stream_of(slow())
    stream.start()
    reader = pa.RecordBatchReader.from_stream(stream)
    assert reader.read_next_batch().num_rows == 1
    stream.stop()
    with pytest.raises(Exception, match="stopped"):
        reader.read_next_batch()
    gate.set()
    assert stream.join(5)


def test_a_stream_that_nobody_reads_does_not_fill_the_memory() -> None:
    made: list[int] = []

    def many() -> Iterator[pa.RecordBatch]:
        for _ in range(100):
            made.append(1)
            yield batch(1 << 20)  # 8 MB

    stream, profile = stream_of(many())
    stream.start()
    wait_until(lambda: len(made) >= 5, "nothing is fetched")
    stream.stop()
    assert stream.join(5)
    assert len(made) <= 7
    assert profile.bytes <= 7 * (8 << 20)


def test_the_engine_cannot_read_a_stream_twice() -> None:
    stream, _ = stream_of(iter([batch(3)]))
    with duckdb.connect() as connection:
        connection.register("s", stream)
        stream.start()
        with pytest.raises(Exception, match="twice"):
            connection.execute("SELECT count(*) FROM s a, s b").fetchall()
    assert type(stream.error) is RereadError
    assert isinstance(stream.error, InternalError)
    assert "fragment 7 of source shop" in str(stream.error)
