"""Images of the repository's own compose file: which are needed, by whom, and which are missing."""

from pathlib import Path

import pytest

from slimbake import docker
from slimbake.console import QUIET
from slimbake.docker.beside import OwnServices
from slimbake.errors import SetupError
from slimbake.externals import beside
from slimbake.externals.beside import BesideImage, beside_images, lacking, pull

TEXT = """\
services:
  redis:
    restart: always
    image: redis:${TAG}
  db: {image: postgres}
"""
IMAGES = {"redis": "redis:7", "db": "postgres", "mail": "mail:1"}
OWN = OwnServices({"services": {name: {"image": image} for name, image in IMAGES.items()}})
REDIS = BesideImage("redis:7", "compose.yaml:4", "redis", ("api", "job"))
DB = BesideImage("postgres", "compose.yaml:5", "db", ("api",))
INCLUDED = BesideImage("mail:1", "compose.yaml", "mail", ("api",))


def test_each_image_says_where_it_is_written_and_who_needs_it(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(TEXT)
    needs = {"api": ("redis", "db", "mail"), "job": ("redis",)}
    assert set(beside_images(file, OWN, needs)) == {REDIS, DB, INCLUDED}


def test_what_the_engine_lacks_is_pulled_or_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def pulled(name: str, platform: str) -> str:
        if name == "redis:7":
            raise SetupError("docker image failed", "Error: redis:\nfailed: lookup: no such host\n")
        return "sha256:1"

    monkeypatch.setattr(beside, "in_engine", lambda name: name == "postgres")
    monkeypatch.setattr(docker, "pull_image", pulled)
    assert lacking((REDIS, DB)) == (REDIS,)
    pull((), QUIET)
    pull((DB,), QUIET)
    with pytest.raises(SetupError) as caught:
        pull((REDIS, DB), QUIET)
    assert caught.value.message == (
        "compose.yaml:4: the engine has no image redis:7, and cannot pull it (no such host)\n"
        "  api, job cannot start without 'redis'"
    )
    assert "bring in redis:7 with `docker load`" in caught.value.hint
