"""What the TPC-H benchmark keeps and concludes from its figures."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from bench.places import Address
from bench.tpch import figures, plot, report
from bench.tpch.kept import Kept
from bench.tpch.links import LINKS
from bench.tpch.texts import QUERIES, SPLITS, Texts, differ


def _figures(*seconds: float, moved: int = 1000, **more: Any) -> dict[str, Any]:
    return {"seconds": list(seconds), "bytes": [moved] * max(1, len(seconds)), "run": 0, **more}


CELLS = {
    "A/loopback/q01": {
        "dovetail": _figures(1.0, 1.2, 0.9, moved=100, planning=[5.0, 7.0, 6.0]),
        "duckdb": _figures(4.0, 4.0, 4.0),
        "never": _figures(0.5, 0.5, 0.5),
    },
    "A/loopback/q02": {
        "dovetail": _figures(2.0, 2.0, 2.0, moved=300),
        "duckdb": _figures(stopped="over 120 s"),
    },
    "A/loopback/q03": {
        "dovetail": _figures(2.0, 2.0, 2.0),
        "duckdb": _figures(stopped="IOException: gone"),
    },
    "A/100mbit/q01": {"dovetail": _figures(1.0, differs="1 rows instead of 2")},
}


def test_ratios_take_medians_and_the_cap_of_who_was_stopped_for_time() -> None:
    loopback, slow = figures.groups(CELLS, LINKS)
    assert (loopback.link, slow.link) == ("loopback", "100mbit")
    assert loopback.ratios() == {"q01": 0.25, "q02": pytest.approx(2 / 120)}
    assert figures.worst(loopback.ratios()) == ("q01", 0.25)
    assert loopback.ratios(theirs="never") == {"q01": 2.0}
    # only what both finished
    assert loopback.bytes_ratio() == pytest.approx(0.1)
    assert slow.wrong() == [("q01", "dovetail")]
    assert loopback.planning() == [6.0]


def test_kept_figures_come_back_and_unused_runs_go(tmp_path: Path) -> None:
    path = tmp_path / "tpch.json"
    kept = Kept(path, 1.0)
    kept.begin({"commit": "unused"})
    run = kept.begin({"commit": "used"})
    kept.cell("A", "loopback", "q01")["dovetail"] = {**_figures(1.0), "run": run}
    kept.cell("A", "loopback", "q02")  # nothing measured yet
    kept.write()
    again = Kept(path, 1.0)
    assert again.runs == [{"commit": "used"}]
    assert again.cells == {"A/loopback/q01": {"dovetail": _figures(1.0)}}
    with pytest.raises(ValueError, match="scale 1"):
        Kept(path, 10.0)


def test_report_and_plot_say_what_was_missed() -> None:
    about = {
        "machine": {"processor": "P", "cores": 2, "memory_gib": 8, "system": "Linux"},
        "versions": {"duckdb": "1.5.5"},
        "settings": {"postgres": {"work_mem": "64MB"}},
        "date": "today",
        "commit": "abc",
        "load": 0.1,
        "command": "python -m bench --only tpch",
    }
    held = {"scale": 1.0, "runs": [about], "cells": CELLS}
    text = report.section(held)
    assert "| A | loopback | 2.00 | 2.00 (q01) | **q01 2.00** |" in text
    assert "| q02 | 2.00 s, 0.0 MB |  | over 120 s, 0.0 MB | 0.02 |" in text
    assert "failed (IOException)" in text
    assert "**wrong: q01 Dovetail**" in text
    picture = ET.fromstring(plot.drawn(held))
    assert len(picture.findall(".//{*}title")) == 2


def test_texts_name_every_table_where_it_lies() -> None:
    addresses = {
        kind: Address(kind, "127.0.0.1", 1, "tpch1", "u", "p") for kind in ("postgres", "mysql")
    }
    texts = Texts(Path("unused"))
    order = texts.order("q15", "B", addresses)
    assert "my.tpch1.lineitem AS lineitem" in order.qualified
    assert "pg.public.supplier AS supplier" in order.qualified
    assert " revenue" in order.qualified
    assert ".revenue" not in order.qualified
    assert order.columns["supplier"]["s_name"] == "CHAR(25)"
    assert "s_comment" not in order.columns["supplier"]
    for split in SPLITS:
        for query in QUERIES:
            assert texts.order(query, split, addresses).columns


def test_answers_of_other_types_are_compared_by_value() -> None:
    assert differ([(1, "a")], [(1.0, "a")], exact=False) is None
    assert differ([(1, "a")], [(1.0, "a")], exact=True) is not None
