"""What the engine says, as one of our errors."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from dovetail.errors import (
    DataError,
    DovetailError,
    InternalError,
    MemoryExceededError,
    QueryError,
    SourceUnavailableError,
    StaleCatalogError,
    TempSpaceExceededError,
)
from dovetail.execution.errors import BrokenOffError, translate_run_error, was_interrupted


def translated(
    error: BaseException,
    streams: tuple[BaseException | None, ...] = (),
    relations: dict[str, list[str]] | None = None,
) -> Any:
    return translate_run_error(error, (), streams, relations or {})


def raised(sql: str, **config: Any) -> duckdb.Error:
    with duckdb.connect(config=config) as connection, pytest.raises(duckdb.Error) as caught:
        connection.execute(sql).fetchall()
    return caught.value


@pytest.mark.parametrize(
    ("sql", "kind", "said"),
    [
        ("SELECT CAST('x' || range AS INTEGER) FROM range(3)", DataError, "'x0' to INT32"),
        ("SELECT error('dovetail-data:shop.t.c holds a value')", DataError, "shop.t.c holds"),
        ("SELECT 9223372036854775807 + range FROM range(3)", DataError, "verflow"),
        ("SELECT * FROM read_csv('/nowhere/at/all.csv')", QueryError, "nowhere"),
    ],
)
def test_data_and_query_errors(sql: str, kind: type[DovetailError], said: str) -> None:
    error = translated(raised(sql))
    assert type(error) is kind
    assert said in str(error)
    assert "\n" not in str(error)
    assert "Error:" not in str(error)


def test_the_mark_in_repeated_sql_is_no_data_error() -> None:
    error = duckdb.IOException(
        "IO Error: Failed to prepare query \"SELECT 'dovetail-data:t.c holds …'\": gone"
    )
    assert type(translated(error)) is QueryError


def test_memory_and_disk() -> None:
    error = raised("SELECT list(range) FROM range(9000000)", memory_limit="20MB", threads=1)
    assert type(translated(error)) is MemoryExceededError
    error = duckdb.OutOfMemoryException(
        "Out of Memory Error: failed to offload data block of size 256.0 KiB (3.7 MiB/3.8 MiB "
        "used).\nThis limit was set by the 'max_temp_directory_size' setting."
    )
    assert type(translated(error)) is TempSpaceExceededError
    error = duckdb.IOException("IO Error: Could not write file: No space left on device")
    assert type(translated(error)) is TempSpaceExceededError


def test_a_stream_s_own_error_wins() -> None:
    mine = DataError("shop.t.c: no")
    assert translated(duckdb.Error("anything"), (None, mine)) is mine
    foreign = translated(duckdb.Error("anything"), (ValueError("strange"),))
    assert type(foreign) is InternalError
    assert "strange" in str(foreign)


def test_what_arrow_wraps_is_understood() -> None:
    error = OSError("Conversion Error: Could not convert string 'v' to INT32")
    assert type(translated(error)) is DataError


def test_a_changed_type_is_told_from_a_cast_of_the_user() -> None:
    received = 'CAST("c" AS DECIMAL(10, 2)) AS "c"'
    relation = f"(SELECT {received} FROM postgres_query('a', '…'))"
    for cast, kind in ((received, StaleCatalogError), ('CAST("t"."c" AS INT)', DataError)):
        line = f"LINE 1: SELECT {cast} FROM x"
        error = duckdb.ConversionException(
            f"Conversion Error: Could not convert string 'v'\n\n{line}\n"
            + " " * line.index("CAST")
            + "^"
        )
        found = translated(error, relations={"shop": [relation]})
        assert type(found) is kind
        if kind is StaleCatalogError:
            assert found.source == "shop"
            assert '"c"' in found.message


def test_a_scan_that_was_broken_off() -> None:
    assert was_interrupted(OSError("INTERRUPT Error: Interrupted!"))
    assert was_interrupted(duckdb.InterruptException("INTERRUPT Error: Interrupted!"))
    assert not was_interrupted(OSError("no"))
    error = BrokenOffError.of(["shop", "crm"])
    assert "source shop or crm" in str(error)
    lost = error.connection_lost()
    assert type(lost) is SourceUnavailableError
    assert lost.source == "shop"
    assert str(lost).startswith("source shop or crm closed the connection")


def test_no_secret_gets_through() -> None:
    error = duckdb.Error("cannot open postgresql://u:hunter2@host/db")
    assert "hunter2" not in str(translated(error))
