"""A real registry on loopback, Debian's docker-registry, and what it holds."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from slimbake.registry.documents import INDEX, MANIFEST
from slimbake.release.sbom import MEDIA_TYPE

if TYPE_CHECKING:
    from tests.engine.conftest import Toy

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


class Pushed:
    """What a registry holds of a service."""

    def __init__(self, registry: str, toy: Toy, service: str) -> None:
        self._url = f"http://{registry}/v2/{toy.project}/{service}"

    def manifest(self, reference: str) -> tuple[str, dict[str, Any]]:
        request = urllib.request.Request(
            f"{self._url}/manifests/{reference}", headers={"Accept": f"{MANIFEST}, {INDEX}"}
        )
        with urllib.request.urlopen(request) as answer:
            content = answer.read()
        return f"sha256:{hashlib.sha256(content).hexdigest()}", json.loads(content)

    def blob(self, digest: str) -> bytes:
        with urllib.request.urlopen(f"{self._url}/blobs/{digest}") as answer:
            return bytes(answer.read())

    def tags(self) -> list[str]:
        with urllib.request.urlopen(f"{self._url}/tags/list") as answer:
            return sorted(json.load(answer)["tags"])

    def sboms(self, digest: str) -> list[dict[str, Any]]:
        """The SBOMs that the fallback tag of an image lists."""
        _, index = self.manifest(digest.replace(":", "-"))
        sboms = [each for each in index["manifests"] if each["artifactType"] == MEDIA_TYPE]
        return [self.manifest(each["digest"])[1] for each in sboms]


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
