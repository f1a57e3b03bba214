"""Datasets: what is read from files of every kind, what is refused, and their life."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dovetail.workspace import (
    Actor,
    Workspace,
    WorkspaceError,
    WorkspaceLimits,
)
from tests.workspace.sales import CUSTOMERS, ORDERS, PRODUCTS, ask, rows, upload


def workbook() -> bytes:
    book = openpyxl.Workbook()
    book.active.title = "Empty"
    sheet = book.create_sheet("Sales")
    for row in (("id", "name"), (1, "Ada"), (2, "Ben")):
        sheet.append(row)
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def parquet() -> bytes:
    made = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2], "name": ["Ada", "Ben"]}), made)
    return made.getvalue()


TWO_ROWS: dict[str, bytes] = {
    "people.csv": b"id,name\n1,Ada\n2,Ben\n",
    "people.tsv": b"id\tname\n1\tAda\n2\tBen\n",
    "people.json": b'[{"id": 1, "name": "Ada"}, {"id": 2, "name": "Ben"}]',
    "people.jsonl": b'{"id": 1, "name": "Ada"}\n{"id": 2, "name": "Ben"}\n',
    "people.ndjson.gz": gzip.compress(
        b'{"id": 1, "name": "Ada"}\n{"id": 2, "name": "Ben"}\n', mtime=0
    ),
    "people.csv.gz": gzip.compress(b"id,name\n1,Ada\n2,Ben\n", mtime=0),
    "people.parquet": parquet(),
    "people.xlsx": workbook(),
    "people": b"id;name\n1;Ada\n2;Ben\n",
    "really a table.parquet": b"id,name\n1,Ada\n2,Ben\n",
}


@pytest.mark.parametrize("name", TWO_ROWS)
def test_kinds_of_files(workspace: Workspace, person: Callable[..., Actor], name: str) -> None:
    actor = person()
    made = upload(workspace, actor, name, TWO_ROWS[name])
    assert (made.status, made.row_count, made.column_count) == ("READY", 2, 2)
    answer = ask(workspace, actor, "FROM dataset", dataset=made.id)
    assert rows(answer) == [(1, "Ada"), (2, "Ben")]
    assert [c.type for c in answer.rows.columns] == ["BIGINT", "VARCHAR"]
    file = next((workspace.folder / "files" / made.id).rglob("data.parquet"))
    assert file.stat().st_mode & 0o777 == 0o400


def test_the_first_sheet_that_holds_something(
    workspace: Workspace, person: Callable[..., Actor]
) -> None:
    made = upload(workspace, person(), "people.xlsx", workbook())
    assert made.notes["sheets"] == ["Empty", "Sales"]
    for sheet in ("Sales", 2):
        assert upload(workspace, person(), "people.xlsx", workbook(), sheet=sheet).row_count == 2
    with pytest.raises(WorkspaceError) as caught:
        upload(workspace, person(), "people.xlsx", workbook(), sheet="Nope")
    assert caught.value.code == "validation"


@pytest.mark.parametrize(
    ("name", "content", "code", "lines"),
    [
        ("a.csv", b"", "file-empty", None),
        ("a.csv.gz", gzip.compress(b"", mtime=0), "file-empty", None),
        ("a.csv", b"a,b\n1,2\n3\n4,5,6\n", "file-unreadable", [3, 4]),
        ("a.csv", "id,name\n1,José\n2,x\n".encode("latin-1"), "file-unreadable", [2]),
        ("a.csv", b"\x00\x01\x02\x03", "unsupported-media-type", None),
        ("a.zip", b"PK\x03\x04" + bytes(60), "unsupported-media-type", None),
        ("a.db", b"SQLite format 3\x00" + bytes(60), "unsupported-media-type", None),
        ("a.parquet", b"PAR1 cut off", "file-unreadable", None),
        ("a.json", b'[{"a": 1}, {"a":', "file-unreadable", None),
        ("a.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], "file-unreadable", None),
        ("a.csv.gz", gzip.compress(b"a\n" * 20_000_000, mtime=0), "too-large", None),
    ],
)
def test_files_that_are_refused(
    workspace: Workspace,
    person: Callable[..., Actor],
    name: str,
    content: bytes,
    code: str,
    lines: list[int] | None,
) -> None:
    actor = person()
    with pytest.raises(WorkspaceError) as caught:
        upload(workspace, actor, name, content)
    assert caught.value.code == code
    assert str(workspace.folder) not in caught.value.message
    if lines is not None:
        assert caught.value.extra["lines"] == lines
    if lines == [2]:
        assert "options.encoding" in caught.value.message
    assert workspace.datasets.list(actor).total == 0


def test_options(workspace: Workspace, person: Callable[..., Actor]) -> None:
    actor = person()

    def first(content: bytes, **options: object) -> tuple[object, ...]:
        made = upload(workspace, actor, "a.csv", content, **options)
        return rows(ask(workspace, actor, "FROM dataset", dataset=made.id))[0]

    assert first("id,name\n1,José\n".encode("latin-1"), encoding="latin-1") == (1, "José")
    assert first("id,name\n1,José\n".encode("utf-16"), encoding="utf-16") == (1, "José")
    assert first(b"a;b\n1,5;2\n", decimal=",") == (1.5, 2)
    assert first(b"zip,n\n12345,1\n", types={"zip": "VARCHAR"}) == ("12345", 1)
    assert first(b"zip,n\n01234,1\n") == ("01234", 1)
    assert first(b"1,x\n2,y\n", header=False) == (1, "x")
    skipped = upload(workspace, actor, "a.csv", b"a,b\n1,2\n3\n4,5,6\n7,8\n", on_error="skip")
    assert (skipped.row_count, skipped.rejected_rows) == (2, 2)
    assert skipped.notes["rejected_lines"] == [3, 4]
    for wrong in ({"nope": 1}, {"skip": "1"}, {"header": 1}, {"on_error": "maybe"}):
        with pytest.raises(WorkspaceError) as caught:
            first(b"a\n1\n", **wrong)
        assert caught.value.code == "validation"


def test_a_late_odd_value(workspace: Workspace, person: Callable[..., Actor]) -> None:
    lines = "".join(f"{n},{n}\n" for n in range(30_000))
    made = upload(workspace, person(), "late.csv", f"id,v\n{lines}30001,abc\n")
    assert made.row_count == 30_001
    columns = workspace.datasets.schema(workspace.users.local_actor(), made.id).columns
    assert [(c.name, c.type) for c in columns] == [("id", "BIGINT"), ("v", "VARCHAR")]


def test_profile(workspace: Workspace, person: Callable[..., Actor]) -> None:
    actor = person()
    made = upload(workspace, actor, "orders.csv", ORDERS)
    profile = workspace.datasets.profile(actor, made.id)
    assert profile.total_rows == 6
    by_name = {column.name: column for column in profile.columns}
    customer, amount, day = by_name["customer_id"], by_name["amount"], by_name["ordered_at"]
    assert (customer.count, customer.nulls, customer.distinct) == (6, 1, 4)
    assert (customer.min, customer.max) == (1, 9)
    assert (amount.min, amount.max, amount.mean, amount.median) == (15.25, 241.0, 109.375, 100.0)
    assert sum(count for _, _, count in amount.histogram) == 6
    assert len(amount.histogram) == 20
    assert amount.top[0] == ("120.5", 2)
    assert (day.min, day.max) == ("2024-04-01", "2024-06-01")
    assert sum(count for _, _, count in day.histogram) == 6
    # Kept until the content changes, and the same when it comes from the store.
    assert workspace.datasets.profile(actor, made.id) == profile


def test_odd_columns_have_a_profile(workspace: Workspace, person: Callable[..., Actor]) -> None:
    actor = person()
    content = b'[{"a": {"b": 1}, "l": [1], "f": null, "say \\"hi\\"": 1.5}]'
    made = upload(workspace, actor, "odd.json", content)
    profile = workspace.datasets.profile(actor, made.id)
    assert [c.name for c in profile.columns] == ["a", "l", "f", 'say "hi"']
    assert [c.count for c in profile.columns] == [1, 1, 1, 1]


def test_preview(workspace: Workspace, person: Callable[..., Actor]) -> None:
    actor = person()
    made = upload(workspace, actor, "orders.csv", ORDERS)
    page = workspace.datasets.preview(actor, made.id, limit=2, offset=3)
    assert [row["id"] for row in page.table.to_pylist()] == [13, 14]
    assert page.total_rows == 6
    for wrong in ({"limit": 0}, {"limit": 1_001}, {"offset": -1}):
        with pytest.raises(WorkspaceError) as caught:
            workspace.datasets.preview(actor, made.id, **wrong)
        assert caught.value.code == "validation"


def test_a_new_version(workspace: Workspace, person: Callable[..., Actor]) -> None:
    actor = person()
    made = upload(workspace, actor, "a.csv", PRODUCTS)
    assert rows(ask(workspace, actor, "SELECT count(*) FROM dataset", dataset=made.id)) == [(3,)]
    with workspace.datasets.begin_upload(actor, "b.csv", replaces=made.id) as incoming:
        incoming.write(CUSTOMERS.encode())
        changed = incoming.finish(wait=60)
    assert (changed.id, changed.dataset_version, changed.row_count) == (made.id, 2, 4)
    assert rows(ask(workspace, actor, "SELECT count(*) FROM dataset", dataset=made.id)) == [(4,)]
    # One that cannot be read leaves everything as it was.
    with workspace.datasets.begin_upload(actor, "c.csv", replaces=made.id) as incoming:
        incoming.write(b"a,b\n1\n2,3\n")
        with pytest.raises(WorkspaceError):
            incoming.finish(wait=60)
    kept = workspace.datasets.get(actor, made.id)
    assert (kept.status, kept.dataset_version) == ("READY", 2)
    assert kept.error is not None
    assert rows(ask(workspace, actor, "SELECT count(*) FROM dataset", dataset=made.id)) == [(4,)]


def test_change_delete_restore_purge(workspace: Workspace, person: Callable[..., Actor]) -> None:
    actor, admin = person(), workspace.users.local_actor()
    made = upload(workspace, actor, "a.csv", PRODUCTS)
    changed = workspace.datasets.update(
        actor, made.id, name="Products", description="all", columns={"id": "the number"}
    )
    assert changed.etag != made.etag
    assert workspace.datasets.schema(actor, made.id).columns[0].description == "the number"
    with pytest.raises(WorkspaceError) as caught:
        workspace.datasets.update(actor, made.id, name="x", if_match=made.etag)
    assert caught.value.code == "stale"
    assert caught.value.extra["etag"] == changed.etag
    with pytest.raises(WorkspaceError, match="there is no such column"):
        workspace.datasets.update(actor, made.id, columns={"nope": "x"})
    workspace.datasets.delete(actor, made.id)
    with pytest.raises(WorkspaceError, match="no such dataset"):
        workspace.datasets.delete(actor, made.id)
    assert workspace.datasets.list(actor).total == 0
    assert [d.id for d in workspace.datasets.list(actor, deleted=True).items] == [made.id]
    assert workspace.datasets.restore(actor, made.id).status == "READY"
    with pytest.raises(WorkspaceError) as caught:
        workspace.datasets.purge(admin, made.id)
    assert caught.value.code == "in-use"
    workspace.datasets.delete(actor, made.id)
    with pytest.raises(WorkspaceError) as caught:
        workspace.datasets.purge(actor, made.id)
    assert caught.value.code == "forbidden"
    workspace.datasets.purge(admin, made.id)
    assert not (workspace.folder / "files" / made.id).exists()


def test_nobody_else_sees_it(workspace: Workspace, person: Callable[..., Actor]) -> None:
    owner, other = person(), person()
    made = upload(workspace, owner, "a.csv", PRODUCTS)

    def all_codes(actor: Actor) -> list[str]:
        calls: list[Callable[[], object]] = [
            lambda: workspace.datasets.get(actor, made.id),
            lambda: workspace.datasets.schema(actor, made.id),
            lambda: workspace.datasets.preview(actor, made.id),
            lambda: workspace.datasets.profile(actor, made.id),
            lambda: ask(workspace, actor, "FROM dataset", dataset=made.id),
            lambda: workspace.datasets.update(actor, made.id, name="x"),
            lambda: workspace.grants.list(actor, "dataset", made.id),
            lambda: workspace.datasets.begin_upload(actor, "b.csv", replaces=made.id),
            lambda: workspace.datasets.delete(actor, made.id),
        ]
        found = []
        for call in calls:
            try:
                call()
                found.append("ok")
            except WorkspaceError as error:
                found.append(error.code)
        return found

    no, never = "forbidden", "not-found"
    assert all_codes(other) == [never] * 9
    assert workspace.datasets.list(other).total == 0
    workspace.grants.grant(owner, "dataset", made.id, user=other.name, right="view")
    assert all_codes(other) == ["ok", "ok", "ok", no, no, no, no, no, no]
    assert workspace.datasets.get(other, made.id).right == "view"
    workspace.grants.grant(owner, "dataset", made.id, user=other.name, right="query")
    assert all_codes(other) == ["ok", "ok", "ok", "ok", "ok", no, no, no, no]
    (grant,) = workspace.grants.list(owner, "dataset", made.id)
    workspace.grants.revoke(owner, "dataset", made.id, grant.id)
    assert all_codes(other) == [never] * 9


def test_limits_of_uploads(local: Callable[..., Workspace]) -> None:
    workspace = local(limits=WorkspaceLimits(upload_bytes=1_000, user_store_bytes=600))
    me = workspace.users.local_actor()
    with (
        workspace.datasets.begin_upload(me, "a.csv") as incoming,
        pytest.raises(WorkspaceError) as caught,
    ):
        incoming.write(b"x" * 1_001)
    assert caught.value.code == "too-large"
    assert upload(workspace, me, "a.csv", PRODUCTS).size_bytes is not None
    upload(workspace, me, "b.csv", "a\n1\n")
    with pytest.raises(WorkspaceError) as caught:
        upload(workspace, me, "c.csv", PRODUCTS)
    assert caught.value.code == "store-full"
    assert [path for path in (workspace.folder / "temporary").rglob("*") if path.is_file()] == []


def test_names_are_data(local: Callable[..., Workspace], tmp_path: Path) -> None:
    workspace = local()
    me = workspace.users.local_actor()
    for name in ("../../etc/cron.csv", "C:\\temp\\x.csv", "a\0b\n.csv", "", "x" * 1_000):
        made = upload(workspace, me, name, PRODUCTS)
        assert "/" not in made.name
        assert "\\" not in made.name
        assert made.name.isprintable()
        assert made.default_alias.isidentifier()
    outside = [path for path in tmp_path.rglob("*.parquet") if "files" not in path.parts]
    assert outside == []


def test_an_upload_that_takes_longer_is_polled(
    workspace: Workspace, person: Callable[..., Actor]
) -> None:
    actor = person()
    with workspace.datasets.begin_upload(actor, "big.csv") as incoming:
        incoming.write(b"a,b\n" + b"1,2\n" * 200_000)
        first = incoming.finish(wait=0.0)
    assert first.status in ("PROCESSING", "READY")
    assert workspace.datasets.get(actor, first.id, wait=60).row_count == 200_000
    with workspace.datasets.begin_upload(actor, "bad.csv") as incoming:
        incoming.write(b"a,b\n" + b"1,2\n" * 200_000 + b"3\n")
        second = incoming.finish(wait=0.0)
    failed = workspace.datasets.get(actor, second.id, wait=60)
    assert failed.status == "FAILED"
    assert failed.error is not None
    assert failed.error.code == "file-unreadable"
