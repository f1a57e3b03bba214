"""``https://…`` in FROM: the file is fetched into the session's private folder and read there.

Only the command line, the shell and the full-screen interface read addresses, with the rights of
the user who types them; a session reads none unless it is told to. An address is fetched once in
the life of a session. Between sessions a copy is kept in the user's cache folder when the server
names its version (an ETag): it is asked again, and sends nothing if the version is still the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

from dovetail.errors import (
    AuthenticationError,
    BytesExceededError,
    CancelledError,
    NotSupportedError,
    RefusedError,
    SourceUnavailableError,
    TimeoutExceededError,
    UnknownNameError,
    UsageError,
)

if TYPE_CHECKING:
    import httpx

_CHUNK = 1 << 20
_MOST_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
_CONNECT_SECONDS = 10.0
_SILENT_SECONDS = 30.0  # without a byte
_TYPES = {
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/json": "json",
    "application/jsonl": "jsonl",
    "application/x-ndjson": "jsonl",
    "application/vnd.apache.parquet": "parquet",
    "application/vnd.apache.arrow.file": "arrow",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.ms-excel": "xls",
}
_ENDINGS = {"excel": "xlsx"}


@dataclass(frozen=True)
class Web:
    """What a session may fetch: ``https://``, and ``http://`` too with ``allow_http``."""

    allow_http: bool = False


def is_address(name: str) -> bool:
    """Whether a name in FROM is an address that could be fetched."""
    return name.lower().startswith(("https://", "http://"))


