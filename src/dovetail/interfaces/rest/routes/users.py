"""``/auth``, ``/users`` and ``/tokens``: who may come in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from dovetail.interfaces.rest.bodies import NewTokenBody, SessionBody, TokenBody, UserBody
from dovetail.interfaces.rest.call import (
    COOKIE,
    Call,
    Caller,
    Listed,
    address_of,
    bearer,
    check_origin,
    json_response,
    no_content,
    service_of,
)
from dovetail.interfaces.rest.documented import answers
from dovetail.interfaces.rest.inputs import Login, TokenCreate, UserChange, UserCreate
from dovetail.interfaces.rest.problems import ProblemError
from dovetail.interfaces.rest.routes import API
from dovetail.workspace.shapes import NewToken

auth_router = APIRouter(prefix=f"{API}/auth", tags=["Access"])
users_router = APIRouter(prefix=f"{API}/users", tags=["Access"])
tokens_router = APIRouter(prefix=f"{API}/tokens", tags=["Access"])


def _set_cookie(request: Request, response: Response, secret: str) -> None:
    response.set_cookie(
        COOKIE,
        secret,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path=service_of(request).settings.base_path or "/",
    )


def _new_token(made: NewToken) -> dict[str, object]:
    return {
        **TokenBody.model_validate(made.token).model_dump(mode="json"),
        "token": made.secret,
    }


@auth_router.post(
    "/login",
    summary="Log in",
    **answers(
        NewTokenBody,
        public=True,
        problems=("unauthenticated", "too-many-requests", "forbidden"),
        description="A session: as a token here, and as a cookie for browsers",
    ),
)
async def login(request: Request, given: Login) -> Response:
    """With name and password, where the service has users."""
    service = service_of(request)
    check_origin(request, service, required=False)
    if service.settings.auth != "users":
        raise ProblemError("forbidden", "this service has one user, who comes with the token")
    made = await service.pools.short(
        service.workspace.users.login,
        given.name,
        given.password,
        address=address_of(request),
        request_id=request.scope["state"]["request_id"],
    )
    response = json_response(_new_token(made))
    _set_cookie(request, response, made.secret)
    return response


@auth_router.post(
    "/cookie",
    summary="Exchange a token for a cookie",
    **answers(SessionBody),
)
async def cookie(call: Caller) -> Response:
    """For pages: the cookie is `HttpOnly` and `SameSite=Strict`."""
    response = json_response(_session(call))
    secret = bearer(call.request)
    if secret is not None:
        _set_cookie(call.request, response, secret)
    return response


def _session(call: Call) -> dict[str, object]:
    actor = call.actor
    return {
        "user_id": actor.user_id,
        "name": actor.name,
        "role": actor.role,
        "scopes": sorted(actor.scopes),
    }


@auth_router.get("/me", summary="Who you are", **answers(SessionBody))
async def me(call: Caller) -> Response:
    """Role and scopes of the token you came with."""
    return json_response(_session(call))


@auth_router.post(
    "/logout",
    summary="Log out",
    **answers(status=204, description="The session is over"),
)
async def logout(call: Caller) -> Response:
    """The token you came with is revoked; the token of local mode stays."""
    if call.service.settings.auth == "users":
        await call.short(call.workspace.users.logout)
    response = no_content()
    response.delete_cookie(COOKIE, path=call.root or "/")
    return response


@users_router.post(
    "",
    summary="Create a user",
    **answers(UserBody, status=201, problems=("name-taken",)),
)
async def create(call: Caller, given: UserCreate) -> Response:
    """For admins."""
    made = await call.short(
        call.workspace.users.create, given.name, role=given.role, password=given.password
    )
    return call.one(UserBody, made, status=201, location=f"/api/v1/users/{made.id}")


@users_router.get("", summary="List users", **answers(list[UserBody]))
async def list_users(call: Caller, page: Listed) -> Response:
    """For admins."""
    found = await call.short(
        call.workspace.users.list, limit=page.limit, cursor=page.cursor, q=page.q
    )
    return call.page(UserBody, found)


@users_router.get("/{user_id}", summary="One user", **answers(UserBody, problems=("not-found",)))
async def get(call: Caller, user_id: str) -> Response:
    """Yourself; anyone for admins."""
    return call.one(UserBody, await call.short(call.workspace.users.get, user_id))


@users_router.patch(
    "/{user_id}",
    summary="Change a user",
    **answers(UserBody, problems=("not-found", "in-use")),
)
async def change(call: Caller, user_id: str, given: UserChange) -> Response:
    """Admins change anyone; others their own password."""
    made = await call.short(call.workspace.users.update, user_id, **given.model_dump())
    return call.one(UserBody, made)


@users_router.delete(
    "/{user_id}",
    summary="Delete a user",
    **answers(status=204, problems=("not-found", "in-use"), description="Deleted"),
)
async def delete(call: Caller, user_id: str) -> Response:
    """For admins; what the user owned is theirs then."""
    await call.short(call.workspace.users.delete, user_id)
    return no_content()


@tokens_router.post(
    "",
    summary="Create an API token",
    **answers(NewTokenBody, status=201, description="The token, shown this once"),
)
async def create_token(call: Caller, given: TokenCreate) -> Response:
    """It never exceeds your rights, nor those of the token you come with."""
    made = await call.short(
        call.workspace.users.create_token,
        given.name,
        scopes=given.scopes,
        days=given.expires_in_days,
    )
    location = f"{call.root}/api/v1/tokens/{made.token.id}"
    return json_response(_new_token(made), status=201, headers={"Location": location})


@tokens_router.get(
    "", summary="List API tokens", **answers(list[TokenBody], problems=("not-found",))
)
async def list_tokens(
    call: Caller,
    user_id: Annotated[str | None, Query(max_length=100, description="For admins.")] = None,
) -> Response:
    """Your own, newest first."""
    return call.many(TokenBody, await call.short(call.workspace.users.tokens, user_id=user_id))


@tokens_router.delete(
    "/{token_id}",
    summary="Revoke an API token",
    **answers(status=204, problems=("not-found",), description="Revoked"),
)
async def revoke(call: Caller, token_id: str) -> Response:
    """At once."""
    await call.short(call.workspace.users.revoke_token, token_id)
    return no_content()
