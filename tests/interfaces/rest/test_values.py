"""Values as JSON, by SQL type, out of real results."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

import dovetail
from dovetail.interfaces.rest.values import encode_rows, iso_interval

CASES: list[tuple[str, Any]] = [
    ("1::TINYINT", 1),
    ("9007199254740992::BIGINT", "9007199254740992"),
    ("-9007199254740991::BIGINT", -9007199254740991),
    ("18446744073709551615::UBIGINT", "18446744073709551615"),
    ("5::HUGEINT", 5),
    ("(-170141183460469231731687303715884105)::HUGEINT", "-170141183460469231731687303715884105"),
    ("123456789012345::DECIMAL(20,0)", 123456789012345),
    ("1234567890123456::DECIMAL(20,0)", "1234567890123456"),
    ("0.10::DECIMAL(3,2)", 0.1),
    ("0.1::FLOAT", 0.1),
    ("1e300::DOUBLE", 1e300),
    ("'-inf'::FLOAT", "-Infinity"),
    ("'nan'::FLOAT", "NaN"),
    ("NULL::DOUBLE", None),
    ("true", True),
    ("'ü\"\\'", 'ü"\\'),
    ("DATE '2024-02-29'", "2024-02-29"),
    ("DATE '0044-03-15 (BC)'", "-0043-03-15"),
    ("DATE '12024-01-01'", "+12024-01-01"),
    ("'infinity'::DATE", "infinity"),
    ("TIME '12:00:01'", "12:00:01"),
    ("TIME '24:00:00'", "24:00:00"),
    ("TIME '12:00:01.5'", "12:00:01.500000"),
    ("TIMESTAMP '2024-02-29 12:00:00.123456'", "2024-02-29T12:00:00.123456"),
    ("TIMESTAMP '1969-12-31 23:59:59.999999'", "1969-12-31T23:59:59.999999"),
    ("TIMESTAMP_NS '2024-02-29 12:00:00.123456789'", "2024-02-29T12:00:00.123456789"),
    ("TIMESTAMP_S '2024-02-29 12:00:00'", "2024-02-29T12:00:00"),
    ("'-infinity'::TIMESTAMP", "-infinity"),
    ("TIMESTAMPTZ '2024-02-29 12:00:00+02'", "2024-02-29T10:00:00Z"),
    ("INTERVAL 90 MINUTE", "PT1H30M"),
    ("INTERVAL '1 month 2 days'", "P1M2D"),
    ("INTERVAL '-14 months'", "P-1Y-2M"),
    ("'6b7e2c5a-1f6b-4a7e-9d55-0d8c1b1a9c11'::UUID", "6b7e2c5a-1f6b-4a7e-9d55-0d8c1b1a9c11"),
    ("'\\xAA'::BLOB", {"$base64": "qg=="}),
    ("'101'::BIT", "101"),
    ("'12:00:00+02'::TIMETZ", "12:00:00+02"),
    ("{'b': ['0101'::BIT]}", {"b": ["0101"]}),
    ("'{\"a\": [1, null, 0.5]}'::JSON", {"a": [1, None, 0.5]}),
    ("'x'::ENUM('x', 'y')", "x"),
    ("[1, NULL, 3]", [1, None, 3]),
    ("[[9007199254740993::BIGINT], NULL, []]", [["9007199254740993"], None, []]),
    ("[1, 2]::INTEGER[2]", [1, 2]),
    ("{'a': 1, 'd': DATE '2024-02-29', 'n': NULL}", {"a": 1, "d": "2024-02-29", "n": None}),
    ("MAP {'k': 1.5::DOUBLE, 'l': NULL}", [["k", 1.5], ["l", None]]),
    ("MAP {1: {'x': ['\\xAA'::BLOB]}}", [[1, {"x": [{"$base64": "qg=="}]}]]),
]


@pytest.fixture(scope="module")
def session() -> Any:
    with dovetail.connect({}) as opened:
        yield opened


def encoded(session: Any, sql: str, **options: Any) -> list[Any]:
    result = session.sql(sql)
    columns = result.columns
    return encode_rows(
        result.arrow(), [name for name, _ in columns], [type_ for _, type_ in columns], **options
    )


def test_every_type(session: Any) -> None:
    sql = "SELECT " + ", ".join(f"{text} AS c{n}" for n, (text, _) in enumerate(CASES))
    # Beside a row of NULLs, so that every kind of missing value is seen too.
    nulls = ", ".join("NULL" for _ in CASES)
    rows = encoded(session, f"{sql} UNION ALL SELECT {nulls}")
    full = next(row for row in rows if row["c0"] is not None)
    missing = next(row for row in rows if row["c0"] is None)
    for number, (text, expected) in enumerate(CASES):
        assert full[f"c{number}"] == expected, text
        assert missing[f"c{number}"] is None, text
    json.dumps(rows, allow_nan=False)


def test_slices_of_nested_values(session: Any) -> None:
    """A page begins in the middle of an Arrow array: offsets are not those of its values."""
    result = session.sql(
        "SELECT [i, i + 1] AS l, {'a': [i]} AS s, MAP {i: i} AS m, [i, i]::INTEGER[2] AS f "
        "FROM range(6) t(i) ORDER BY i"
    )
    columns = result.columns
    page = result.arrow().slice(3, 2)
    names = [name for name, _ in columns]
    rows = encode_rows(page, names, [type_ for _, type_ in columns], as_arrays=True)
    assert rows == [
        [[3, 4], {"a": [3]}, [[3, 3]], [3, 3]],
        [[4, 5], {"a": [4]}, [[4, 4]], [4, 4]],
    ]


def test_numbers_as_text(session: Any) -> None:
    sql = "SELECT 1::BIGINT AS b, 1::INTEGER AS i, 1.50::DECIMAL(5,2) AS d, 2::HUGEINT AS h"
    [row] = encoded(session, sql, numbers_as_text=True)
    assert row == {"b": "1", "i": 1, "d": "1.50", "h": "2"}


def test_dates_agree_with_the_calendar(session: Any) -> None:
    days = "FROM range(-719162, 2932896, 1009) t(i)"
    rows = encoded(session, f"SELECT DATE '1970-01-01' + i::INTEGER AS d {days}")
    first = dt.date(1970, 1, 1)
    expected = [
        (first + dt.timedelta(days=day)).isoformat() for day in range(-719162, 2932896, 1009)
    ]
    assert [row["d"][:10] for row in rows] == expected


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ((0, 0, 0), "PT0S"),
        ((12, 0, 0), "P1Y"),
        ((-1, 1, 0), "P-1M1D"),
        ((0, 0, 1_500_000_000), "PT1.5S"),
        ((0, 0, -3_600_000_000_000), "PT-1H"),
        ((0, 2, 90_000_000_000_000), "P2DT25H"),
    ],
)
def test_intervals(parts: tuple[int, int, int], text: str) -> None:
    assert iso_interval(*parts) == text
