"""A repository that was not written for slimbake: `init`, `bake`, and its services answer beside a
real Postgres and Redis.
"""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.engine.conftest import Ended, Toy, call, docker, fetch, fleet
from tests.engine.registries import free_port
from tests.engine.toys import held, text_of
from tests.patience import wait_for
from tools.bare.images import python_image

FIXTURE = Path(__file__).parents[1] / "fixtures/repositories/django-shop"
# Its frontend keeps its Dockerfile, whose image no machine without a registry has.
PYTHON = ("web", "worker", "beat", "migrate")
# In place of the official images, of which no machine without a registry has one.
DATABASES = text_of("databases.Dockerfile")
POSTGRES = text_of("postgres.sh")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    folder = tmp_path_factory.mktemp("init")
    image = python_image("3.11")
    (folder / "Dockerfile").write_text(DATABASES.replace("IMAGE", image))
    (folder / "postgres.sh").write_text(POSTGRES)
    with fleet(folder / "shop") as made:
        shutil.copytree(FIXTURE, made.root)
        compose = made.root / "compose.yaml"
        text = compose.read_text().replace("name: shop", f"name: {made.project}")
        for name, official in {"postgres": "postgres:16-alpine", "redis": "redis:7-alpine"}.items():
            tag = f"{made.project}-{name}"
            docker("build", "--quiet", f"--tag={tag}", f"--target={name}", str(folder))
            text = text.replace(official, tag)
        compose.write_text(text.replace("8000:8000", f"{free_port()}:8000"))
        try:
            yield made
        finally:
            docker("image", "rm", f"{made.project}-postgres", f"{made.project}-redis")


def test_a_django_application_with_celery_is_adopted_and_baked(shop: Toy) -> None:
    done = shop.done("init")
    assert "1 own, with a shell, 3 own, 1 kept" in done.stdout
    assert "ready-made, stay in the compose file: db, redis" in done.stdout
    baked = shop.done("bake", *PYTHON, "--json")
    images = baked.json()["images"]
    assert {name: images[name]["checks"] for name in PYTHON} == {
        name: ["start", "inventory"] for name in PYTHON
    }
    assert all(held(shop.image(name)) for name in PYTHON)
    again = shop.done("init")
    assert "services.yaml exists already, and `init` does not change it" in again.stdout


def test_it_answers_by_itself(shop: Toy) -> None:
    try:
        up = shop.done("up", "web")
        [port] = re.findall(r"web: 127\.0\.0\.1:(\d+)", up.stderr + up.stdout)
        wait_for(lambda: fetch(f"http://127.0.0.1:{port}/health")[0] == 200, "the shop answers")
    finally:
        shop.slimbake("down", "--volumes")


def test_it_answers_from_postgres_in_its_own_compose_file(shop: Toy) -> None:
    said = shop.slimbake("export", "compose")
    assert "include: [bake/compose.yaml]\n" in said.stdout
    own = yaml.safe_load((shop.root / "compose.yaml").read_text())
    for name in PYTHON:
        kept = {k: v for k, v in own["services"][name].items() if k not in {"build", "ports"}}
        extends = {"file": "bake/compose.yaml", "service": name}
        own["services"][name] = {**kept, "extends": extends}
    shop.file("beside.yaml", yaml.safe_dump(own))

    def compose(*words: str) -> Ended:
        return call("docker", "compose", "--file=beside.yaml", *words, cwd=shop.root)

    try:
        up = compose("up", "--detach", "--wait", "web", "worker")
        assert up.code == 0, up.stderr
        migrated = compose("run", "--rm", "migrate")
        assert migrated.code == 0, migrated.stderr
        [port] = re.findall(r":(\d+)$", compose("port", "web", "8000").stdout.strip())
        status, text = fetch(f"http://127.0.0.1:{port}/tables")
        assert (status, json.loads(text)["database"]) == (200, "postgresql")
        assert "django_migrations" in json.loads(text)["tables"]
        assert compose("exec", "db", "pg_isready", "-U", "shop").code == 0
    finally:
        compose("down", "--volumes")


@pytest.mark.parametrize(
    ("name", "services"),
    [
        ("poetry-services", "orders billing"),
        ("uv-workspace", "api indexer"),
        ("monorepo", "gateway legacy search shared"),
        ("odd-compose", "api admin scripted again shelly"),
        ("torch-api", ""),  # called as its folder
    ],
)
def test_what_init_carries_over_bakes_and_starts_untouched(
    name: str, services: str, tmp_path: Path
) -> None:
    root = tmp_path / f"toy-{uuid.uuid4().hex[:8]}"  # after which the project is called
    with fleet(root) as made:
        shutil.copytree(FIXTURE.parent / name, root)
        made.done("init")
        wanted = services.split() or [root.name]
        baked = made.done("bake", *wanted, "--json")
        images = baked.json()["images"]
        assert [each for each in wanted if "start" in images[each]["checks"]] == wanted


ODD = """\
FROM IMAGE
ARG MODEL=small
RUN apt-get update && apt-get install -y --no-install-recommends jq
RUN set -eu; for f in a b; do echo "$f $MODEL" >> /etc/list; done
WORKDIR /usr/src/app
COPY requirements.txt .
RUN PIP
COPY src /usr/src/app
COPY lib /usr/src/app/lib
COPY conf/tool.xml /etc/tool/tool.xml
RUN python make.py $MODEL
CMD ["python", "main.py"]
"""
ODD_FILES = {
    "requirements.txt": "iniconfig\n",
    "src/make.py": "import sys, iniconfig\nopen('model', 'w').write(sys.argv[1])\n",
    "src/main.py": "import subprocess, iniconfig\nfrom lib import b\n"
    "names = ('/etc/list', '/etc/tool/tool.xml', 'model', '/usr/src/app/lib/b.py')\n"
    "print(b.ONE, [open(name).read() for name in names])\n"
    "print(subprocess.run(['jq', '--version'], capture_output=True, text=True).stdout)\n",
    "lib/b.py": "ONE = 1\n",
    "conf/tool.xml": "<x/>\n",
}


def test_what_init_does_not_read_runs_as_it_is_and_lies_where_it_lay(tmp_path: Path) -> None:
    python_image("3.13")
    root = tmp_path / f"toy-{uuid.uuid4().hex[:8]}"
    with fleet(root) as made:
        for name, text in ODD_FILES.items():
            made.file(name, text)
        pip = "pip install --no-cache-dir --break-system-packages -r requirements.txt"
        text = ODD.replace("IMAGE", "python:3.13-slim-trixie").replace("PIP", pip)
        made.file("Dockerfile", text)
        made.done("init")
        manifest = (root / "services.yaml").read_text()
        assert "from:" in manifest and "# kept" not in manifest
        made.done("bake")
        ours = docker("run", "--rm", f"{root.name}/{root.name}:latest")
    assert ours == ("1 ['a small\\nb small\\n', '<x/>\\n', 'small', 'ONE = 1\\n']\njq-1.7\n\n")
