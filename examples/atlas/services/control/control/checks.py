"""Asking services whether they are up."""

import asyncio
import time
from dataclasses import dataclass

import httpx

from atlas_common.settings import SettingsError, url

PATIENCE = 3.0  # seconds, enough for a service that is up on a busy machine


@dataclass(frozen=True, slots=True)
class Status:
    """What one check of one service found; `latency` is in seconds."""

    up: bool
    latency: float
    detail: str


def parse(text: str) -> dict[str, str]:
    """Read "name=address,name=address"; raises SettingsError, which names the variable SERVICES."""
    services: dict[str, str] = {}
    problems: list[str] = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, found, address = entry.partition("=")
        try:
            if not found or not name.strip() or name.strip() in services:
                raise ValueError("must be name=address with a name of its own")
            services[name.strip()] = url(address.strip())
        except ValueError as error:
            problems.append(f"SERVICES: {error}, got {entry!r}")
    if problems or not services:
        raise SettingsError(tuple(problems) or ("SERVICES: names no service",))
    return services


async def check(client: httpx.AsyncClient, services: dict[str, str]) -> dict[str, Status]:
    """Check all services at once; takes no longer than PATIENCE."""
    found = await asyncio.gather(
        *(_check(client, name, address) for name, address in services.items())
    )
    return dict(zip(services, found, strict=True))


async def _check(client: httpx.AsyncClient, name: str, address: str) -> Status:
    start = time.perf_counter()
    try:
        async with asyncio.timeout(PATIENCE):
            answer = await client.get(f"{address}/health")
        problem = _problem(name, answer)
    except TimeoutError:
        problem = f"no answer within {PATIENCE:g} s"
    except httpx.HTTPError as error:
        problem = str(error) or type(error).__name__
    return Status(problem is None, time.perf_counter() - start, problem or "ok")


def _problem(name: str, answer: httpx.Response) -> str | None:
    if answer.status_code != 200:
        return f"answered {answer.status_code}"
    try:
        who = dict(answer.json()).get("service")
    except (ValueError, TypeError):
        return "answered no JSON object"
    return None if who == name else f"the service at this address is {who!r}"
