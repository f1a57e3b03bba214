"""The TLS modes of a MySQL source, against a MariaDB with a certificate of our own."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dovetail.config import MySQLSettings
from dovetail.connectors.mysql import MySQLConnector
from dovetail.errors import CancelledError, SourceUnavailableError
from dovetail.secrets import Secret
from tests import servers
from tests.connectors.suite import request_for, rows


@dataclass(frozen=True)
class TLSServer:
    port: int
    ca: Path
    other_ca: Path

    def connector(self, **changes: Any) -> MySQLConnector:
        given: dict[str, Any] = {
            "kind": "mysql",
            "host": "127.0.0.1",
            "port": self.port,
            "database": "secure",
            "user": "analyst",
            "password": Secret("pw'\\x"),
            **changes,
        }
        return MySQLConnector("vault", MySQLSettings(**given))


def _issue(
    name: str,
    folder: Path,
    issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None = None,
) -> tuple[x509.Name, ec.EllipticCurvePrivateKey]:
    """Write ``name.pem`` and ``name.key``: a CA, or a certificate for 127.0.0.1 by ``issuer``."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0] if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    certificate = builder.sign(issuer[1] if issuer else key, hashes.SHA256())
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return subject, key


@pytest.fixture(scope="module")
def server() -> Iterator[TLSServer]:
    try:
        programs = servers._programs("mysql")
    except servers.MissingServer as error:
        pytest.fail(str(error), pytrace=False)
    folder = Path(tempfile.mkdtemp(prefix="dovetail-tls-", dir="/tmp"))
    account = servers._account("mysql")
    authority = _issue("ca", folder)
    _issue("server", folder, authority)
    _issue("other", folder)
    for made in (folder, *folder.iterdir()):
        if account:
            os.chown(made, account.pw_uid, account.pw_gid)
    options: dict[str, Any] = {
        **servers._as(account),
        "env": servers._environment(),
        "cwd": folder,
        "stdin": subprocess.DEVNULL,
    }
    data, log, path = folder / "data", folder / "log", folder / "s.sock"
    install = shutil.which("mariadb-install-db", path=f"{programs}:/usr/bin")
    if install is None:
        pytest.skip("never: MySQL proper makes its own certificates")
    port = servers._free_port()
    with log.open("wb") as output:
        subprocess.run(
            [
                *(install, "--no-defaults", f"--datadir={data}", "--skip-test-db"),
                "--auth-root-authentication-method=normal",
            ],
            check=True,
            stdout=output,
            stderr=output,
            **options,
        )
        process = subprocess.Popen(
            [
                str(programs / "mariadbd"),
                *("--no-defaults", f"--datadir={data}", f"--socket={path}", f"--port={port}"),
                *("--bind-address=127.0.0.1", "--skip-name-resolve", "--skip-log-bin"),
                *("--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M"),
                f"--ssl-ca={folder / 'ca.pem'}",
                f"--ssl-cert={folder / 'server.pem'}",
                f"--ssl-key={folder / 'server.key'}",
            ],
            stdout=output,
            stderr=output,
            preexec_fn=servers._die_with_parent(signal.SIGKILL),
            **options,
        )
    try:
        _set_up(path, process)
        yield TLSServer(port, folder / "ca.pem", folder / "other.pem")
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _set_up(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                break
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server is not up after a minute"
        time.sleep(0.05)
    connection = pymysql.connect(unix_socket=str(path), user="root", autocommit=True)
    with contextlib.closing(connection):
        cursor = connection.cursor()
        for statement in (
            "CREATE DATABASE secure",
            "USE secure",
            "CREATE TABLE secure.t (id int PRIMARY KEY, filler varchar(100))",
            "INSERT INTO secure.t SELECT seq, REPEAT('y', 90) FROM seq_1_to_100000",
            "CREATE USER analyst@'%' IDENTIFIED BY 'pw''\\\\x'",
            "GRANT SELECT ON secure.* TO analyst@'%'",
        ):
            cursor.execute(statement)


@pytest.mark.parametrize("mode", ["disable", "prefer", "require", "verify-ca", "verify-full"])
def test_modes(server: TLSServer, mode: str) -> None:
    ca = server.ca if mode.startswith("verify") else None
    with contextlib.closing(server.connector(ssl=mode, ssl_ca=ca)) as connector:
        health = connector.check()
        assert health.problem is None
        assert health.tls is (mode != "disable")
        table = connector.catalog().table(None, "t")
        assert table is not None
        found = rows(
            connector, request_for(table), "stream", sql="SELECT count(*), sum(id) FROM {0}"
        )
        assert found == [(100_000, 100_000 * 100_001 // 2)]


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_a_certificate_of_another_authority_is_refused(server: TLSServer, mode: str) -> None:
    for ca in (server.other_ca, None):
        with (
            contextlib.closing(server.connector(ssl=mode, ssl_ca=ca)) as connector,
            pytest.raises(SourceUnavailableError, match=r"source vault: TLS failed.*certificate"),
        ):
            connector.catalog()


def test_the_name_is_checked_in_full_mode_only(server: TLSServer) -> None:
    """The certificate is for 127.0.0.1; ``localhost`` is the same server under another name."""
    with contextlib.closing(
        server.connector(ssl="verify-ca", ssl_ca=server.ca, host="localhost")
    ) as connector:
        assert connector.check().tls is True
    with (
        contextlib.closing(
            server.connector(ssl="verify-full", ssl_ca=server.ca, host="localhost")
        ) as connector,
        pytest.raises(SourceUnavailableError, match=r"TLS failed.*localhost"),
    ):
        connector.catalog()


def test_cancel_over_tls(server: TLSServer) -> None:
    with contextlib.closing(server.connector(ssl="require")) as connector:
        table = connector.catalog().table(None, "t")
        assert table is not None
        snapshot = connector.snapshot()
        stream = snapshot.read(request_for(table))
        stream.reader.read_next_batch()
        snapshot.cancel()
        with pytest.raises(CancelledError):
            for _ in stream.reader:
                pass
        snapshot.close()
