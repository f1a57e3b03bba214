"""Every macro against a computation of its own, as a query runs it and as DuckDB would."""

from __future__ import annotations

import itertools
import math
import random
import re
import statistics
import unicodedata
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

import dovetail
from dovetail.engines.reference import DuckDBReference
from dovetail.errors import BindError, DovetailError, NotSupportedError, UnknownNameError
from dovetail.functions.expand import expand
from dovetail.functions.library import Library
from dovetail.functions.macros import macros
from dovetail.language.sql.judge_functions import ALLOWED, MACROS
from dovetail.session import Session


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with dovetail.connect() as opened:
        yield opened


@pytest.fixture
def value(session: Session) -> Callable[[str], Any]:
    """The one value of an expression, as a query of the product gives it."""

    def ask(expression: str, **params: Any) -> Any:
        with session.sql(f"SELECT {expression} AS x", params) as result:
            [(found,)] = result.rows()
        return found

    return ask


def rows_of(session: Session, expression: str, values: list[Any], names: str = "x") -> list[Any]:
    """The values of an expression over rows of constants."""
    rows = ", ".join(f"({_literal(v)})" for v in values)
    with session.sql(f"SELECT {expression} AS y FROM (VALUES {rows}) AS t({names})") as result:
        return [row[0] for row in result.rows()]


def _literal(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(_literal(v) for v in value)
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, date):
        return f"DATE '{value}'"
    return repr(value)


def test_the_judge_knows_the_macros_and_no_function_hides_one() -> None:
    assert set(macros()) == MACROS
    assert not MACROS & ALLOWED
    assert 30 < len(macros()) < 60


@pytest.mark.parametrize("name", macros())
def test_the_examples_hold_expanded_and_in_duckdb(session: Session, name: str) -> None:
    with duckdb.connect() as plain:
        plain.execute("SET TimeZone = 'UTC'")
        plain.execute(macros()[name].statement)
        for call, wanted in macros()[name].examples:
            text = f"SELECT coalesce(CAST(({call}) AS VARCHAR), 'NULL')"
            with session.sql(text) as result:
                assert result.rows() == [(wanted,)], call
            assert plain.execute(text).fetchall() == [(wanted,)], call


@pytest.mark.parametrize("name", [n for n in macros() if not n.startswith("is_")])
def test_null_in_gives_null_out(session: Session, name: str) -> None:
    macro = macros()[name]
    needed = [p for p, default in macro.parameters if default is None]
    known = {"percentile": ["NULL::DOUBLE", "50"], "dateadd": ["'day'", "NULL", "NULL::DATE"]}
    if name.startswith("fiscal_"):
        known[name] = ["NULL::DATE", "4"]
    call = f"{name}({', '.join(known.get(name, ['NULL'] * len(needed)))})"
    with session.sql(f"SELECT {call} AS x") as result:
        assert result.rows() == [(None,)]


# -- each against Python ----------------------------------------------------------------------


def test_statistics_against_python(session: Session) -> None:
    chance = random.Random(4)
    numbers = [chance.uniform(-50, 50) for _ in range(97)]
    mean, deviation = statistics.mean(numbers), statistics.stdev(numbers)
    quarters = statistics.quantiles(numbers, n=4, method="inclusive")
    percentiles = statistics.quantiles(numbers, n=100, method="inclusive")
    [got] = rows_of(session, "[percentile(x, 95), percentile(x, 7), iqr(x), cv(x)]", numbers)
    wanted = [percentiles[94], percentiles[6], quarters[2] - quarters[0], deviation / mean]
    assert got == pytest.approx(wanted)
    scores = rows_of(session, "zscore(x)", numbers)
    assert scores == pytest.approx([(x - mean) / deviation for x in numbers])
    assert rows_of(session, "safe_divide(x, 4)", [1, 0]) == [0.25, 0]


