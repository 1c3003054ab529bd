"""`up --watch`, as a person starts it: an edit of code gets into the container, others are baked."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.engine.conftest import Toy, docker, fetch
from tests.engine.registries import free_port
from tests.engine.test_interrupt import started
from tests.engine.toys import held
from tests.patience import wait_for

CODE = """
import http.server, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"{word}")
if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    print("serving http://0.0.0.0:8000", flush=True)
    http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""
SMOKE = "def load():\n    import app\n"
MANIFEST = """
services:
  web:
    context: web
    command: [python, app.py]
    port: 8000
    publish: {port}
    smoke: smoke.py
    env: {{MODE: {mode}}}
"""


@contextmanager
def watching(toy: Toy) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A watch, and the lines that it says on stderr."""
    with started(toy, "up", "--watch", stdout=subprocess.DEVNULL) as process:
        said: list[str] = []
        stream = process.stderr
        assert stream is not None
        reader = threading.Thread(
            target=lambda: said.extend(line.rstrip("\n") for line in stream), daemon=True
        )
        reader.start()
        try:
            yield process, said
        finally:
            process.kill()
            reader.join()


@pytest.mark.slow
def test_an_edit_of_code_is_synced_and_another_is_baked_until_ctrl_c(toy: Toy) -> None:
    port = free_port()

    def write(word: str, mode: str = "one") -> None:
        files = {"web/app.py": CODE.format(word=word), "web/smoke.py": SMOKE}
        toy.write(MANIFEST.format(port=port, mode=mode), files)

    write("first")
    with watching(toy) as (process, said):

        def answers(word: str) -> None:
            wait_for(
                lambda: fetch(f"http://127.0.0.1:{port}/") == (200, word),
                f"the answer {word}",
                lambda: process.poll() is None,
            )

        answers("first")
        wait_for(lambda: f"web: 127.0.0.1:{port}" in said, "the end of the start")
        image = held(toy.image("web"))
        toy.file("web/app.py", CODE.format(word="second"))
        answers("second")
        wait_for(lambda: "synced and restarted: web" in said, "the end of the sync")
        assert held(toy.image("web")) == image
        write("second", mode="two")
        wait_for(lambda: held(toy.image("web")) != image, "the bake")
        wait_for(lambda: said.count(f"web: 127.0.0.1:{port}") == 2, "the next start")
        answers("second")
        toy.file("web/app.py", CODE.format(word="third"))
        answers("third")
        wait_for(lambda: said.count("synced and restarted: web") == 2, "the end of the sync")

        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    assert "containers keep the code that was synced: `slimbake up` starts the images" in said
    assert fetch(f"http://127.0.0.1:{port}/") == (200, "third")
    toy.done("up")
    assert fetch(f"http://127.0.0.1:{port}/") == (200, "second"), "as the image has it"
    name = docker("ps", "--quiet", f"--filter=label=com.docker.compose.project={toy.project}")
    assert docker("inspect", "--format={{json .Mounts}}", name.strip()) == "[]\n"
    toy.slimbake("down")
