"""Images for arm64 on amd64: wheels, stand-ins and checks of each platform, of a toy fleet and of two
services of the example. Emulated, so all are small.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
import yaml
from tests.engine.conftest import ROOT, Ended, Toy, docker, fleet, inspected, python
from tests.engine.emulation import NoEmulationError, both_externals, emulated
from tests.engine.engines import bring_externals, own_engine
from tests.engine.registries import Pushed
from tests.engine.toys import held, text_of

from slimbake.fleet.resolve import DEFAULT_UV
from slimbake.images.streams import plain

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
SIX = {"linux/amd64": "1.17.0", "linux/arm64": "1.16.0"}
MANIFEST = text_of("platforms.yaml")
APP = (
    "import platform\nimport markupsafe._speedups\nprint(platform.machine(),"
    " markupsafe._speedups.__file__)\n"
)
SMOKE = "def imports():\n    import app\n\n    print('the smoke ran on', app.platform.machine())\n"
VERSION = "from importlib.metadata import version; print(version('six'))"
LIBRARY = (
    "import ctypes, platform; ctypes.CDLL('libyaml-0.so.2').yaml_get_version_string;"
    " print(platform.machine())"
)
EXAMPLE = ("api", "client")
SOURCES = ("libs", *(f"services/{name}" for name in EXAMPLE))  # in examples/atlas
ELF = {62: "linux/amd64", 183: "linux/arm64"}  # e_machine: EM_X86_64 and EM_AARCH64 of elf.h


@pytest.fixture(scope="module")
def emulation() -> Iterator[None]:
    """This machine runs programs of both platforms."""
    try:
        with emulated():
            yield
    except NoEmulationError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def toy(emulation: None, shared_toy: Toy) -> Toy:
    """A fleet for two platforms."""
    files = {
        "app/app.py": APP + f"# {shared_toy.project}\n",
        "app/smoke.py": SMOKE,
        "app/requirements.txt": "".join(
            f'six=={SIX[platform]} ; platform_machine == "{machine}"\n'
            for platform, machine in MACHINES.items()
        ),
    }
    shared_toy.write(both_externals(DEFAULT_UV) + MANIFEST, files)
    return shared_toy


@pytest.fixture(scope="module")
def baked(toy: Toy) -> Any:
    return toy.done("bake")


def runs(image: str, platform: str) -> list[str]:
    """What the image's own program says of itself, run as the given platform's."""
    return docker("run", "--rm", "--network=none", f"--platform={platform}", image).split()


def test_one_bake_makes_an_image_for_both_platforms_each_with_its_own_wheels(
    toy: Toy, baked: Any
) -> None:
    for platform, machine in MACHINES.items():
        found, module = runs(toy.image("both"), platform)
        assert found == machine
        assert module.endswith(f"_speedups.cpython-311-{machine}-linux-gnu.so")


def test_debian_s_packages_are_those_of_each_platform(toy: Toy, baked: Any) -> None:
    lock = (toy.root / "bake/locks" / "base-text.system.txt").read_text()
    assert {line.split()[2] for line in lock.splitlines() if line.startswith("libyaml")} == {
        "amd64",
        "arm64",
    }
    for platform, machine in MACHINES.items():
        assert python(toy.image("both"), LIBRARY, f"--platform={platform}") == f"{machine}\n"


def test_the_smoke_ran_on_both(toy: Toy, baked: Any) -> None:
    toy.done("check", "--images", "both")
    toy.file("app/smoke.py", SMOKE + "    assert app.platform.machine() == 'x86_64'\n")
    done = toy.slimbake("check", "--images", "both")
    toy.file("app/smoke.py", SMOKE)
    assert done.code == 6
    assert "the smoke ran on aarch64" in done.stderr


def test_a_service_for_fewer_platforms_than_the_fleet_is_built_for_those(
    toy: Toy, baked: Any
) -> None:
    assert inspected(toy.image("near"), ".Architecture") == "amd64"
    assert runs(toy.image("near"), "linux/amd64")[0] == "x86_64"
    lock = (toy.root / "bake/locks" / "near.txt").read_text()
    assert "x86_64.whl" in lock
    assert "aarch64.whl" not in lock


def test_one_platform_alone_is_a_variable_of_the_bake_file(toy: Toy, baked: Any) -> None:
    toy.done("bake", "both", "--tag=arm64", env={"PLATFORMS": "linux/arm64"})
    image = toy.image("both", "arm64")
    assert inspected(image, ".Architecture") == "arm64"
    assert runs(image, "linux/arm64")[0] == "aarch64"
    assert held(image) != held(toy.image("both"))


def test_each_platform_has_its_own_versions_on_a_registry(
    toy: Toy, baked: Any, registry: str
) -> None:
    lock = (toy.root / "bake/locks" / "both.txt").read_text()
    for platform, machine in MACHINES.items():
        assert f'six=={SIX[platform]} ; platform_machine == "{machine}"' in lock
        assert python(toy.image("both"), VERSION, f"--platform={platform}") == f"{SIX[platform]}\n"
    to = f"{registry}/{toy.project}"
    done = toy.done("bake", "both", "--json", "--push", "--registry", to)
    pushed = Pushed(registry, toy, "both")
    _, index = pushed.manifest(done.json()["images"]["both"]["digest"])
    found = {}
    for entry in index["manifests"]:
        (artifact,) = pushed.sboms(entry["digest"])
        document = json.loads(pushed.blob(artifact["layers"][0]["digest"]))
        (six,) = (each for each in document["components"] if each["name"] == "six")
        platform = f"{entry['platform']['os']}/{entry['platform']['architecture']}"
        found[platform] = six["version"], len(six["hashes"])
    assert found == {platform: (version, 1) for platform, version in SIX.items()}


def test_the_inventory_of_each_platform_knows_its_own_packages(toy: Toy, baked: Any) -> None:
    bake_file = (toy.root / "docker-bake.hcl").read_text()
    assert '"PACKAGES" = "six@aarch64 six@x86_64"' in bake_file


@pytest.fixture(scope="module")
def example(emulation: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """Two services of this repository's example, for two platforms."""
    with fleet(tmp_path_factory.mktemp("example")) as made:
        for name in SOURCES:
            folder = Path("examples/atlas") / name
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / folder, made.root / folder, ignore=ignore)
        manifest = yaml.safe_load((ROOT / "services.yaml").read_text("utf-8"))
        del manifest["ci"], manifest["registry"]
        manifest |= {
            "project": made.project,
            "platforms": list(MACHINES),
            "externals": yaml.safe_load(both_externals(DEFAULT_UV))["externals"],
            "bases": {"web": manifest["bases"]["web"]},
            "services": {name: manifest["services"][name] for name in EXAMPLE},
        }
        made.file("services.yaml", yaml.safe_dump(manifest, sort_keys=False))
        made.done("lock")
        yield made


