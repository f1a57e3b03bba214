"""Hostile input against whole sessions: real sources, real passwords, real files.

What the judge lets through may still carry literals, names and paths to the sources. Nothing may
change at a source, nothing outside the session's reach may be read, and no password may show.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import dovetail
from dovetail.errors import (
    DovetailError,
    NotSupportedError,
    QueryError,
    RefusedError,
    SourceError,
    UnknownNameError,
)
from dovetail.session import Session
from tests.databases import Database, create_database
from tests.servers import Server
from tests.test_security import NOT_QUERIES, PLACES, STACKED, SYSTEM_TABLES, TABLE_REACHING

PASSWORD = "S3cr3t'pa\\ss\"w%rd;--"
SECRET_TEXT = "top secret file content"

# Values that end a literal, a comment or a placeholder in some dialect, or change its meaning.
TEXTS = [
    "plain",
    "'",
    "''",
    "it's",
    "\\",
    "\\\\",
    "\\'",
    "\\\\'",
    "'\\",
    "' or '1'='1",
    "'; drop table hostile; --",
    "\\'; drop table hostile; -- ",
    '"; drop table hostile; --',
    "`; drop table hostile; --",
    "*/ drop table hostile; /*",
    "/*! drop table hostile */",
    "-- ",
    "# ",
    "$$",
    "$1",
    "$q$ $q$",
    "?",
    ":name",
    "{0}",
    "{alias}",
    "%s",
    "%(x)s",
    "%",
    "_",
    "%%",
    "a%",
    "\\%",
    "E'\\x27'",
    "x'27'",
    "\\n",
    "\n",
    "\r\n",
    "\t",
    "\x1a",
    "\x7f",
    "\x1b[31m",
    "\u2019",
    "\u02bc",
    "\uff07",
    "¿'",
    "\u0085",
    "\u2028",
    "\u202e",
    "é",
    "e\u0301",
    "日本",
    "\U0001f40d'",
    "fragment_1",
    "dovetail-data:x",
    "NULL",
    "null",
    "''''''''",
    "a\\''b",
    "\\u0027",
    "&#39;",
    "%27",
]

# Names that end a quoted identifier somewhere.
NAMES = [
    'dou"ble',
    "back`tick",
    "single'quote",
    "semi;colon",
    "a.b",
    "drop table hostile",
    '"; drop table hostile; --',
    "`; drop table hostile; --",
    "dash--dash",
    "/*comment*/",
    "per%cent %s",
    "{0} {alias}",
    "$1 $$",
    "back\\slash",
    "Upper lower",
    "select",
    "日本",  # MariaDB has no four-byte names
]


def same_name(name: str) -> str:
    """A quoted identifier of DuckDB's."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class Sources:
    """One source of each kind, all with the table ``hostile(id, v)`` and one of odd names."""

    def __init__(self, folder: Path, postgres: Server, mariadb: Server) -> None:
        self.folder = folder
        self.databases = {
            "pg": create_database(postgres, "security"),
            "my": create_database(mariadb, "security", collation="utf8mb4_bin"),
        }
        for name, database in self.databases.items():
            self.fill_server(name, database)
        self.fill_sqlite()
        self.fill_duckdb()
        self.fill_files()

    def fill_server(self, name: str, database: Database) -> None:
        kind = database.server.kind
        text = "text" if kind == "postgres" else "varchar(200)"
        # psycopg reads % as a placeholder only when there are parameters.
        with contextlib.closing(database.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(f"create table hostile (id int, v {text})")
            cursor.executemany("insert into hostile values (%s, %s)", list(enumerate(TEXTS)))
            sign = '"' if kind == "postgres" else "`"
            quoted = [sign + n.replace(sign, sign * 2) + sign for n in NAMES]
            columns = ", ".join(f"{q} int" for q in quoted)
            table = sign + "odd \"`' table;--".replace(sign, sign * 2) + sign
            cursor.execute(f"create table {table} ({columns})")
            cursor.execute(f"insert into {table} values ({', '.join(map(str, range(len(NAMES))))})")
            connection.commit()

    def fill_sqlite(self) -> None:
        with contextlib.closing(sqlite3.connect(self.folder / "old.db")) as connection, connection:
            connection.execute("create table hostile (id int, v text)")
            connection.executemany("insert into hostile values (?, ?)", list(enumerate(TEXTS)))
            columns = ", ".join(f"{same_name(n)} int" for n in NAMES)
            table = same_name("odd \"`' table;--")
            connection.execute(f"create table {table} ({columns})")
            marks = ", ".join("?" * len(NAMES))
            connection.execute(f"insert into {table} values ({marks})", list(range(len(NAMES))))

    def fill_duckdb(self) -> None:
        outside = self.folder / "outside"
        outside.mkdir()
        (outside / "secret.csv").write_text(f"line\n{SECRET_TEXT}\n")
        with duckdb.connect(str(self.folder / "lake.duckdb")) as connection:
            connection.execute("create table hostile (id int, v text)")
            connection.executemany("insert into hostile values (?, ?)", list(enumerate(TEXTS)))
            columns = ", ".join(f"{same_name(n)} int" for n in NAMES)
            table = same_name("odd \"`' table;--")
            connection.execute(f"create table {table} ({columns})")
            values = ", ".join(map(str, range(len(NAMES))))
            connection.execute(f"insert into {table} values ({values})")
            secret = str(outside / "secret.csv")
            connection.execute("create macro leak() as 'macro was called'")
            connection.execute("create macro upper(x) as 'macro was called'")
            connection.execute(f"create macro files() as table select * from '{secret}'")
            connection.execute(f"create view peek as select * from read_csv('{secret}')")
            connection.execute("create view settings as select * from duckdb_settings()")

    def fill_files(self) -> None:
        exports = self.folder / "exports"
        exports.mkdir()
        with duckdb.connect() as connection:
            connection.execute("create table hostile (id int, v text)")
            connection.executemany("insert into hostile values (?, ?)", list(enumerate(TEXTS)))
            connection.execute(f"copy hostile to '{exports}/hostile.parquet'")
        (exports / "inside.csv").write_text("a\n1\n")
        (exports / "link.csv").symlink_to(self.folder / "outside" / "secret.csv")
        (exports / "folder_link").symlink_to(self.folder / "outside")

    def config(self) -> dict[str, Any]:
        sources: dict[str, Any] = {n: d.source() for n, d in self.databases.items()}
        sources["old"] = {"kind": "sqlite", "path": str(self.folder / "old.db")}
        sources["lake"] = {"kind": "duckdb", "path": str(self.folder / "lake.duckdb")}
        sources["exports"] = {"kind": "files", "path": str(self.folder / "exports")}
        return {"sources": sources}

    def counts(self) -> list[int]:
        """Rows of ``hostile`` at each source, read without Dovetail."""
        rows = [d.execute("select count(*) from hostile")[0][0] for d in self.databases.values()]
        with contextlib.closing(sqlite3.connect(self.folder / "old.db")) as connection:
            rows.append(connection.execute("select count(*) from hostile").fetchone()[0])
        with duckdb.connect(str(self.folder / "lake.duckdb"), read_only=True) as connection:
            found = connection.execute("select count(*) from hostile").fetchone()
            assert found is not None
            rows.append(found[0])
        return rows


@pytest.fixture(scope="module")
def sources(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: Server, mariadb_server: Server
) -> Iterator[Sources]:
    made = Sources(tmp_path_factory.mktemp("security"), postgres_server, mariadb_server)
    yield made
    for database in made.databases.values():
        database.drop()


@pytest.fixture(scope="module")
def session(sources: Sources) -> Iterator[Session]:
    with dovetail.connect(sources.config()) as opened:
        yield opened


KINDS = ["pg", "my", "old", "lake", "exports"]


def rows_of(
    session: Session, sql: str, params: Any = None, **options: Any
) -> list[tuple[Any, ...]]:
    with session.sql(sql, params, **options) as result:
        return [tuple(row) for row in result.rows()]


# -- literals and names reach the sources as what they are ----------------------------------------


@pytest.mark.parametrize("source", KINDS)
def test_values_come_back_as_they_are(session: Session, source: str) -> None:
    rows = rows_of(session, f"select id, v from {source}.hostile order by id")
    assert rows == list(enumerate(TEXTS))


@pytest.mark.parametrize("source", KINDS)
def test_literals_find_their_own_row(session: Session, source: str) -> None:
    for number, text in enumerate(TEXTS):
        sql = f"select id from {source}.hostile where v = {literal(text)}"
        assert rows_of(session, sql) == [(number,)], text
        bound = f"select id from {source}.hostile where v = $v"
        assert rows_of(session, bound, {"v": text}) == [(number,)], text


@pytest.mark.parametrize("source", KINDS)
def test_literals_in_other_places(session: Session, source: str) -> None:
    """IN lists, comparisons, patterns and select items, with the rules on and off."""
    listed = ", ".join(map(literal, TEXTS[:25]))
    for rules in (True, False):
        sql = f"select count(*) from {source}.hostile where v in ({listed})"
        assert rows_of(session, sql, rules=rules) == [(25,)]
        sql = f"select count(*) from {source}.hostile where v not in ({listed})"
        assert rows_of(session, sql, rules=rules) == [(len(TEXTS) - 25,)]
        for text in ("\\", "'", "%", "it's", "\\'", "$$", "*/"):
            quoted = literal(text)
            sql = (
                f"select count(*) from {source}.hostile where v like {quoted} "
                f"union all select count(*) from {source}.hostile where contains(v, {quoted}) "
                f"union all select count(*) from {source}.hostile where v > {quoted}"
            )
            with duckdb.connect() as plain:
                plain.execute("create table hostile (id int, v text)")
                plain.executemany("insert into hostile values (?, ?)", list(enumerate(TEXTS)))
                expected = plain.execute(sql.replace(f"{source}.hostile", "hostile")).fetchall()
            assert rows_of(session, sql, rules=rules) == expected, text
        sql = f"select {literal(TEXTS[11])}, v from {source}.hostile where id = 10 limit 1"
        assert rows_of(session, sql, rules=rules) == [(TEXTS[11], TEXTS[10])]


def test_literals_cross_sources(session: Session) -> None:
    """Values learnt from one source go to another as a filter."""
    for left, right in (("pg", "my"), ("my", "old"), ("old", "pg"), ("exports", "my")):
        sql = (
            f"select a.id, b.id from {left}.hostile a join {right}.hostile b on a.v = b.v "
            f"where a.v in ({', '.join(map(literal, TEXTS[1:12]))}) order by 1"
        )
        assert rows_of(session, sql) == [(i, i) for i in range(1, 12)]


@pytest.mark.parametrize("source", ["pg", "my", "old", "lake"])
def test_names_of_any_kind(session: Session, source: str) -> None:
    table = f"{source}.{same_name(_odd_table(session, source))}"
    for number, name in enumerate(NAMES):
        column = same_name(name)
        sql = f"select {column}, t.{column} as {column} from {table} t where {column} >= {number}"
        assert rows_of(session, sql) == [(number, number)], name
        sql = f"select max({column}) from {table} group by {column} order by {column} limit 1"
        assert rows_of(session, sql) == [(number,)], name


def _odd_table(session: Session, source: str) -> str:
    (name,) = [t.name for t in session.tables(source) if t.name.startswith("odd ")]
    return name


# -- statements ------------------------------------------------------------------------------------


def test_hostile_texts_change_nothing(session: Session, sources: Sources) -> None:
    before = sources.counts()
    texts = [*NOT_QUERIES, *STACKED]
    for name in KINDS:
        texts += [
            f"delete from {name}.hostile",
            f"drop table {name}.hostile",
            f"insert into {name}.hostile values (1, 'x')",
            f"create table {name}.made as select 1",
            f"copy {name}.hostile to '{sources.folder}/out.csv'",
            f"select * from {name}.hostile; delete from {name}.hostile",
            f"detach {name}",
            f"detach source_{name}",
        ]
    for sql in texts:
        with pytest.raises((QueryError, NotSupportedError)) as caught:
            session.sql(sql)
        assert caught.value.message
        assert "source_" not in caught.value.message
    assert sources.counts() == before
    assert not (sources.folder / "out.csv").exists()
    assert rows_of(session, "select count(*) from lake.hostile") == [(len(TEXTS),)]


def test_functions_that_reach_out_are_refused(session: Session) -> None:
    for call in TABLE_REACHING:
        with pytest.raises((RefusedError, NotSupportedError)):
            session.sql(f"select * from {call}")
    for place in PLACES:
        with pytest.raises((QueryError, NotSupportedError)):
            session.sql(place.replace("X", "current_setting('threads')"))


@pytest.mark.parametrize("table", SYSTEM_TABLES)
def test_system_tables_do_not_exist(session: Session, table: str) -> None:
    for sql in (f"select * from {table}", f"with a as (from {table}) from a", f"describe {table}"):
        with pytest.raises((UnknownNameError, RefusedError)) as caught:
            session.sql(sql)
        offered = " ".join(caught.value.suggestions)
        for internal in ("duckdb_", "sqlite_", "pg_", "pragma_", "information_schema"):
            assert internal not in offered


@pytest.mark.parametrize("source", ["pg", "my", "old", "lake"])
def test_system_tables_of_sources_do_not_exist(session: Session, source: str) -> None:
    for table in (
        "information_schema.tables",
        "pg_catalog.pg_authid",
        "pg_shadow",
        "mysql.user",
        "performance_schema.threads",
        "sqlite_master",
        "main.sqlite_schema",
        "duckdb_settings",
        "main.duckdb_databases",
    ):
        with pytest.raises((UnknownNameError, RefusedError)):
            session.sql(f"select * from {source}.{table}")


SOURCE_FUNCTIONS = [
    "pg_read_file('/etc/passwd')",
    "pg_ls_dir('/')",
    "lo_import('/etc/passwd')",
    "dblink('host=x', 'select 1')",
    "pg_terminate_backend(1)",
    "set_config('log_statement', 'all', false)",
    "load_file('/etc/passwd')",
    "sleep(100)",
    "benchmark(1000000000, md5('x'))",
    "load_extension('/tmp/x.so')",
    "readfile('/etc/passwd')",
    "writefile('/tmp/x', 'y')",
    "xp_cmdshell('id')",
    "sqlite_version()",
    "database()",
]


@pytest.mark.parametrize("call", SOURCE_FUNCTIONS)
def test_functions_of_the_sources_do_not_exist(session: Session, call: str) -> None:
    for sql in (
        f"select {call}",
        f"select {call} from pg.hostile",
        f"select {call} from my.hostile",
    ):
        with pytest.raises((UnknownNameError, RefusedError)):
            session.sql(sql)


def test_other_dialects_are_judged_too(session: Session, sources: Sources) -> None:
    before = sources.counts()
    texts = {
        "postgres": [
            "select 1; drop table pg.hostile",
            "copy pg.hostile to program 'id'",
            "copy (select 1) to '/tmp/dovetail-out'",
            "do $$ begin perform 1; end $$",
            "select pg_read_file('/etc/passwd')",
            "select * from pg_ls_dir('/')",
            "with d as (delete from pg.hostile returning *) select * from d",
            "set role postgres",
        ],
        "mysql": [
            "select * from my.hostile into outfile '/tmp/dovetail-out'",
            "select load_file('/etc/passwd')",
            "select sleep(100)",
            "/*!50000 drop table my.hostile */",
            "select 1; delete from my.hostile",
            "handler my.hostile open",
        ],
        "tsql": ["exec xp_cmdshell 'id'", "select * from openrowset('x', 'y', 'z')"],
        "bigquery": ["export data options (uri='gs://x') as select 1", "call p()"],
    }
    for dialect, listed in texts.items():
        for sql in listed:
            with pytest.raises(DovetailError):
                rows_of(session, sql, dialect=dialect)
    assert sources.counts() == before
    assert not Path("/tmp/dovetail-out").exists()


def test_macros_and_views_of_a_source_do_not_run_for_it(session: Session) -> None:
    """What a DuckDB file defines may name files and settings that the session does not allow."""
    for sql in (
        "select lake.leak()",
        "select lake.main.leak()",
        "select source_lake.main.leak()",
        "select * from lake.files()",
        "select * from source_lake.main.files()",
        "select lake.upper(v) from lake.hostile",
        "select lake.main.upper(v) from lake.hostile",
        "select source_lake.main.upper(v) from lake.hostile",
        "select source_lake.upper(v) from lake.hostile",
        "select source_lake.main.upper('x') from exports.inside",
    ):
        with pytest.raises((RefusedError, UnknownNameError, NotSupportedError)):
            rows_of(session, sql)
    assert rows_of(session, "select upper(v) from lake.hostile where id = 0") == [("PLAIN",)]
    assert rows_of(session, "select v.upper() from lake.hostile where id = 0") == [("PLAIN",)]
    with pytest.raises(RefusedError, match=r"view lake\.main\.peek .*read_csv") as caught:
        rows_of(session, "select * from lake.peek")
    assert SECRET_TEXT not in str(caught.value)


def test_views_of_a_source_do_not_show_the_engine(session: Session) -> None:
    with pytest.raises(RefusedError, match=r"view lake\.main\.settings cannot be read"):
        rows_of(session, "select * from lake.settings")


@pytest.mark.parametrize(
    ("view", "says"),
    [
        ("select name, value from duckdb_settings()", "duckdb_settings"),
        ("select current_setting('temp_directory') as place", "current_setting"),
        ("select * from read_csv('{folder}/outside/secret.csv')", "read_csv"),
        ("from hidden", "current_setting"),
    ],
)
def test_views_of_a_file_named_by_path(sources: Sources, view: str, says: str) -> None:
    path = sources.folder / "exports" / "views.duckdb"
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE plain AS SELECT 1 AS a")
        connection.execute("CREATE VIEW fine AS SELECT a + 1 AS b FROM plain")
        connection.execute("CREATE VIEW hidden AS SELECT current_setting('threads') AS n")
        connection.execute(f"CREATE VIEW v AS {view.format(folder=sources.folder)}")
    with dovetail.connect({}, allowed_directories=[sources.folder]) as opened:
        assert rows_of(opened, f"select b from '{path}'.fine") == [(2,)]
        with pytest.raises(RefusedError, match=says) as caught:
            rows_of(opened, f"select * from '{path}'.v")
        named = re.match(
            rf"view '{re.escape(str(path))}'\.main\.(v|hidden) cannot", str(caught.value)
        )
        assert named, caught.value


def test_macros_beside_a_file_function(session: Session, sources: Sources) -> None:
    inside = sources.folder / "exports" / "inside.csv"
    with dovetail.connect(
        sources.config(), allowed_directories=[sources.folder / "exports"]
    ) as opened:
        assert rows_of(opened, f"select a from read_csv('{inside}')") == [(1,)]
        for call in (
            "lake.main.upper('x')",
            "source_lake.main.upper('x')",
            "source_lake.upper('x')",
            "source_lake.main.leak()",
        ):
            with pytest.raises((RefusedError, UnknownNameError, NotSupportedError)):
                rows_of(
                    opened,
                    f"select {call} from read_csv('{inside}') r join lake.hostile h on h.id = r.a",
                )


# -- files -----------------------------------------------------------------------------------------


def test_files_outside_are_out_of_reach(session: Session, sources: Sources) -> None:
    secret = sources.folder / "outside" / "secret.csv"
    before = Path.cwd()
    os.chdir(sources.folder / "exports")
    paths = [
        "/etc/passwd",
        "/etc/pass*",
        "/proc/self/environ",
        "/dev/stdin",
        "file:///etc/passwd",
        "~/.bashrc",
        str(secret),
        str(secret.parent / "*.csv"),
        str(sources.folder / "**" / "secret.csv"),
        str(sources.folder / "exports" / ".." / "outside" / "secret.csv"),
        "../outside/secret.csv",
        "link.csv",
        "folder_link/secret.csv",
        "https://example.invalid/x.csv",
        "http://169.254.169.254/latest/meta-data",
        "s3://bucket/x.parquet",
        "/etc/passwd\\0.csv",
    ]
    try:
        with dovetail.connect(
            sources.config(), allowed_directories=[sources.folder / "exports"]
        ) as opened:
            assert rows_of(opened, "select a from 'inside.csv'") == [(1,)]
            for path in paths:
                for table in (literal(path), f"read_csv({literal(path)}, header = false)"):
                    with pytest.raises(DovetailError) as caught:
                        rows_of(opened, f"select * from {table}")
                    assert SECRET_TEXT not in str(caught.value), path
                    assert "root:" not in str(caught.value), path
            for table in (
                f"read_csv(['inside.csv', {literal(str(secret))}])",
                f"read_text({literal(str(secret))})",
                "read_csv('inside.csv', store_rejects = true, rejects_table = 'x')",
                'exports."../outside/secret"',
                "exports.link",
                'exports."folder_link/secret"',
                'exports."/etc/passwd"',
            ):
                with pytest.raises(DovetailError) as caught:
                    rows_of(opened, f"select * from {table}")
                assert SECRET_TEXT not in str(caught.value), table
        # Without allowed directories there is no bare path at all.
        for path in ("inside.csv", str(sources.folder / "exports" / "inside.csv")):
            with pytest.raises(DovetailError):
                rows_of(session, f"select * from {literal(path)}")
    finally:
        os.chdir(before)


# -- secrets ---------------------------------------------------------------------------------------


def everything_shown(error: BaseException) -> str:
    """All that a log could show of an error: its chain, arguments and data."""
    parts = traceback.format_exception(error)
    seen: BaseException | None = error
    while seen is not None:
        parts += [str(seen), repr(seen), repr(seen.args)]
        if isinstance(seen, DovetailError):
            parts.append(repr(seen.to_dict()))
        seen = seen.__cause__ or seen.__context__
    return "\n".join(parts)


def assert_no_secret(shown: str, *secrets: str) -> None:
    for secret in secrets:
        for form in (
            secret,
            secret.replace("'", "''"),
            secret.replace("\\", "\\\\"),
            repr(secret)[1:-1],
        ):
            assert form not in shown


@pytest.mark.parametrize("name", ["pg", "my"])
@pytest.mark.parametrize(
    "change",
    [
        {"password": PASSWORD},
        {"password": PASSWORD, "user": "nobody"},
        {"password": PASSWORD, "database": "no such'db\\"},
        {"password": PASSWORD, "port": 1},
        {"password": PASSWORD, "host": "host.invalid"},
    ],
    ids=lambda change: "-".join(change),
)
def test_failed_logins_do_not_show_the_password(
    sources: Sources, name: str, change: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    settings = {**sources.databases[name].source(), "connect_timeout": 1.0, **change}
    with dovetail.connect({"sources": {"bad": settings}}) as opened:
        actions = (
            lambda: rows_of(opened, "select * from bad.hostile"),
            lambda: opened.tables("bad"),
            lambda: opened.explain("select * from bad.hostile"),
        )
        # A server that does not answer is asked more than once, so one action is enough of that.
        unreachable = "port" in change or "host" in change
        for action in actions[:1] if unreachable else actions:
            with pytest.raises(SourceError) as caught:
                action()
            assert caught.value.source == "bad"
            assert_no_secret(everything_shown(caught.value), PASSWORD)
        assert_no_secret(repr(opened.check("bad")), PASSWORD)
    output = capfd.readouterr()
    assert_no_secret(output.out + output.err, PASSWORD)


def test_nothing_that_is_shown_holds_a_password(session: Session, sources: Sources) -> None:
    passwords = [database.server.password for database in sources.databases.values()]
    sql = "select a.id from pg.hostile a join my.hostile b on a.v = b.v where a.id < 3"
    with session.sql(sql) as result:
        result.arrow()
        shown = [repr(result.profile), str(result.profile)]
    for analyze in (False, True):
        explanation = session.explain(sql, analyze=analyze)
        shown += [str(explanation), repr(explanation.to_dict())]
    shown += [repr(session.sources()), repr(session.config), str(session.config)]
    shown += [repr(session), repr(vars(session)), repr(session.tables("pg"))]
    shown += [repr(session.check(name)) for name in ("pg", "my")]
    assert_no_secret("\n".join(shown), *passwords)


def test_a_source_that_fails_in_a_fragment_shows_no_password(
    session: Session, sources: Sources
) -> None:
    passwords = [database.server.password for database in sources.databases.values()]
    for name, database in sources.databases.items():
        database.execute("create table vanishing (a int)")
        session.refresh(name)
        assert rows_of(session, f"select * from {name}.vanishing") == []
        database.execute("drop table vanishing")
        with pytest.raises(DovetailError) as caught:
            rows_of(session, f"select a + 1 from {name}.vanishing where a > 1")
        assert_no_secret(everything_shown(caught.value), *passwords)


def test_the_engine_keeps_no_password_within_reach(session: Session, sources: Sources) -> None:
    """Even inside the engine, past the judge, its catalog does not tell the passwords."""
    passwords = [database.server.password for database in sources.databases.values()]
    rows_of(session, "select count(*) from pg.hostile a join my.hostile b on a.id = b.id")
    instances = [*session._engine._idle, *session._engine._busy]
    assert instances
    for instance in instances:
        cursor = instance.connection.cursor()
        for relation in (
            "duckdb_databases()",
            "duckdb_secrets()",
            "duckdb_settings()",
            "duckdb_logs()",
            "pragma_database_list()",
        ):
            with contextlib.suppress(duckdb.Error):
                shown = repr(cursor.execute(f"select * from {relation}").fetchall())
                assert_no_secret(shown, *passwords)
        for statement in (
            "set lock_configuration = false",
            "set enable_external_access = true",
            "from duckdb_secrets(redact := false)",
            "from read_text('/etc/passwd')",
            "copy (select 1) to '/tmp/dovetail-out.csv'",
            "install httpfs",
            "attach '/tmp/dovetail-out.db'",
        ):
            try:
                shown = repr(cursor.execute(statement).fetchall())
            except duckdb.Error:
                continue
            assert_no_secret(shown, *passwords)
            assert statement.startswith("from duckdb_secrets")
    assert not Path("/tmp/dovetail-out.csv").exists()
