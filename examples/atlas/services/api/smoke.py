"""What must hold in api's final image: a question goes through, and a service that is down is
named.
"""

import asyncio
import json

import httpx


def imports() -> None:
    """What serving needs beside the app itself."""
    import uvicorn  # noqa: F401

    from api import app  # noqa: F401
    from atlas_common import logs, settings, upstream, web  # noqa: F401


def load() -> None:
    """Ask and ingest through the app, with stand-ins for the services behind it."""
    asyncio.run(_exercise())


async def _exercise() -> None:
    from api.app import Settings, build
    from atlas_common.upstream import open_client

    transport = httpx.ASGITransport(build(Settings(), open_client(httpx.MockTransport(_behind))))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        assert (await client.get("/health")).json() == {"status": "ok", "service": "api"}
        answer = await client.post("/ask", json={"question": "Which planet is red?"})
        hits = [{"id": "mars", "text": "Mars is red.", "score": 1.0}]
        assert answer.json() == {"answer": "Mars", "sources": hits}, answer.text
        ingested = await client.post("/ingest", json={"documents": [{"id": "a", "text": "b"}]})
        assert ingested.status_code == 503, ingested.text
        error = ingested.json()["error"]
        assert error["code"] == "upstream_unavailable", error
        assert error["message"].startswith("embedding at http://embedding:8001 is unavailable"), (
            error
        )


async def _behind(request: httpx.Request) -> httpx.Response:
    match request.url.host, request.url.path:
        case "embedding", _:
            raise httpx.ConnectError("connection refused", request=request)
        case "hybrid", "/search":
            return httpx.Response(
                200, json={"hits": [{"id": "mars", "text": "Mars is red.", "score": 1.0}]}
            )
        case "nlg", "/generate":
            order = json.loads(request.content)
            assert "Mars is red." in order["prompt"], order
            assert order["stream"] is False, order
            return httpx.Response(200, json={"text": " Mars", "tokens": 1})
    return httpx.Response(200, json={"status": "ok"})
