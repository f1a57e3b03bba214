"""Secrets: how references are looked up, and that no value is ever shown."""

from __future__ import annotations

import copy
import io
import json
import logging
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, quote_plus

import pytest
from pydantic import BaseModel, ConfigDict

from dovetail import secrets
from dovetail.errors import ConfigError
from dovetail.secrets import RedactingFilter, Resolver, Secret, redact, remember

VALUE = "Can'ary\"%40\\Pw1 /ü:@?&"


@pytest.fixture(autouse=True)
def _fresh_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(secrets, "_known", set())
    monkeypatch.setattr(secrets, "_pattern", None)
    secrets._plugins.cache_clear()
    yield
    secrets._plugins.cache_clear()


# --- Secret shows nothing ----------------------------------------------------------------------


def test_no_road_shows_the_value() -> None:
    secret = Secret(VALUE)
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret:>20}",
        f"{secret!r}",
        f"{[secret]} {{'a': secret}}",
        "%s %r" % (secret, secret),  # noqa: UP031
        repr(SimpleNamespace(password=secret)),
        json.dumps({"password": secret}, default=str),
        str(secret.__hash__()),
    ]
    assert all("ary" not in text for text in shown)
    assert secret.reveal() == VALUE
    assert repr(Secret(VALUE, "${env:PW}")) == "Secret(${env:PW})"


def test_it_cannot_be_pickled_or_serialised() -> None:
    secret = Secret(VALUE)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled") as caught:
            pickle.dumps(secret, protocol)
        assert VALUE not in str(caught.value)
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError):
        vars(secret)
    with pytest.raises(TypeError):
        secret.__getstate__()
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"a": secret})["a"] is secret


class Model(BaseModel):
    model_config = ConfigDict(frozen=True)
    password: Secret | None = None


def test_it_hides_in_models() -> None:
    model = Model.model_validate({"password": VALUE})
    assert model.password is not None
    assert model.password.reveal() == VALUE
    dump = json.loads(model.model_dump_json())
    assert dump == {"password": "***"} == model.model_dump()
    assert "ary" not in repr(model)
    with pytest.raises(TypeError):
        pickle.dumps(model)
    referred = Model.model_validate({"password": "${env:PW}"})
    assert referred.model_dump() == {"password": "${env:PW}"}
    assert "ary" not in str(Model.model_json_schema())


def test_validation_errors_do_not_repeat_it() -> None:
    with pytest.raises(ValueError, match="put it in quotes") as caught:
        Model.model_validate({"password": 12345678})
    assert "12345678" not in caught.value.errors()[0]["msg"]


def test_equality_does_not_look_anything_up() -> None:
    def refuse() -> str:
        raise AssertionError("looked up")

    assert Secret(reference="${env:A}", resolve=refuse) == Secret("x", "${env:A}")
    assert Secret("abc") == Secret("abc")
    assert Secret("abc") != Secret("abd")
    assert Secret("abc") != "abc"
    assert Secret(resolve=refuse) != Secret(resolve=refuse)
    assert len({Secret("abc"), Secret("abc")}) == 1


# --- looking up --------------------------------------------------------------------------------


def test_environment() -> None:
    resolver = Resolver({"A": "1", "EMPTY": "", "REF": "${env:A}"})
    assert resolver.text("x${env:A}y${env:A}") == "x1y1"
    assert resolver.text("${env:EMPTY}") == ""
    assert resolver.text("${env:REF}") == "${env:A}"  # a value is never read as a reference
    assert resolver.text("$${env:A} $A {A} $") == "${env:A} $A {A} $"
    with pytest.raises(ConfigError, match=r"^\$\{env:B\}: the environment variable B is not set$"):
        resolver.text("s3cret${env:B}")


def test_the_real_environment_is_read_at_use(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Resolver().secret("${env:DOVETAIL_T}")
    with pytest.raises(ConfigError, match="DOVETAIL_T is not set"):
        secret.reveal()
    monkeypatch.setenv("DOVETAIL_T", "first-value")
    assert secret.reveal() == "first-value"
    monkeypatch.setenv("DOVETAIL_T", "second-value")
    assert secret.reveal() == "first-value"
    secret.forget()
    assert secret.reveal() == "second-value"
    assert redact("first-value second-value") == "*** ***"


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"pw", "pw"),
        (b"pw\n", "pw"),
        (b"pw\r\n", "pw"),
        (b"pw\n\n", "pw\n"),
        (b" p w \n", " p w "),
        (b"", ""),
        ("pä\n".encode(), "pä"),
    ],
)
def test_files_lose_one_newline(tmp_path: Path, content: bytes, value: str) -> None:
    (tmp_path / "pw").write_bytes(content)
    assert Resolver({}, tmp_path).text("${file:pw}") == value
    assert Resolver({}).text(f"${{file:{tmp_path}/pw}}") == value


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver({}, tmp_path)
    with pytest.raises(ConfigError, match=r"\$\{file:no\}: .*/no cannot be read: no such file"):
        resolver.text("${file:no}")
    with pytest.raises(ConfigError, match="is a directory"):
        resolver.text("${file:.}")
    (tmp_path / "bad").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8") as caught:
        resolver.text("${file:bad}")
    assert caught.value.__cause__ is None
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "home").write_text("at home")
    assert resolver.text("${file:~/home}") == "at home"


