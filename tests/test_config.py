"""The configuration: every mistake at once, in words a user can act on, and no secret in them."""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dovetail import config_url, secrets
from dovetail.config import (
    KINDS,
    Config,
    FilesSettings,
    Limits,
    MySQLSettings,
    PostgresSettings,
    SQLiteSettings,
    parse_duration,
    parse_size,
)
from dovetail.config_load import find, json_schema, load
from dovetail.errors import ConfigError, ConfigProblem

Write = Callable[..., Path]
PASSWORD = "Hunter2'%40"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str, mode: int = 0o600) -> Path:
        path = tmp_path / "dovetail.yaml"
        path.write_text(textwrap.dedent(text))
        path.chmod(mode)
        return path

    return write_file


def problems(source: Any, **options: Any) -> list[ConfigProblem]:
    """The problems of a configuration that must not load."""
    options.setdefault("environment", {})
    with pytest.raises(ConfigError) as caught:
        load(source, **options)
    assert caught.value.problems, str(caught.value)
    assert all(str(problem) in str(caught.value) for problem in caught.value.problems)
    return list(caught.value.problems)


def one(entry: dict[str, Any]) -> ConfigProblem:
    """The only problem of a configuration with one source, ``s``."""
    (problem,) = problems({"sources": {"s": entry}})
    return problem


def source(entry: dict[str, Any], **environment: str) -> Any:
    """The settings of a configuration with one source, ``s``."""
    return load({"sources": {"s": entry}}, environment=environment).sources["s"]


# --- what is right -----------------------------------------------------------------------------


def test_the_example_of_the_readme(write: Write, tmp_path: Path) -> None:
    path = write(
        """
        sources:
          shop: {kind: postgres, host: db.internal, port: 5432, database: shop, user: analyst,
                 password: "${env:SHOP_PASSWORD}"}
          crm:  {kind: mysql, url: "mysql://analyst@crm.internal/crm",
                 password: "${keyring:crm/analyst}"}
          old:  {kind: sqlite, path: legacy.db}
          lake: {kind: duckdb, path: /data/lake.duckdb}
          exports: {kind: files, path: ./exports}
        engine: duckdb
        limits: {memory: 4GB, threads: 2, timeout: 60s, max_rows: null, max_bytes_moved: null}
        """,
        mode=0o644,  # it holds references only, so everybody may read it
    )
    config = load(path, environment={})
    assert config.warnings == ()
    assert config.path == path
    shop, crm, old, lake, exports = config.sources.values()
    assert isinstance(shop, PostgresSettings)
    assert (shop.host, shop.port, shop.database, shop.user) == (
        "db.internal",
        5432,
        "shop",
        "analyst",
    )
    assert shop.password is not None
    assert shop.password.reference == "${env:SHOP_PASSWORD}"
    assert isinstance(crm, MySQLSettings)
    assert (crm.host, crm.user, crm.database) == ("crm.internal", "analyst", "crm")
    assert crm.password is not None
    assert crm.password.reference == "${keyring:crm/analyst}"
    assert isinstance(old, SQLiteSettings)
    assert old.path == tmp_path / "legacy.db"
    assert lake.path == Path("/data/lake.duckdb")  # type: ignore[union-attr]
    assert isinstance(exports, FilesSettings)
    assert exports.path == tmp_path / "exports"
    assert config.limits == Limits(memory=4_000_000_000, threads=2, timeout=60)
    # A secret is looked up on use only: the missing variable is not an error until then.
    with pytest.raises(ConfigError, match=r"\$\{env:SHOP_PASSWORD\}: the environment variable"):
        shop.password.reveal()


def test_nothing_is_a_configuration(write: Write) -> None:
    for empty in ({}, write(""), write("# only a comment\n"), write("sources:\nlimits:\n")):
        assert load(empty, environment={}).sources == {}


