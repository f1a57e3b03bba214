"""``/docs``, ``/problems`` and the page that ``/`` is: nothing here needs another host."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from dovetail.interfaces.rest.bodies import ExplanationBody
from dovetail.interfaces.rest.call import json_response, service_of
from dovetail.interfaces.rest.documented import answers
from dovetail.interfaces.rest.explanations import EXPLANATIONS
from dovetail.interfaces.rest.problems import STATUSES, TITLES, ProblemError

router = APIRouter()
hidden = APIRouter(include_in_schema=False)

_FILES = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
# The policy of the pages allows scripts from files only, so the page's own is one.
_START = """\
SwaggerUIBundle({
  url: document.currentScript.dataset.openapi, dom_id: "#swagger-ui", deepLinking: true,
  tryItOutEnabled: true, validatorUrl: null, persistAuthorization: false,
});
"""


@hidden.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """The OpenAPI document."""
    content = await service_of(request).pools.short(request.app.state.document.content)
    return Response(content, media_type="application/json")


@hidden.get("/docs")
async def page(request: Request) -> Response:
    """Swagger UI over ``/openapi.json``."""
    root = service_of(request).settings.base_path
    html = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Dovetail API</title>
<link rel="stylesheet" href="{root}/docs/swagger-ui.css">
<link rel="icon" href="{root}/docs/favicon-32x32.png"></head>
<body><div id="swagger-ui"></div>
<script src="{root}/docs/swagger-ui-bundle.js"></script>
<script src="{root}/docs/start.js" data-openapi="{root}/openapi.json"></script>
</body>
</html>
"""
    return Response(html, media_type="text/html")


@hidden.get("/docs/{name}")
async def file(name: str) -> Response:
    """Its files, out of the installed package."""
    if name == "start.js":
        return Response(_START, media_type="text/javascript")
    if name not in _FILES:
        raise ProblemError("not-found", f"no such file; there are {', '.join(_FILES)}")
    return Response(
        _read(name), media_type=_FILES[name], headers={"Cache-Control": "max-age=86400"}
    )


@cache
def _read(name: str) -> bytes:
    return resources.files("fastapi_swagger").joinpath("resources", name).read_bytes()


@router.get(
    "/problems/{code}",
    tags=["Operation"],
    summary="What a problem code means",
    **answers(ExplanationBody, public=True, problems=("not-found",)),
)
async def problem(code: Annotated[str, Path(max_length=100)]) -> Response:
    """The address that `type` of a problem holds."""
    if code not in EXPLANATIONS:
        raise ProblemError("not-found", "no such problem code", valid=sorted(EXPLANATIONS))
    return json_response(
        {
            "code": code,
            "title": TITLES[code],
            "status": STATUSES[code],
            "explanation": EXPLANATIONS[code],
        }
    )