def test_width_bucket_and_band_against_counting(session: Session) -> None:
    numbers = [-1.0, 0.0, 0.1, 1.999, 2.0, 5.0, 9.9, 9.999999, 10.0, 11.0]
    edges = [0 + 10 * k / 5 for k in range(6)]
    wanted = [sum(x >= edge for edge in edges) for x in numbers]
    assert rows_of(session, "width_bucket(x, 0, 10, 5)", numbers) == wanted
    falling = rows_of(session, "width_bucket(x, 10, 0, 5)", numbers)
    assert falling == [sum(x <= edge for edge in edges) for x in numbers]
    with pytest.raises(DovetailError, match="must differ"):
        rows_of(session, "width_bucket(x, 1, 1, 5)", numbers)

    def label(x: float) -> str:
        steps = [0, 25, 50, 75]
        if x < 0:
            return "<0"
        return next((f"{a}-{b}" for a, b in itertools.pairwise(steps) if x < b), ">=75")

    marks = [-3, 0, 24, 25, 49.5, 50, 74, 75, 1000]
    assert rows_of(session, "band(x, [0, 25, 50, 75])", marks) == [label(x) for x in marks]


def test_finance_against_python(session: Session, value: Callable[..., Any]) -> None:
    prices = [(10.0, 3), (11.5, 7), (9.25, 1), (None, 5), (12.0, None)]
    whole = [(p, q) for p, q in prices if p is not None and q is not None]
    wanted = sum(p * q for p, q in whole) / sum(q for _, q in whole)
    [got] = rows_of(session, "vwap(p, q)", prices, "p, q")
    assert got == pytest.approx(wanted)
    returns = [0.01, -0.02, 0.035, 0.0, 0.012]
    deviation = statistics.stdev(returns)
    [pair] = rows_of(session, "[volatility(x), sharpe(x, 0.001, 12)]", returns)
    sharpe = (statistics.mean(returns) - 0.001) / deviation * math.sqrt(12)
    assert pair == pytest.approx([deviation * math.sqrt(252), sharpe])
    assert value("pct_change(90, 120)") == pytest.approx(-0.25)
    assert value("log_return(90, 120)") == pytest.approx(math.log(90 / 120))
    assert value("log_return(-1, 120)") is None
    assert value("cagr(100, 250, 7)") == pytest.approx(2.5 ** (1 / 7) - 1)
    flows = [-1000, 300, 420, 680]
    by_hand = sum(flow / 1.08**period for period, flow in enumerate(flows, 1))
    assert value(f"npv(0.08, {flows})") == pytest.approx(by_hand)


@pytest.mark.parametrize("due", [0, 1])
@pytest.mark.parametrize("rate", [0, 0.01])
def test_annuities_against_running_the_account(
    value: Callable[..., Any], rate: float, due: int
) -> None:
    """The balance after n payments, one period at a time, is what fv says with the sign turned."""
    balance, payment, periods = 500.0, 75.0, 24
    start = balance
    for _ in range(periods):
        balance = (balance + payment) * (1 + rate) if due else balance * (1 + rate) + payment
    future = value(f"fv({rate}, {periods}, {-payment}, {-start}, {due})")
    assert future == pytest.approx(balance)
    paid = value(f"pmt({rate}, {periods}, {-start}, {balance}, {due})")
    assert paid == pytest.approx(-payment)
    present = value(f"pv({rate}, {periods}, {-payment}, {balance}, {due})")
    assert present == pytest.approx(-start)


TEXTS = [
    "hello wORLD-of o'neil élan",
    "  Two\twords\n and  more ",
    "HTTPResponse",
    "getHTTPResponseCode2",
    "Net Sales 2026 (EUR)",
    "",
    "ab.ab,ab; cd!",
    "naïve café—déjà vu",
    "don't stop",
]


