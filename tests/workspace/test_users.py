"""Users, logins, tokens: who gets in, and what a role and a scope allow."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import select, update

from dovetail.workspace import Actor, QueryRequest, Target, Workspace, WorkspaceError
from dovetail.workspace.models import TokenRow, now
from tests.workspace.sales import PRODUCTS, upload

PASSWORD = "a password of some length"


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(WorkspaceError) as caught:
        call()
    return caught.value.code


def test_login(workspace: Workspace) -> None:
    admin = workspace.users.local_actor()
    made = workspace.users.create(admin, "Ana", role="analyst", password=PASSWORD)
    session = workspace.users.login("ANA", PASSWORD, address="10.0.0.1")
    actor = workspace.users.authenticate(session.secret, address="10.0.0.1", request_id="r1")
    assert (actor.user_id, actor.role, actor.request_id) == (made.id, "analyst", "r1")
    for name, password in (("ana", "another password"), ("nobody", PASSWORD), ("local", "")):
        assert code_of(lambda n=name, p=password: workspace.users.login(n, p)) == "unauthenticated"  # type: ignore[misc]
    workspace.users.logout(actor)
    assert code_of(lambda: workspace.users.authenticate(session.secret)) == "unauthenticated"
    for line in workspace.audit.list(admin, action="login").items:
        assert PASSWORD not in repr(line)
        assert line.outcome in ("ok", "refused")


def test_logins_are_counted(workspace: Workspace) -> None:
    # Counted before the password is looked at; ten real logins could take a busy machine a minute.
    for _ in range(10):
        workspace.users._count_attempt("10.9.9.9")
    with pytest.raises(WorkspaceError) as caught:
        workspace.users.login("nobody", "x", address="10.9.9.9")
    assert caught.value.code == "too-many-requests"
    assert 0 < caught.value.extra["retry_after"] <= 60
    assert code_of(lambda: workspace.users.login("nobody", "x", address="10.9.9.8")) == (
        "unauthenticated"
    )


def test_a_session_ends_when_it_is_idle_or_old(workspace: Workspace) -> None:
    admin = workspace.users.local_actor()
    workspace.users.create(admin, "Ida", role="viewer", password=PASSWORD)
    for column, age in ((TokenRow.last_used_at, 13), (TokenRow.expires_at, 1)):
        session = workspace.users.login("Ida", PASSWORD, address=column.key)
        workspace.users.authenticate(session.secret)
        with workspace._store.write() as transaction:
            transaction.execute(
                update(TokenRow)
                .where(TokenRow.id == session.token.id)
                .values({column: now() - timedelta(hours=age)})
            )
        assert code_of(lambda s=session: workspace.users.authenticate(s.secret)) == (  # type: ignore[misc]
            "unauthenticated"
        )


def test_a_changed_password_ends_the_sessions(workspace: Workspace) -> None:
    admin = workspace.users.local_actor()
    made = workspace.users.create(admin, "Pat", role="viewer", password=PASSWORD)
    session = workspace.users.login("Pat", PASSWORD, address="p")
    workspace.users.update(admin, made.id, password=PASSWORD * 2)
    assert code_of(lambda: workspace.users.authenticate(session.secret)) == "unauthenticated"
    workspace.users.login("Pat", PASSWORD * 2, address="p")
    workspace.users.update(admin, made.id, disabled=True)
    assert code_of(lambda: workspace.users.login("Pat", PASSWORD * 2, address="p")) == (
        "unauthenticated"
    )


def test_tokens(workspace: Workspace, person: Callable[..., Actor]) -> None:
    actor = person("analyst")
    made = workspace.users.create_token(actor, "laptop", scopes=("read", "query"))
    assert made.secret.startswith("dvt_")
    assert len(made.secret) == 47
    assert made.token.expires_at is not None
    assert (made.token.expires_at - now()).days in (89, 90)
    with workspace._store.read() as session:
        kept = session.scalars(select(TokenRow).where(TokenRow.id == made.token.id)).one()
    assert made.secret not in repr(vars(kept))
    came = workspace.users.authenticate(made.secret)
    assert came.scopes == {"read", "query"}
    assert came.token_id == made.token.id
    # A token never exceeds the one it was made with, nor its owner.
    assert code_of(lambda: workspace.users.create_token(came, "more")) == "forbidden"
    narrow = Actor(actor.user_id, actor.name, "analyst", frozenset({"read", "write"}))
    assert code_of(lambda: workspace.users.create_token(narrow, "more", scopes=("admin",))) == (
        "forbidden"
    )
    assert (
        code_of(lambda: workspace.users.create_token(actor, "x", scopes=("root",))) == "validation"
    )
    assert code_of(lambda: workspace.users.create_token(actor, "x", days=0)) == "validation"
    assert [t.name for t in workspace.users.tokens(actor)] == ["laptop"]
    other = person("analyst")
    assert code_of(lambda: workspace.users.revoke_token(other, made.token.id)) == "not-found"
    assert code_of(lambda: workspace.users.tokens(other, user_id=actor.user_id)) == "forbidden"
    workspace.users.revoke_token(actor, made.token.id)
    assert code_of(lambda: workspace.users.authenticate(made.secret)) == "unauthenticated"
    assert code_of(lambda: workspace.users.revoke_token(actor, made.token.id)) == "not-found"


def test_the_local_token(workspace: Workspace) -> None:
    secret = workspace.users.local_token()
    assert workspace.users.local_token() == secret
    assert (workspace.folder / "token").stat().st_mode & 0o777 == 0o600
    assert workspace.users.is_local(secret)
    assert not workspace.users.is_local("x")
    assert code_of(lambda: workspace.users.authenticate(secret)) == "unauthenticated"


def test_users(workspace: Workspace, person: Callable[..., Actor]) -> None:
    admin, actor = workspace.users.local_actor(), person("editor")
    for name, role, password, code in (
        ("", "viewer", None, "validation"),
        ("x:y", "viewer", None, "validation"),
        ("Zoe", "king", None, "validation"),
        ("Zoe", "viewer", "short", "validation"),
        ("Zoe", "viewer", "x" * 257, "validation"),
        (actor.name.upper(), "viewer", None, "name-taken"),
    ):
        assert (
            code_of(
                lambda n=name, r=role, p=password: workspace.users.create(
                    admin, n, role=r, password=p
                )  # type: ignore[misc]
            )
            == code
        )
    for call in (
        lambda: workspace.users.create(actor, "Zoe", role="viewer"),
        lambda: workspace.users.list(actor),
        lambda: workspace.users.update(actor, actor.user_id, role="admin"),
        lambda: workspace.users.delete(actor, admin.user_id),
        lambda: workspace.audit.list(actor),
        lambda: workspace.audit.export(actor),
        lambda: workspace.queries.history(actor, user="*"),
        lambda: workspace.stats.queries(actor, user=admin.name),
    ):
        assert code_of(call) == "forbidden"  # type: ignore[arg-type]
    assert code_of(lambda: workspace.users.get(actor, admin.user_id)) == "not-found"
    assert workspace.users.get(actor, actor.user_id).role == "editor"
    assert actor.name in [u.name for u in workspace.users.list(admin, q="EDITOR").items]


def test_the_last_admin_stays(local: Callable[..., Workspace]) -> None:
    workspace = local()
    admin = workspace.users.local_actor()
    for call in (
        lambda: workspace.users.update(admin, admin.user_id, role="viewer"),
        lambda: workspace.users.update(admin, admin.user_id, disabled=True),
        lambda: workspace.users.delete(admin, admin.user_id),
    ):
        assert code_of(call) == "in-use"  # type: ignore[arg-type]
    second = workspace.users.create_admin("second", PASSWORD)
    workspace.users.update(admin, second.id, role="viewer")


def test_what_a_deleted_user_had(workspace: Workspace, person: Callable[..., Actor]) -> None:
    admin, leaver = workspace.users.local_actor(), person("analyst")
    dataset = upload(workspace, leaver, "p.csv", PRODUCTS)
    group = workspace.groups.create(leaver, "Leaver's")
    secret = workspace.users.create_token(leaver, "t").secret
    workspace.users.delete(admin, leaver.user_id)
    assert code_of(lambda: workspace.users.authenticate(secret)) == "unauthenticated"
    assert workspace.datasets.get(admin, dataset.id).owner_id == admin.user_id
    assert workspace.groups.get(admin, group.id).owner_id == admin.user_id


def test_what_a_viewer_may_do(
    workspace: Workspace, sales: SimpleNamespace, person: Callable[..., Actor]
) -> None:
    viewer = person("viewer")
    workspace.grants.grant(
        sales.owner, "dataset", sales.orders, user=viewer.user_id, right="manage"
    )
    request = QueryRequest("SELECT count(*) FROM dataset", Target(sales.orders))
    assert workspace.datasets.preview(viewer, sales.orders).table.num_rows == 6
    for call in (
        lambda: workspace.queries.run(viewer, request),
        lambda: workspace.queries.start(viewer, request),
        lambda: workspace.queries.explain(viewer, request),
        lambda: workspace.queries.validate(viewer, request),
        lambda: workspace.datasets.begin_upload(viewer, "x.csv"),
        lambda: workspace.datasets.register(viewer, "x", "y"),
        lambda: workspace.datasets.update(viewer, sales.orders, name="x"),
        lambda: workspace.datasets.delete(viewer, sales.orders),
        lambda: workspace.groups.create(viewer, "x"),
        lambda: workspace.saved.create(viewer, "x", "SELECT 1"),
        lambda: workspace.grants.grant(viewer, "dataset", sales.orders, user="local", right="view"),
        lambda: workspace.connections.create(viewer, "x", "sqlite", {}),
        lambda: workspace.connections.test(viewer, "sqlite", {}),
    ):
        assert code_of(call) == "forbidden"  # type: ignore[arg-type]
    saved = workspace.saved.create(
        sales.owner, "count", request.sql, target={"dataset_id": sales.orders}
    )
    workspace.saved.share(sales.owner, saved.id, with_="role:viewer", right="view")
    assert workspace.saved.run(viewer, saved.id).rows.table.to_pylist()[0].popitem()[1] == 6


@pytest.mark.parametrize("scope", ["read", "query", "write"])
def test_a_scope_narrows_a_role(workspace: Workspace, sales: SimpleNamespace, scope: str) -> None:
    narrow = Actor(sales.owner.user_id, sales.owner.name, "analyst", frozenset({scope}))
    request = QueryRequest("SELECT 1", Target(sales.orders))
    outcomes = {}
    for needed, call in (
        ("read", lambda: workspace.datasets.list(narrow)),
        ("read", lambda: workspace.groups.get(narrow, sales.group.id)),
        ("query", lambda: workspace.queries.run(narrow, request)),
        ("write", lambda: workspace.groups.create(narrow, f"by {scope}")),
        ("write", lambda: workspace.datasets.begin_upload(narrow, "x.csv").abort()),
    ):
        try:
            call()  # type: ignore[no-untyped-call]
            outcomes[needed] = "ok"
        except WorkspaceError as error:
            outcomes[needed] = f"{error.code}: {error.extra['missing']}"
    assert outcomes == {
        needed: "ok" if needed == scope else f"forbidden: scope {needed}"
        for needed in ("read", "query", "write")
    }


def test_a_grant_runs_out(
    workspace: Workspace, sales: SimpleNamespace, person: Callable[..., Actor]
) -> None:
    guest = person("analyst")
    for wrong in (now() - timedelta(days=1), now().replace(tzinfo=None)):
        assert (
            code_of(
                lambda w=wrong: workspace.grants.grant(  # type: ignore[misc]
                    sales.owner,
                    "dataset",
                    sales.orders,
                    user=guest.name,
                    right="view",
                    expires_at=w,
                )
            )
            == "validation"
        )
    grant = workspace.grants.grant(
        sales.owner,
        "dataset",
        sales.orders,
        user=guest.name,
        right="view",
        expires_at=now() + timedelta(days=1),
    )
    assert workspace.datasets.get(guest, sales.orders).right == "view"
    with workspace._store.write() as session:
        from dovetail.workspace.models import GrantRow

        session.execute(update(GrantRow).where(GrantRow.id == grant.id).values(expires_at=now()))
    assert code_of(lambda: workspace.datasets.get(guest, sales.orders)) == "not-found"
    assert workspace.datasets.list(guest).total == 0