def test_files_others_may_read_are_warned_about(tmp_path: Path) -> None:
    path = tmp_path / "pw"
    path.write_text("x")
    for mode, warned in ((0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1), (0o644, 1)):
        path.chmod(mode)
        warnings = Resolver({}, tmp_path).file_warnings("a${file:pw}b")
        assert len(warnings) == warned
        assert all(f"chmod 600 {path}" in warning for warning in warnings)
    assert Resolver({}, tmp_path).file_warnings("$${file:pw} ${env:pw}") == []
    assert Resolver({}).file_warnings("${file:/run/secrets/pw}") == []


class _Keyring(SimpleNamespace):
    """Stands in for the module, so that no test touches the user's keyring."""


def _use_keyring(monkeypatch: pytest.MonkeyPatch, get: object) -> None:
    import keyring.errors

    fake = _Keyring(get_password=get, errors=keyring.errors)
    monkeypatch.setitem(sys.modules, "keyring", fake)  # type: ignore[arg-type]


def test_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {("crm/prod", "ana"): "from the ring"}
    _use_keyring(monkeypatch, lambda service, user: entries.get((service, user)))
    resolver = Resolver({})
    assert resolver.text("${keyring:crm/prod/ana}") == "from the ring"
    with pytest.raises(ConfigError, match="holds no such entry; add it with: keyring set crm bob"):
        resolver.text("${keyring:crm/bob}")
    for incomplete in ("crm", "/ana", "crm/"):
        with pytest.raises(ConfigError, match=r"write \$\{keyring:SERVICE/USER\}"):
            resolver.text(f"${{keyring:{incomplete}}}")


def test_no_keyring_here(monkeypatch: pytest.MonkeyPatch) -> None:
    import keyring.errors

    def fail(service: str, user: str) -> str:
        raise keyring.errors.NoKeyringError("long text of the library")

    _use_keyring(monkeypatch, fail)
    with pytest.raises(ConfigError) as caught:
        Resolver({}).text("${keyring:dovetail/x}")
    assert caught.value.message == (
        "${keyring:dovetail/x}: there is no keyring here; use ${env:…} or ${file:…}"
    )
    monkeypatch.setitem(sys.modules, "keyring", None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"pip install dovetail\[keyring\]"):
        Resolver({}).text("${keyring:dovetail/x}")


def test_no_real_keyring_here() -> None:
    code = "from dovetail.secrets import Resolver\nResolver({}).text('${keyring:dovetail/x}')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "${keyring:dovetail/x}: there is no keyring here; use ${env:…}" in done.stderr


def test_keyring_is_lazy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)  # type: ignore[arg-type]
    secret = Resolver({}).secret("${keyring:a/b}")
    assert secret.reference == "${keyring:a/b}"
    assert Resolver({}).problems("${keyring:a/b}") == []


