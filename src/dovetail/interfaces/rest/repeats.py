"""``Idempotency-Key``: a repeated request gets the first answer."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable

from fastapi import Response

from dovetail.interfaces.rest.call import Call, json_response
from dovetail.interfaces.rest.problems import ProblemError

_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_KEPT_HEADERS = ("location", "etag")


def key_of(call: Call) -> str | None:
    """The request's key.

    Raises:
        ProblemError: ``validation``, for a key that is none.
    """
    key = call.request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise ProblemError("validation", "Idempotency-Key takes 1 to 200 visible characters")
    return key


async def once(
    call: Call, key: str | None, digest: str, make: Callable[[], Awaitable[Response]]
) -> Response:
    """The answer given before for ``key`` and ``digest``, else what ``make`` gives now."""
    if key is None:
        return await make()
    store = call.workspace.idempotency
    before = await call.short(store.begin, key, digest)
    if before is not None:
        kept = json.loads(before.body)
        response = json_response(
            kept["body"].encode(), status=before.status, headers=kept["headers"]
        )
        response.headers["Idempotent-Replayed"] = "true"
        return response
    try:
        response = await make()
    except BaseException:
        await call.short(store.abandon, key)
        raise
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    body = json.dumps({"body": bytes(response.body).decode(), "headers": headers})
    await call.short(store.finish, key, status=response.status_code, body=body)
    return response
