"""``/health`` and ``/metrics``: for machines that watch."""

from __future__ import annotations

import asyncio
import ipaddress

from fastapi import APIRouter, Request, Response

from dovetail.interfaces.rest.bodies import HealthBody, ReadinessBody
from dovetail.interfaces.rest.call import address_of, authenticated, json_response, service_of
from dovetail.interfaces.rest.documented import answers
from dovetail.interfaces.rest.metrics import CONTENT_TYPE

router = APIRouter(tags=["Operation"])

_SECONDS = 1.0
_public = answers(HealthBody, public=True)


@router.get("/health", summary="Whether the process answers", **_public)
@router.get("/health/live", summary="Whether the process answers", name="live", **_public)
async def health() -> Response:
    """No more than that."""
    return json_response({"status": "ok"})


_ready = answers(ReadinessBody, public=True)
_ready["responses"][503] = {"model": ReadinessBody, "description": "A check failed"}


@router.get("/health/ready", summary="Whether requests can be served", **_ready)
async def ready(request: Request) -> Response:
    """A source that is down shows as `degraded`, which is still 200."""
    service = service_of(request)
    try:
        async with asyncio.timeout(_SECONDS):
            found = await service.pools.short(service.workspace.readiness)
    except TimeoutError:
        checks = {"workspace": {"status": "failed", "note": "no answer within a second"}}
        return json_response({"status": "not ready", "checks": checks}, status=503)
    degraded = any(check.get("status") == "degraded" for check in found.checks.values())
    status = "degraded" if degraded else "ready"
    return json_response(
        {
            "status": status if found.ready else "not ready",
            "checks": {name: dict(check) for name, check in found.checks.items()},
        },
        status=200 if found.ready else 503,
    )


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    **answers(
        public=True,
        problems=("unauthenticated", "too-many-requests"),
        content={"text/plain": {"schema": {"type": "string"}}},
    ),
)
async def metrics(request: Request) -> Response:
    """From this machine, or with a token."""
    service = service_of(request)
    address = address_of(request)
    if address is None or not ipaddress.ip_address(address).is_loopback:
        await authenticated(request)
    text = await service.pools.short(service.metrics.text)
    return Response(text, media_type=CONTENT_TYPE)
