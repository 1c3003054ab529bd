"""Pushes to a registry that hangs or hangs up end, with words about the registry."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import pytest
from tests.engine.conftest import Toy, docker
from tests.engine.toys import write

from slimbake import docker as engine
from slimbake.errors import SetupError

pytestmark = pytest.mark.slow


@contextmanager
def broken(how: Literal["hangs", "hangs up"]) -> Iterator[tuple[str, list[str]]]:
    """A registry that knows no layer and takes none: its address, and the uploads it was asked for."""
    over = threading.Event()
    uploads: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = default_request_version = "HTTP/1.1"  # Docker tries TLS first

        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/v2/" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815

        def do_POST(self) -> None:
            uploads.append(self.path)
            if how == "hangs":
                over.wait()
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}", uploads
    finally:
        over.set()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("how", "words"), [("hangs", "no answer within 5 s"), ("hangs up", "EOF")])
def test_a_push_ends_no_matter_what_the_registry_does(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, how: Literal["hangs", "hangs up"], words: str
) -> None:
    monkeypatch.setattr(engine.images, "PUSH_LIMIT", 5)
    write(toy, "one")
    assert toy.slimbake("bake").code == 0
    with broken(how) as (address, uploads):
        name = f"{address}/{toy.project}/one:latest"
        docker("image", "tag", toy.image("one"), name)
        try:
            with pytest.raises(SetupError, match="docker push failed") as caught:
                engine.push_image(name)
        finally:
            docker("image", "rm", name)
    assert words in caught.value.hint
    assert uploads
