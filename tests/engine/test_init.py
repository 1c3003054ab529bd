"""A repository that was not written for slimbake: `init`, `bake`, and its services answer."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.conftest import Toy, fetch, fleet
from tests.engine.registries import free_port
from tests.engine.toys import held
from tests.patience import wait_for

FIXTURE = Path(__file__).parents[1] / "fixtures/repositories/django-shop"
# Its frontend keeps its Dockerfile, whose image no machine without a registry has.
PYTHON = ("web", "worker", "beat", "migrate")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    with fleet(tmp_path_factory.mktemp("init") / "shop") as made:
        shutil.copytree(FIXTURE, made.root)
        compose = made.root / "compose.yaml"
        text = compose.read_text().replace("name: shop", f"name: {made.project}")
        compose.write_text(text.replace("8000:8000", f"{free_port()}:8000"))
        yield made


@pytest.mark.slow
def test_a_django_application_with_celery_is_adopted_baked_and_answers(shop: Toy) -> None:
    done = shop.slimbake("init")
    assert done.code == 0, done.stderr
    assert "left in compose.yaml: db (postgres:16-alpine), redis (redis:7-alpine)" in done.stdout
    baked = shop.slimbake("bake", *PYTHON, "--json")
    assert baked.code == 0, baked.stderr
    images = baked.json()["images"]
    assert {name: images[name]["checks"] for name in PYTHON} == {
        "web": ["start", "inventory", "smoke"],
        "worker": ["start", "inventory", "smoke"],
        "beat": ["start", "inventory", "smoke"],
        "migrate": ["inventory", "smoke"],  # a job, which ends
    }
    assert all(held(shop.image(name)) for name in PYTHON)
    again = shop.slimbake("init")
    assert again.code == 0, again.stderr
    assert "services.yaml is there, and stays as it is" in again.stdout
    [web] = [line.split() for line in again.stdout.splitlines() if line.startswith("web ")]
    assert web[1] == "unmeasured"  # nobody built the Dockerfile here
    assert web[2] != "unmeasured"
    try:
        up = shop.slimbake("up", "web")
        assert up.code == 0, up.stderr
        [port] = re.findall(r"web: http://127\.0\.0\.1:(\d+)", up.stderr + up.stdout)
        wait_for(lambda: fetch(f"http://127.0.0.1:{port}/health")[0] == 200, "the shop answers")
    finally:
        shop.slimbake("down", "--volumes")
