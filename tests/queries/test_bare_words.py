"""``select current_date, …``: words that are calls without parentheses, as columns."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

import dovetail

WORDS = (
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "current_user",
    "session_user",
    "user",
    "current_schema",
    "current_catalog",
    "today()",
    "now()",
)


@pytest.mark.parametrize("word", WORDS)
def test_a_word_as_a_column(tmp_path: Path, word: str) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n")
    forms = [
        f"select {word}, a from t",
        f"select a, {word} as a2, {word} as b from t where {word} is not null",
        f"select max(d) as m, count(*) as n from (select {word} as d, a from t) group by a",
    ]
    with (
        dovetail.connect(data={"t": tmp_path / "t.csv"}, allowed_directories=[tmp_path]) as session,
        duckdb.connect(config={"threads": 1}) as plain,
    ):
        plain.execute("set timezone = 'UTC'; create table t as select 1::bigint as a")
        for sql in forms:
            expected = plain.sql(sql)
            with session.sql(sql) as result:
                types = [
                    (str(n), str(t)) for n, t in zip(expected.columns, expected.types, strict=True)
                ]
                assert result.columns == types
                assert len(result.rows()) == 1
