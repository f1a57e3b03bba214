"""Folders of files in the shared suite; listing, globs, changes, paths, stdin."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from dovetail.config import FilesSettings, FileTableSettings
from dovetail.connectors.files import FilesConnector, PathsConnector, spool_stdin
from dovetail.errors import (
    BindError,
    DataError,
    NotSupportedError,
    RefusedError,
    SourceUnavailableError,
    StaleCatalogError,
    UnknownNameError,
)
from tests.connectors.suite import (
    Adapter,
    ConnectorSuite,
    Tables,
    engine,
    read,
    request_for,
)
from tests.databases import duckdb_type, quoted


class Folder:
    """A folder of files to write into, and connectors over it."""

    def __init__(self, path: Path, spool: Path) -> None:
        self.path = path
        self.spool = spool

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def parquet(self, name: str, sql: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect() as connection:
            pq.write_table(connection.execute(sql).to_arrow_table(), path)
        return path

    def source(
        self, tables: Mapping[str, FileTableSettings] | None = None, **settings: Any
    ) -> FilesConnector:
        return FilesConnector(
            "x",
            FilesSettings(kind="files", path=self.path, tables=dict(tables or {}), **settings),
            {"spool_directory": str(self.spool)},
        )

    def paths(self, *allowed: Path) -> PathsConnector:
        return PathsConnector(
            "local",
            base_directory=self.path,
            allowed_directories=allowed or (self.path,),
            spool_directory=self.spool,
        )

    def read(self, path: str) -> list[dict[str, Any]]:
        """The rows of a bare path, over the road the engine would take."""
        return rows_of(self.paths(), self.paths().path(path))

    def call(self, function: str, *arguments: Any, **options: Any) -> list[dict[str, Any]]:
        """The rows of a ``read_…`` call."""
        connector = self.paths()
        return rows_of(connector, connector.function(function, arguments, options))


def rows_of(connector: FilesConnector, table: Any) -> list[dict[str, Any]]:
    streamed = table.files.format in ("arrow", "excel")
    try:
        found = read(connector, request_for(table), "stream" if streamed else "native")
    except duckdb.Error as error:
        if "dovetail-data:" in str(error):  # the engine turns these into DataError
            raise DataError(str(error).partition("dovetail-data:")[2].splitlines()[0]) from None
        raise
    return list(found.to_pylist())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "files").mkdir()
    (tmp_path / "spool").mkdir(mode=0o700)
    return Folder(tmp_path / "files", tmp_path / "spool")


class TestSuite(ConnectorSuite):
    @pytest.fixture(scope="class", params=["parquet", "feather"])
    @classmethod
    def adapter(
        cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Adapter:
        numbers = iter(range(1000))
        root = tmp_path_factory.mktemp("files")

        def make(tables: Tables) -> FilesConnector:
            base = root / str(next(numbers))
            (base / "spool").mkdir(parents=True)
            (base / "files").mkdir()
            for name, (table, declared) in tables.items():
                items = ", ".join(
                    f"CAST({quoted('duckdb', c)} AS {duckdb_type(t)}) AS {quoted('duckdb', c)}"
                    for c, t in declared.columns.items()
                )
                with duckdb.connect() as connection:
                    connection.register("arrow_table", table)
                    typed = connection.execute(f"SELECT {items} FROM arrow_table").to_arrow_table()
                path = base / "files" / f"{name}.{request.param}"
                if request.param == "parquet":
                    pq.write_table(typed, path)
                else:
                    pyarrow.feather.write_feather(typed, str(path))
            return Folder(base / "files", base / "spool").source()

        return Adapter(
            "files",
            make,
            roads=("native", "stream") if request.param == "parquet" else ("stream",),
            gaps={
                "test_catalog_knows_keys_and_nullability": ("never", "files declare no keys"),
                "test_a_missing_column_is_a_clear_error": (
                    "never",
                    "a scan is read by its scan, and a changed file is noticed before",
                ),
            },
        )


# --- listing --------------------------------------------------------------------------------------


def test_each_file_is_a_table(folder: Folder) -> None:
    folder.write("trades.csv", "a\n1\n")
    folder.write("Sales 2026.json", "[]")
    folder.write("twice.csv", "a\n1\n")
    folder.write("TWICE.jsonl", "{}")
    folder.write("packed.csv.gz", gzip.compress(b"a\n1\n"))
    folder.write("sub/deep/x.tsv", "a\n1\n")
    folder.write("sub/trades.csv", "a\n1\n")
    folder.write(".hidden.csv", "a\n1\n")
    folder.write("notes.md", "no table")
    folder.write("some.db", "no table")
    names = {(t.schema, t.name) for t in folder.source().catalog().tables}
    assert names == {
        ("main", "trades"),
        ("main", "Sales 2026"),
        ("main", "twice.csv"),
        ("main", "TWICE.jsonl"),
        ("main", "packed"),
        ("sub/deep", "x"),
        ("sub", "trades"),
    }
    assert folder.source().catalog().schemas() == ("main", "sub", "sub/deep")
    hidden = folder.source(hidden=True).catalog()
    assert hidden.table(None, ".hidden") is not None


def test_listing_opens_nothing(folder: Folder) -> None:
    for number in range(300):
        path = folder.write(f"t{number}.csv", "a\n1\n")
        path.chmod(0)
    folder.write("broken.parquet", "not Parquet")
    catalog = folder.source().catalog()
    assert len(catalog.tables) == 301
    broken = catalog.table(None, "broken")
    assert broken is not None
    assert broken.row_estimate is None
    assert broken.byte_estimate == 11
    with pytest.raises(DataError, match=r"broken\.parquet"):
        _ = broken.columns


def test_estimates(folder: Folder) -> None:
    folder.parquet("p.parquet", "SELECT 1 AS a FROM range(1234)")
    folder.write("c.csv", "a\n1\n")
    catalog = folder.source().catalog()
    p, c = catalog.table(None, "p"), catalog.table(None, "c")
    assert p is not None
    assert c is not None
    assert (p.row_estimate, c.row_estimate, c.byte_estimate) == (1234, None, 4)
    estimate = folder.source().estimate(request_for(p))
    assert estimate is not None
    assert estimate.rows == 1234


def test_links_that_lead_out_are_not_followed(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "more.csv").write_text("a\n1\n")
    (folder.path / "secret.csv").symlink_to(tmp_path / "secret.csv")
    (folder.path / "other").symlink_to(tmp_path / "other")
    folder.write("real/fine.csv", "a\n1\n")
    (folder.path / "fine.csv").symlink_to(folder.path / "real" / "fine.csv")
    assert {t.name for t in folder.source().catalog().tables} == {"fine"}
    with pytest.raises(RefusedError, match="outside the directories"):
        folder.read("secret.csv")
    assert folder.read("fine.csv") == [{"a": 1}]


def test_configured_tables_come_first(folder: Folder, tmp_path: Path) -> None:
    folder.write("in/jan.csv", "id;v\n1;a\n")
    folder.write("in/feb.csv", "id;v\n2;b\n")
    folder.write("sales.csv", "a\n1\n")
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "one.csv").write_text("z\n9\n")
    source = folder.source(
        {
            "sales": FileTableSettings(path="in/*.csv", options={"delim": ";"}),
            "far": FileTableSettings(path=str(outside / "one.csv"), format="csv"),
        }
    )
    catalog = source.catalog()
    assert {(t.schema, t.name) for t in catalog.tables} == {
        ("main", "sales"),
        ("main", "far"),
        ("main", "sales.csv"),
        ("in", "jan"),
        ("in", "feb"),
    }
    assert rows_of(source, catalog.table(None, "sales")) == [
        {"id": 2, "v": "b"},
        {"id": 1, "v": "a"},
    ]
    assert rows_of(source, catalog.table(None, "far")) == [{"z": 9}]


def test_an_empty_glob_in_the_configuration_names_the_folder(folder: Folder) -> None:
    source = folder.source({"sales": FileTableSettings(path="in/*.csv")})
    with pytest.raises(UnknownNameError, match=r"no file matches 'in/\*\.csv'; searched in .*/in"):
        source.catalog()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    source = Folder(tmp_path / "nowhere", tmp_path).source()
    with pytest.raises(SourceUnavailableError, match="nowhere does not exist") as error:
        source.catalog()
    assert error.value.source == "x"
    assert "does not exist" in str(source.check().problem)


# --- several files as one table -------------------------------------------------------------------


def test_partitioned_folders_are_one_table(folder: Folder) -> None:
    folder.parquet("sales/year=2024/month=01/a.parquet", "SELECT 1 AS id, 1.5 AS v")
    folder.parquet("sales/year=2025/month=02/b.parquet", "SELECT 2 AS id, 2.5 AS v")
    source = folder.source()
    (table,) = source.catalog().tables
    assert table.name == "sales"
    assert [(c.name, str(c.type)) for c in table.columns] == [
        ("id", "INTEGER"),
        ("v", "DECIMAL(2,1)"),
        ("month", "VARCHAR"),
        ("year", "BIGINT"),
    ]
    assert [(r["id"], r["month"], r["year"]) for r in rows_of(source, table)] == [
        (1, "01", 2024),
        (2, "02", 2025),
    ]
    assert [r["year"] for r in folder.read("sales/**/*.parquet")] == [2024, 2025]
    assert [r["year"] for r in folder.read("sales")] == [2024, 2025]
    assert folder.read("sales/year=2024/month=01/a.parquet")[0]["year"] == 2024


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_missing_in_one_file(folder: Folder, kind: str) -> None:
    if kind == "csv":
        folder.write("jan.csv", "id,v\n1,a\n")
        folder.write("feb.csv", "id,w\n2,b\n")
    else:
        folder.parquet("jan.parquet", "SELECT 1 AS id, 'a' AS v")
        folder.parquet("feb.parquet", "SELECT 2 AS id, 'b' AS w")
    with pytest.raises(DataError, match=rf"feb\.{kind} has no column v, which .*jan\.{kind} has"):
        folder.read(f"*.{kind}")
    assert folder.call(f"read_{kind}", f"*.{kind}", union_by_name=True) == [
        {"id": 2, "w": "b", "v": None},
        {"id": 1, "w": None, "v": "a"},
    ]


def test_columns_in_another_order_are_matched_by_name(folder: Folder) -> None:
    folder.write("a.csv", "id,v\nx,p\n")
    folder.write("b.csv", "v,id\nq,y\n")
    assert folder.read("*.csv") == [{"id": "x", "v": "p"}, {"id": "y", "v": "q"}]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_types_that_differ_between_files_widen(folder: Folder, kind: str) -> None:
    if kind == "csv":
        folder.write("a.csv", "v\n1\n")
        folder.write("b.csv", "v\n1.5\n")
    else:
        folder.parquet("a.parquet", "SELECT 1 AS v")
        folder.parquet("b.parquet", "SELECT 1.5::DOUBLE AS v")
    assert folder.read(f"*.{kind}") == [{"v": 1.0}, {"v": 1.5}]


def test_files_of_a_glob_come_in_the_order_of_their_names(folder: Folder) -> None:
    for name in ("b", "a", "c", "a10", "a2"):
        folder.write(f"{name}.csv", f"v\n{name}\n")
    assert [r["v"] for r in folder.read("*.csv")] == ["a", "a10", "a2", "b", "c"]


def test_mixed_formats_in_a_glob(folder: Folder) -> None:
    folder.write("a.csv", "v\n1\n")
    folder.write("a.json", "[]")
    with pytest.raises(BindError, match="several formats: csv, json"):
        folder.read("a.*")


# --- changes between planning and reading ---------------------------------------------------------


@pytest.mark.parametrize("change", ["content", "gone", "new in the glob"])
def test_a_changed_file_is_noticed(folder: Folder, change: str) -> None:
    path = folder.write("a.csv", "id\n1\n")
    connector = folder.paths()
    table = connector.path("*.csv")
    request = request_for(table)
    assert read(connector, request).to_pylist() == [{"id": 1}]
    if change == "content":
        path.write_text("id\nx1\n")
    elif change == "gone":
        path.unlink()
    else:
        folder.write("b.csv", "id\n2\n")
    for road in ("native", "stream"):
        with pytest.raises(StaleCatalogError, match="was changed since"):
            read(connector, request, road)  # type: ignore[arg-type]
    if change == "content":
        assert folder.read("*.csv") == [{"id": "x1"}]


# --- bare paths -----------------------------------------------------------------------------------


def test_names_with_spaces_quotes_and_wildcards(folder: Folder) -> None:
    for name in ("my data.csv", "it's.csv", 'say "hi".csv', "a[1].csv", "st*r.csv", "ünï.csv"):
        folder.write(name, "id\n7\n")
        assert folder.read(name) == [{"id": 7}], name
    assert len(folder.source().catalog().tables) == 6


def test_home_and_absolute_paths(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("a.csv", "id\n7\n")
    monkeypatch.setenv("HOME", str(folder.path))
    assert folder.read("~/a.csv") == [{"id": 7}]
    assert folder.read(str(folder.path / "a.csv")) == [{"id": 7}]
    assert folder.paths().path("a.csv").name == "a"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../outside.csv",
        "sub/../../outside.csv",
        "/etc/*.conf",
        "../*.csv",
        "~root/x.csv",
        "/proc/self/environ",
        "../filesx/a.csv",
        "/no/such/place.csv",
    ],
)
def test_paths_outside_are_refused(folder: Folder, path: str) -> None:
    (folder.path / "sub").mkdir()
    (folder.path.parent / "outside.csv").write_text("a\n1\n")
    (folder.path.parent / "filesx").mkdir()
    (folder.path.parent / "filesx" / "a.csv").write_text("a\n1\n")
    with pytest.raises(RefusedError, match="outside the directories") as error:
        folder.read(path)
    assert str(folder.path) in str(error.value)
    with pytest.raises(RefusedError):
        folder.call("read_csv", [path])


def test_the_engine_itself_cannot_read_outside(folder: Folder, tmp_path: Path) -> None:
    folder.write("a.csv", "id\n1\n")
    (tmp_path / "outside.csv").write_text("id\n2\n")
    (folder.path / "link.csv").symlink_to(tmp_path / "outside.csv")
    with engine(folder.paths()) as (instance, _):
        assert instance.execute(f"FROM '{folder.path}/a.csv'").fetchall() == [(1,)]
        for path in (tmp_path / "outside.csv", folder.path / "link.csv", "/etc/passwd"):
            with pytest.raises(duckdb.Error):
                instance.execute(f"FROM read_csv('{path}')")


def test_near_names_and_missing_files(folder: Folder) -> None:
    folder.write("trades.csv", "id\n1\n")
    with pytest.raises(UnknownNameError, match=r"did you mean 'trades\.csv'\?") as error:
        folder.read("trade.csv")
    assert error.value.suggestions == ("trades.csv",)
    with pytest.raises(UnknownNameError, match="no file matches"):
        folder.read("*.parquet")
    with pytest.raises(UnknownNameError, match="there is no folder"):
        folder.read("sub/x.csv")


@pytest.mark.parametrize("path", ["https://example.org/a.csv", "s3://bucket/a.csv", "http://x/y"])
def test_addresses_are_not_read(folder: Folder, path: str) -> None:
    with pytest.raises(NotSupportedError, match="this address is not read"):
        folder.read(path)


def test_unknown_kinds_are_told_by_content(folder: Folder) -> None:
    folder.write("data.txt", "a|b\n1|2\n")
    folder.write("noname", '[{"a": 1}]')
    folder.write("blob.bin", b"\x00\x01\x02\x03" * 100)
    assert folder.read("data.txt") == [{"a": 1, "b": 2}]
    assert folder.read("noname") == [{"a": 1}]
    with pytest.raises(NotSupportedError, match=r"known: \.csv"):
        folder.read("blob.bin")


def test_database_files_need_a_table(folder: Folder) -> None:
    with duckdb.connect(str(folder.path / "l.duckdb")):
        pass
    import sqlite3

    with contextlib.closing(sqlite3.connect(folder.path / "s.db")) as connection, connection:
        connection.execute("CREATE TABLE t (a)")
    paths = folder.paths()
    assert paths.database("s.db") == ("sqlite", folder.path / "s.db")
    assert paths.database("l.duckdb") == ("duckdb", folder.path / "l.duckdb")
    with pytest.raises(BindError, match=r"'s\.db'\.table"):
        paths.path("s.db")
    folder.write("a.csv", "a\n1\n")
    with pytest.raises(BindError, match="not a SQLite or DuckDB database"):
        paths.database("a.csv")


# --- read_… calls ---------------------------------------------------------------------------------


def test_types_by_name_of_a_file_without_rows(folder: Folder) -> None:
    """DuckDB takes the only line of a wide file for data, and misses the named columns."""
    names = "id,r,k,n,v,w,s,c,d,t,b,x"
    folder.write("empty.csv", names + "\n")
    assert folder.call("read_csv", ["empty.csv"], types={"id": "BIGINT", "x": "DOUBLE"}) == []
    table = folder.paths().function("read_csv", ["empty.csv"], {"types": {"x": "DOUBLE"}})
    assert [c.name for c in table.columns] == names.split(",")


def test_options_of_calls(folder: Folder) -> None:
    folder.write("semi.csv", "id;amount\n1;2,50\n2;3,75\n")
    assert folder.call("read_csv", "semi.csv", delim=";", decimal_separator=",") == [
        {"id": 1, "amount": 2.5},
        {"id": 2, "amount": 3.75},
    ]
    folder.write("z.csv", "zip,code\n01234,007\n")
    assert folder.call("read_csv", "z.csv", all_varchar=True) == [{"zip": "01234", "code": "007"}]
    assert folder.call("read_csv", ["z.csv"], types={"zip": "VARCHAR"}) == [
        {"zip": "01234", "code": "007"}
    ]
    folder.write("l.csv", "a\né\n".encode("latin-1"))
    assert folder.call("read_csv", "l.csv", encoding="latin-1") == [{"a": "é"}]
    folder.write("f.csv", "a\n1\n")
    (row,) = folder.call("read_csv", "f.csv", filename=True)
    assert row["filename"].endswith("f.csv")
    folder.write("n.ndjson", '{"a": 1}\n{"a": 2}\n')
    assert folder.call("read_ndjson", "n.ndjson") == [{"a": 1}, {"a": 2}]
    folder.write("q.csv", 'a,b\n"",x\n')
    assert folder.call("read_csv", "q.csv", allow_quoted_nulls=False) == [{"a": "", "b": "x"}]
    assert folder.read("q.csv") == [{"a": None, "b": "x"}]
    folder.write("th.csv", "a;b\n1,234;5\n")
    assert folder.call("read_csv", "th.csv", thousands=",", delim=";") == [{"a": 1234, "b": 5}]
    folder.write("r.csv", "a,b\n1,2\n3\n4,5,6\n")
    assert folder.call("read_csv", "r.csv", null_padding=True, strict_mode=False, delim=",")[
        :2
    ] == [
        {"a": 1, "b": 2, "column2": None},
        {"a": 3, "b": None, "column2": None},
    ]


def test_wrong_calls(folder: Folder) -> None:
    folder.write("a.csv", "a\n1\n")
    with pytest.raises(BindError, match=r"no option 'delimeter'; did you mean delim, delimiter"):
        folder.call("read_csv", "a.csv", delimeter=";")
    with pytest.raises(RefusedError, match="store_rejects is not allowed, it writes tables"):
        folder.call("read_csv", "a.csv", store_rejects=True)
    with pytest.raises(BindError, match="one path, glob or list of paths"):
        folder.call("read_csv", "a.csv", "b.csv")
    with pytest.raises(BindError, match="given twice"):
        folder.call("read_csv", "a.csv", sep=";", delim=",")
    with pytest.raises(UnknownNameError):
        folder.call("read_text", "a.csv")


def test_option_values_cannot_break_out(folder: Folder) -> None:
    folder.write("a.csv", "a\n1\n")
    evil = "x') UNION ALL SELECT 'pwned' --"
    assert folder.call("read_csv", "a.csv", nullstr=evil) == [{"a": 1}]


# --- compressed and packed ------------------------------------------------------------------------


def test_compressed_text(folder: Folder) -> None:
    data = b"a,b\n1,x\n2,y\n"
    expected = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    folder.write("g.csv.gz", gzip.compress(data))
    folder.write("b.csv.bz2", bz2.compress(data))
    folder.write("x.csv.xz", lzma.compress(data))
    folder.write("z.csv.zst", pa.compress(data, "zstd", asbytes=True))
    with zipfile.ZipFile(folder.path / "p.csv.zip", "w") as archive:
        archive.writestr("p.csv", data)
    for name in ("g.csv.gz", "b.csv.bz2", "x.csv.xz", "z.csv.zst", "p.csv.zip"):
        assert folder.read(name) == expected, name
        assert folder.read(name) == expected, name
    folder.write("g.jsonl.gz", gzip.compress(b'{"a": 1}\n'))
    assert folder.read("g.jsonl.gz") == [{"a": 1}]
    unpacked = list(folder.spool.iterdir())
    assert len(unpacked) == 3
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in unpacked)
    names = {t.name for t in folder.source().catalog().tables}
    assert names == {"g.csv.gz", "g.jsonl.gz", "b", "x", "z", "p"}


def test_broken_archives(folder: Folder) -> None:
    with zipfile.ZipFile(folder.path / "two.csv.zip", "w") as archive:
        archive.writestr("a.csv", "a\n1\n")
        archive.writestr("b.csv", "a\n1\n")
    with pytest.raises(NotSupportedError, match="holds 2 files"):
        folder.read("two.csv.zip")
    folder.write("cut.csv.xz", lzma.compress(b"a\n1\n" * 1000)[:-30])
    folder.write("cut.csv.gz", gzip.compress(b"a\n1\n" * 1000)[:-10])
    folder.write("no.csv.bz2", b"no bzip2 at all")
    for name in ("cut.csv.xz", "cut.csv.gz", "no.csv.bz2"):
        with pytest.raises(DataError, match="cannot be unpacked"):
            folder.read(name)


# --- stdin ----------------------------------------------------------------------------------------


def _parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2]}), out)
    return out.getvalue()


def _arrow(kind: Callable[..., Any]) -> bytes:
    out = io.BytesIO()
    table = pa.table({"a": [1, 2]})
    with kind(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def _workbook() -> bytes:
    out = io.BytesIO()
    book = openpyxl.Workbook()
    for row in (["a"], [1], [2]):
        book.active.append(row)
    book.save(out)
    return out.getvalue()


_STDIN_KINDS = [
    *("csv", "bom", "json", "jsonl", "parquet", "arrow", "feather", "xlsx"),
    *("csv.gz", "jsonl.gz", "csv.bz2", "json.xz", "csv.zst"),
]


@pytest.mark.parametrize(
    "content",
    [
        b"a\n1\n2\n",
        b"\xef\xbb\xbfa\r\n1\r\n2\r\n",
        b'[{"a": 1}, {"a": 2}]',
        b'{"a": 1}\n{"a": 2}\n',
        _parquet(),
        _arrow(pa.ipc.new_stream),
        _arrow(pa.ipc.new_file),
        _workbook(),
        gzip.compress(b"a\n1\n2\n", mtime=0),
        gzip.compress(b'{"a": 1}\n{"a": 2}\n', mtime=0),
        bz2.compress(b"a\n1\n2\n"),
        lzma.compress(b'[{"a": 1}, {"a": 2}]'),
        pa.compress(b"a\n1\n2\n", "zstd", asbytes=True),
    ],
    ids=_STDIN_KINDS,
)
def test_stdin_is_told_by_its_first_bytes(folder: Folder, content: bytes) -> None:
    path = spool_stdin(io.BytesIO(content), folder.spool)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    connector = folder.paths()
    table = connector.spooled(path)
    assert table.name == "stdin"
    assert rows_of(connector, table) == [{"a": 1}, {"a": 2}]
    assert rows_of(connector, table) == [{"a": 1}, {"a": 2}]


def test_stdin_with_a_given_format(folder: Folder) -> None:
    path = spool_stdin(io.BytesIO(b"a\tb, c\n1\t2\n"), folder.spool, "tsv")
    connector = folder.paths()
    assert rows_of(connector, connector.spooled(path)) == [{"a": 1, "b, c": 2}]


def test_permission_denied_is_said(folder: Folder) -> None:
    path = folder.write("a.csv", "a\n1\n")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("never: this user may read everything")
    with pytest.raises(DataError, match="Permission denied"):
        folder.read("a.csv")


@pytest.fixture(autouse=True)
def _no_descriptor_is_left(folder: Folder) -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    left = []
    for number in set(os.listdir("/proc/self/fd")) - before:
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{number}")
            if str(folder.path) in target:
                left.append(target)
    assert not left