def test_a_dict_is_not_changed_and_counts_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ana")
    given = {
        "sources": {"s": {"kind": "sqlite", "path": "a.db"}, "t": {"kind": "files", "path": "~/x"}},
        "allowed_directories": ["data", "/abs"],
    }
    before = json.dumps(given)
    config = load(given, environment={})
    assert json.dumps(given) == before
    assert config.sources["s"].path == tmp_path / "a.db"  # type: ignore[union-attr]
    assert config.sources["t"].path == Path("/home/ana/x")  # type: ignore[union-attr]
    assert config.allowed_directories == (tmp_path / "data", Path("/abs"))
    assert config.path is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4GB", 4_000_000_000),
        ("4 gb", 4_000_000_000),
        ("4G", 4_000_000_000),
        ("512MiB", 512 * 2**20),
        ("512mi", 512 * 2**20),
        ("1.5KiB", 1536),
        ("2TB", 2 * 10**12),
        ("100", 100),
        ("100B", 100),
    ],
)
def test_sizes(text: str, value: int) -> None:
    assert parse_size(text) == value


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1XB", "1,5GB", "4GBs", "1e9", "0x10"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="such as 4GB or 512MiB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("60s", 60),
        ("2m", 120),
        ("1h30m", 5400),
        ("1d12h", 129_600),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("90", 90),
        ("1 h", 3600),
    ],
)
def test_durations(text: str, value: float) -> None:
    assert parse_duration(text) == value


@pytest.mark.parametrize("text", ["", "s", "5 minutes", "-1s", "1w", "m5", "1h1d", "1s2h"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="such as 60s, 2m or 1h30m"):
        parse_duration(text)


# --- what is wrong -----------------------------------------------------------------------------


def test_every_problem_is_reported_with_path_and_line(write: Write) -> None:
    path = write(
        """\
        sources:
          shop: {kind: postgress, host: x}
          Shop: {kind: postgres, pasword: Hunter2x, port: yes, sslmode: requre}
          my-db:
            kind: mysql
            url: "mysql://ana:Hunter2x@db:33Hunter2x6/crm"
          main: {kind: sqlite}
          f: {kind: files, path: x, tables: {a: {path: b, formt: csv}}}
          f: {kind: files}
          g:
            kind: postgres
            schemas: public
            connect_timeout: soon
        limits: {memory: 4XB, timeout: -1}
        engin: duckdb
        engine: spark
        profiles: {prod: {limit: 1}}
        """
    )
    found = {(p.path, p.line): p for p in problems(path)}
    expected = {
        ("sources.shop.kind", 2): "did you mean `postgres`? valid: postgres, mysql, sqlite",
        ("sources.Shop", 3): "differs from the source `shop` in case only",
        ("sources.Shop.pasword", 3): "unknown key; did you mean `password`?",
        ("sources.Shop.port", 3): "YAML reads this as true",
        ("sources.Shop.sslmode", 3): "`requre` is not one of the choices; did you mean `require`?",
        ("sources.my-db", 4): "for example `my_db`",
        ("sources.my-db.url", 6): "the URL's port is not a number",
        ("sources.main", 7): "the name `main` is reserved",
        ("sources.main.path", 7): "is missing",
        ("sources.f.tables.a.formt", 8): "did you mean `format`?",
        ("sources.f", 9): "given twice, first on line 8",
        ("sources.g.schemas", 12): "must be a list, such as [a, b]",
        ("sources.g.connect_timeout", 13): "not a duration",
        ("limits.memory", 14): "not a size",
        ("limits.timeout", 14): "must be greater than 0",
        ("engin", 15): "did you mean `engine`?",
        ("engine", 16): "valid: duckdb",
        ("profiles.prod.limit", 17): "did you mean `limits`?",
    }
    assert set(found) == set(expected)
    for place, part in expected.items():
        assert part in str(found[place])
    with pytest.raises(ConfigError) as caught:
        load(path, environment={})
    text = str(caught.value)
    assert text.startswith(f"{path} is not a valid configuration\n  - ")
    assert "Hunter2" not in text
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: [1, 2", 1, "not valid YAML"),
        ("sources:\n\tx: 1", 2, "not valid YAML"),
        ("sources:\n  s:\n    password: *hunter2\n", 3, "`*` begins an alias"),
        ("sources:\n  s:\n    password: !hunter2 x\n", 3, "`!` begins a tag"),
        ("sources:\n  s:\n    password: @hunter2\n", 3, "not valid YAML"),
        ("sources:\n  s:\n    password: a: hunter2\n", 3, "not valid YAML"),
        ("sources:\n  s:\n    password: 'hunter2\n", 4, "not valid YAML"),
        ('sources:\n  s:\n    password: "\\hunter2"\n', 3, "not valid YAML"),
        ("a: &hunter2 1\nb: &hunter2 2\nc: *hunter2\nd: *hunter3", None, ""),
        ("a: 1\n---\nb: 2\n", 2, "not valid YAML"),
        ("a: 1\nb: \x07hunter2", 2, "the character U+0007 is forbidden"),
        ("- 1\n- 2\n", None, "must be a mapping; its keys are sources, engine, limits"),
        ("hunter2", None, "must be a mapping"),
        ("a: &a [*a]\n", None, "alias"),
        ("? [hunter2]\n: 1\n", 1, "a key must be a plain text"),
        ("yes: 1\n", 1, "YAML reads the key `yes` as bool"),
        ("~: 1\n", 1, "YAML reads the key `~` as null"),
        ("sources: [a]\n", 1, "must be a mapping of names to sources"),
        ("sources: {a: x.db}\n", 1, "must be a mapping; such as {kind: sqlite"),
        ("limits: 4GB\n", 1, "must be a mapping; its keys are memory"),
        ("profiles: 1\n", 1, "must be a mapping of profile names"),
        ("profiles: {a: 1}\n", 1, "must be a mapping of top-level keys"),
    ],
)
def test_broken_files(write: Write, text: str, line: int | None, message: str) -> None:
    found = problems(write(text))
    assert any(message in str(problem) for problem in found), found
    if line is not None:
        assert line in {problem.line for problem in found}
    assert "hunter2" not in str(found) or "hunter2" in message


