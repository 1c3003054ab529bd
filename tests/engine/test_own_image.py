"""slimbake as an image: whoever has Docker alone copies `tools/slimbake`, and calls it as slimbake."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.engine.conftest import ROOT, Ended, call, docker, fetch, fleet
from tests.engine.registries import free_port
from tests.engine.test_docs_commands import commands
from tools.image.__main__ import FOLDER, unpack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user"),
]

PAGE = Path("docs/get-started/install.md")
SOCKET = Path("/var/run/docker.sock")
USER = 4321
DOCKERFILE = """\
FROM python:3.11-slim-trixie
WORKDIR /app
RUN pip install markupsafe
COPY app.py .
EXPOSE PORT
CMD ["python", "app.py"]
"""
APP = """\
import http.server
import signal
import sys

signal.signal(signal.SIGTERM, lambda *_: sys.exit())
http.server.HTTPServer(("", PORT), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image of this checkout, under a name that no other has."""
    with fleet(tmp_path_factory.mktemp("image")) as made:
        for name in ("app", "bake/locks"):
            shutil.copytree(FOLDER / name, made.root / name)
        manifest = (FOLDER / "services.yaml").read_text("utf-8")
        made.file(
            "services.yaml", manifest.replace("project: slimbake", f"project: {made.project}")
        )
        unpack(made.root)
        made.done("lock")
        made.done("bake")
        yield made.image("slimbake")


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def shop(port: int) -> Iterator[Path]:
    """A repository of another user's, with a Dockerfile; its path has a space."""
    with tempfile.TemporaryDirectory(prefix="a shop ") as folder:
        root = Path(folder, f"shop-{os.getpid()}")
        (root / "web").mkdir(parents=True)
        (root / "web/Dockerfile").write_text(DOCKERFILE.replace("PORT", str(port)))
        (root / "web/app.py").write_text(APP.replace("PORT", str(port)))
        call("git", "init", "--quiet", cwd=root)
        for path in (Path(folder), *Path(folder).rglob("*")):
            os.chown(path, USER, USER)
        yield root
        docker("volume", "rm", "--force", f"slimbake-{USER}")


def script(shop: Path, image: str, *words: str) -> Ended:
    """A call of the script by a user who may use the engine."""
    return as_user(shop, [ROOT / "tools/slimbake", *words], SLIMBAKE_IMAGE=image)


def as_user(shop: Path, argv: Sequence[str | Path], **env: str) -> Ended:
    """A command in the repository, of its owner, who may use the engine."""
    done = subprocess.run(
        argv,
        cwd=shop,
        env={**os.environ, "HOME": str(shop.parent), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        user=USER,
        group=USER,
        extra_groups=[SOCKET.stat().st_gid],
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def test_a_repository_with_dockerfiles_becomes_checked_images_that_start(
    shop: Path, image: str, port: int
) -> None:
    initialised = script(shop, image, "init")
    assert initialised.code == 0, initialised.stderr
    baked = script(shop, image, "bake", "--json")
    assert baked.code == 0, baked.stderr
    assert baked.json()["images"]["web"]["checks"] == ["start", "inventory"]
    started = script(shop, image, "up")
    try:
        assert started.code == 0, started.stderr
        assert fetch(f"http://127.0.0.1:{port}/app.py")[0] == 200
    finally:
        assert script(shop, image, "down").code == 0
    assert script(shop, image, "check").code == 0


def test_the_line_of_the_page_bakes(shop: Path, image: str) -> None:
    if not (shop / "services.yaml").is_file():
        assert script(shop, image, "init").code == 0
    (line,) = [each for each in commands(str(PAGE)) if each.startswith("docker run")]
    # This machine's mirrors, which the page's reader does not need.
    options = [f"--volume={Path.home()}/.config/pip:/tmp/.config/pip"]
    for name, value in os.environ.items():
        if name.startswith(("PIP_", "UV_")):
            options.append(f"--env={name}")
            options += [f"--volume={value}:{value}"] * Path(value).is_absolute()
    line = line.replace("slimbake/slimbake", f"{shlex.join(options)} {image}")
    done = as_user(shop, ["bash", "-c", line])
    assert done.code == 0, done.stderr
    assert "web" in done.stdout


def test_all_that_it_writes_belongs_to_the_caller(shop: Path, image: str) -> None:
    assert script(shop, image, "bake").code == 0
    others = [path for path in shop.parent.rglob("*") if path.lstat().st_uid != USER]
    assert others == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([f"--volume={SOCKET}:{SOCKET}"], '`docker run` needs `--group-add "$(stat -c %g'),
        ([], "`docker run` needs `--volume /var/run/docker.sock:/var/run/docker.sock`"),
    ],
)
def test_without_the_socket_or_the_right_to_it_the_message_says_what_docker_run_needs(
    shop: Path, image: str, options: list[str], message: str
) -> None:
    place = (f"--volume={shop}:{shop}", f"--workdir={shop}", f"--user={USER}")
    refused = call("docker", "run", "--rm", *place, *options, image, "bake")
    assert refused.code == 7
    assert message in refused.stderr
