"""The application: routes, errors as problems, the OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from dovetail import __version__
from dovetail.errors import DovetailError, InternalError
from dovetail.interfaces.rest import problems
from dovetail.interfaces.rest.documented import Document
from dovetail.interfaces.rest.front import App, BodyTooLargeError, Front
from dovetail.interfaces.rest.logs import logger
from dovetail.interfaces.rest.problems import ProblemError
from dovetail.interfaces.rest.routes import (
    connections,
    datasets,
    documents,
    grants,
    groups,
    health,
    oversight,
    queries,
    runs,
    saved_queries,
    teams,
    users,
)
from dovetail.interfaces.rest.running import HungUpError
from dovetail.interfaces.rest.service import Service
from dovetail.workspace.shapes import Problem

_ROUTERS = (
    datasets.router,
    grants.dataset_router,
    groups.router,
    connections.router,
    grants.connection_router,
    queries.router,
    queries.cross_router,
    runs.router,
    saved_queries.router,
    users.auth_router,
    users.users_router,
    teams.router,
    users.tokens_router,
    oversight.router,
    health.router,
    documents.router,
    documents.hidden,
)

_DESCRIPTION = """
One query across every database and file you have; read-only, always.

Send the token as `Authorization: Bearer <token>`. Errors are RFC 9457 problem documents; their
`code` is stable, and `GET /problems/{code}` explains it. Times are RFC 3339 in UTC.
"""


def make_app(service: Service) -> App:
    """The ASGI application over ``service``, which it stops when it is shut down."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.stop()

    app = FastAPI(
        title="Dovetail",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=life,
    )
    app.state.service = service
    # Not by include_router: that looks through the routers twice for each request.
    for router in _ROUTERS:
        app.router.routes.extend(router.routes)
    _handle_errors(app, service)
    app.state.document = Document(app, service.settings.base_path)
    if service.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(service.settings.cors_origins),
            allow_methods=["*"],
            allow_headers=["Authorization", "Content-Type", "If-Match", "Idempotency-Key"],
            expose_headers=["ETag", "Link", "Location", "X-Request-Id", "X-Total-Count"],
        )
    return Front(app, service.settings, service.metrics)


def _handle_errors(app: FastAPI, service: Service) -> None:
    def respond(request: Request, problem: Problem, **headers: str) -> Response:
        etag = problem.extra.get("etag")
        if etag is not None:
            headers["ETag"] = f'"{etag}"'
        return problems.respond(
            problem,
            instance=request.scope["path"],
            request_id=request.scope["state"]["request_id"],
            base_path=service.settings.base_path,
            headers=headers,
        )

    @app.exception_handler(DovetailError)
    @app.exception_handler(ProblemError)
    async def refused(request: Request, error: Exception) -> Response:
        if isinstance(error, InternalError):
            logger().error("internal error", exc_info=error)
        problem = problems.of_error(error)
        query_id = getattr(error, "query_id", None)
        if query_id is not None:
            extra = {**problem.extra, "query_id": query_id}
            problem = Problem(**{**vars(problem), "extra": extra})
        return respond(request, problem)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return respond(request, problems.of_validation(error.errors()))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 405:
            path = request.scope["path"].removeprefix(service.settings.base_path)
            methods = _methods(app, path)
            detail = f"the path has no such method; it has {methods}"
            return respond(request, problems.make("method-not-allowed", detail), Allow=methods)
        if error.status_code == 404:
            return respond(request, problems.make("not-found", "no such path; see /docs"))
        if isinstance(error.__cause__, BodyTooLargeError):
            return respond(request, problems.make("too-large", str(error.__cause__)))
        return respond(request, problems.make("json-malformed", str(error.detail)))

    @app.exception_handler(HungUpError)
    async def nobody(request: Request, error: HungUpError) -> Response:
        return Response(status_code=499)  # nobody reads it; the log does


def _methods(app: FastAPI, path: str) -> str:
    """The methods of all routes at ``path``."""
    found: set[str] = set()
    for route in app.router.routes:
        if isinstance(route, APIRoute) and route.path_regex.match(path):
            found |= route.methods or set()
    return ", ".join(sorted(found))
