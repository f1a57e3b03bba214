"""The acceptance cases of the results pane: keys in, state out."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet
from tests.interfaces.tui.conftest import Play, Tui


def test_what_is_shown_first(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        assert tui.ids == [1, 2, 3, 4, 5, 6, 7, 8]
        assert tui.names == ["id", "trader", "book", "symbol", "qty", "price", "day"]
        assert (tui.row, tui.column) == (1, "id")
        assert tui.app.place == "results"
        assert "1:1 · 8 rows" in tui.status
        assert tui.grid.cells.text(5, 4) is None
        assert tui.grid.cells.text(7, 1) is None
        assert tui.screen().count("NULL") == 2

    play(scenario)


def test_moving_with_counts(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("3j2l")
        assert (tui.row, tui.column) == (4, "book")
        assert tui.grid.cells.text(3, 2) == "EQ"
        places = []
        for key in ("G", "$", "gg", "0", "99j", "5G"):
            await tui.keys(key)
            places.append((tui.row, tui.column))
        assert places == [
            (8, "book"), (8, "day"), (1, "day"), (1, "id"), (8, "id"), (5, "id"),
        ]  # fmt: skip
        await tui.keys("7|")
        assert tui.column == "day"
        await tui.keys("H")
        assert tui.row == 1
        await tui.keys("L")
        assert tui.row == 8
        await tui.keys("M")
        assert tui.row == 4
        await tui.keys(":12<enter>")
        assert tui.row == 8

    play(scenario)


def test_counts_and_sequences_that_come_to_nothing(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("12gg")
        assert tui.row == 8
        await tui.keys("gg")
        assert tui.row == 1
        await tui.keys("5<escape>j")
        assert tui.row == 2
        await tui.keys("y<escape>j")
        assert tui.row == 3
        assert tui.copied == ""
        await tui.keys("yx")  # no such sequence: nothing else happens
        assert (tui.row, tui.copied) == (3, "")
        await tui.keys("4")
        assert str(tui.app._hint_line.render()) == "4"

    play(scenario)


def test_a_begun_sequence_shows_how_it_goes_on(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("y")
        while "copy the row" not in str(tui.app._hint_line.render()):
            await tui.pilot.pause()
        hints = str(tui.app._hint_line.render())
        assert "y copy the row" in hints
        assert "i copy the column as a SQL IN list" in hints

    play(scenario)


FILTERS = [
    ("facm", [3, 4, 7], "~acm"),
    ("feus", [1, 6, 8], "~eus"),
    ("ffx", [1, 2, 6, 8], "~fx"),
    ("fan", [1, 2, 3], "~an"),
    ("f0106", [3, 4], "~0106"),
    ("fzz", [], "~zz"),
    ("fA", [1, 2, 3, 4, 5, 7], "~A"),
    ("fEQ", [3, 4, 5, 7], "~EQ"),
    ("f%", [], "~%"),
    ("f'acme", [3, 4, 7], "'acme"),
    ("'acme", [3, 4, 7], "'acme"),
    ("F^E", [1, 3, 4, 5, 6, 7, 8], "/^E"),
    ("FSD$", [1, 2, 6, 8], "/SD$"),
    ("F^7[45]", [3, 7], "/^7[45]"),
    ("=qty > 40 and book = 'FX' -- of note", [1, 2, 8], "= qty > 40"),
]


def test_filters(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        for typed, ids, chip in FILTERS:
            await tui.keys(typed + "<enter>")
            assert tui.ids == ids, typed
            assert chip in tui.screen(), typed
            assert f"{len(ids)} of 8 rows" in tui.status
            assert ("no rows match" in tui.screen()) == (not ids)
            await tui.keys("<escape>")
            assert tui.ids == [1, 2, 3, 4, 5, 6, 7, 8]
        await tui.keys("u")
        assert tui.ids == [1, 2, 8]

    play(scenario)


def test_filters_combine_and_each_can_be_taken_back(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("ffx<enter>", "=qty > 50<enter>")
        assert tui.ids == [1, 8]
        await tui.keys("<escape>")
        assert tui.ids == [1, 2, 6, 8]
        await tui.keys("3l,")  # EURUSD of the first row
        assert tui.ids == [1, 6, 8]
        assert "symbol = EURUSD" in tui.screen()
        await tui.keys("<alt+comma>")
        assert tui.ids == []
        await tui.keys("zf")
        assert tui.ids == [1, 2, 3, 4, 5, 6, 7, 8]
        await tui.keys("6Gl,")  # NULL is a value too
        assert tui.column == "qty"
        assert tui.ids == [6]

    play(scenario)


BAD_FILTERS = [
    ("F(", "missing )"),
    ("=qty >", "syntax error"),
    ("=1) or (1=1", "syntax error"),
    ("=qtty > 3", "qtty"),
    ("=true; drop table result", "syntax error"),
    ("=exists (select * from read_csv('trades.csv'))", "disabled"),
]


def test_a_bad_filter_says_why_and_keeps_the_rows(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("facm<enter>")
        for typed, said in BAD_FILTERS:
            await tui.keys(typed + "<enter>")
            assert tui.ids == [3, 4, 7], typed
            assert len(tui.grid.view.filters) == 1
            assert said in tui.told[-1], typed

    play(scenario)


def test_a_filter_is_tried_while_it_is_typed(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("fac")
        assert tui.ids == [3, 4, 7]
        assert "FILTER" in tui.status
        await tui.keys("<escape>")
        assert tui.ids == [1, 2, 3, 4, 5, 6, 7, 8]
        assert tui.app.place == "results"
        await tui.keys("u")
        assert tui.told[-1] == "nothing to take back"

    play(scenario)


def test_sort(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("6|ss")
        assert tui.ids == [4, 3, 7, 5, 2, 6, 8, 1]
        assert "price▼" in tui.screen()
        await tui.keys("s")
        assert tui.ids == [1, 2, 3, 4, 5, 6, 7, 8]
        await tui.keys("5|s")
        assert tui.ids == [5, 3, 4, 7, 2, 8, 1, 6]
        await tui.keys("s")
        assert tui.ids == [1, 8, 2, 7, 4, 3, 5, 6]
        await tui.keys("s3|s5|zszs")  # by book, then by quantity downwards
        assert tui.ids == [7, 4, 3, 5, 1, 8, 2, 6]
        assert "book▲1" in tui.screen()
        assert "qty▼2" in tui.screen()

    play(scenario)


def test_search(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("/ACME<enter>")
        found = [(tui.row, tui.pane.count_shown)]
        for key in "nnnN":
            await tui.keys(key)
            found.append((tui.row, tui.pane.count_shown))
        assert found == [(3, "1/3"), (4, "2/3"), (7, "3/3"), (3, "1/3"), (7, "3/3")]
        assert "search wrapped" in tui.told
        assert tui.column == "symbol"
        await tui.keys("?eur<enter>")
        assert tui.row == 6
        await tui.keys("/nowhere<enter>")
        assert tui.row == 6
        assert '"nowhere" is not found' in tui.told
        await tui.keys("gg/x<escape>")
        assert (tui.row, tui.app.place) == (1, "results")
        await tui.keys("0g/7<enter>")
        assert (tui.row, tui.column, tui.pane.count_shown) == (7, "id", "1/1")

    play(scenario)


def test_search_and_columns_know_columns_by_what_they_are(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("\\pri<enter>")
        assert tui.column == "price"
        await tui.keys("-")
        assert "price" not in tui.names
        await tui.keys("4|p")
        assert tui.names == ["symbol", "id", "trader", "book", "qty", "day"]
        assert tui.column == "symbol"
        await tui.keys("$/ACME<enter>")
        assert (tui.row, tui.column) == (3, "symbol")
        await tui.keys("+\\pri<enter>")
        assert tui.column == "price"
        await tui.keys("P")
        assert tui.names == ["id", "trader", "book", "symbol", "qty", "price", "day"]
        await tui.keys("\\id<enter>>>")
        assert tui.names[:3] == ["trader", "book", "id"]
        await tui.keys("<")
        assert tui.names[:3] == ["trader", "id", "book"]
        await tui.keys("uuu")
        assert tui.names[:3] == ["id", "trader", "book"]

    play(scenario)


def test_a_pinned_column_stays_while_the_others_scroll(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("\\sym<enter>p$")
        shown = [c for c, _, _ in tui.grid.visible_columns()]
        assert tui.grid.analyst.columns[shown[0]].name == "symbol"
        assert tui.grid.left > 0
        assert tui.column == "day"
        first = tui.screen().splitlines()
        header = next(line for line in first if "symbol" in line and "day" in line)
        assert "trader" not in header

    play(scenario, size=(80, 30))


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


def test_selection_and_its_sums(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("5|ggV2j")
        assert "3 cells, sum 160, average 53.33, min 10, max 100" in tui.status
        await tui.keys("ys")
        assert tui.copied == "100\n50\n10"
        await tui.keys("<escape>vv")
        assert "column mode" in tui.status
        await tui.keys("ys")
        assert tui.copied.splitlines() == ["100", "50", "10", "20", "5", "", "40", "60"]
        await tui.keys("v<shift+down><shift+right>ys")
        assert tui.copied.count("\n") == 1

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


def test_next_null_and_next_other_value(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("5|]n")
        assert tui.row == 6
        await tui.keys("]n")
        assert tui.told[-1] == "no NULL that way"
        await tui.keys("gg2|w")
        assert tui.row == 4
        await tui.keys("ww")
        assert tui.row == 8
        await tui.keys("b")
        assert tui.row == 7
        await tui.keys("2b")
        assert tui.row == 3

    play(scenario)


def test_columns_from_a_list_and_empty_ones(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("i", "<ctrl+a>")
        tui.app.buffer.editor.text = "select id, null as nothing, symbol from trades"
        await tui.keys("<f5>")
        await tui.keys("<escape>")
        assert tui.names == ["id", "nothing", "symbol"]
        await tui.keys("z-")
        assert tui.names == ["id", "symbol"]
        await tui.keys("C<down><down><space><enter>")
        assert tui.names == ["id"]
        await tui.keys("+")
        assert tui.names == ["id", "nothing", "symbol"]

    play(scenario)


def test_widths_row_numbers_and_a_locked_view(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        width = tui.grid.width_of(0)
        await tui.keys("}")
        assert tui.grid.width_of(0) == width + 4
        await tui.keys("_")
        assert tui.grid.width_of(0) == width
        await tui.keys("#")
        assert "8      8 NULL" in tui.screen()
        await tui.keys("<space>")
        assert "locked" in tui.status

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


def test_columns_are_found_by_name_one_after_another(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("\\o<enter>")
        assert tui.column == "book"
        await tui.keys("n")
        assert tui.column == "symbol"
        await tui.keys("n")
        assert tui.column == "book"
        await tui.keys("N")
        assert tui.column == "symbol"
        await tui.keys("\\pri<enter>")
        assert tui.column == "price"
        await tui.keys("6|-", "4|p", "+", "\\pri<enter>")  # after hiding, pinning, showing
        assert tui.column == "price"
        await tui.keys("\\nothing<enter>")
        assert (tui.column, tui.told[-1]) == ("price", 'no column is called "nothing"')
        await tui.keys("/ACME<enter>n")  # the search of rows has n again
        assert tui.ids[tui.row - 1] == 4

    play(scenario)


def test_any_filter_can_be_taken_back(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("zx")
        assert tui.told[-1] == "no filter is in force"
        await tui.keys("ffx<enter>", "=qty > 50<enter>")
        assert tui.ids == [1, 8]
        await tui.keys("zx<enter>")
        assert [f.kind for f in tui.grid.view.filters] == ["expression"]
        await tui.keys("ffx<enter>")
        await tui.pilot.click("Chips", offset=(4, 0))
        await tui.settle()
        assert [f.kind for f in tui.grid.view.filters] == ["fuzzy"]

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
