"""The cache over real servers: only age tells, and only for who asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cache.conftest import Open
from tests.cache.test_result_cache import ask, values
from tests.databases import Database, create_database

from dovetail.errors import SourceError, UnknownNameError

TYPES = {
    "postgres": "1::smallint a, 2::bigint b, 'NaN'::float8 c, 1.50::numeric(38,2) d, "
    "'x''é'::text e, '\\x00ff'::bytea f, true g, date '2020-02-29' h, time '23:59:59.999999' i, "
    "timestamp '1999-12-31 23:59:59.5' j, timestamptz '2020-01-01 00:00+05' k, "
    "interval '1 mon 2 days 3.5 s' l, uuid '00000000-0000-4000-8000-00000000000f' m, "
    "'{\"k\": [1, null]}'::jsonb n, array[1, null, 3] o, null::int p, '12:00:00+05'::timetz q, "
    "B'101'::bit(3) r",
    "mysql": "cast(1 as signed) a, cast(18446744073709551615 as unsigned) b, 1.5e0 c, "
    "cast(1.50 as decimal(38,2)) d, 'x''é' e, cast(x'00ff' as binary(2)) f, date'2020-02-29' h, "
    "cast('23:59:59.999999' as time(6)) i, timestamp'1999-12-31 23:59:59.5' j, "
    "cast(null as signed) p",
}


@pytest.fixture(params=["postgres", "mysql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    name = {"postgres": "postgres_server", "mysql": "mariadb_server"}[request.param]
    made = create_database(request.getfixturevalue(name), "kept")
    made.execute("CREATE TABLE t (a int, b varchar(10))", "INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    yield made
    made.drop()


@pytest.fixture
def sources(database: Database) -> dict[str, Any]:
    return {"s": database.source()}


def test_rows_are_as_old_as_the_query_allows(
    opened: Open, sources: dict[str, Any], database: Database, tmp_path: Path
) -> None:
    sql = "select a, b from s.t order by a"
    assert ask(opened(sources), sql) == ("miss", [(1, "x"), (2, "y")])
    database.execute("INSERT INTO t VALUES (3, 'z')")
    session = opened(sources)
    assert ask(session, sql) == ("hit", [(1, "x"), (2, "y")]), "nothing tells that it changed"
    assert session.sql(sql, cache=True).profile.fragments[0].cache == "hit"
    assert ask(session, sql, cache=1e-6) == ("miss", [(1, "x"), (2, "y"), (3, "z")])
    assert ask(session, sql) == ("hit", [(1, "x"), (2, "y"), (3, "z")]), "the newer is kept"
    assert ask(session, sql, cache=False)[0] == "none"


def test_a_table_of_another_form_is_another_table(
    opened: Open, sources: dict[str, Any], database: Database
) -> None:
    assert ask(opened(sources), "select * from s.t order by a")[0] == "miss"
    database.execute("ALTER TABLE t ADD c int")
    answer = ask(opened(sources), "select * from s.t order by a")
    assert answer == ("miss", [(1, "x", None), (2, "y", None)])


def test_every_type(opened: Open, sources: dict[str, Any], database: Database) -> None:
    database.execute(f"CREATE TABLE every AS SELECT {TYPES[database.server.kind]}")
    sql = "select * from s.every"
    with opened(sources).sql(sql, cache=True) as first:
        expected = values(first)
    with opened(sources).sql(sql) as plain, opened(sources).sql(sql, cache=True) as hit:
        assert (first.profile.cache, hit.profile.cache) == ("miss", "hit")
        assert hit.columns == first.columns == plain.columns
        assert hit.schema.equals(plain.schema, check_metadata=True)
        assert values(hit) == expected == values(plain)


def test_a_changed_file_beside_a_server(
    opened: Open, sources: dict[str, Any], database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "f.csv"
    path.write_text("a,n\n1,10\n")
    sql = f"select t.a, f.n from s.t join '{path}' f using (a)"
    assert ask(opened(sources), sql) == ("miss", [(1, 10)])
    assert ask(opened(sources), sql) == ("hit", [(1, 10)])
    path.write_text("a,n\n2,20\n")
    assert ask(opened(sources), sql) == ("miss", [(2, 20)])


def test_another_user_is_another_source(
    opened: Open, sources: dict[str, Any], database: Database
) -> None:
    sql = "select a, b from s.t order by a"
    assert ask(opened(sources), sql)[0] == "miss"
    server = database.server
    admin = {**sources["s"], "user": server.admin_user, "password": server.admin_password}
    assert ask(opened({"s": admin}), sql)[0] == "miss"
    assert ask(opened(sources), sql)[0] == "hit"


def test_a_changed_password(
    opened: Open, sources: dict[str, Any], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference in the configuration stays the same; what it stands for does not."""
    sql = "select a, b from s.t order by a"
    user, server = "kept_reader", database.server
    if server.kind == "postgres":
        database.execute(f"DROP ROLE IF EXISTS {user}", f"CREATE ROLE {user} LOGIN PASSWORD 'one'")
        database.execute(f"GRANT SELECT ON t TO {user}")
        change = f"ALTER ROLE {user} PASSWORD 'two'"
        clean = [f"DROP OWNED BY {user}", f"DROP ROLE {user}"]
    else:
        database.execute(f"CREATE OR REPLACE USER {user}@'%' IDENTIFIED BY 'one'")
        database.execute(f"GRANT SELECT ON {database.name}.* TO {user}@'%'")
        change = f"ALTER USER {user}@'%' IDENTIFIED BY 'two'"
        clean = [f"DROP USER {user}@'%'"]
    reader = {**sources["s"], "user": user, "password": "${env:KEPT_PASSWORD}"}
    try:
        monkeypatch.setenv("KEPT_PASSWORD", "one")
        assert ask(opened({"s": reader}), sql)[0] == "miss"
        assert ask(opened({"s": reader}), sql)[0] == "hit"
        database.execute(change)
        with pytest.raises(SourceError):  # the kept rows are not for who cannot log in
            ask(opened({"s": reader}), sql)
        monkeypatch.setenv("KEPT_PASSWORD", "two")
        assert ask(opened({"s": reader}), sql)[0] == "miss"
        assert ask(opened({"s": reader}), sql)[0] == "hit"
    finally:
        database.execute(*clean)


def test_no_secret_and_no_text_of_a_query_lies_in_the_folder(
    opened: Open, sources: dict[str, Any], database: Database, tmp_path: Path
) -> None:
    ask(
        opened(sources), "select a, 'a secret text' as c, 'x' < $p as d from s.t", params={"p": "y"}
    )
    password = str(database.server.password)
    assert password
    for path in (tmp_path / "kept").iterdir():
        assert password.encode() not in path.read_bytes()
        assert password not in path.name
        assert b"select" not in path.read_bytes().lower()


def test_a_source_that_is_down_answers_from_the_cache_only_where_it_is_known(
    opened: Open, sources: dict[str, Any], database: Database
) -> None:
    """A session that has read the catalog goes on; a new one cannot say what the tables are."""
    session = opened(sources)
    sql = "select sum(a) from s.t"
    assert ask(session, sql)[0] == "miss"
    database.execute("DROP TABLE t")
    assert ask(session, sql) == ("hit", [(3,)])
    with pytest.raises(UnknownNameError, match=r'no table "s\.t"'):
        ask(opened(sources), sql)