def test_an_alias_bomb_is_refused(write: Write) -> None:
    levels = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    names = "abcdefgh"
    for below, name in pairwise(names):
        levels.append(f"{name}: &{name} [{', '.join(['*' + below] * 10)}]")
    (problem,) = problems(write("\n".join(levels)))
    assert "far too many values" in problem.message


def test_anchors_and_merges_work(write: Write) -> None:
    config = load(
        write(
            """
            sources:
              a: &base {kind: postgres, host: h, port: 1}
              b: {<<: *base, port: 2, user: ana}
              c: {port: 3, <<: [*base]}
            """
        ),
        environment={},
    )
    found = [(s.host, s.port, s.user) for s in config.sources.values()]  # type: ignore[union-attr]
    assert found == [("h", 1, ""), ("h", 2, "ana"), ("h", 3, "")]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "no.yaml", "there is no"), (tmp_path, "is a directory")):
        with pytest.raises(ConfigError, match=message):
            load(path, environment={})
    (tmp_path / "latin.yaml").write_bytes("a: ä".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"is not UTF-8 text \(byte 3\)"):
        load(tmp_path / "latin.yaml", environment={})
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfengine: duckdb\n")
    assert load(tmp_path / "bom.yaml", environment={}).engine == "duckdb"


@pytest.mark.parametrize(
    "name",
    [
        *("", "a b", "a.b", "1a", "a-b", 'a"b', "a;b", "a" * 64),
        *("memory", "Main", "TEMP", "system", "stdin", "_dovetail", "_Dovetail_x"),
    ],
)
def test_bad_source_names(name: str) -> None:
    (problem,) = problems({"sources": {name: {"kind": "sqlite", "path": "x"}}})
    assert "name" in problem.message
    suggestion = re.search(r"for example `(.*)`", problem.valid)
    assert suggestion
    load({"sources": {suggestion[1]: {"kind": "sqlite", "path": "x"}}}, environment={})


def test_good_source_names() -> None:
    names = ["a", "A_1", "_x", "größe", "mains", "select", "a" * 63]
    config = load({"sources": {n: {"kind": "sqlite", "path": "x"} for n in names}}, environment={})
    assert list(config.sources) == names


