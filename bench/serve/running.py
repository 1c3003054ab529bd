"""Containers of the services' final images, run as they are meant to be run, on a network of their
own.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from slimbake.checks.surroundings import HARDENED
from slimbake.docker.command import call
from slimbake.errors import CheckError, SetupError
from slimbake.plan.model import Running

from .workloads import Workload, documents

PREFIX = "slimbake-bench-serving"
LIMIT = 180.0  # seconds for a first answer
EVERY = 0.01  # seconds between two questions: what a start is sharp to
OK = 200


@dataclass(frozen=True, slots=True)
class Server:
    """A container that answers, and how it got there."""

    container: str
    port: int  # on loopback
    start: float  # seconds from `docker start` until the first answer


@contextlib.contextmanager
def network() -> Iterator[str]:
    """A network for as long as it is needed."""
    name = f"{PREFIX}-{uuid.uuid4().hex[:8]}"
    call("network", "create", name)
    try:
        yield name
    finally:
        with contextlib.suppress(SetupError):
            call("network", "rm", name)


@contextlib.contextmanager
def serving(
    service: Running, image: str, net: str, first: Workload | None = None
) -> Iterator[Server]:
    """A service's container for as long as it is needed, from its first answer on; its volumes are
    empty.

    `first`: what it is asked, over and over until it answers; without one, its health. The
    container is made before the clock runs. Raises CheckError where it ends or does not answer.
    """
    if service.port is None:
        raise SetupError(
            f"{service.service} listens on no port", "only services that do can be asked"
        )
    name, port = f"{PREFIX}-{service.host}-{uuid.uuid4().hex[:8]}", _free()
    volumes = (f"--tmpfs={path}:uid=65532,gid=65532,mode=0755" for _, path in service.volumes)
    words = (
        f"--network={net}",
        f"--network-alias={service.host}",
        f"--publish=127.0.0.1:{port}:{service.port}",
    )
    call("create", f"--name={name}", *words, *volumes, *_hardened(service), image)
    try:
        began = time.perf_counter()
        call("start", name)
        _until_answered(name, port, first)
        yield Server(name, port, time.perf_counter() - began)
    finally:
        with contextlib.suppress(SetupError):
            call("rm", "--force", "--volumes", name)


def _hardened(service: Running) -> tuple[str, ...]:
    return (*HARDENED, f"--user={service.user}", *(f"--tmpfs={each}" for each in service.in_memory))


def _free() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _until_answered(name: str, port: int, first: Workload | None) -> None:
    began = looked = time.perf_counter()
    while not _answers(port, first):
        now = time.perf_counter()
        if now - looked > 1:  # a question to the engine takes its time, too
            looked = now
            if call("inspect", "--format={{.State.Running}}", name).strip() == "false":
                raise CheckError(
                    f"{name} ended before it answered\n{call('logs', '--tail=12', name)}"
                )
        if now - began > LIMIT:
            raise CheckError(f"{name} does not answer within {LIMIT:g} s")
        time.sleep(EVERY)


def _answers(port: int, first: Workload | None) -> bool:
    """Docker's proxy takes every connection, and ends it while nobody listens in the container."""
    try:
        status, _ = ask(
            port,
            "POST" if first else "GET",
            first.path if first else "/health",
            first and first.asked,
        )
    except (OSError, http.client.HTTPException):
        return False
    return status == OK


def ask(port: int, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    """One request past any proxy: status and answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        words = (
            {}
            if body is None
            else {"body": json.dumps(body), "headers": {"Content-Type": "application/json"}}
        )
        connection.request(method, path, **words)  # type: ignore[arg-type]
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@contextlib.contextmanager
def filled(
    storage: Running, image: str, embedding: Running, embedder: str, net: str
) -> Iterator[None]:
    """The storage service with documents in it, their vectors by an image of the embedding service."""
    found = documents()
    with serving(storage, image, net) as server:
        with serving(embedding, embedder, net) as other:
            answer = _must(
                other.port, "POST", "/embed", {"texts": [document["text"] for document in found]}
            )
        vectors = json.loads(answer)["vectors"]
        both = [
            document | {"vector": vector} for document, vector in zip(found, vectors, strict=True)
        ]
        _must(server.port, "PUT", "/documents", {"documents": both})
        yield


def _must(port: int, method: str, path: str, body: Any) -> bytes:
    status, answer = ask(port, method, path, body)
    if status != OK:
        raise CheckError(
            f"{method} {path} answers {status}: {answer[:500].decode(errors='replace')}"
        )
    return answer
