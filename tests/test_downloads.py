"""Addresses as tables, against a local server with a certificate made here."""

from __future__ import annotations

import datetime
import gzip
import http.server
import ipaddress
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dovetail.config import Config, Limits
from dovetail.downloads import Downloads, Web, is_address
from dovetail.errors import (
    AuthenticationError,
    BytesExceededError,
    DovetailError,
    NotSupportedError,
    RefusedError,
    SourceUnavailableError,
    TimeoutExceededError,
    UnknownNameError,
)
from dovetail.session import Session
from tests.interfaces.conftest import Command, dovetail, folder  # noqa: F401 - fixtures

CSV = b"id,name\n1,Ana\n2,Ben\n"


@dataclass
class Page:
    """What the server answers at a path. ``wait`` seconds stand between its pieces."""

    pieces: tuple[bytes, ...] = (CSV,)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0
    length: bool = True


class Server:
    """A server on a free port of this machine, over TLS when it has a certificate."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, int]] = []
        self.stop = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = outer.pages.get(self.path, Page((), 404))
                status = page.status
                if page.headers.get("ETag", "-") == self.headers.get("If-None-Match"):
                    status = 304
                outer.asked.append((self.path, status))
                self.send_response(status)
                for name, value in page.headers.items():
                    self.send_header(name, value)
                if page.length and status != 304:
                    self.send_header("Content-Length", str(sum(map(len, page.pieces))))
                self.end_headers()
                for piece in page.pieces if status != 304 else ():
                    self.wfile.write(piece)
                    self.wfile.flush()
                    if page.wait and outer.stop.wait(page.wait):
                        return

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda request, client_address: None  # type: ignore[assignment]
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://localhost:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.stop.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, signed by itself, with its key, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def server(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("NO_PROXY", "localhost")
    running = Server(context)
    yield running
    running.close()


@pytest.fixture
def plain_server() -> Iterator[Server]:
    running = Server(None)
    yield running
    running.close()


@pytest.fixture
def downloads(tmp_path: Path) -> Iterator[Callable[..., Downloads]]:
    made: list[Downloads] = []

    def make(*, allow_http: bool = False, most: int = 10_000_000, seconds: float = 20) -> Downloads:
        new = Downloads(
            Web(allow_http),
            tmp_path / f"session-{len(made)}",
            most_bytes=most,
            timeout=seconds,
            cache=tmp_path / "cache",
        )
        made.append(new)
        return new

    yield make
    for one in made:
        one.close()


@pytest.fixture
def session(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with Session(Config(), allowed_directories=["/"], web=Web()) as opened:
        yield opened


def rows(session: Session, sql: str) -> list[tuple[object, ...]]:
    with session.sql(sql) as result:
        return result.rows()


def test_every_way_to_name_one(server: Server, session: Session, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "d.duckdb")) as made:
        made.execute("CREATE TABLE t AS SELECT 42 AS n")
    made_parquet = tmp_path / "d.parquet"
    duckdb.sql("SELECT 7 AS n").write_parquet(str(made_parquet))
    json = {"Content-Type": "application/json; charset=utf-8"}
    server.pages = {
        "/trades.csv": Page(),
        "/a%20b.csv": Page(),
        "/more.csv": Page((b"id,name\n3,Cho\n",)),
        "/t.csv.gz": Page((gzip.compress(CSV),)),
        "/export?as=json": Page((b'[{"id": 5}]',), headers=json),
        "/bytes": Page((made_parquet.read_bytes(),)),
        "/": Page((b'{"id": 6}\n{"id": 7}\n',)),
        "/d.duckdb": Page(((tmp_path / "d.duckdb").read_bytes(),)),
        "/semi.csv": Page((b"1;2\n",)),
    }
    url = server.url
    assert rows(session, f"SELECT * FROM '{url}/trades.csv'") == [(1, "Ana"), (2, "Ben")]
    assert rows(session, f"SELECT count(*) FROM '{url}/a%20b.csv'") == [(2,)]
    assert rows(session, f"SELECT count(*) FROM '{url}/t.csv.gz'") == [(2,)]
    assert rows(session, f"SELECT * FROM '{url}/export?as=json'") == [(5,)]
    assert rows(session, f"SELECT * FROM '{url}/bytes'") == [(7,)]
    assert rows(session, f"SELECT sum(id) FROM '{url}/'") == [(13,)]
    assert rows(session, f"SELECT n FROM '{url}/d.duckdb'.t") == [(42,)]
    semi = f"read_csv('{url}/semi.csv', delim = ';', header = false)"
    assert rows(session, f"SELECT column1 FROM {semi}") == [(2,)]
    both = f"read_csv(['{url}/trades.csv', '{url}/more.csv'])"
    assert rows(session, f"SELECT sum(id) FROM {both}") == [(6,)]
    # Each was fetched once, however often it was read.
    assert sorted(path for path, _ in server.asked) == sorted(server.pages)
    assert [c.column for c in session.describe(f"'{url}/trades.csv'")] == ["id", "name"]


def test_a_session_that_was_not_told_reads_none(server: Server) -> None:
    server.pages["/trades.csv"] = Page()
    with Session(Config(), allowed_directories=["/"]) as opened:
        for name in (f"'{server.url}/trades.csv'", f"read_csv('{server.url}/trades.csv')"):
            with pytest.raises(DovetailError, match="this address is not read"):
                opened.sql(f"SELECT * FROM {name}")
    assert server.asked == []


def test_what_is_unchanged_is_not_sent_again(
    server: Server, downloads: Callable[..., Downloads], tmp_path: Path
) -> None:
    url = f"{server.url}/trades.csv"
    server.pages["/trades.csv"] = Page(headers={"ETag": '"v1"'})
    first = downloads()
    path = first.fetch(url)
    assert first.fetch(url) == path
    assert path.name == "trades.csv"
    assert path.read_bytes() == CSV
    assert path.stat().st_mode & 0o077 == 0
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0
    assert "localhost" not in "".join(p.read_text() for p in (tmp_path / "cache").glob("*.json"))
    second = downloads()
    assert second.fetch(url).read_bytes() == CSV
    server.pages["/trades.csv"] = Page((b"id\n9\n",), headers={"ETag": '"v2"'})
    assert second.fetch(url).read_bytes() == CSV  # one state in one session
    second.forget()
    assert second.fetch(url).read_bytes() == b"id\n9\n"
    assert [status for _, status in server.asked] == [200, 304, 200]
    # A copy that is not whole is none.
    for body in (tmp_path / "cache").glob("*.body"):
        body.write_bytes(b"i")
    assert downloads().fetch(url).read_bytes() == b"id\n9\n"
    assert server.asked[-1][1] == 200


def test_what_is_kept(server: Server, downloads: Callable[..., Downloads], tmp_path: Path) -> None:
    server.pages = {
        "/none.csv": Page(),
        "/private.csv": Page(headers={"ETag": '"p"', "Cache-Control": "private, No-Store"}),
        "/a.csv": Page((b"x" * 60,), headers={"ETag": '"a"'}),
        "/b.csv": Page((b"y" * 60,), headers={"ETag": '"b"'}),
    }
    one = downloads(most=100)
    for name in ("none", "private", "a", "b"):
        one.fetch(f"{server.url}/{name}.csv")
    [kept] = (tmp_path / "cache").glob("*.body")
    assert kept.read_bytes() == b"y" * 60


def test_redirects(
    server: Server, plain_server: Server, downloads: Callable[..., Downloads]
) -> None:
    server.pages = {
        "/old/now.csv": Page((), 302, {"Location": "../new.csv?x=1"}),
        "/new.csv?x=1": Page(),
        "/loop": Page((), 301, {"Location": "/loop"}),
        "/down": Page((), 307, {"Location": f"{plain_server.url}/t.csv?token=abc"}),
        "/file": Page((), 302, {"Location": "file:///etc/passwd"}),
    }
    plain_server.pages = {
        "/up": Page((), 302, {"Location": f"{server.url}/new.csv?x=1"}),
        "/t.csv": Page(),
        "/t.csv?token=abc": Page(),
    }
    path = downloads().fetch(f"{server.url}/old/now.csv")
    assert (path.name, path.read_bytes()) == ("now.csv", CSV)
    for name in ("down", "file"):
        for allow in (True, False):
            with pytest.raises(RefusedError, match="only https is followed") as caught:
                downloads(allow_http=allow).fetch(f"{server.url}/{name}")
            assert "abc" not in str(caught.value)
    with pytest.raises(SourceUnavailableError, match="leads on more than 10 times"):
        downloads().fetch(f"{server.url}/loop")
    with pytest.raises(RefusedError, match="--allow-http"):
        downloads().fetch(f"{plain_server.url}/up")
    assert downloads(allow_http=True).fetch(f"{plain_server.url}/up").read_bytes() == CSV
    assert downloads(allow_http=True).fetch(f"{plain_server.url}/t.csv").read_bytes() == CSV


@pytest.mark.parametrize(
    ("page", "error", "words"),
    [
        (Page((), 404), UnknownNameError, "there is nothing at"),
        (Page((), 403), AuthenticationError, "wants a login"),
        (Page((), 503), SourceUnavailableError, "answers with status 503"),
        (
            Page((b"<html>",), headers={"Content-Type": "Text/HTML; a=b"}),
            NotSupportedError,
            "a web page",
        ),
        (Page((b"x" * 200,)), BytesExceededError, "limits.max_download"),
        (Page((b"x" * 60, b"x" * 60), length=False), BytesExceededError, "larger than 100 bytes"),
        (
            Page((gzip.compress(b"x" * 5000),), headers={"Content-Encoding": "gzip"}),
            BytesExceededError,
            "larger than 100 bytes",
        ),
        (
            Page((b"x" * 20,), headers={"Content-Encoding": "gzip"}),
            SourceUnavailableError,
            "cannot be read",
        ),
        (Page((b"x",) * 50, wait=0.1), TimeoutExceededError, "limits.timeout"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_answers_that_are_no_table(
    server: Server,
    downloads: Callable[..., Downloads],
    page: Page,
    error: type[DovetailError],
    words: str,
) -> None:
    server.pages["/t.csv?token=abc"] = page
    one = downloads(most=100, seconds=0.5)
    with pytest.raises(error, match=words) as caught:
        one.fetch(f"{server.url}/t.csv?token=abc")
    assert "/t.csv?…" in str(caught.value)
    assert "abc" not in str(caught.value)


def test_addresses_that_are_not_asked(downloads: Callable[..., Downloads]) -> None:
    for address, error, words in (
        ("https://ana:secret@localhost/t.csv", RefusedError, "a login in an address"),
        ("https:///t.csv", UnknownNameError, "names no server"),
        ("https://[::1/t.csv", UnknownNameError, "is no address"),
        ("https://localhost:99999/t.csv", UnknownNameError, "is no address"),
        ("https://localhost:1/t.csv", SourceUnavailableError, "cannot be read"),
    ):
        with pytest.raises(error, match=words) as caught:
            downloads().fetch(address)
        assert "secret" not in str(caught.value)
    assert not is_address("s3://bucket/t.csv")
    assert not is_address("https.csv")


def test_a_certificate_that_nobody_vouches_for(
    server: Server, downloads: Callable[..., Downloads], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(SourceUnavailableError, match=r"(?i)certificate verify failed"):
        downloads().fetch(f"{server.url}/t.csv")
    assert server.asked == []


def test_closing_ends_a_download(server: Server, downloads: Callable[..., Downloads]) -> None:
    server.pages["/t.csv"] = Page((b"x", b"x"), wait=60)
    one = downloads()
    found: list[BaseException] = []

    def fetch() -> None:
        try:
            one.fetch(f"{server.url}/t.csv")
        except DovetailError as error:
            found.append(error)

    thread = threading.Thread(target=fetch)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.asked and time.monotonic() < deadline:
        thread.join(0.01)
    thread.join(0.2)  # until it waits for the second piece
    one.close()
    thread.join(10)
    assert not thread.is_alive()
    assert [error.kind for error in found] == ["cancelled"]  # type: ignore[attr-defined]


def test_on_the_command_line(
    server: Server,
    plain_server: Server,
    certificate: Path,
    dovetail: Command,  # noqa: F811 - the fixture
) -> None:
    server.pages["/trades.csv?day=1"] = Page(headers={"ETag": '"1"'})
    plain_server.pages["/trades.csv"] = Page()
    trusted = {"SSL_CERT_FILE": str(certificate), "NO_PROXY": "localhost"}
    url = f"{server.url}/trades.csv?day=1"
    for _ in range(2):
        done = dovetail("query", "--csv", f"select count(*) as n from '{url}'", **trusted)
        assert (done.code, done.out) == (0, "n\n2\n"), done.err
    assert [status for _, status in server.asked] == [200, 304]
    done = dovetail("query", "--csv", "--data", url, "select max(id) as n from trades", **trusted)
    assert (done.code, done.out) == (0, "n\n2\n"), done.err
    done = dovetail("describe", "--csv", url, **trusted)
    assert done.out.splitlines()[1:] == ["id,BIGINT,true,,", "name,VARCHAR,true,,"]
    sql = f"select count(*) as n from '{plain_server.url}/trades.csv'"
    done = dovetail("query", "--csv", sql, **trusted)
    assert (done.code, done.out) == (1, "")
    assert "--allow-http" in done.err
    assert dovetail("query", "--csv", "--allow-http", sql, **trusted).out == "n\n2\n"
    done = dovetail("query", f"select * from '{server.url}/none.csv'", **trusted)
    assert done.code == 1
    assert "there is nothing at" in done.err
    assert dovetail("query", f"select * from '{url}'").code == 3  # without the certificate


def test_the_limit_of_a_configuration(server: Server) -> None:
    server.pages["/t.csv"] = Page()
    config = Config(limits=Limits(max_download=10))
    with (
        Session(config, allowed_directories=["/"], web=Web()) as opened,
        pytest.raises(BytesExceededError, match="larger than 10 bytes"),
    ):
        opened.sql(f"SELECT * FROM '{server.url}/t.csv'")