def _install(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with a resolver under the entry point, as an installer would leave it."""
    (path / "vaultish.py").write_text(
        "def look_up(argument):\n"
        "    if argument == 'number': return 7\n"
        "    if argument == 'broken': raise RuntimeError('password=hunter22 was refused')\n"
        "    return 'value of ' + argument\n"
    )
    info = path / "vaultish-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vaultish\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[dovetail.secrets]\nvaultish = vaultish:look_up\nenv = vaultish:look_up\n"
    )
    monkeypatch.syspath_prepend(str(path))


def test_plug_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path, monkeypatch)
    resolver = Resolver({"A": "1"})
    assert "vaultish" in secrets.schemes()
    assert "vaultish" not in sys.modules  # loaded on use only
    assert resolver.text("${vaultish:a/b#c}") == "value of a/b#c"
    assert resolver.text("${env:A}") == "1"  # a plug-in cannot take a built-in scheme over
    with pytest.raises(ConfigError) as caught:
        resolver.text("${vaultish:broken}")
    assert "hunter22" not in caught.value.message
    assert caught.value.message.startswith("${vaultish:broken} could not be looked up: Runtime")
    with pytest.raises(ConfigError, match="did not return a text"):
        resolver.text("${vaultish:number}")


@pytest.mark.parametrize("text", ["${", "${}", "${env}", "${env:}", "${:x}", "a${env:X", "${1:x}"])
def test_incomplete_references(text: str) -> None:
    assert Resolver({}).problems(text) != []
    with pytest.raises(ConfigError, match="not complete"):
        Resolver({}).text(text)


def test_unknown_schemes_are_listed() -> None:
    (problem,) = Resolver({}).problems("${vault:secret/db#pw}")
    assert "unknown scheme `vault`" in problem
    assert "env, file, keyring" in problem
    assert "dovetail.secrets" in problem


def test_secret_of_mixed_text_keeps_its_literal_part_to_itself() -> None:
    secret = Resolver({"PW": "xyz123"}).secret("salt-${env:PW}")
    assert (secret.reference, repr(secret)) == ("", "Secret(***)")
    assert secret.reveal() == "salt-xyz123"


# --- redaction ---------------------------------------------------------------------------------


def test_known_values_in_every_form() -> None:
    import base64

    remember(VALUE)
    forms = {
        "plain": VALUE,
        "percent": quote(VALUE, safe=""),
        "percent, slash kept": quote(VALUE),
        "percent, lower case": re.sub("%..", lambda m: m[0].lower(), quote(VALUE, safe="")),
        "form": quote_plus(VALUE),
        "sql": VALUE.replace("'", "''"),
        "mysql": VALUE.replace("\\", "\\\\").replace("'", "\\'"),
        "mysql all": VALUE.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"'),
        "libpq": VALUE.replace("\\", "\\\\").replace("'", "\\'"),
        "json": json.dumps(VALUE)[1:-1],
        "json, utf-8": json.dumps(VALUE, ensure_ascii=False)[1:-1],
        "repr": repr(VALUE)[1:-1],
        "ascii": ascii(VALUE)[1:-1],
        "identifier": VALUE.replace('"', '""'),
        "base64": base64.b64encode(VALUE.encode()).decode(),
        "base64 of more": base64.b64encode(VALUE.encode() + b" and more").decode(),
    }
    for name, form in forms.items():
        text = redact(f"before {form} after")
        assert text.startswith("before ***"), name
        assert "ary" not in text, name
        assert "Pw1" not in text, name


def test_short_values_only_where_they_stand_alone() -> None:
    for value in ("u", "pw", "abc", "12345"):
        remember(value)
    assert redact("u pw abc abcd 'abc' 12345 123456 user") == "u pw *** abcd '***' *** 123456 user"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ana:s3cr%40t@db:5432/x", "postgresql://ana:***@db:5432/x"),
        ("mysql://:pw@h", "mysql://:***@h"),
        ("at mysql://ana:p@ss@h/x, and more", "at mysql://ana:***@h/x, and more"),
        ("http://host:8080/a?mail=x@y.z", "http://host:8080/a?mail=x@y.z"),
        ("http://host/a", "http://host/a"),
        ("host=db password=hunter2 user=x", "host=db password=*** user=x"),
        ("password='it''s' x", "password=*** x"),
        ("password = 'it\\'s' x", "password = *** x"),
        ("PASSWORD='a b'", "PASSWORD=***"),
        ("?user=a&password=b&x=1", "?user=a&password=***&x=1"),
        ("pwd=abc; token=def, api_key=ghi", "pwd=***; token=***, api_key=***"),
        ('{"password": "a\\"b", "user": "c"}', '{"password": ***, "user": "c"}'),
        ("{'password': 'ab'}", "{'password': ***}"),
        ("SECRET s (PASSWORD 'a''b', HOST 'h')", "SECRET s (PASSWORD ***, HOST 'h')"),
        ("ALTER USER x IDENTIFIED BY 'pw'", "ALTER USER x IDENTIFIED BY ***"),
        ("password: hunter2", "password: ***"),
        ("a:\n  password: hunter2\n  b: 1", "a:\n  password: ***\n  b: 1"),
        ("Authorization: Bearer abcdef", "Authorization: Bearer ***"),
        ("authorization=abcdef", "authorization=***"),
        ("sent Bearer abcdefghijklmnopqrst", "sent Bearer ***"),
        # what must stay readable
        ("password=${env:PW}", "password=${env:PW}"),
        ("password: ${env:PW}", "password: ${env:PW}"),
        ("'password': '${file:/x}'", "'password': '${file:/x}'"),
        ("password authentication failed for user 'a'",) * 2,
        ("Access denied for user 'u'@'h' (using password: YES)",) * 2,
        ("(using password: NO)",) * 2,
        ("sources.shop.password: the variable is not set",) * 2,
        ("no password supplied",) * 2,
        ("compass=1 tokens: 3 bypass = 2",) * 2,
    ],
)
def test_patterns(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_redaction_is_quick_on_hostile_text() -> None:
    import time

    remember("some secret value")
    started = time.perf_counter()
    for text in (
        "://" + "a:" * 20000,
        "password=" * 20000,
        "password='" + "\\'" * 20000,
        "x" * 10**6,
    ):
        redact(text)
    assert time.perf_counter() - started < 5


def test_logging_filter() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.addFilter(RedactingFilter())
    logger = logging.getLogger("dovetail.test")
    logger.addHandler(handler)
    logger.propagate = False
    remember(VALUE)
    try:
        try:
            raise RuntimeError(f"login with {VALUE} failed")
        except RuntimeError:
            logger.exception("could not use %s and %r", VALUE, {"password": VALUE}, stack_info=True)
        logger.warning("100%% sure of mysql://a:b@c")
    finally:
        logger.removeHandler(handler)
    text = stream.getvalue()
    assert VALUE not in text
    assert "Can'ary" not in text
    assert "Traceback" in text
    assert "login with *** failed" in text
    assert "mysql://a:***@c" in text