@pytest.mark.parametrize(
    ("entry", "path", "message"),
    [
        ({"path": "x"}, "kind", "is missing; valid: postgres, mysql, sqlite, duckdb, files"),
        ({"kind": 7}, "kind", "there is no kind `7`"),
        ({"kind": "mariadb"}, "kind", "did you mean `mysql`?"),
        ({"kind": "postgresql"}, "kind", "did you mean `postgres`?"),
        ({"kind": "sqlite", "path": ""}, "path", "an empty path"),
        ({"kind": "sqlite", "path": 1}, "path", "must be a path"),
        ({"kind": "sqlite", "url": "sqlite:///x"}, "url", "has no url; give its `path`"),
        ({"kind": "postgres", "host": 1.2}, "host", "must be a text; put it in quotes"),
        ({"kind": "postgres", "host": ""}, "host", "must not be empty"),
        ({"kind": "postgres", "port": "x"}, "port", "must be a whole number"),
        ({"kind": "postgres", "port": 0}, "port", "must be greater than or equal to 1"),
        ({"kind": "postgres", "port": 65536}, "port", "must be less than or equal to 65535"),
        ({"kind": "postgres", "numeric_scale": 39}, "numeric_scale", "less than or equal to 38"),
        ({"kind": "postgres", "password": 12345}, "password", "put it in quotes"),
        ({"kind": "postgres", "password": True}, "password", "put it in quotes"),
        ({"kind": "postgres", "password": "${vault:x}"}, "password", "unknown scheme `vault`"),
        ({"kind": "postgres", "password": "a${b"}, "password", "is not complete"),
        ({"kind": "postgres", "host": "${env:NO}"}, "host", "variable NO is not set"),
        ({"kind": "postgres", "schemas": ["a", 1]}, "schemas[1]", "must be a text"),
        ({"kind": "files", "path": "x", "hidden": "maybe"}, "hidden", "must be true or false"),
        ({"kind": "files", "path": "x", "tables": 1}, "tables", "must be a mapping"),
        ({"kind": "files", "path": "x", "tables": {"t": 1}}, "tables.t", "must be a mapping"),
        ({"kind": "files", "path": "x", "tables": {"t": {}}}, "tables.t.path", "is missing"),
    ],
)
def test_one_mistake(entry: dict[str, Any], path: str, message: str) -> None:
    problem = one(entry)
    assert problem.path == f"sources.s.{path}"
    assert message in str(problem)
    assert "12345" not in str(problem)


# --- references and passwords ------------------------------------------------------------------


def test_references_in_ordinary_settings_are_looked_up(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("6543\n")
    found = source(
        {
            "kind": "postgres",
            "host": "${env:HOST}.internal",
            "port": f"${{file:{tmp_path}/port}}",
            "schemas": ["${env:SCHEMA}", "$${x}"],
        },
        HOST="db",
        SCHEMA="s1",
    )
    assert (found.host, found.port, found.schemas) == ("db.internal", 6543, ("s1", "${x}"))


def test_plain_passwords_are_warned_about_and_never_shown(write: Write) -> None:
    text = f"""
        sources:
          shop: {{kind: postgres, password: "{PASSWORD}"}}
          crm: {{kind: mysql, url: "mysql://ana:Hunter2%27%2540@h/crm"}}
          none: {{kind: mysql, password: ""}}
          good: {{kind: mysql, password: "${{env:X}}"}}
        """
    path = write(text)
    config = load(path, environment={})
    assert [warning.split(" ")[0] for warning in config.warnings] == [
        "sources.shop.password",
        "sources.crm.password",
    ]
    assert '"${env:SHOP_PASSWORD}"' in config.warnings[0]
    for name in ("shop", "crm"):
        password = config.sources[name].password  # type: ignore[union-attr]
        assert password is not None
        assert password.reveal() == PASSWORD
    shown = repr(config) + str(config.warnings) + config.model_dump_json() + str(config)
    assert "Hunter2" not in shown
    assert secrets.redact(f"x {PASSWORD} y") == "x *** y"
    path.chmod(0o644)
    assert "chmod 600" in load(path, environment={}).warnings[-1]
    found = problems(path, plain_passwords="refuse")
    assert [problem.path for problem in found] == ["sources.shop.password", "sources.crm.password"]
    assert "Hunter2" not in str(found)


def test_files_that_others_may_read_are_warned_about(write: Write, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("x")
    (tmp_path / "pw").chmod(0o644)
    path = write("sources: {s: {kind: mysql, password: '${file:pw}'}}")
    (warning,) = load(path, environment={}).warnings
    assert str(tmp_path / "pw") in warning
    password = load(path, environment={}).sources["s"].password  # type: ignore[union-attr]
    assert password is not None
    assert password.reveal() == "x"


# --- URLs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://h", {"host": "h"}),
        (
            "postgresql://ana@h:6543/db",
            {"host": "h", "port": 6543, "user": "ana", "database": "db"},
        ),
        ("postgresql://h/db?sslmode=require&connect_timeout=5s", {"sslmode": "require"}),
        ("postgresql:///db?host=/run/pg", {"host": "/run/pg", "database": "db"}),
        ("postgresql://%2Frun%2FPG/db", {"host": "/run/PG"}),
        ("postgresql://[::1]:7/db", {"host": "::1", "port": 7}),
        ("postgresql://a%40b:x@h/d%2Fb", {"user": "a@b", "database": "d/b"}),
        ("postgresql://h/?schemas=a,b&dbname=x", {"schemas": ("a", "b"), "database": "x"}),
        ("mysql://ana@h/crm?ssl-mode=VERIFY_IDENTITY&ssl-ca=/ca.pem", {"ssl": "verify-full"}),
        ("mariadb://h?unix_socket=/s.sock", {"socket": Path("/s.sock"), "host": "h"}),
        (
            "mysql://${env:U}:${env:P}@${env:H}:${env:N}/db",
            {"user": "u1", "host": "h1", "port": 99},
        ),
    ],
)
def test_urls(url: str, expected: dict[str, Any]) -> None:
    found = source({"url": url}, U="u1", P="p@1/", H="h1", N="99")
    assert {name: getattr(found, name) for name in expected} == expected
    if "env:P" in url:
        assert found.password.reference == "${env:P}"
        assert found.password.reveal() == "p@1/"


