"""A real registry on loopback: Debian's docker-registry."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import requests

PROGRAM = "docker-registry"  # of Debian's package of that name


@contextlib.contextmanager
def loopback_registry() -> Iterator[str]:
    """An empty one, `127.0.0.1:PORT`, gone in the end with all that was pushed. PROGRAM has to be
    installed.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise SystemExit(f"{PROGRAM} is not installed: `apt-get install {PROGRAM}`")
    with tempfile.TemporaryDirectory(prefix="registry-") as folder:
        at = f"127.0.0.1:{free_port()}"
        config = Path(folder) / "config.yml"
        config.write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nhttp: {addr:"
            f" '{at}'}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}, delete:"
            " {enabled: true}}\n"
        )
        with subprocess.Popen([program, "serve", str(config)], stderr=subprocess.DEVNULL) as server:
            try:
                _wait(f"http://{at}/v2/", server)
                yield at
            finally:
                server.send_signal(signal.SIGTERM)


def free_port() -> int:
    """A port of loopback on which nobody listens now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        with contextlib.suppress(requests.ConnectionError):
            requests.get(url)  # noqa: S113 - as long as it takes
            return
        time.sleep(0.1)
    raise AssertionError(f"the registry does not start: exit code {server.returncode}")
