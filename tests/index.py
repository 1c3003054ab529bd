"""A package index on loopback (PEP 503, 691, 658) with wheels made on the fly, which breaks as it
is asked to.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from tests.wheels import metadata, module, sdist_bytes, wheel_bytes

NONE: Mapping[str, str] = MappingProxyType({})
JSON = "application/vnd.pypi.simple.v1+json"


@dataclass
class Index:
    """What the index holds, what it was asked, and how it shall break."""

    url: str  # of its simple pages
    files: dict[str, bytes] = field(default_factory=dict)  # file name -> what is served
    # project -> its files, as PEP 691 has them
    entries: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    # path, headers in lower case
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    breaks: dict[str, list[int]] = field(default_factory=dict)
    """File name -> for each request of it in turn: a status, or, below 100, that so many bytes come
    and no more.
    """
    ranges: bool = True  # whether a part of a file can be asked for
    redirects: dict[str, str] = field(default_factory=dict)  # file name -> an address elsewhere
    unknown: int = 404  # the status of what is not there; some answer 401 to whom they do not know

    def add(
        self,
        name: str,
        version: str,
        requires: Sequence[str] = (),
        *,
        tag: str = "py3-none-any",
        yanked: str = "",
    ) -> str:
        """Publish a wheel; its SHA-256."""
        file = f"{module(name)}-{version}-{tag}.whl"
        self.files[f"{file}.metadata"] = metadata(name, version, requires)
        about = {
            "core-metadata": {"sha256": _sha256(self.files[f"{file}.metadata"])},
            "yanked": yanked or False,
        }
        return self.publish(name, file, wheel_bytes(name, version, requires, tag=tag), **about)

    def add_sources(self, name: str, version: str, requires: Sequence[str] = ()) -> str:
        """Publish sources without a wheel; their SHA-256."""
        file = f"{module(name)}-{version}.tar.gz"
        return self.publish(name, file, sdist_bytes(name, version, requires))

    def publish(self, name: str, file: str, content: bytes, **about: object) -> str:
        """Publish any file of a project; its SHA-256."""
        self.files[file] = content
        sha256 = _sha256(content)
        entry = {
            "filename": file,
            "url": f"/files/{file}",
            "hashes": {"sha256": sha256},
            "size": len(content),
        }
        entries = self.entries.setdefault(name, [])
        entries[:] = [each for each in entries if each["filename"] != file]
        entries.append(entry | about)
        return sha256

    def fetched(self) -> list[str]:
        """The wheels that were asked for so far, in order."""
        return [path.rpartition("/")[2] for path, _ in self.asked if path.endswith(".whl")]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def serving(host: str = "127.0.0.1") -> Iterator[Index]:
    """An empty index that answers until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = unquote(self.path.rstrip("/").rpartition("/")[2])
            index.asked.append(
                (unquote(self.path), {key.lower(): value for key, value in self.headers.items()})
            )
            if self.path.startswith("/simple/") and name in index.entries:
                page = {"meta": {"api-version": "1.1"}, "name": name, "files": index.entries[name]}
                self.answer(200, json.dumps(page).encode(), {"Content-Type": JSON})
            elif name in index.redirects:
                self.answer(302, b"", {"Location": index.redirects[name]})
            elif self.path.startswith("/files/") and name in index.files:
                self.file(name)
            else:
                self.answer(index.unknown, b"no such page")

        do_HEAD = do_GET  # noqa: N815

        def file(self, name: str) -> None:
            content, fault = index.files[name], (index.breaks.get(name) or [0]).pop(0)
            if fault >= 100:
                self.answer(fault, b"asked to")
                return
            start = (
                re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) if index.ranges else None
            )
            rest = content[int(start[1]) if start else 0 :]
            self.answer(206 if start else 200, rest, limit=fault)

        def answer(
            self, status: int, body: bytes, headers: Mapping[str, str] = NONE, limit: int = 0
        ) -> None:
            self.send_response(status)
            for name, value in {
                "Content-Length": str(len(body)),
                "Cache-Control": "no-store",
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[:limit] if limit else body)
            if limit:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    index = Index(f"http://{host}:{server.server_port}/simple")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
