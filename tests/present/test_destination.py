"""A file appears whole or not at all."""

from __future__ import annotations

import gzip
import os
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from dovetail.errors import UsageError
from dovetail.present.destination import open_file


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a b.csv"
    target.write_text("old")
    target.chmod(0o640)
    with open_file(target) as stream:
        stream.write(b"new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_after_a_failure_the_old_file_is_intact(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    target = tmp_path / "a.csv"
    target.write_text("old")

    def half_way() -> None:
        with open_file(target) as stream:
            stream.write(b"half")
            raise failure

    with pytest.raises(failure):
        half_way()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_compression(tmp_path: Path) -> None:
    for name, codec in (("a.gz", "gzip"), ("a.zst", "zstd")):
        with open_file(tmp_path / name, compression=codec) as stream:
            stream.write(b"some text")
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == b"some text"
    with pa.CompressedInputStream(pa.OSFile(str(tmp_path / "a.zst")), "zstd") as packed:
        assert packed.read() == b"some text"


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("x")
    for path, words, replace in (
        (tmp_path, "it is a folder", True),
        (tmp_path / "no" / "a.csv", "there is no folder", True),
        (tmp_path / "there", "--no-clobber", False),
        (tmp_path / "there" / "a.csv", "cannot write", True),
    ):
        with pytest.raises(UsageError, match=words), open_file(path, replace=replace):
            pass


def test_a_link_is_followed_and_a_pipe_is_written_directly(tmp_path: Path) -> None:
    target, link, pipe = tmp_path / "t", tmp_path / "link", tmp_path / "pipe"
    target.write_text("old")
    link.symlink_to(target)
    with open_file(link) as stream:
        stream.write(b"new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    with open_file(pipe) as stream:
        stream.write(b"through")
    reader.join(10)
    assert got == [b"through"]
