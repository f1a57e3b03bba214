"""What is taken out of a result and said about it: copies, statistics, exports, SQL."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet
from tests.interfaces.tui.conftest import Play, Tui


def test_yank(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("2jyy")
        assert tui.copied == "3\tAna\tEQ\tACME\t10\t75.5\t2026-01-06"
        assert tui.told[-1] == "yanked 1 row, 7 columns"
        await tui.keys("2yy")
        assert tui.copied.count("\n") == 1
        await tui.keys("facm<enter>4|yc")
        assert tui.copied == "ACME\nACME\nACME"
        await tui.keys("0yi")
        assert tui.copied == "(3, 4, 7)"
        await tui.keys("<escape>6G5|yv")
        assert tui.copied == ""
        assert tui.told[-1] == "yanked 1 value: NULL"
        await tui.keys("yw")
        assert tui.copied == (
            "id = 6 and trader = 'Ben' and book = 'FX' and symbol = 'EURUSD' and qty is null "
            "and price = 1.12 and day = date '2026-01-07'"
        )
        await tui.keys('gg"cyy')
        assert tui.copied.splitlines()[0] == "id,trader,book,symbol,qty,price,day"
        await tui.keys('"jyy')
        assert tui.copied.startswith('[\n{"id":1,"trader":"Ana"')
        await tui.keys('"syy')
        assert tui.copied.startswith('INSERT INTO "t" ("id", "trader"')
        assert "(1, 'Ana', 'FX', 'EURUSD', 100, 1.1, date '2026-01-05');" in tui.copied
        await tui.keys('"mya')
        assert tui.copied.count("\n") == 9
        await tui.keys("yq")
        assert tui.copied == "from trades"

    play(scenario)


def test_statistics(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("5|S")
        text = tui.screen()
        for fact in (
            "rows               8", "NULL               1", "distinct           7",
            "min                5", "max                100", "mean               40.71",
            "median             40.0", "quartiles          15.0 and 55.0",
            "standard deviation 33.22", "sum                285",
        ):  # fmt: skip
            assert fact in text, fact
        await tui.keys("<escape>2|S")
        text = tui.screen()
        for fact in ("distinct           3", "min                Ana", "max                Cho",
                     "lengths            3–3"):  # fmt: skip
            assert fact in text, fact
        await tui.keys("<escape>4|S")
        top = tui.app.screen.made.top  # type: ignore[attr-defined]
        assert top == (("ACME", 3), ("EURUSD", 3), ("GBPUSD", 1), ("ZETA", 1))
        await tui.keys("<enter>")
        assert tui.ids == [3, 4, 7]

    play(scenario)


def test_statistics_of_all_columns_and_frequencies_are_results(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("<alt+s>")
        assert tui.names == ["column", "type", "rows", "nulls", "distinct~", "min", "max", "mean"]
        assert tui.grid.row_count == 7
        assert tui.grid.cells.text(4, 3) == "1"
        await tui.keys("gT")
        assert tui.names[0] == "id"
        await tui.keys("4|<alt+f>")
        assert tui.names == ["symbol", "count", "percent"]
        assert tui.grid.cells.text(0, 0) == "ACME"
        assert tui.grid.cells.text(0, 2) == "37.5"
        await tui.keys("gx")
        assert tui.names[0] == "column"

    play(scenario)


def test_hostile_values_are_shown_as_they_are(play: Play) -> None:
    sql = (
        "select '[red]x[/red]' as markup, chr(27) || '[31m' as esc, repeat('long ', 2000) as long, "
        "1e308 as big, date '9999-12-31' as day, "
        "12345678901234567890123456789012345678::decimal(38) as digits, "
        "'\\x00\\xff'::blob as bytes, 'l1' || chr(10) || 'l2' as two, "
        "'inf'::double as inf, date '20000-01-01' as late, '\u202e' || 'abc' as turned"
    )
    shown = {
        "markup": "[red]x[/red]",
        "esc": "\\x1b[31m",
        "big": "1e+308",
        "day": "9999-12-31",
        "digits": "12345678901234567890123456789012345678",
        "two": "l1⏎l2",
        "inf": "inf",
        "late": "20000-01-01",
        "turned": "\\u202eabc",
    }

    async def scenario(tui: Tui) -> None:
        assert tui.grid.row_count == 1
        seen = ""
        for _ in tui.names:
            seen += tui.screen()
            await tui.keys("l")
        for name, text in shown.items():
            assert text in seen, name
        assert "\x1b" not in seen
        for number, name in enumerate(tui.names, 1):
            await tui.keys(f"{number}|<enter>")
            whole = tui.app.screen.text  # type: ignore[attr-defined]
            if name == "long":
                assert whole == "long " * 2000
            elif name == "bytes":
                assert whole == "2 bytes\n00ff"
            elif name == "digits":
                assert whole == shown["digits"]
            await tui.keys("<escape>")

    play(scenario, query=sql, files=[])


def test_export(play: Play, tmp_path: Path) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("facm<enter>", "6|-", "<ctrl+s>out.parquet<enter>")
        assert "wrote 3 rows to out.parquet" in tui.told[-1]
        table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
        assert table.column("id").to_pylist() == [3, 4, 7]
        assert "price" not in table.column_names
        await tui.keys("<ctrl+s>out.parquet<enter>")
        assert "replace out.parquet?" in tui.screen()
        await tui.keys("<escape>")
        await tui.keys("<ctrl+s>out.nonsense<enter>")
        assert "no format has the extension" in tui.screen()
        await tui.keys("<escape>")

    play(scenario)


def test_what_was_done_as_sql(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("=qty > 40 and book = 'FX'<enter>", "6|-", "5|s", "4|,", ":sql<enter>")
        assert tui.text == (
            'SELECT "id", "trader", "book", "symbol", "qty", "day"\n'
            "FROM (\n"
            "  from trades\n"
            ") AS q\n"
            "WHERE (qty > 40 and book = 'FX'\n"
            ") AND \"symbol\" IS NOT DISTINCT FROM 'GBPUSD'\n"
            'ORDER BY "qty" ASC NULLS LAST'
        )
        await tui.keys("<ctrl+j>")
        assert tui.ids == [2]

    play(scenario)


def test_two_results_compared(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        tui.app.buffer.editor.text = (
            "select id, qty from trades where id < 4;\n"
            "select id, if(id = 2, 51, qty) as qty from trades where id > 1 and id < 5;"
        )
        await tui.keys("<shift+f5>")
        assert len(tui.app.buffer.panes) == 2
        await tui.keys("<alt+3>:diff id<enter>")
        rows = [tui.grid.cells.text(r, 0) for r in range(3)]
        assert sorted(rows) == ["added", "changed", "removed"]
        assert "50 → 51" in tui.screen()

    play(scenario)


def test_types_that_arrow_does_not_have_sort_and_filter_as_their_own(play: Play) -> None:
    sql = (
        "select id, zoned::timetz as zoned, bits::bit as bits, choice::enum('b', 'a') as choice, "
        "huge::hugeint as huge from (values "
        "(1, '12:00:00+02', '0101', 'a', '170141183460469231731687303715884105727'), "
        "(2, '11:30:00+00', '11', 'b', '2'), (3, '23:00:00-12', '1', null, null)) "
        "v(id, zoned, bits, choice, huge)"
    )

    async def scenario(tui: Tui) -> None:
        orders = {}
        for number, name in enumerate(tui.names[1:], 2):
            await tui.keys(f"{number}|s")
            orders[name] = tui.ids
        assert orders == {
            "zoned": [1, 2, 3],
            "bits": [1, 2, 3],
            "choice": [2, 1, 3],
            "huge": [2, 1, 3],
        }
        await tui.keys("2|<alt+f>")
        assert [tui.grid.cells.text(row, 0) for row in range(3)] == [
            "12:00:00+02", "11:30:00+00", "23:00:00-12",
        ]  # fmt: skip
        await tui.keys("1gt2|s='12:00:00+00'::timetz > zoned<enter>ya")
        assert [line.split("\t")[1] for line in tui.copied.splitlines()] == [
            "12:00:00+02", "11:30:00+00",
        ]  # fmt: skip

    play(scenario, query=sql, files=[])


def test_columns_with_the_names_that_we_use_ourselves(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("sya")
        assert tui.copied == "1\t2\t4\n3\t1\t5"
        await tui.keys("2|w/5<enter>")
        assert (tui.row, tui.column) == (2, "v")

    sql = "select * from (values (3, 1, 5), (1, 2, 4)) t(place, row, v)"
    play(scenario, query=sql, files=[])


def test_frequencies_of_a_column_called_count(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("<alt+f>")
        assert tui.names == ["count", "count_1", "percent"]
        rows = [[tui.grid.cells.text(r, c) for c in range(3)] for r in range(2)]
        assert rows == [["7", "2", "66.67"], ["9", "1", "33.33"]]

    play(scenario, query="select * from (values (7), (9), (7)) v(count)", files=[])


def test_json_is_laid_out_with_its_own_digits() -> None:
    from dovetail.interfaces.tui.screens.text import whole_value

    text = '{"a": 1.50, "b": [], "a": [1e400, "x\\"{"], "c": {}}'
    assert whole_value(text, "JSON") == (
        '{\n  "a": 1.50,\n  "b": [],\n  "a": [\n    1e400,\n    "x\\"{"\n  ],\n  "c": {}\n}'
    )
    assert whole_value("[not json", "VARCHAR") == "[not json"
