"""An engine that holds made-up images and saves them as OCI layouts."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Protocol

import pytest
from tests.unit.layouts import Made, packed, write

from slimbake import docker
from slimbake.host.workspace import Workspace
from slimbake.images.detail import Survey
from slimbake.images.measure import survey


class Engine:
    """`images`: name -> id, of what it holds; `saves`: what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.layout = folder / "layout"
        self.images: dict[str, str] = {}
        self.saves: list[Sequence[str]] = []

    def hold(self, *images: Made) -> dict[str, str]:
        """Hold these images; their ids by their short names."""
        write(self.layout, *images)
        for entry in json.loads((self.layout / "index.json").read_text())["manifests"]:
            name = entry["annotations"]["io.containerd.image.name"]
            self.images[name.rpartition("/")[2].partition(":")[0]] = entry["digest"]
        return self.images

    def blob(self, digest: str) -> Path:
        return self.layout / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def saved(self, ids: Sequence[str]) -> AbstractContextManager[IO[bytes]]:
        self.saves.append(ids)
        return packed(self.layout).open("rb")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    found = Engine(tmp_path / "engine")
    monkeypatch.setattr(docker, "saved", found.saved)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return found


class Surveyed(Protocol):
    def __call__(self, *images: Made) -> Survey: ...


@pytest.fixture
def surveyed(engine: Engine) -> Surveyed:
    """What is found in images that the engine holds."""
    return lambda *images: survey(engine.hold(*images), Workspace(None))
