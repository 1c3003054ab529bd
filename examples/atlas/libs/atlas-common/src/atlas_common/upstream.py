"""Calls from one service to another, whose every failure names the service that failed."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx

from atlas_common.errors import ServiceError
from atlas_common.settings import Url

ALIVE = 3.0  # seconds within which a service that is up tells so, even on a busy machine
ANSWER = 60.0  # seconds that its work may take


def open_client(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """Make the one HTTP client of an app; close it when the app ends."""
    return httpx.AsyncClient(
        transport=transport,
        timeout=httpx.Timeout(ANSWER, connect=ALIVE),
        # uvicorn drops idle connections after 5 s: let go first, or a request may meet the closing
        # end.
        limits=httpx.Limits(keepalive_expiry=2),
        trust_env=False,  # services talk directly, never through a proxy that the environment names
    )


@dataclass(frozen=True, slots=True)
class Upstream:
    """Another service: its name, its address and the client to call it with."""

    name: str
    url: Url
    client: httpx.AsyncClient

    async def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Send `body` as JSON and give the answer's JSON.

        Raises ServiceError: 503 `upstream_unavailable` within seconds when the service is down or
        hangs, its own error when it refuses the request, 502 `upstream_failed` when its answer
        makes no sense.
        """
        await self.alive()
        response = await self._send(method, path, body, ANSWER)
        try:
            answer: dict[str, Any] = dict(response.json())
            error = answer["error"] if response.is_error else None
            refusal = error and (str(error["code"]), str(error["message"]))
        except (ValueError, KeyError, TypeError):  # not JSON, no object, no error body
            message = (
                f"{self.name} at {self.url} answered {response.status_code} without a sound body"
            )
            raise ServiceError(502, "upstream_failed", message) from None
        if refusal:
            raise ServiceError(response.status_code, refusal[0], f"{self.name}: {refusal[1]}")
        return answer

    async def alive(self) -> None:
        """Raise ServiceError `upstream_unavailable` unless the service answers at once.

        Work may take long, being alive may not: so a dead service is soon noticed.
        """
        await self._send("GET", "/health", None, ALIVE)

    async def _send(self, method: str, path: str, body: object, seconds: float) -> httpx.Response:
        try:
            async with asyncio.timeout(seconds):
                return await self.client.request(method, self.url + path, json=body)
        except TimeoutError:
            reason = f"no answer within {seconds:g} s"
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
        message = f"{self.name} at {self.url} is unavailable: {reason}"
        raise ServiceError(503, "upstream_unavailable", message) from None