def test_texts_against_python(session: Session) -> None:
    def initcap(text: str) -> str:
        made, after = [], False
        for c in text:
            made.append(c.lower() if after else c.upper())
            after = unicodedata.category(c)[0] in "LMN"
        return "".join(made)

    def snake(text: str) -> str:
        words: list[str] = []
        for part in re.split(r"[^\w]+|_", text):
            words += re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[^A-Z]+|[A-Z]+", part)
        return "_".join(words).lower()

    got = rows_of(session, "initcap(x)", TEXTS)
    assert got == [initcap(t) for t in TEXTS]
    assert rows_of(session, "word_count(x)", TEXTS) == [len(t.split()) for t in TEXTS]
    assert rows_of(session, "clean_text(x)", TEXTS) == [" ".join(t.split()) for t in TEXTS]
    kept = ["".join(c for c in t if unicodedata.category(c)[0] != "P") for t in TEXTS]
    assert rows_of(session, "strip_punctuation(x)", TEXTS) == kept
    assert rows_of(session, "count_substring(x, 'ab')", TEXTS) == [t.count("ab") for t in TEXTS]
    before = [t.partition(" ")[0] if " " in t else "" for t in TEXTS]
    assert rows_of(session, "substring_before(x, ' ')", TEXTS) == before
    assert rows_of(session, "substring_after(x, ' ')", TEXTS) == [
        t.partition(" ")[2] for t in TEXTS
    ]
    names = ["HTTPResponse", "getHTTPResponseCode", "Net Sales 2026", "already_snake", "CamelCase"]
    assert rows_of(session, "to_snake_case(x)", names) == [snake(n) for n in names]


WRITTEN = {
    "1,234.50": 1234.5,
    "(250)": -250,
    "12.5%": 0.125,
    "abc": None,
    "$1,000": 1000,
    "€ 99": 99,
    "99 €": 99,
    "-5": -5,
    "($1,234,567.89)": -1234567.89,
    "1,23": None,
    "12,345": 12345,
    "": None,
    "nan": None,
    "inf": None,
    "1.2.3": None,
    "(5": None,
    ".5": 0.5,
    "1e5": None,
    "--5": None,
}


def test_cleaning_against_python(session: Session) -> None:
    assert rows_of(session, "parse_number(x)", list(WRITTEN)) == list(WRITTEN.values())

    def is_number(text: str, make: Callable[[str], Any]) -> bool:
        try:
            return math.isfinite(make(text)) and "_" not in text
        except ValueError:
            return False

    texts = ["1", "-1", "+7", "1.5", "1e3", ".5", "5.", "", " 3 ", "x", "1 2", "1,5", "0x10", "--1"]
    assert rows_of(session, "is_integer(x)", texts) == [is_number(t, int) for t in texts]
    assert rows_of(session, "is_numeric(x)", texts) == [is_number(t, float) for t in texts]

    def is_day(text: str) -> bool:
        try:
            return bool(date.fromisoformat(text))
        except ValueError:
            return False

    days = ["2026-02-28", "2026-02-29", "2024-02-29", "2026-13-01", "today", "2026-1-5x", ""]
    assert rows_of(session, "is_date(x)", days) == [is_day(d) for d in days]
    for name in ("is_integer", "is_numeric", "is_date"):
        assert rows_of(session, f"{name}(x)", [None, "x"]) == [False, False]

    def ordinal(n: int) -> str:
        end = "th" if 10 < n % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
        return f"{n}{end}"

    numbers = [*range(30), 99, 100, 101, 111, 112, 113, 121, 1011]
    assert rows_of(session, "ordinal(x)", numbers) == [ordinal(n) for n in numbers]
    shown = {
        0: "0",
        950: "950",
        1500: "1.5K",
        999_949: "999.9K",
        999_951: "1M",
        -2_340_000: "-2.3M",
    }
    shown |= {5_000_000_000: "5B", 1_200_000_000_000: "1.2T"}
    assert rows_of(session, "format_compact(x)", list(shown)) == list(shown.values())


