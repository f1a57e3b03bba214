"""kill -9 in the middle of an upload and of a query: what the next start makes of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dovetail.workspace import QueryRequest, Target, Workspace, WorkspaceSettings
from tests.workspace.sales import CUSTOMERS, ask, upload

BEGIN = """
import sys, time
from pathlib import Path
from dovetail.workspace import *
workspace = Workspace.open(WorkspaceSettings(Path(sys.argv[1]), url=sys.argv[2] or None))
me = workspace.users.local_actor()
"""

UPLOADING = (
    BEGIN
    + """
upload = workspace.datasets.begin_upload(me, "half.csv")
upload.write(b"id,name\\n1,Ada\\n" * 100_000)
upload._incoming._file.flush()
print("ready", flush=True)
time.sleep(600)
"""
)

CONVERTING = (
    BEGIN
    + """
from dovetail.workspace import uploads
def stop(*_):
    print("ready", flush=True)
    time.sleep(600)
uploads.sync_folder = stop  # the file is made, and not in its place yet
upload = workspace.datasets.begin_upload(me, "half.csv")
upload.write(b"id,name\\n1,Ada\\n")
upload.finish(wait=600)
"""
)

MOVED = (
    BEGIN
    + """
from dovetail.workspace import uploads
times = []
def stop(folder):
    times.append(folder)
    if len(times) == 2:  # the file is in its place, and no row says so
        print("ready", flush=True)
        time.sleep(600)
uploads.sync_folder = stop
upload = workspace.datasets.begin_upload(me, "half.csv")
upload.write(b"id,name\\n1,Ada\\n")
upload.finish(wait=600)
"""
)

QUERYING = (
    BEGIN
    + """
(dataset,) = workspace.datasets.list(me).items
many = "SELECT i, repeat('x', 1000) FROM range(100000000) t(i)"
request = QueryRequest(many, Target(dataset.id), apply_limit=False)
run = workspace.queries.start(me, request)
while workspace.queries.get(me, run.id).progress_rows == 0:
    time.sleep(0.01)
workspace.queries.start(me, QueryRequest("SELECT 1", Target(dataset.id)))
print("ready", flush=True)
time.sleep(600)
"""
)


def killed(program: str, folder: Path, url: str | None) -> None:
    """Run a program until it says that it is in the middle, and kill it."""
    command = [sys.executable, "-c", program, str(folder), url or ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("program", [UPLOADING, CONVERTING, MOVED], ids=["coming", "made", "moved"])
def test_an_upload_that_was_cut_off_leaves_nothing(tmp_path: Path, program: str) -> None:
    settings = WorkspaceSettings(tmp_path)
    killed(program, tmp_path, None)
    with Workspace.open(settings) as workspace:
        me = workspace.users.local_actor()
        for dataset in workspace.datasets.list(me).items:
            assert dataset.status == "FAILED"
            assert dataset.error is not None
            assert dataset.error.code == "interrupted"
        assert files_below(tmp_path / "files") == []
        assert list((tmp_path / "temporary").iterdir()) == []
        assert upload(workspace, me, "whole.csv", CUSTOMERS).status == "READY"


def test_a_query_that_was_cut_off_has_failed(store_url: str | None, tmp_path: Path) -> None:
    settings = WorkspaceSettings(tmp_path, url=store_url)
    with Workspace.open(settings) as workspace:
        me = workspace.users.local_actor()
        dataset = upload(workspace, me, "customers.csv", CUSTOMERS)
        kept = ask(workspace, me, "FROM dataset", dataset=dataset.id).run
    killed(QUERYING, tmp_path, store_url)
    with Workspace.open(settings) as workspace:
        me = workspace.users.local_actor()
        cut, waiting, before = sorted(
            workspace.queries.history(me).items, key=lambda run: run.sql != kept.sql
        )[::-1]
        assert before.id == kept.id
        for run in (cut, waiting):
            assert run.status in ("FAILED", "SUCCESS")
        lost = [run for run in (cut, waiting) if run.status == "FAILED"]
        assert any("range(100000000)" in run.sql for run in lost)
        assert all(run.problem and run.problem.code == "worker-lost" for run in lost)
        stored = {f"{run.id}.arrow" for run in (cut, waiting, before) if run.status == "SUCCESS"}
        assert set(files_below(tmp_path / "results")) == stored
        assert files_below(tmp_path / "temporary") == []
        assert workspace.queries.rows(me, kept.id).table.num_rows == 4


def test_a_living_worker_is_left_alone(store_url: str | None, tmp_path: Path) -> None:
    settings = WorkspaceSettings(tmp_path, url=store_url)
    with Workspace.open(settings) as first:
        me = first.users.local_actor()
        dataset = upload(first, me, "customers.csv", CUSTOMERS)
        with first.datasets.begin_upload(me, "second.csv") as incoming:
            incoming.write(CUSTOMERS.encode())
            with Workspace.open(settings) as second:
                assert second.datasets.get(me, dataset.id).status == "READY"
            assert incoming.finish(wait=60).status == "READY"
        looking = WorkspaceSettings(tmp_path, url=store_url, serving=False)
        with Workspace.open(looking) as third:
            assert third.datasets.get(me, dataset.id).status == "READY"


def test_a_cancel_reaches_another_process(store_url: str | None, tmp_path: Path) -> None:
    settings = WorkspaceSettings(tmp_path, url=store_url, workers=True)
    endless = "SELECT count(*) FROM range(1000000000) a, range(1000) b WHERE (a.range*b.range)%7=3"
    with Workspace.open(settings) as runs_it, Workspace.open(settings) as asks:
        me = runs_it.users.local_actor()
        dataset = upload(runs_it, me, "customers.csv", CUSTOMERS)
        run = runs_it.queries.start(me, QueryRequest(endless, Target(dataset.id)))
        asks.queries.cancel(me, run.id)
        assert asks.queries.get(me, run.id, wait=30).status == "CANCELLED"
        assert runs_it.queries.get(me, run.id).status == "CANCELLED"
        # Its rows are anyone's to page through.
        answer = ask(runs_it, me, "FROM dataset", dataset=dataset.id)
        assert asks.queries.rows(me, answer.run.id).table.num_rows == 4