class Downloads:
    """The addresses that a session has read. Thread-safe."""

    def __init__(
        self,
        web: Web,
        folder: Path,
        *,
        most_bytes: int | None,
        timeout: float | None,
        cache: Path | None = None,
    ) -> None:
        """``folder`` is private and removed by its owner. ``most_bytes`` is the most that one
        address may have, and the most that is kept in ``cache`` (default: in the user's cache
        folder); ``timeout`` the seconds that one may take.
        """
        self._web = web
        self._folder = folder
        self._most = most_bytes
        self._timeout = timeout
        self._cache = cache
        self._lock = threading.Lock()
        self._fetched: dict[str, Path] = {}
        self._client: httpx.Client | None = None
        self._receiving: httpx.Response | None = None
        self._closed = False

    def fetch(self, address: str) -> Path:
        """The file that an address has, fetched on first use.

        Raises:
            RefusedError: the address, or where it leads, is not encrypted or holds a password.
            UnknownNameError: there is nothing at the address.
            SourceUnavailableError: it cannot be reached, or its server fails.
            AuthenticationError: its server wants a login.
            LimitError: it is larger than ``limits.max_download``, or takes too long.
        """
        with self._lock:
            found = self._fetched.get(address)
            if found is None:
                found = self._fetched[address] = self._fetch(address)
            return found

    def forget(self) -> None:
        """Ask the servers again on next use."""
        with self._lock:
            self._fetched.clear()

    def close(self) -> None:
        """End what is being received, and every connection."""
        self._closed = True
        receiving = self._receiving
        if receiving is not None:
            stream = receiving.extensions.get("network_stream")
            with contextlib.suppress(OSError, AttributeError):
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _fetch(self, address: str) -> Path:
        self._check(address, address)
        try:
            import httpx
        except ImportError:
            raise UsageError("reading addresses needs httpx; install dovetail[web]") from None
        kept = _Kept.find(self._cache_folder(), address)
        url = address
        try:
            for _ in range(_MOST_REDIRECTS + 1):
                with self._answer(url, kept) as answer:
                    if answer.status_code not in _REDIRECTS:
                        return self._received(address, answer, kept)
                    url = urljoin(url, answer.headers.get("location", ""))
                    self._check(url, address, redirected=True)
        except httpx.TimeoutException:
            raise SourceUnavailableError(
                f"{_shown(url)} does not answer (nothing for {_SILENT_SECONDS:g} s)",
                source=_host(url),
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            if self._closed:
                raise CancelledError("the download was cancelled") from None
            if isinstance(error, OSError):
                raise
            reason = re.sub(r"\s*\(_ssl\.c:\d+\)", "", str(error)) or type(error).__name__
            raise SourceUnavailableError(
                f"{_shown(url)} cannot be read: {reason}", source=_host(url)
            ) from None
        raise SourceUnavailableError(
            f"{_shown(address)} leads on more than {_MOST_REDIRECTS} times", source=_host(url)
        )

    def _check(self, url: str, address: str, *, redirected: bool = False) -> None:
        """Refuse what must not be asked for."""
        try:
            parts = urlsplit(url)
            has_password = parts.username is not None or parts.password is not None
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise UnknownNameError(f"{address!r} is no address") from None
        if has_password:
            raise RefusedError(
                f"{parts.scheme}://…@{host}: a login in an address would be seen in the history "
                "and in messages; fetch the file with another program"
            )
        if redirected and parts.scheme != "https":
            raise RefusedError(f"{_shown(address)} leads to {_shown(url)}; only https is followed")
        if not host:
            raise UnknownNameError(f"{_shown(address)} names no server")
        if parts.scheme != "https" and not self._web.allow_http:
            raise RefusedError(
                f"{_shown(address)}: what comes over http can be read and changed on the way; "
                "use https, or allow it with --allow-http"
            )

    @contextlib.contextmanager
    def _answer(self, url: str, kept: _Kept | None) -> Iterator[httpx.Response]:
        import httpx

        if self._client is None:
            waits = httpx.Timeout(_SILENT_SECONDS, connect=_CONNECT_SECONDS)
            self._client = httpx.Client(timeout=waits, follow_redirects=False)
        headers = {"Accept-Encoding": "identity"}
        if kept is not None:
            headers["If-None-Match"] = kept.etag
        with self._client.stream("GET", url, headers=headers) as answer:
            self._receiving = answer
            try:
                yield answer
            finally:
                self._receiving = None

    def _received(self, address: str, answer: httpx.Response, kept: _Kept | None) -> Path:
        status = answer.status_code
        if status == 304 and kept is not None:
            return kept.copy_to(self._new_folder())
        if status in (404, 410):
            raise UnknownNameError(f"there is nothing at {_shown(address)} (status {status})")
        if status in (401, 403, 407):
            raise AuthenticationError(
                f"{_shown(address)} wants a login (status {status})", source=_host(address)
            )
        if status != 200:
            raise SourceUnavailableError(
                f"{_shown(address)} answers with status {status}", source=_host(address)
            )
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "text/html":
            raise NotSupportedError(
                f"{_shown(address)} is a web page (text/html), not a file of rows"
            )
        announced = answer.headers.get("content-length", "")
        if announced.isdigit():
            self._measure(address, int(announced))
        folder = self._new_folder()
        part = folder / "part"
        self._write(address, answer, part)
        path = part.rename(folder / _file_name(address, kind, part))
        etag = answer.headers.get("etag")
        if etag and "no-store" not in answer.headers.get("cache-control", "").lower():
            _Kept.keep(self._cache_folder(), address, etag, path, self._most)
        return path

    def _write(self, address: str, answer: httpx.Response, path: Path) -> None:
        ends = None if self._timeout is None else time.monotonic() + self._timeout
        size = 0
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for chunk in answer.iter_bytes(_CHUNK):
                size += len(chunk)
                self._measure(address, size)
                if self._closed:
                    raise CancelledError("the download was cancelled")
                if ends is not None and time.monotonic() > ends:
                    raise TimeoutExceededError(
                        f"{_shown(address)} was not read within {self._timeout:g} s "
                        f"(limits.timeout); {size:,} bytes had come"
                    )
                file.write(chunk)

    def _measure(self, address: str, size: int) -> None:
        if self._most is not None and size > self._most:
            raise BytesExceededError(
                f"{_shown(address)} is larger than {self._most:,} bytes (limits.max_download)"
            )

    def _new_folder(self) -> Path:
        """A folder of its own, so that the file can have its own name."""
        folder = self._folder / f"web-{len(list(self._folder.glob('web-*'))) + 1}"
        folder.mkdir(mode=0o700, parents=True)
        return folder

    def _cache_folder(self) -> Path:
        if self._cache is None:
            from platformdirs import user_cache_path

            self._cache = user_cache_path("dovetail", appauthor=False) / "downloads"
        return self._cache


@dataclass(frozen=True)
class _Kept:
    """A file kept from an earlier session. Its name in the cache tells nothing of its address."""

    body: Path
    etag: str
    name: str

    @staticmethod
    def _paths(cache: Path, address: str) -> tuple[Path, Path]:
        key = hashlib.sha256(address.encode()).hexdigest()
        return cache / f"{key}.body", cache / f"{key}.json"

    @staticmethod
    def find(cache: Path, address: str) -> _Kept | None:
        """What is kept of an address; None unless it is whole."""
        body, about = _Kept._paths(cache, address)
        try:
            data: dict[str, Any] = json.loads(about.read_text(encoding="utf-8"))
            if body.stat().st_size == data["size"]:
                return _Kept(body, str(data["etag"]), str(data["name"]))
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    @staticmethod
    def keep(cache: Path, address: str, etag: str, path: Path, most_bytes: int | None) -> None:
        """Keep a copy. Failing to is no error: it is fetched again next time."""
        body, about = _Kept._paths(cache, address)
        beside = cache / f"{body.stem}.{os.getpid()}"
        with contextlib.suppress(OSError):
            cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            about.unlink(missing_ok=True)
            _copy(path, beside)
            beside.replace(body)
            size = body.stat().st_size
            beside.write_text(json.dumps({"etag": etag, "name": path.name, "size": size}))
            beside.replace(about)
            _drop_oldest(cache, most_bytes)

    def copy_to(self, folder: Path) -> Path:
        """The file in ``folder``, where nobody replaces it while it is read."""
        path = folder / self.name
        _copy(self.body, path)
        with contextlib.suppress(OSError):
            os.utime(self.body)
        return path


def _copy(source: Path, target: Path) -> None:
    """A second name for a file, or a copy where the folders are on different disks."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        target.chmod(0o600)


def _drop_oldest(cache: Path, most_bytes: int | None) -> None:
    bodies = sorted(cache.glob("*.body"), key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for body in bodies:
        total += body.stat().st_size
        if most_bytes is not None and total > most_bytes:
            body.with_suffix(".json").unlink(missing_ok=True)
            body.unlink(missing_ok=True)


def _file_name(address: str, kind: str, path: Path) -> str:
    """A name with an ending that says what the file holds: the address's own, the type that the
    server names, or what the first bytes look like.
    """
    from dovetail.connectors.files_formats import kind_of_bytes, split_name

    last = unquote(urlsplit(address).path.rpartition("/")[2])
    name = re.sub(r"[^\w.-]+", "_", last).strip("._")[-100:] or "table"
    parts = split_name(name)
    if parts.format is not None or parts.packing is not None:
        return name
    ending = _TYPES.get(kind)
    if ending is None:
        with open(path, "rb") as file:
            found, packing = kind_of_bytes(file.read(4096))
        ending = _ENDINGS.get(found or "", found) or packing
    return f"{name}.{ending}"


def _host(address: str) -> str:
    return urlsplit(address).hostname or address


def _shown(address: str) -> str:
    """An address without what may be secret in it: login and parameters."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" + ("?…" if parts.query else "")
