"""One authenticated request: who asks, how to call the workspace, how to answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import urlencode, urlsplit

import structlog
from fastapi import Depends, Query, Request, Response

from dovetail.interfaces.rest.bodies import Body
from dovetail.interfaces.rest.problems import ProblemError
from dovetail.interfaces.rest.service import Service
from dovetail.workspace.access import Actor
from dovetail.workspace.shapes import Page
from dovetail.workspace.workspace import Workspace

P = ParamSpec("P")
R = TypeVar("R")

COOKIE = "dovetail_session"
_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))


@dataclass(frozen=True)
class Listing:
    """``?limit=&cursor=&q=`` of a list."""

    limit: int
    cursor: str | None
    q: str | None


def listing(
    limit: Annotated[int, Query(ge=1, le=500, description="Items on a page.")] = 50,
    cursor: Annotated[
        str | None, Query(max_length=500, description="From the last page's `Link`.")
    ] = None,
    q: Annotated[
        str | None, Query(max_length=200, description="Name contains, ignoring case.")
    ] = None,
) -> Listing:
    """The parameters that every list takes."""
    return Listing(limit, cursor, q)


Listed = Annotated[Listing, Depends(listing)]


class Call:
    """A request with its actor."""

    def __init__(self, request: Request, service: Service, actor: Actor) -> None:
        self.request = request
        self.service = service
        self.actor = actor

    @property
    def workspace(self) -> Workspace:
        """The workspace."""
        return self.service.workspace

    @property
    def root(self) -> str:
        """What stands before every path of the service."""
        return self.service.settings.base_path

    async def short(
        self, work: Callable[Concatenate[Actor, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call ``work(actor, …)`` in a thread; for what takes milliseconds."""
        return await self.service.pools.short(work, self.actor, *args, **kwargs)

    async def long(
        self, work: Callable[Concatenate[Actor, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call ``work(actor, …)`` in a thread; for what reads data."""
        return await self.service.pools.long(work, self.actor, *args, **kwargs)

    def one(
        self, model: type[Body], item: Any, *, status: int = 200, location: str | None = None
    ) -> Response:
        """An object, with its ``ETag`` if it has one."""
        headers: dict[str, str] = {}
        etag = getattr(item, "etag", None)
        if etag is not None:
            headers["ETag"] = f'"{etag}"'
        if location is not None:
            headers["Location"] = f"{self.root}{location}"
        return json_response(encode(model, item), status=status, headers=headers)

    def many(self, model: type[Body], items: Sequence[Any]) -> Response:
        """An array that is never paged."""
        return json_response(b"[" + b",".join(encode(model, item) for item in items) + b"]")

    def page(self, model: type[Body], page: Page[Any]) -> Response:
        """A page of a list; the next one is in ``Link``."""
        response = self.many(model, page.items)
        response.headers.update(self.page_headers(page))
        return response

    def page_headers(self, page: Page[Any]) -> dict[str, str]:
        """``X-Total-Count`` and, when there is more, ``Link``."""
        headers = {"X-Total-Count": str(page.total)}
        if page.next_cursor is not None:
            kept = [(k, v) for k, v in self.request.query_params.multi_items() if k != "cursor"]
            query = urlencode([*kept, ("cursor", page.next_cursor)])
            path = self.request.scope["path"].removeprefix(self.root)
            headers["Link"] = f'<{self.root}{path}?{query}>; rel="next"'
        return headers

    def if_match(self) -> str | None:
        """The ETag that a change is conditional on."""
        given = self.request.headers.get("if-match")
        if given is None or given.strip() == "*":
            return None
        return given.strip().removeprefix("W/").strip('"')

    async def digest(self) -> str:
        """What an idempotency key stands for: method, path, query and body."""
        hashed = hashlib.sha256()
        for part in (self.request.method, str(self.request.url.path), self.request.url.query):
            hashed.update(part.encode() + b"\n")
        hashed.update(await self.request.body())
        return hashed.hexdigest()


def encode(model: type[Body], item: Any) -> bytes:
    """``item`` as JSON of the documented shape."""
    made = model.model_validate(item)
    return made.__pydantic_serializer__.to_json(made, by_alias=True)


def json_response(
    content: bytes | Mapping[str, Any] | Sequence[Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """JSON as UTF-8."""
    if not isinstance(content, bytes):
        content = json.dumps(
            content, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
    return Response(
        content, status_code=status, media_type="application/json", headers=dict(headers or {})
    )


NO_CONTENT = 204


def no_content() -> Response:
    """The answer to a deletion."""
    return Response(status_code=NO_CONTENT)


def service_of(request: Request) -> Service:
    """The process's service."""
    service: Service = request.app.state.service
    return service


def bearer(request: Request) -> str | None:
    """The token of the ``Authorization`` header."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def address_of(request: Request) -> str | None:
    """The client's address."""
    return request.client.host if request.client else None


async def authenticated(request: Request) -> Call:
    """Who asks, from the token or the cookie.

    Raises:
        ProblemError: ``origin-unknown``, ``unauthenticated``, ``too-many-requests``.
        WorkspaceError: ``unauthenticated``.
    """
    service = service_of(request)
    token, cookie = bearer(request), request.cookies.get(COOKIE)
    if token is None and request.method not in _SAFE_METHODS:
        check_origin(request, service, required=cookie is not None)
    secret = token or cookie
    client = hashlib.sha256(secret.encode()).hexdigest() if secret else address_of(request) or ""
    wait = service.rates.take(client)
    if wait:
        raise ProblemError(
            "too-many-requests",
            f"more than {service.settings.requests.requests_per_minute} requests in a minute",
            retry_after=wait,
        )
    request_id = request.scope["state"]["request_id"]
    auth, users, address = service.settings.auth, service.workspace.users, address_of(request)
    if auth == "none" or (auth == "token" and secret is not None and users.is_local(secret)):
        actor = users.local_actor().during(address=address, request_id=request_id)
    elif secret is None:
        raise ProblemError("unauthenticated", "send a token: Authorization: Bearer <token>")
    else:
        actor = await service.pools.short(
            users.authenticate, secret, address=address, request_id=request_id
        )
    structlog.contextvars.bind_contextvars(user_id=actor.user_id)
    return Call(request, service, actor)


def check_origin(request: Request, service: Service, *, required: bool) -> None:
    """Refuse a change that a page of another site makes a browser send.

    A browser always says where such a request comes from; with a cookie it must. A program that
    has no cookie need not.
    """
    origin = request.headers.get("origin")
    if origin is None:
        if required and request.headers.get("sec-fetch-site", "none") not in (
            "same-origin",
            "none",
        ):
            raise ProblemError("origin-unknown", "a request with a cookie needs its Origin")
        if required and "sec-fetch-site" not in request.headers:
            raise ProblemError("origin-unknown", "a request with a cookie needs its Origin")
        return
    if origin in service.settings.cors_origins:
        return
    if urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
        raise ProblemError("origin-unknown", "changes may only come from the service's own pages")


Caller = Annotated[Call, Depends(authenticated)]
