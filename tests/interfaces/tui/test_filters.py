"""Filters, sorts and searches of a result."""

from __future__ import annotations

from tests.interfaces.tui.conftest import Play, Tui
from textual import events

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
    ("f_", [], "~_"),
    ("f2026_", [], "~2026_"),
    ("f'acme", [3, 4, 7], "'acme"),
    ("'acme", [3, 4, 7], "'acme"),
    ("F^E", [1, 3, 4, 5, 6, 7, 8], "/^E"),
    ("FSD$", [1, 2, 6, 8], "/SD$"),
    ("F^7[45]", [3, 7], "/^7[45]"),
    ("=qty > 40 and book = 'FX' -- of note", [1, 2, 8], "= qty > 40"),
]

BAD_FILTERS = [
    ("F(", "missing )"),
    ("=qty >", "syntax error"),
    ("=1) or (1=1", "syntax error"),
    ("=qtty > 3", "qtty"),
    ("=true; drop table result", "syntax error"),
    ("=exists (select * from read_csv('trades.csv'))", "disabled"),
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


def test_keys_pressed_faster_than_they_are_answered(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("6|")

        async def at_once(keys: str) -> None:
            for key in keys:
                tui.app.post_message(events.Key({",": "comma"}.get(key, key), key))
            await tui.settle()

        await at_once("ss")
        assert tui.ids == [4, 3, 7, 5, 2, 6, 8, 1]  # down, not up
        await at_once("sss")
        assert tui.ids == [4, 3, 7, 5, 2, 6, 8, 1]
        await at_once("su")
        assert tui.ids == [4, 3, 7, 5, 2, 6, 8, 1]
        await at_once("s,")
        assert tui.ids == [4]
        await at_once("usyv")  # the value in the first row of what is sorted by then
        assert tui.copied == "1.1"

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
