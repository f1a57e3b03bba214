"""Moving about in a result: keys in, state out."""

from __future__ import annotations

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
