"""Charts: what is drawn, and that it is text."""

from __future__ import annotations

from tests.interfaces.tui.conftest import Play, Tui

from dovetail.interfaces.tui.screens.chart import ChartScreen


def _chart(tui: Tui) -> ChartScreen:
    screen = tui.app.screen
    assert isinstance(screen, ChartScreen)
    return screen


def test_bars_lines_and_histograms(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("4|<alt+c>")
        made = _chart(tui).chart
        assert (made.kind, made.labels) == ("bar", ("ACME", "EURUSD", "GBPUSD", "ZETA"))
        assert made.values == (3, 3, 1, 1)
        assert "symbol: most frequent" in tui.screen()
        await tui.keys("l")
        assert "a line needs numbers; symbol is VARCHAR" in tui.screen()
        await tui.keys("b")
        assert "needs numbers" not in tui.screen()
        await tui.keys("y")
        assert "ACME┤" in tui.copied
        assert "\x1b" not in tui.copied
        await tui.keys("<escape>5|<alt+c>")
        assert _chart(tui).chart.kind == "histogram"
        assert sum(_chart(tui).chart.values) == 7
        await tui.keys("l")
        assert _chart(tui).chart.places == (1, 2, 3, 4, 5, 7, 8)  # row 6 is NULL
        await tui.keys("<escape>4|Vl<alt+c>")
        made = _chart(tui).chart
        assert made.title == "qty by symbol"
        assert made.labels[:3] == ("EURUSD", "GBPUSD", "ACME")
        assert made.values[:3] == (100, 50, 10)

    play(scenario)


def test_charts_follow_the_filters_and_the_sort(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("facm<enter>4|<alt+c>")
        assert _chart(tui).chart.labels == ("ACME",)
        await tui.keys("<escape>6|ss<alt+c>l")
        assert _chart(tui).chart.values == (76.0, 75.5, 74.0)

    play(scenario)


def test_hostile_values_in_a_chart(play: Play) -> None:
    sql = "select * from (values ('[red]' || chr(27), 'nan'::double), (null, null)) v(a, b)"

    async def scenario(tui: Tui) -> None:
        await tui.keys("<alt+c>")
        assert set(_chart(tui).chart.labels) == {"[red]\\x1b", "NULL"}
        assert "\x1b" not in tui.screen()
        await tui.keys("<escape>2|<alt+c>")
        assert "no values" in tui.screen()
        await tui.keys("l")
        assert "no values" in tui.screen()

    play(scenario, query=sql, files=[])


def test_a_long_line_takes_some_of_its_rows(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("<alt+c>l")
        made = _chart(tui).chart
        assert made.title == "i, every 25th row"
        assert made.places[:3] == (1, 26, 51)
        assert made.values[:3] == (0, 25, 50)

    play(scenario, query="select i from range(10000) t(i)", files=[])