def test_a_whole_url_by_reference(write: Write) -> None:
    config = load(
        {"sources": {"s": {"kind": "postgres", "url": "${env:DATABASE_URL}"}}},
        environment={"DATABASE_URL": "postgres://ana:p%24%7Benv:X}w@h/db"},
    )
    found = config.sources["s"]
    assert isinstance(found, PostgresSettings)
    assert found.password is not None
    assert found.password.reveal() == "p${env:X}w"  # what was looked up holds no references
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"url": "oracle://h/d"}, "is missing; valid: postgres"),
        ({"kind": "postgres", "url": "h/d"}, "begins with one of postgres://"),
        ({"kind": "postgres", "url": "mysql://h"}, "is the address of a mysql source"),
        ({"kind": "postgres", "url": 7}, "must be a text"),
        ({"url": "postgres://u:hunter2#x@h/d"}, "write %23"),
        ({"url": "postgres://u:hun/ter2@h/d"}, "percent-encoded"),
        ({"url": "postgres://u:hunter2@a,b/d"}, "names one host"),
        ({"url": "postgres://u:hunter2@h:hunter2/d"}, "port is not a number"),
        ({"url": "postgres://u:hunter2@h/d/e"}, "one `/` after the host"),
        ({"url": "postgres://h/d?sslmod=x"}, "unknown option `sslmod`; did you mean `sslmode`?"),
        ({"url": "postgres://h/d?port=1&port=2"}, "gives `port` twice"),
        ({"url": "postgres://h/d", "host": "x"}, "is also given in `url`"),
        ({"kind": "mysql", "url": "${env:NO}"}, "variable NO is not set"),
    ],
)
def test_bad_urls(entry: dict[str, Any], message: str) -> None:
    problem = one(entry)
    assert message in str(problem)
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    ("kind", "settings", "options"),
    [
        ("postgres", {"host": "db", "port": 5433, "database": "shop", "user": "ana"}, {}),
        ("postgres", {"host": "::1", "database": "a/b?", "user": "a@b:c"}, {"sslmode": "require"}),
        ("mysql", {"database": "crm"}, {"socket": "/run/mysql.sock"}),
        ("sqlite", {"path": "/data/a b#.db"}, {}),
        ("files", {"path": "exports"}, {"options": {"delim": ";"}}),
    ],
)
def test_settings_as_a_url(kind: str, settings: dict[str, Any], options: dict[str, Any]) -> None:
    url, rest = config_url.compose(kind, {**settings, **options, "password": "geheim"})
    assert (rest, "geheim" in url) == (options, False)
    assert config_url.expand(url) == (kind, {name: str(v) for name, v in settings.items()})


def test_passwords_in_urls_are_found() -> None:
    assert config_url.holds_password("mysql://a:b@h")
    assert config_url.holds_password("mysql://h/d?password=b")
    assert config_url.holds_password("nonsense://a:b/c@h")
    assert not config_url.holds_password("mysql://a@h")
    assert not config_url.holds_password("mysql://a:${env:B}@h")
    assert config_url.expand("sqlite:///a/b%20c.db") == ("sqlite", {"path": "/a/b c.db"})
    assert config_url.expand("duckdb://b.db") == ("duckdb", {"path": "b.db"})


