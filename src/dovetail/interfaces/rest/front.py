"""What every request passes: its id, its host, its size, its headers, its line in the log.

One plain ASGI callable, because it runs for every request: nothing is wrapped in tasks or queues.
"""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog

from dovetail.interfaces.rest import problems
from dovetail.interfaces.rest.logs import logger
from dovetail.interfaces.rest.metrics import Metrics
from dovetail.interfaces.rest.settings import ServiceSettings
from dovetail.workspace.shapes import Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_WITH_BODY = frozenset(("POST", "PUT", "PATCH", "DELETE"))
# Their bodies go to disk and are counted there; any other body is read into memory.
_UPLOAD = re.compile(r".*/datasets/(?:upload|[^/]+/file)")

_POLICY = (
    b"default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    b"object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_SAFETY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", _POLICY),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_TLS_ONLY = (b"strict-transport-security", b"max-age=31536000")


class BodyTooLargeError(Exception):
    """A body grew past its limit while it was read."""


class Front:
    """Wraps the application. ``scope["state"]["request_id"]`` is the request's id from here on."""

    def __init__(self, app: App, settings: ServiceSettings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._hosts = settings.served_hosts
        self._any_host = settings.auth == "users" and not settings.hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if _REQUEST_ID.fullmatch(given) else _new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        # A proxy may leave the base path in front of the path or take it away.
        scope["root_path"] = self._settings.base_path
        path: str = scope["path"]
        if len(path) > 1 and path.endswith("/"):
            scope["path"] = path.rstrip("/") or "/"
        status = 500
        sent = False

        async def answer(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status, sent = message["status"], True
                added = [*message["headers"], (b"x-request-id", request_id.encode()), *_SAFETY]
                if scope["scheme"] == "https":
                    added.append(_TLS_ONLY)
                if not any(name == b"cache-control" for name, _ in message["headers"]):
                    added.append((b"cache-control", b"no-store"))
                message["headers"] = added
            await send(message)

        try:
            problem = self._refusal(scope, headers)
            if problem is not None:
                await self._refuse(problem, scope, receive, answer)
            else:
                await self._app(scope, self._limited(scope, receive), answer)
        except BodyTooLargeError as error:
            if not sent:
                problem = problems.make("too-large", str(error))
                await self._refuse(problem, scope, receive, answer)
        except Exception:
            logger().exception("request failed")
            if not sent:
                problem = problems.of_error(RuntimeError())
                await self._refuse(problem, scope, receive, answer)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "unknown")
            self._metrics.count_request(scope["method"], route, status, seconds)
            if route not in _QUIET:
                logger().info(
                    "request",
                    method=scope["method"],
                    path=path,
                    status=status,
                    ms=round(seconds * 1e3, 1),
                )

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> Problem | None:
        """What is wrong with a request before anybody looks at its body."""
        if not self._any_host:
            host = headers.get(b"host", b"").decode("latin-1").lower()
            name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
            if name not in self._hosts:
                # Not echoed: the name is whatever a page on another site made the browser send.
                return problems.make(
                    "host-unknown", "this host name is not served; --served-host adds one"
                )
        if scope["method"] not in _WITH_BODY or _UPLOAD.fullmatch(scope["path"]):
            return None
        length = headers.get(b"content-length", b"")
        type_ = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if length.isdigit() and int(length) > self._settings.requests.body_bytes:
            return problems.make("too-large", self._too_large())
        has_body = length not in (b"", b"0") or b"transfer-encoding" in headers
        if has_body and type_ != b"application/json" and not type_.endswith(b"+json"):
            return problems.make(
                "unsupported-media-type",
                "the body must be JSON (Content-Type: application/json)",
                valid=["application/json"],
            )
        return None

    def _too_large(self) -> str:
        limit = self._settings.requests.body_bytes
        return f"the body is larger than {limit:,} bytes (limit body_bytes)"

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """``receive`` that counts."""
        if scope["method"] not in _WITH_BODY or _UPLOAD.fullmatch(scope["path"]):
            return receive
        left = self._settings.requests.body_bytes

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise BodyTooLargeError(self._too_large())
            return message

        return counted

    async def _refuse(self, problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
        response = problems.respond(
            problem,
            instance=scope["path"],
            request_id=scope["state"]["request_id"],
            base_path=self._settings.base_path,
        )
        await response(scope, receive, send)


def _new_id() -> str:
    # Not of the system's randomness, which is a system call: it is a name, no secret.
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


# Asked every few seconds by machines: their lines would drown the others.
_QUIET = frozenset(("/health", "/health/live", "/health/ready", "/metrics"))