def test_days_against_the_calendar(session: Session) -> None:
    chance = random.Random(12)
    first = date(1999, 12, 27)
    pairs = []
    for _ in range(1200):
        a = first + timedelta(days=chance.randrange(12_000))
        pairs.append((a, a + timedelta(days=chance.randrange(0, 60))))
    wanted = [
        sum((a + timedelta(days=k)).weekday() < 5 for k in range((b - a).days)) for a, b in pairs
    ]
    assert rows_of(session, "business_days(a, b)", pairs, "a, b") == wanted
    back = rows_of(session, "business_days(b, a)", pairs[:50], "a, b")
    assert back == [-n for n in wanted[:50]]
    days = [first + timedelta(days=17 * k) for k in range(60)]
    for month in (1, 4, 10):
        # The fiscal year ends with the month before `month`; count the months that are left.
        ends = [d.year if month == 1 or d.month < month else d.year + 1 for d in days]
        assert rows_of(session, f"fiscal_year(x, {month})", days) == ends
        order = [*range(month, 13), *range(1, month)]
        quarters = [order.index(d.month) // 3 + 1 for d in days]
        assert rows_of(session, f"fiscal_quarter(x, {month})", days) == quarters
    years = list(range(1890, 2110))
    leap = [(date(y, 3, 1) - date(y, 2, 1)).days == 29 for y in years]
    assert rows_of(session, "is_leap_year(x)", years) == leap


def test_dateadd(value: Callable[..., Any]) -> None:
    start = date(2024, 1, 31)
    assert value("dateadd('day', 30, DATE '2024-01-31')") == start + timedelta(days=30)
    assert value("dateadd('WEEK', -2, '2024-01-31')") == start - timedelta(days=14)
    assert value("dateadd('quarter', 1, '2024-01-31')") == date(2024, 4, 30)
    assert value("dateadd('year', 1, '2024-02-29')") == date(2025, 2, 28)
    with pytest.raises(DovetailError, match='no unit "fortnight"; the units are day'):
        value("dateadd('fortnight', 1, '2024-01-31')")
    with pytest.raises(DovetailError, match="time of day"):
        value("dateadd('day', 1, TIMESTAMP '2024-01-31 10:00')")


# Figures of the definitions (international yard and pound, CODATA), not of the table under test.
CONVERSIONS = [
    (1, "mi", "km", 1.609344),
    (100, "c", "f", 212),
    (-40, "f", "c", -40),
    (0, "c", "k", 273.15),
    (70, "kg", "lb", 154.3235835294143),
    (12, "in", "ft", 1),
    (1, "acre", "m2", 4046.8564224),
    (1, "gal", "l", 3.785411784),
    (100, "km/h", "mph", 62.13711922373339),
    (1, "week", "hour", 168),
    (1, "atm", "psi", 14.695948775513),
    (1, "kwh", "j", 3_600_000),
    (1, "gib", "mb", 1073.741824),
    (8, "bit", "byte", 1),
    (1, "KG", "Oz", 35.27396194958041),
]


def test_units(session: Session, value: Callable[..., Any]) -> None:
    for amount, unit, wanted, result in CONVERSIONS:
        got = value(f"convert_unit({amount}, '{unit}', '{wanted}')")
        assert got == pytest.approx(result), (amount, unit, wanted)
    with pytest.raises(DovetailError, match=r"cannot convert length to mass \(mi to kg\)"):
        value("convert_unit(1, 'mi', 'kg')")
    with pytest.raises(DovetailError, match='no unit "parsecs"'):
        value("convert_unit(1, 'parsecs', 'kg')")
    table = re.findall(r"(\S+):(\w+):[-+.e\d]+:[.\d]+", macros()["convert_unit"].body)
    assert len({name for name, _ in table}) == len(table) > 80
    for name, kind in table:  # there and back again
        base = next(n for n, k in table if k == kind)
        back = value(f"convert_unit(convert_unit(7.5, '{name}', '{base}'), '{base}', '{name}')")
        assert back == pytest.approx(7.5), name


# -- how they are expanded --------------------------------------------------------------------


def expanded(sql: str) -> str:
    """A query with the shipped macros written out."""
    reference = DuckDBReference()
    try:
        return expand(reference.judge(sql), Library(), reference.judge)
    finally:
        reference.close()


def test_expansion_reads_sql_and_not_letters() -> None:
    for sql, wanted in (
        (
            "select 'safe_divide(1, 0)' -- iqr(x)\n, iqr",
            "select 'safe_divide(1, 0)' -- iqr(x)\n, iqr",
        ),
        ("select SAFE_DIVIDE(a, pow(b, c))", "select ((a) / nullif((pow(b, c)), 0))"),
        (
            "select safe_divide(safe_divide(a, b), ')')",
            "select ((((a) / nullif((b), 0))) / nullif((')'), 0))",
        ),
        # Not every name before a parenthesis is a call.
        (
            "with cv(a, b) as (select 1, 2) select safe_divide(a, b) from cv as iqr(a, b)",
            "with cv(a, b) as (select 1, 2) select ((a) / nullif((b), 0)) from cv as iqr(a, b)",
        ),
        ("select 'é', safe_divide(b := 2, a => x)", "select 'é', ((x) / nullif((2), 0))"),
    ):
        assert expanded(sql) == wanted
    assert "sqrt((252))" in expanded("select volatility(r)")


def test_columns_are_named_as_they_are_written(session: Session, tmp_path: Path) -> None:
    sql = (
        "SELECT initcap(x) , 1 + percentile(n, 50), n AS safe, safe_divide(n, 2) AS half "
        "FROM (VALUES ('a b', 3)) t(x, n) GROUP BY ALL"
    )
    with session.sql(sql) as result:
        assert [name for name, _ in result.columns] == [
            "initcap(x)",
            "(1 + percentile(n, 50))",
            "safe",
            "half",
        ]
        assert result.rows() == [("A B", 4.0, 3, 1.5)]
    with session.sql("SELECT *, initcap(x) FROM (VALUES ('a')) t(x)") as result:
        assert [name for name, _ in result.columns] == ["x", "initcap(x)"]
    # The same query written out is another query, with another name.
    with session.sql("SELECT ((7) / nullif((2), 0))") as result:
        written = result.columns
    with session.sql("SELECT safe_divide(7, 2)") as result:
        assert result.columns != written
        assert result.columns[0][0] == "safe_divide(7, 2)"


def test_a_macro_in_having_order_and_subqueries(session: Session) -> None:
    sql = (
        "WITH t(k, n) AS (VALUES ('a', 1), ('a', 3), ('b', 10), ('b', 30)) "
        "SELECT k FROM t GROUP BY k HAVING iqr(n) > 0 "
        "ORDER BY (SELECT percentile(n, 50) FROM t u WHERE u.k = t.k) DESC"
    )
    with session.sql(sql) as result:
        assert result.rows() == [("b",), ("a",)]


def test_the_plan_holds_the_parts_of_a_macro(session: Session, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "d.duckdb")) as made:
        made.execute("CREATE TABLE t AS SELECT range AS a FROM range(100)")
    config = {"sources": {"d": {"kind": "duckdb", "path": str(tmp_path / "d.duckdb")}}}
    with dovetail.connect(config) as opened:
        plan = opened.explain("SELECT a FROM d.t WHERE is_leap_year(a)").to_dict()
        assert plan["road"] == "plan"
        assert "% 400 = 0" in plan["plan"]
        assert "is_leap_year" not in str(plan)
        with opened.sql("SELECT count(*) FROM d.t WHERE is_leap_year(a)") as result:
            assert result.rows() == [(25,)]


def test_mistakes_are_named(session: Session) -> None:
    for sql, error, words in (
        ("SELECT initcp('a')", UnknownNameError, "initcap"),
        ("SELECT initcap(nope) FROM (VALUES (1)) t(a)", UnknownNameError, '"nope"'),
        ("SELECT cagr(1, 2)", BindError, "cagr"),
        ("SELECT t.a.initcap() FROM (VALUES ('x')) t(a)", DovetailError, "initcap"),
    ):
        with pytest.raises(error) as caught:
            session.sql(sql)
        assert words in str(caught.value)
    with pytest.raises(NotSupportedError, match=r"OVER belongs to the functions in it: stddev"):
        expanded("SELECT volatility(x, 252) OVER (ORDER BY y)")
    with pytest.raises(BindError, match=r"cagr\(first_value, last_value, years\); 2 arguments"):
        expanded("SELECT cagr(1, 2)")
    with pytest.raises(BindError, match=r'"yrs" is no parameter of it'):
        expanded("SELECT cagr(1, 2, yrs := 3)")
    with pytest.raises(BindError, match=r'"years" is given twice'):
        expanded("SELECT cagr(1, 2, years := 3, years := 4)")
