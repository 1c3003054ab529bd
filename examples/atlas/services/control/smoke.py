"""What must hold in control's final image: a service that is down shows in the status and in the
metrics.
"""

import asyncio

import httpx


def imports() -> None:
    """What serving needs beside the app itself."""
    import prometheus_client  # noqa: F401
    import uvicorn  # noqa: F401

    from atlas_common import logs, settings, web  # noqa: F401
    from control import app  # noqa: F401


def load() -> None:
    """Ask every route of the app, with one stand-in that is up and one that is down."""
    asyncio.run(_exercise())


async def _exercise() -> None:
    from atlas_common.upstream import open_client
    from control.app import build
    from control.checks import parse

    services = parse("api=http://api:8000,nlg=http://nlg:8003")
    transport = httpx.ASGITransport(build(services, open_client(httpx.MockTransport(_behind))))
    async with httpx.AsyncClient(transport=transport, base_url="http://control") as client:
        assert (await client.get("/health")).json() == {"status": "ok", "service": "control"}
        status = (await client.get("/status")).json()["services"]
        assert {name: service["up"] for name, service in status.items()} == {
            "api": True,
            "nlg": False,
        }, status
        ready = await client.get("/ready")
        assert ready.status_code == 503, ready.text
        metrics = await client.get("/metrics")
        assert metrics.headers["content-type"].startswith("text/plain"), metrics.headers
        lines = metrics.text.splitlines()
        assert 'atlas_service_up{service="api"} 1.0' in lines, lines
        assert 'atlas_service_up{service="nlg"} 0.0' in lines, lines


async def _behind(request: httpx.Request) -> httpx.Response:
    if request.url.host != "api":
        raise httpx.ConnectError("connection refused", request=request)
    return httpx.Response(200, json={"status": "ok", "service": "api"})