# --- profiles, places, schema ------------------------------------------------------------------

PROFILES = """
    sources:
      shop: {kind: postgres, host: localhost, user: ana}
      old: {kind: sqlite, path: a.db}
    limits: {memory: 1GB, threads: 2}
    profiles:
      prod:
        sources:
          shop: {host: db.prod}
          old: {kind: duckdb, path: b.duckdb}
          new: {kind: files, path: x}
        limits: {memory: 8GB}
      bad:
        sources: {shop: {hots: x}}
    """


def test_profiles(write: Write) -> None:
    path = write(PROFILES)
    plain = load(path, environment={})
    assert (plain.profile, plain.limits.memory) == (None, 10**9)
    for config in (
        load(path, profile="prod", environment={"DOVETAIL_PROFILE": "bad"}),
        load(path, environment={"DOVETAIL_PROFILE": "prod"}),
    ):
        assert config.profile == "prod"
        assert list(config.sources) == ["shop", "old", "new"]
        shop = config.sources["shop"]
        assert isinstance(shop, PostgresSettings)
        assert (shop.host, shop.user) == ("db.prod", "ana")
        assert config.sources["old"].kind == "duckdb"
        assert (config.limits.memory, config.limits.threads) == (8 * 10**9, 2)
    (problem,) = problems(path, profile="bad")
    assert (problem.path, problem.line) == ("sources.shop.hots", 14)
    (problem,) = problems(path, profile="prd")
    assert str(problem) == "profiles (line 6): there is no profile `prd`; valid: prod, bad"
    (problem,) = problems({}, profile="x")
    assert problem.valid == "valid: none is defined"
    assert load({}, environment={"DOVETAIL_PROFILE": "x"}).profile is None
    (problem,) = problems({"profiles": {"y": {}}}, environment={"DOVETAIL_PROFILE": "x"})
    assert problem.valid == "valid: y"


def test_where_the_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = tmp_path / "user"
    here = tmp_path / "here"
    (user / "dovetail").mkdir(parents=True)
    here.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(user))
    monkeypatch.chdir(here)
    assert find(environment={}, folder=here) == (
        None,
        f"there is no {here}/dovetail.yaml and no {user}/dovetail/dovetail.yaml",
    )
    assert load(environment={}) == Config()
    (user / "dovetail" / "dovetail.yaml").write_text("limits: {threads: 3}")
    assert find(environment={})[0] == user / "dovetail" / "dovetail.yaml"
    assert load(environment={}).limits.threads == 3
    (here / "dovetail.yaml").write_text("limits: {threads: 4}")
    assert find(environment={}) == (here / "dovetail.yaml", "found in the working folder")
    assert load(environment={}).limits.threads == 4  # files are not merged
    named = {"DOVETAIL_CONFIG": "~/no.yaml"}
    assert find(environment=named)[1] == "named by DOVETAIL_CONFIG"
    with pytest.raises(ConfigError, match=r"there is no configuration file .*/no\.yaml"):
        load(environment=named)
    assert find("x.yaml", environment=named) == (Path("x.yaml"), "named by --config")


def test_the_schema_knows_every_key() -> None:
    schema = json_schema()
    json.dumps(schema)
    assert set(schema["properties"]) == {*Config.model_fields, "profiles"}
    for model in (*KINDS.values(), Limits):
        properties = schema["$defs"][model.__name__]["properties"]
        assert set(properties) - {"url"} == set(model.model_fields)
        assert all(p.get("description") for p in properties.values())
    assert schema["$defs"]["PostgresSettings"]["additionalProperties"] is False
    assert schema["$defs"]["PostgresSettings"]["properties"]["password"]["anyOf"][0]["writeOnly"]


def test_settings_read_the_real_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOVETAIL_T_HOST", "from.env")
    monkeypatch.delenv("DOVETAIL_PROFILE", raising=False)
    config = load({"sources": {"s": {"kind": "postgres", "host": "${env:DOVETAIL_T_HOST}"}}})
    assert config.sources["s"].host == "from.env"  # type: ignore[union-attr]
    assert "DOVETAIL_T_HOST" in os.environ
