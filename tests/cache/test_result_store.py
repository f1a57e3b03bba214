"""Kept results as files: whole or not there, private, within their space."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from dovetail.cache import store as module
from dovetail.cache.store import KeptWriter, ResultStore
from dovetail.errors import ConfigError

TABLE = pa.table({"n": pa.array(range(1000), pa.int64()), "t": [f"text {n}" for n in range(1000)]})


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    made = ResultStore(tmp_path / "kept", 1_000_000)
    assert len(made.salt) == 32
    return made


def keep(store: ResultStore, key: str, table: pa.Table = TABLE, created: float = 0) -> KeptWriter:
    writer = store.write(key)
    for batch in table.to_batches(max_chunksize=300):
        writer.add(batch)
    types = ["BIGINT", "VARCHAR"]
    writer.finish(table.schema, created or time.time(), types, ["a warning"])
    return writer


def found(store: ResultStore, key: str, max_age: float = 60) -> pa.Table | None:
    kept = store.find(key, max_age)
    return None if kept is None else pa.Table.from_batches(list(kept.batches()), kept.schema)


def entries(store: ResultStore) -> list[str]:
    return sorted(path.name for path in store.directory.glob("*.result"))


def test_what_is_kept_is_found(store: ResultStore) -> None:
    keep(store, "a")
    kept = store.find("a", 60)
    assert kept is not None
    assert kept.about.types == ["BIGINT", "VARCHAR"]
    assert (kept.about.rows, kept.about.warnings) == (1000, ["a warning"])
    assert kept.schema == TABLE.schema
    assert pa.Table.from_batches(list(kept.batches())) == TABLE
    assert store.find("b", 60) is None


def test_a_result_without_rows(store: ResultStore) -> None:
    keep(store, "a", TABLE.slice(0, 0))
    assert found(store, "a") == TABLE.slice(0, 0)


def test_age(store: ResultStore) -> None:
    keep(store, "old", created=time.time() - 100)
    keep(store, "future", created=time.time() + 100)
    assert found(store, "old", 90) is None
    assert found(store, "old", 110) == TABLE
    assert found(store, "future", 1e9) is None, "a clock was set back: its age is not known"


def test_only_its_owner_may_look(store: ResultStore) -> None:
    keep(store, "a")
    store.count(hit=True)
    assert stat.S_IMODE(store.directory.stat().st_mode) == 0o700
    for path in store.directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_folder_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir(mode=0o755)
    assert ResultStore(tmp_path / "kept", 1).salt
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept").mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(ConfigError, match=r"another user's; name one of your own as cache\.dir"):
        assert ResultStore(tmp_path / "kept", 1).salt


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be kept in .*file/kept: Not a directory"):
        assert ResultStore(tmp_path / "file" / "kept", 1).salt


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:8],
        lambda data: data[:-1],
        lambda data: data[:-16],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"\0",
        lambda data: b"X" + data[1:],
        lambda data: data[:2000] + bytes([data[2000] ^ 1]) + data[2001:],
        lambda data: data[:-20] + bytes([data[-20] ^ 1]) + data[-19:],
        lambda data: data[:-12] + bytes([data[-12] ^ 1]) + data[-11:],
        lambda data: b"\0" * len(data),
    ],
)
def test_a_damaged_result_is_not_there(
    store: ResultStore, damage: Callable[[bytes], bytes]
) -> None:
    keep(store, "a")
    path = store.directory / "a.result"
    path.write_bytes(damage(path.read_bytes()))
    assert store.find("a", 60) is None
    assert not path.exists(), "it would only be read in vain again"
    keep(store, "a")
    assert found(store, "a") == TABLE


def test_an_unfinished_result_is_not_there(store: ResultStore) -> None:
    writer = store.write("a")
    writer.add(TABLE.to_batches()[0])
    assert store.find("a", 60) is None
    assert len(list(store.directory.glob("*.part"))) == 1
    writer.abandon()
    assert not list(store.directory.glob("*.part"))
    writer.add(TABLE.to_batches()[0])
    writer.finish(TABLE.schema, time.time(), [], [])
    assert store.find("a", 60) is None
    assert writer.problem == "it was not read to its end"


def test_what_a_killed_process_left_is_removed_and_nothing_else(store: ResultStore) -> None:
    code = (
        "import sys, pathlib, time, pyarrow as pa\n"
        "from dovetail.cache.store import ResultStore\n"
        "writer = ResultStore(pathlib.Path(sys.argv[1]), 1_000_000).write('dead')\n"
        "writer.add(pa.record_batch({'n': [1]}))\n"
        "print('writing', flush=True); time.sleep(600)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(store.directory)], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"writing\n"
        alive = store.write("alive")
        alive.add(TABLE.to_batches()[0])
        keep(store, "a")
        assert len(list(store.directory.glob("*.part"))) == 2, "both are being written"
        child.send_signal(signal.SIGKILL)
        child.wait()
    keep(store, "b")
    assert [path.name.partition("-")[0] for path in store.directory.glob("*.part")] == ["alive"]
    alive.finish(TABLE.schema, time.time(), [], [])
    assert entries(store) == ["a.result", "alive.result", "b.result"]


def test_the_longest_unused_go_first(store: ResultStore) -> None:
    keep(store, "a")
    size = (store.directory / "a.result").stat().st_size
    small = ResultStore(store.directory, int(size * 3.5))
    for age, key in enumerate(("c", "b", "a"), start=1):
        keep(small, key)
        used = time.time() - 100 * age
        os.utime(small.directory / f"{key}.result", (used, used))
    assert found(small, "a") == TABLE  # from now on the youngest in use
    keep(small, "d")
    assert entries(small) == ["a.result", "c.result", "d.result"]


def test_what_is_larger_than_all_may_be_is_given_up(store: ResultStore) -> None:
    tiny = ResultStore(store.directory, 2000)
    writer = keep(tiny, "a")
    assert "larger than all that may be kept (2,000 bytes)" in writer.problem
    assert sorted(path.name for path in tiny.directory.iterdir()) == ["salt"]


def test_what_nobody_used_for_a_week_goes(store: ResultStore) -> None:
    keep(store, "a")
    used = time.time() - 8 * 86_400
    os.utime(store.directory / "a.result", (used, used))
    keep(store, "b")
    assert entries(store) == ["b.result"]


def test_a_full_disk_is_no_matter_of_the_query(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        closed = False

        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            """Nothing is open."""

        def fileno(self) -> int:
            return os.open(os.devnull, os.O_RDONLY)

    monkeypatch.setattr(module, "_created", lambda path: Full())
    writer = keep(store, "a")
    assert "No space left" in writer.problem
    assert entries(store) == []


def test_contents_and_clear(store: ResultStore) -> None:
    assert store.contents().entries == 0
    assert store.contents().oldest is None
    keep(store, "old", created=1000.0)
    keep(store, "new")
    for hit in (True, True, False):
        store.count(hit=hit)
    held = store.contents()
    assert (held.entries, held.oldest, held.hits, held.misses) == (2, 1000.0, 2, 1)
    assert held.bytes == sum(path.stat().st_size for path in store.directory.glob("*.result"))
    assert store.clear(older=3600)[0] == 1
    assert entries(store) == ["new.result"]
    assert store.contents().hits == 2
    assert store.clear()[0] == 1
    assert (store.contents().entries, store.contents().hits) == (0, 0)
    nowhere = ResultStore(store.directory / "none", 1)
    assert (nowhere.contents().entries, nowhere.clear()) == (0, (0, 0))


def test_many_at_once(store: ResultStore) -> None:
    """Threads write, read and evict the same few entries: each that is found is whole."""
    crowded = ResultStore(store.directory, 30_000)
    wrong: list[object] = []

    def work(seed: int) -> None:
        for step in range(40):
            number = (seed + step) % 5
            table = TABLE.slice(0, 200 * (number + 1))
            if step % 2:
                keep(crowded, f"k{number}", table)
            elif (got := found(crowded, f"k{number}")) is not None and got != table:
                wrong.append(got.num_rows)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not list(store.directory.glob("*.part"))