@pytest.fixture(scope="module")
def example_baked(example: Toy) -> Ended:
    """Both platforms in one bake, on this machine's engine."""
    return example.done("bake", "--json")


@dataclass(frozen=True)
class Layer:
    digest: str
    platforms: frozenset[str]
    """Those that its programs and libraries are for."""


@dataclass(frozen=True)
class Part:
    """What an image has for one platform."""

    digest: str
    layers: tuple[Layer, ...]


@pytest.fixture(scope="module")
def parts(
    example: Toy, example_baked: Ended, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Part]]:
    """The parts of each image of that bake, by service and platform."""
    images = example_baked.json()["images"]
    saved = tmp_path_factory.mktemp("saved") / "saved.tar"
    docker("save", f"--output={saved}", *(example.image(name) for name in EXAMPLE))
    with tarfile.open(saved) as archive:
        return {name: parts_of(archive, images[name]["digest"]) for name in EXAMPLE}


def parts_of(archive: tarfile.TarFile, digest: str) -> dict[str, Part]:
    """The parts of a saved image, by platform."""
    found = {}
    for entry in json.load(blob(archive, digest))["manifests"]:
        layers = json.load(blob(archive, entry["digest"]))["layers"]
        platform = f"{entry['platform']['os']}/{entry['platform']['architecture']}"
        found[platform] = Part(
            entry["digest"], tuple(layer_of(archive, each["digest"]) for each in layers)
        )
    return found


def layer_of(archive: tarfile.TarFile, digest: str) -> Layer:
    platforms = set()
    with tarfile.open(fileobj=plain(blob(archive, digest)), mode="r|") as members:
        for member in members:
            file = members.extractfile(member) if member.isfile() else None
            head = file.read(20) if file else b""
            if head.startswith(b"\x7fELF"):
                platforms.add(ELF[int.from_bytes(head[18:20], "little")])
    return Layer(digest, frozenset(platforms))


def blob(archive: tarfile.TarFile, digest: str) -> IO[bytes]:
    file = archive.extractfile(f"blobs/{digest.replace(':', '/')}")
    assert file
    return file


def test_the_example_s_checks_ran_on_both(example_baked: Ended) -> None:
    images = example_baked.json()["images"]
    assert {name: set(images[name]["checks"]) for name in EXAMPLE} == {
        "api": {"inventory", "smoke", "start"},
        "client": {"smoke", "start"},
    }
    assert "starting api, api linux/arm64, client, client linux/arm64\n" in example_baked.stderr


def test_the_example_s_layers_without_programs_are_those_of_both_platforms(
    parts: Mapping[str, Mapping[str, Part]],
) -> None:
    """Also the layers of packages that are Python alone, whose bytecode each platform compiled."""
    for part in parts.values():
        assert part.keys() == MACHINES.keys()
        for platform in part:
            programs = {name for layer in part[platform].layers for name in layer.platforms}
            assert programs == {platform}
        pairs = zip(*(part[platform].layers for platform in MACHINES), strict=True)
        for amd64, arm64 in pairs:
            assert (amd64.digest == arm64.digest) == (not amd64.platforms)
    differ = {
        name: len({layer.digest for layer in part["linux/arm64"].layers if layer.platforms})
        for name, part in parts.items()
    }
    assert differ == {"api": 2, "client": 1}, "the runtime, and the only wheel with a library"


def test_another_builder_makes_the_example_s_same_images_of_each_platform_alone(
    example: Toy, parts: Mapping[str, Mapping[str, Part]], tmp_path: Path
) -> None:
    root = tmp_path / "checkout"
    shutil.copytree(example.root, root, ignore=shutil.ignore_patterns(".slimbake"))
    other = Toy(root, example.project)
    with own_engine() as engine:
        bring_externals(root / "services.yaml", engine.host)
        for platform in MACHINES:
            env = {"DOCKER_HOST": engine.host, "PLATFORMS": platform}
            done = other.done("bake", "--json", env=env)
            assert "checks: 5 run, 0 remembered" in done.stderr
            images = done.json()["images"]
            assert {name: images[name]["digest"] for name in EXAMPLE} == {
                name: parts[name][platform].digest for name in EXAMPLE
            }
