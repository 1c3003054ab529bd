"""Images that a repository builds for others of its Dockerfiles to stand on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from slimbake.adopt.init import InitRequest, start
from slimbake.adopt.model import Draft
from slimbake.config import manifest

BASE = (
    "FROM python:3.12-slim AS tools\nRUN pip install httpx\n"
    "FROM python:3.12-slim\nENV MODE=plain\nCOPY --from=tools /usr/local /usr/local\n"
    "RUN apt-get install -y libgomp1 && useradd -u 1500 app\nCOPY settings.ini /etc/base.ini\n"
    'ENTRYPOINT ["tini", "--"]\nWORKDIR /home/app\n'
    "ONBUILD COPY requirements.txt .\nONBUILD RUN true && \\\n  pip install -r requirements.txt\n"
    "ONBUILD COPY . .\nONBUILD USER app\n"
)
WEB = 'FROM acme/base:latest\nENV LEVEL=1\nCMD ["python", "app.py"]\n'
FILES = {
    "docker/base/Dockerfile": BASE,
    "docker/base/settings.ini": "",
    "web/Dockerfile": WEB,
    "web/app.py": "",
    "web/requirements.txt": "flask\n",
}
COMPOSE = "services:\n  web: {build: web}\n"


def adopted(root: Path, files: Mapping[str, str]) -> dict[str, Draft]:
    for name, text in {**FILES, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    decided = start(root / "services.yaml", InitRequest())
    (root / "services.yaml").write_text(decided.text)
    for path, text in decided.files.items():
        (root / path).write_text(text)
    manifest(root / "services.yaml")
    return {each.name: each for each in decided.drafts}


@pytest.mark.parametrize(
    "says",
    [
        {
            "compose.yaml": f"{COMPOSE}  base: {{build: docker/base, image: 'acme/base:${{V:-1}}'}}\n"
        },
        {"README.md": "Call `docker build -t acme/base docker/base && docker compose up` first.\n"},
        {
            "Makefile": "base:\n\tdocker buildx build -t $(HUB)/base:$(V) \\\n\t  docker/base --load\n"
        },
        {
            "ci/build.sh": "podman build -f docker/base/Dockerfile --tag=acme/base:latest docker/base"
        },
        {},  # the folder's name
    ],
)
def test_an_image_of_the_repository_is_the_stage_below(
    tmp_path: Path, says: Mapping[str, str]
) -> None:
    drafts = adopted(tmp_path, {"compose.yaml": COMPOSE, **says})
    assert drafts.keys() == {"web"}
    entry = drafts["web"].entry
    assert (entry["context"], entry["requirements"]) == ("web", ["web/requirements.txt", "httpx"])
    assert (entry["env"], entry["user"]) == ({"MODE": "plain", "LEVEL": "1"}, "1500")
    assert entry["system"] == ["libgomp1", "tini"]
    assert entry["command"] == ["python", "app.py"]
    assert entry["entrypoint"] == ["tini", "--"]
    what = {(str(each.place), each.what): each.advice for each in drafts["web"].notes}
    assert (
        "as the stage below"
        in what["web/Dockerfile:1", "acme/base:latest is built by docker/base/Dockerfile"]
    )
    copied = "docker/base/Dockerfile:7", "docker/base/settings.ini is copied to /etc/base.ini"
    assert copied in what
    assert not any("images that are built on this one" in each for each in what.values())


def test_two_dockerfiles_that_build_it_are_none(tmp_path: Path) -> None:
    text = "docker build -t acme/base docker/base\ndocker build -t acme/base web\n"
    web = adopted(tmp_path, {"compose.yaml": COMPOSE, "README.md": text})["web"]
    assert web.entry["dockerfile"] == "web/Dockerfile"


def test_one_that_changes_an_image_of_the_same_name_builds_another(tmp_path: Path) -> None:
    files = {
        "compose.yaml": f"{COMPOSE}  redis: {{build: redis}}\n",
        "redis/Dockerfile": "FROM redis:7\nCOPY redis.conf /etc/\n",
        "redis/redis.conf": "",
        "web/Dockerfile": "FROM redis:7-alpine\nCMD redis-server\n",
    }
    drafts = adopted(tmp_path, files)
    assert drafts["redis"].entry["dockerfile"] == "redis/Dockerfile"
    assert "contexts" not in drafts["web"].entry
    assert not any("is built by" in each.what for each in drafts["web"].notes)


def test_a_dockerfile_that_stays_stands_on_the_image_of_the_fleet(tmp_path: Path) -> None:
    files = {"compose.yaml": COMPOSE, "docker/base/Dockerfile": "FROM node:22\nWORKDIR /srv\n"}
    drafts = adopted(tmp_path, files)
    assert drafts["web"].entry["contexts"] == {"acme/base:latest": "target:base"}
    base = drafts["base"].entry
    assert (base["dockerfile"], base["start"]) == ("docker/base/Dockerfile", "none")
    assert base["up"] is False


def test_a_service_that_others_stand_on_stays_one(tmp_path: Path) -> None:
    files = {
        "compose.yaml": f"{COMPOSE}  base: {{build: docker/base, image: acme/base}}\n",
        "docker/base/Dockerfile": BASE.replace("ONBUILD", "#")
        + 'CMD ["python", "-m", "http.server"]',
    }
    assert adopted(tmp_path, files).keys() == {"web", "base"}


def test_images_that_stand_on_one_another_end(tmp_path: Path) -> None:
    files = {
        "compose.yaml": COMPOSE,
        "base/Dockerfile": "FROM acme/other\n",
        "docker/base/Dockerfile": "FROM acme/none\n",
        "README.md": "docker build -t acme/base base\ndocker build -t acme/other other",
        "other/Dockerfile": "FROM acme/base\n",
    }
    assert adopted(tmp_path, files)["web"].entry["dockerfile"] == "web/Dockerfile"
