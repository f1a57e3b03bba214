"""A fragment is rendered once for all the queries that a kept plan serves."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from dovetail.connectors.base import FragmentRequest, OutputColumn
from dovetail.connectors.rendered import Rendered, comment
from dovetail.types import BIGINT


def made(number: int) -> FragmentRequest:
    return FragmentRequest(exp.select(exp.column(f"c{number}")), (OutputColumn("c", BIGINT),))


def test_the_same_query_is_rendered_once_whatever_its_tag() -> None:
    seen: list[str] = []

    def render(request: FragmentRequest) -> str:
        seen.append(request.tag)
        return request.query.sql()

    rendered = Rendered(render)
    request = made(1)
    for tag in ("a", "b", "c"):
        assert rendered.of(replace(request, tag=tag)) == "SELECT c1"
    assert seen == ["a"]


def test_equal_queries_are_not_the_same() -> None:
    rendered = Rendered(lambda request: request.columns[0].name)
    first = made(1)
    other = replace(first, columns=(OutputColumn("d", BIGINT),))
    assert [rendered.of(first), rendered.of(other), rendered.of(first)] == ["c", "d", "c"]


def test_only_so_many_are_kept() -> None:
    calls = 0

    def render(request: FragmentRequest) -> str:
        nonlocal calls
        calls += 1
        return request.query.sql()

    rendered = Rendered(render)
    first = made(0)
    rendered.of(first)
    for number in range(1, 600):
        assert rendered.of(made(number)) == f"SELECT c{number}"
    assert calls == 600
    rendered.of(first)
    assert calls == 601


def test_a_tag_cannot_leave_its_comment() -> None:
    assert comment("") == ""
    assert comment("dovetail-1") == "/* dovetail-1 */ "
    assert comment("a*/; DROP TABLE t; /*") == "/* aDROPTABLEt */ "
