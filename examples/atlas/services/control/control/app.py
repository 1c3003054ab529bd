"""The HTTP routes of control."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from atlas_common.web import ServiceError, create_app
from control.checks import Status, check


@dataclass(frozen=True, kw_only=True)
class Settings:
    """SERVICES: what to watch, as "name=address,name=address"."""

    services: str = (
        "api=http://api:8000,embedding=http://embedding:8001,storage=http://storage:8002,"
        "nlg=http://nlg:8003,hybrid=http://hybrid:8004"
    )


def build(services: dict[str, str], client: httpx.AsyncClient) -> FastAPI:
    """Make the app; it closes the client when it ends. Each request checks anew, so no answer is
    stale.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with client:
            yield

    app = create_app("control", lifespan=lifespan)

    @app.get("/status")
    async def status() -> dict[str, Any]:
        found = await check(client, services)
        return {
            "services": {
                name: {"up": s.up, "latency_ms": round(s.latency * 1000, 1), "detail": s.detail}
                for name, s in found.items()
            }
        }

    @app.get("/ready")
    async def ready() -> dict[str, bool]:
        down = [
            f"{name} ({s.detail})"
            for name, s in (await check(client, services)).items()
            if not s.up
        ]
        if down:
            raise ServiceError(503, "not_ready", f"not up: {', '.join(down)}")
        return {"ready": True}

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(exposition(await check(client, services)), media_type=CONTENT_TYPE_LATEST)

    return app


def exposition(found: Mapping[str, Status]) -> bytes:
    """Write the checks as Prometheus text."""
    registry = CollectorRegistry()
    up = Gauge(
        "atlas_service_up",
        "1 if the service answered its health check, else 0",
        ["service"],
        registry=registry,
    )
    latency = Gauge(
        "atlas_service_latency_seconds", "How long that answer took", ["service"], registry=registry
    )
    for name, status in found.items():
        up.labels(name).set(status.up)
        if status.up:  # how long one waited in vain is no latency
            latency.labels(name).set(status.latency)
    return generate_latest(registry)
