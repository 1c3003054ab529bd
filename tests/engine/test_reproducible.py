"""The same content gives the same manifests, bit for bit: two engines, two checkouts that differ in
all else.

`pytest tests/engine/test_reproducible.py --example` proves it of the eight services
of this repository, as they were committed, too: minutes, and some 20 GB of disk while it runs.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.commits import commit, git
from tests.engine.conftest import ROOT, Toy, docker
from tests.engine.engines import Own, bring_externals, own_engine
from tests.engine.programs import bake_all, program
from tests.engine.toys import SMOKE, text_of
from tests.ran import ran

from slimbake.images.streams import zstd
from slimbake.inside.step import EPOCH
from slimbake.project import load

pytestmark = pytest.mark.slow

DAY = 86_400  # seconds
MODES = {0o644, 0o755}  # Git's

FLEET = text_of("reproducible.yaml")
PROJECT = (
    '[project]\nname = "{}"\nversion = "1"\n[build-system]\nrequires = ["{}"]\nbuild-backend ='
    ' "{}"\n'
)
FILES = {
    "full/requirements.txt": "loose\npyyaml\n../libs/shared\n../libs/older\n",
    "full/app.py": "import loose, older, shared, yaml\n",
    "full/full/__main__.py": "import app\n",
    "full/full/deeper/words.txt": "words\n",
    "full/run": "#!/usr/bin/env python\n",
    "full/smoke.py": SMOKE,
    "full/weights/config.json": "{}\n",
    "full/weights/deeper/model.safetensors": "weights\n" * 1000,
    "weights/config.json": "{}\n",
    "plain/app.py": "print('plain')\n",
    "libs/shared/pyproject.toml": PROJECT.format("shared", "uv_build>=0.9,<1", "uv_build"),
    "libs/shared/src/shared/__init__.py": "WORD = 'shared'\n",
    "libs/shared/src/shared/data/words.txt": "words\n",
    "libs/older/pyproject.toml": PROJECT.format("older", "setuptools>=77", "setuptools.build_meta"),
    "libs/older/older/__init__.py": "WORD = 'older'\n",
}
WHEEL = "loose-1-py3-none-any.whl"  # in a folder of the machine
INFO = ("METADATA", "WHEEL", "RECORD")
IN_WHEEL = {
    "loose.py": "WORD = 'loose'\n",
    "loose-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: loose\nVersion: 1\n",
    "loose-1.dist-info/WHEEL": (
        "Wheel-Version: 1.0\nGenerator: toy\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    ),
    "loose-1.dist-info/RECORD": "".join(
        f"{name},,\n" for name in ("loose.py", *map("loose-1.dist-info/{}".format, INFO))
    ),
}


@dataclass(frozen=True)
class Checkout:
    """A clone, and the engine that builds it."""

    root: Path
    umask: int
    packages: str
    engine: Own

    def bake(self) -> dict[str, Any]:
        """Every image that is built of it: its manifest's digest, and its layers' digests of their
        content.
        """
        if self.packages == "wheelhouse":
            self.run("-m", "slimbake", "lock", "--fetch")
        words = ("-c", program(bake_all), self.packages)
        built = json.loads(self.run(*words, DOCKER_HOST=self.engine.host))
        form = "--format={{json .RootFS.Layers}}"
        return {
            name: {
                "layers": json.loads(self.docker("image", "inspect", form, digest)),
                "manifest": digest,
            }
            for name, digest in built.items()
        }

    def run(self, *words: str, **env: str) -> str:
        """What a Python program prints that this checkout's user runs in it."""
        env["XDG_STATE_HOME"] = str(self.root.parent / "state")
        if (vendor := self.root / "vendor").is_dir():
            env |= {
                "PIP_FIND_LINKS": str(vendor),
                "SLIMBAKE_WHEELHOUSE": str(self.root.parent / "wheelhouse"),
            }
        argv = [sys.executable, *words]
        done = ran(argv, cwd=self.root, env=os.environ | env, umask=self.umask)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def docker(self, *words: str) -> str:
        return docker("--host", self.engine.host, *words)

    def members(self, images: Iterable[str]) -> list[tarfile.TarInfo]:
        """What lies in the layers of images, each layer once."""
        found: list[tarfile.TarInfo] = []
        saved = self.root.parent / "saved.tar"
        self.docker("save", f"--output={saved}", *images)
        with tarfile.open(saved) as archive:
            for blob in archive:
                data = file.read() if (file := archive.extractfile(blob)) else b""
                if data.startswith(b"\x28\xb5\x2f\xfd"):  # zstd: a layer
                    layer = io.BytesIO(zstd.decompress(data))
                    with tarfile.open(fileobj=layer, mode="r|") as members:
                        found += members
        return found


