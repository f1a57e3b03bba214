"""Scripts as statements."""

from __future__ import annotations

import pytest

from dovetail.errors import QuerySyntaxError, RefusedError
from dovetail.script.depends import needed_objects, with_needed
from dovetail.script.statements import split


def texts(script: str) -> list[str]:
    return [statement.text for statement in split(script)]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("select 1", ["select 1"]),
        ("select 1;", ["select 1"]),
        (" ;; select 1 ;\n; select 2", ["select 1", "select 2"]),
        ("select ';' ; select \";\" from t", ["select ';'", 'select ";" from t']),
        ("select $$;$$; select $a$;$$;$a$", ["select $$;$$", "select $a$;$$;$a$"]),
        ("select 1 -- ; no\n; select /* ; */ 2", ["select 1 -- ; no", "select /* ; */ 2"]),
        ("select 1\nGO\nselect 2\n  go  -- end\nselect 3", ["select 1", "select 2", "select 3"]),
        ("select 1 as go", ["select 1 as go"]),
        ("select 'a\nGO\nb' as x\nGo", ["select 'a\nGO\nb' as x"]),
        ("select 1 /*\nGO\n*/", ["select 1 /*\nGO\n*/"]),
        ("select 1\r\nGO\r\nselect 2", ["select 1", "select 2"]),
        ("#!/usr/bin/env -S dovetail query -f\nselect 1", ["select 1"]),
        ("-- nothing\n;", []),
        ("", []),
        ("select 'é;' ; select 'ü'", ["select 'é;'", "select 'ü'"]),
    ],
)
def test_split(script: str, expected: list[str]) -> None:
    assert texts(script) == expected


def test_lines_kinds_and_names() -> None:
    script = (
        "#!x\n\ncreate temp table a as\nselect 1;\n"
        'create or replace TEMPORARY view "B c" as from a;\nexplain select 1; '
        "explain analyze from a;\nsummarize a;"
    )
    found = split(script, "f.sql", 3)
    assert [(s.number, s.kind, s.name, s.first_line, s.last_line) for s in found] == [
        (3, "table", "a", 3, 4),
        (4, "view", "B c", 5, 5),
        (5, "explain", "", 6, 6),
        (6, "analyze", "", 6, 6),
        (7, "query", "", 7, 7),
    ]
    assert [s.query for s in found][:4] == ["select 1", "from a", "select 1", "from a"]
    assert [s.replaces for s in found] == [False, True, False, False, False]
    assert [s.has_rows for s in found] == [False, False, True, True, True]
    assert all(s.script[s.query_start :].startswith(s.query) for s in found)
    assert {s.origin for s in found} == {"f.sql"}


def test_go_with_a_number_is_a_mistake() -> None:
    with pytest.raises(QuerySyntaxError, match="alone on its line") as caught:
        split("select 1\nGO 5\nselect 2")
    assert caught.value.location is not None
    assert caught.value.location.line == 2


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("select 1;\n\ndelete from t", r"read-only: statement 2 \(DELETE\) at line 3"),
        ("drop table x", r"statement 1 \(DROP\)"),
        ("create table x as select 1", "temp tables and views only"),
        ("create temp table x (a int)", "temp tables and views only"),
        ("create temp view v(a) as select 1", "a list of columns is not supported"),
        ("copy t to 'x.csv'", r"\(COPY\)"),
        ("set threads = 1", r"\(SET\)"),
    ],
)
def test_what_may_not_run(script: str, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        split(script)


def test_a_word_of_no_language_is_left_to_the_parser() -> None:
    assert texts("frobnicate the table") == ["frobnicate the table"]


def test_what_a_statement_needs() -> None:
    script = split(
        "create temp table a as select 1; create temp view b as from a; "
        "create temp table c as select 2; create or replace temp table a as from a; "
        "select * from B; select * from a; select 'a', c.x from d as c"
    )
    assert [s.number for s in with_needed(script[4], script)] == [1, 2, 5]
    assert [s.number for s in with_needed(script[5], script)] == [1, 4, 6]
    assert [s.name for s in needed_objects(script[6], script)] == ["c"]
    assert [s.number for s in with_needed(script[2], script)] == [3]
