"""A registry in this process, small but strict: pushing and referrers as the OCI's specification
has them.
"""

import base64
import hashlib
import json
import re
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from slimbake.registry.documents import INDEX

ACCOUNT = "someone:their password"
IDENTITY = "their identity token"


@dataclass(frozen=True)
class Fault:
    """What is answered instead; `how`: whole, never, byte after byte without end, or by hanging up."""

    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    how: Literal["whole", "never", "dripping", "cut"] = "whole"


class Registry(ThreadingHTTPServer):
    """Holds blobs and manifests of any repository. `asked`: the requests, in order.

    `faults`: what is answered instead to a method, one call after the other, as long as there are
    any.
    """

    def __init__(self, referrers: bool, auth: Literal["", "basic", "token"]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.referrers, self.auth = referrers, auth
        self.blobs: dict[str, bytes] = {}
        self.held: set[tuple[str, str]] = set()  # repository and digest of a blob
        self.mounts = True  # whether a blob of another repository gets a second place
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.asked: list[str] = []
        self.faults: dict[str, Iterator[Fault]] = {}
        self.over = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that has read enough."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def put(self, tag: str, media_type: str, manifest: dict[str, Any]) -> str:
        """Hold a manifest as if it had been pushed; its digest."""
        content = json.dumps(manifest).encode()
        digest = _digest(content)
        self.manifests[tag] = self.manifests[digest] = media_type, content
        return digest


EITHER_WAY = pytest.mark.parametrize("server", [{"referrers": True}, {}], indirect=True)
"""Of a test: with a registry that keeps the lists of referrers itself, and with another."""


@contextmanager
def registry(
    referrers: bool = False, auth: Literal["", "basic", "token"] = ""
) -> Iterator[Registry]:
    """`referrers`: whether it keeps the lists of referrers itself; `auth`: how it asks who is
    there.
    """
    with Registry(referrers, auth) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that are waited between two tries from now on, without waiting."""
    found: list[float] = []
    clock = SimpleNamespace(sleep=found.append, time=time.time)
    monkeypatch.setattr("urllib3.util.retry.time", clock)
    return found


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    server: Registry

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its own name
        pass

    def fail(self, fault: Fault) -> None:
        if fault.how == "never":
            self.server.over.wait()
        if fault.how == "dripping":
            while not self.server.over.wait(0.02):
                self.wfile.write(b"H")
        if fault.how == "whole":
            self.answer(
                fault.status,
                fault.body,
                **{name.replace("-", "_"): v for name, v in fault.headers.items()},
            )
        self.close_connection = True

    def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": str(len(content)), **said}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(f"{self.command} {self.path.partition('?')[0]}")
        if self.path.startswith("/token"):
            self.token(body)
        elif not self.allowed():
            self.refuse()
        elif (
            found := re.fullmatch(
                r"/v2/(.+?)/(blobs|manifests|referrers)/([^?]+)(?:\?(.*))?", self.path
            )
        ) is None:
            self.answer(200)
        elif fault := next(self.server.faults.get(self.command, iter(())), None):
            self.fail(fault)
        else:
            self.repository, kind, what, query = found.groups()
            getattr(self, f"{self.command}_{kind}".lower())(what, body, query)

    do_GET = do_HEAD = do_PUT = do_POST = handle_any  # noqa: N815 - the library's own names

    def allowed(self) -> bool:
        given = self.headers.get("Authorization", "")
        if self.server.auth == "token":
            wanted = "pull" if self.command in ("GET", "HEAD") else "push"
            return wanted in given.removeprefix("Bearer ").split(",")
        return (
            not self.server.auth or given == f"Basic {base64.b64encode(ACCOUNT.encode()).decode()}"
        )

    def refuse(self) -> None:
        actions = "pull" if self.command in ("GET", "HEAD") else "pull,push"
        token = (
            "Bearer"
            f' realm="http://{self.server.name}/token",service="x",scope="repository:a/b:{actions}"'
        )
        self.answer(
            401, WWW_Authenticate=token if self.server.auth == "token" else 'Basic realm="x"'
        )

    def token(self, body: bytes) -> None:
        if self.command == "POST":  # OAuth 2
            given = dict(urllib.parse.parse_qsl(body.decode()))
            if (given["grant_type"], given.get("refresh_token")) != ("refresh_token", IDENTITY):
                return self.answer(401)
            return self.answer(
                200, json.dumps({"access_token": given["scope"].rpartition(":")[2]}).encode()
            )
        if (
            self.headers.get("Authorization")
            != f"Basic {base64.b64encode(ACCOUNT.encode()).decode()}"
        ):
            return self.answer(401)
        actions = re.search(r"repository%3Aa%2Fb%3A([^&]+)", self.path)
        return self.answer(
            200, json.dumps({"token": (actions[1] if actions else "").replace("%2C", ",")}).encode()
        )

    def post_blobs(self, what: str, body: bytes, query: str | None) -> None:
        mount = urllib.parse.parse_qs(query or "").get("mount", [""])[0]
        if self.server.mounts and mount in self.server.blobs:
            self.server.held.add((self.repository, mount))
            return self.answer(201)
        return self.answer(202, Location=f"{self.path.partition('?')[0]}some-id?state=1")

    def head_blobs(self, what: str, body: bytes, query: str | None) -> None:
        self.answer(200 if (self.repository, what) in self.server.held else 404)

    def put_blobs(self, what: str, body: bytes, query: str | None) -> None:
        digest = (query or "").rpartition("digest=")[2].replace("%3A", ":")
        if digest != _digest(body):
            return self.answer(400, b"the digest is another")
        self.server.blobs[digest] = body
        self.server.held.add((self.repository, digest))
        return self.answer(201)

    def get_blobs(self, what: str, body: bytes, query: str | None) -> None:
        found = self.server.blobs.get(what)
        return self.answer(404) if found is None else self.answer(200, found)

    def get_manifests(self, what: str, body: bytes, query: str | None) -> None:
        if what not in self.server.manifests:
            return self.answer(404)
        media_type, content = self.server.manifests[what]
        return self.answer(
            200, content, Content_Type=media_type, Docker_Content_Digest=_digest(content)
        )

    head_manifests = get_manifests

    def put_manifests(self, what: str, body: bytes, query: str | None) -> None:
        manifest = json.loads(body)
        needed = [manifest["config"], *manifest["layers"]] if "layers" in manifest else []
        if missing := [each for each in needed if each["digest"] not in self.server.blobs]:
            return self.answer(400, f"unknown blobs: {missing}".encode())
        self.server.manifests[what] = self.server.manifests[_digest(body)] = (
            self.headers["Content-Type"],
            body,
        )
        subject = manifest.get("subject", {}).get("digest", "")
        return self.answer(
            201, **({"OCI_Subject": subject} if subject and self.server.referrers else {})
        )

    def get_referrers(self, what: str, body: bytes, query: str | None) -> None:
        if not self.server.referrers:
            return self.answer(404)
        found = [
            {
                "mediaType": kind,
                "digest": digest,
                "size": len(content),
                "artifactType": manifest["artifactType"],
            }
            for digest, (kind, content) in self.server.manifests.items()
            for manifest in [json.loads(content)]
            if manifest.get("subject", {}).get("digest") == what
        ]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": found}
        return self.answer(200, json.dumps(index).encode(), Content_Type=INDEX)
