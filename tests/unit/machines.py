"""A Debian machine, engines and externals for tests: none is the one they run on."""

from dataclasses import replace
from typing import Any

from slimbake.docker.engine import DockerEngine
from slimbake.fleet.model import External
from slimbake.host.machine import Machine
from slimbake.host.pip import PackageSources

DEBIAN = Machine(
    root=True, packages=PackageSources(), ca_bundle=None, proxies=(), disk_free=80_000_000_000
)


def debian(**changes: Any) -> Machine:
    """The machine with some of its settings changed."""
    return replace(DEBIAN, **changes)


PYTHON = External("python", "python:3.11-slim-trixie")
UV = External("uv", "ghcr.io/astral-sh/uv:0.13.8")
SCANNER = External("scanner", "example.com/scanner:2")

ENGINE = DockerEngine(
    version="26.1.5",
    store="containerd",
    buildx=(0, 13, 1),
    builder="docker",
    endpoint="default",
    platform="linux/amd64",
    cores=2,
    memory=8 << 30,
    compose=(2, 26, 1),
)
CONTAINER = replace(
    ENGINE, version="28.0", store="graph", buildx=(0, 20, 0), builder="docker-container"
)