def clone(repository: Path, root: Path, umask: int) -> Path:
    """A clone of a repository by a user with that umask."""
    root.parent.mkdir(parents=True)
    subprocess.run(["git", "clone", "--quiet", repository, root], umask=umask, check=True)
    return root


def age(root: Path, seconds: int) -> None:
    """Make all that lies in a folder so much older."""
    for folder, _, names in os.walk(root, topdown=False):
        for path in (*(Path(folder) / name for name in names), Path(folder)):
            time = path.lstat().st_mtime - seconds
            os.utime(path, (time, time), follow_symlinks=False)


@pytest.fixture(scope="module")
def engines(request: pytest.FixtureRequest) -> Iterator[tuple[Own, Own]]:
    """Two engines with nothing in them but the image of Python; the other one cannot reach
    anything.
    """
    small = not request.config.getoption("--example")
    with own_engine() as one, own_engine(route=False, in_memory=small) as other:
        for own in (one, other):
            bring_externals(ROOT / "services.yaml", own.host)
        yield one, other


@pytest.fixture(scope="module", params=["toy", pytest.param("example", marks=pytest.mark.slow)])
def repository(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of everything that a fleet can have; or this one, as it was committed."""
    if request.param == "example":
        if not request.config.getoption("--example"):
            pytest.skip("--example builds the eight services of this repository, too")
        return ROOT
    made = Toy(tmp_path_factory.mktemp("repository"), "toy-reproducible")
    made.write(FLEET, FILES)
    (made.root / "full/run").chmod(0o755)
    (made.root / "full/link.txt").symlink_to("full/deeper/words.txt")
    (made.root / "vendor").mkdir()
    with zipfile.ZipFile(made.root / "vendor" / WHEEL, "w") as wheel:
        for name, text in IN_WHEEL.items():
            wheel.writestr(name, text)  # with a mode of 0600, and the time of now
    for word in ("lock", "generate"):
        made.done(word, env={"PIP_FIND_LINKS": str(made.root / "vendor")})
    commit(made.root)
    return made.root


@pytest.fixture(scope="module")
def checkouts(
    repository: Path, engines: tuple[Own, Own], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Checkout, Checkout]:
    """Two clones, by users with another umask each, at other places, a day and an unrelated commit
    apart.

    The one's packages come from the index while it is built, the other's from a wheelhouse.
    """
    base = tmp_path_factory.mktemp("checkouts")
    one = Checkout(clone(repository, base / "one" / "checkout", 0o022), 0o022, "index", engines[0])
    other = Checkout(
        clone(repository, base / "the-other's" / "own" / "checkout", 0o077),
        0o077,
        "wheelhouse",
        engines[1],
    )
    (other.root / "UNRELATED.md").write_text("Unrelated.\n")
    commit(other.root)
    age(other.root, DAY)
    return one, other


@pytest.fixture(scope="module")
def built(checkouts: tuple[Checkout, Checkout]) -> tuple[dict[str, Any], ...]:
    with ThreadPoolExecutor() as pool:
        return tuple(pool.map(Checkout.bake, checkouts))


def test_the_checkouts_differ(checkouts: tuple[Checkout, Checkout]) -> None:
    files = [checkout.root / "services.yaml" for checkout in checkouts]
    assert [path.stat().st_mode & 0o777 for path in files] == [0o644, 0o600]
    assert [path.parent.stat().st_mode & 0o777 for path in files] == [0o755, 0o700]
    assert files[0].stat().st_mtime - files[1].stat().st_mtime > DAY - 600
    commits = {git(checkout.root, "rev-parse", "HEAD") for checkout in checkouts}
    assert len(commits) == 2


def test_two_engines_give_the_same_manifests(
    checkouts: tuple[Checkout, Checkout], built: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    one, other = built
    targets = load(checkouts[0].root / "services.yaml").plan.targets
    assert {
        target.name for target in targets if target.kind in ("runtime", "base", "service")
    } == one.keys()
    for name in one:
        assert one[name]["layers"] == other[name]["layers"], name
    assert one == other


def test_every_file_of_every_layer_has_the_one_time(
    checkouts: tuple[Checkout, Checkout], built: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    """Times that are equal only because two builds ran in the same second would not be noticed
    above.
    """
    members = checkouts[0].members(image["manifest"] for image in built[0].values())
    assert {"app", "opt/slimbake/lib", "weights/config.json"} <= {member.name for member in members}
    assert {member.name: member.mtime for member in members if member.mtime != EPOCH} == {}
    odd = {
        member.name: oct(member.mode)
        for member in members
        if member.mode not in MODES and not member.issym()
    }
    assert odd == {"tmp": "0o1777", "var/tmp": "0o1777"}
