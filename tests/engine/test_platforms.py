"""Images for arm64 on amd64: wheels, stand-ins and smokes of each platform. Emulated, so a small
service.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine.conftest import Toy, docker, fleet, python
from tests.engine.emulation import NoEmulationError, both_externals, emulated
from tests.engine.test_sbom import Pushed
from tests.engine.toys import held, text_of

from slimbake.fleet.resolve import DEFAULT_UV

pytestmark = pytest.mark.slow

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


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """A fleet for two platforms, on a machine that runs programs of both."""
    try:
        with emulated(), fleet(tmp_path_factory.mktemp("platforms")) as made:
            files = {
                "app/app.py": APP + f"# {made.project}\n",
                "app/smoke.py": SMOKE,
                "app/requirements.txt": "".join(
                    f'six=={SIX[platform]} ; platform_machine == "{machine}"\n'
                    for platform, machine in MACHINES.items()
                ),
            }
            made.write(both_externals(DEFAULT_UV) + MANIFEST, files)
            yield made
    except NoEmulationError as error:
        pytest.skip(str(error))


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
    assert (
        docker("image", "inspect", "--format={{.Architecture}}", toy.image("near")).strip()
        == "amd64"
    )
    assert runs(toy.image("near"), "linux/amd64")[0] == "x86_64"
    lock = (toy.root / "bake/locks" / "near.txt").read_text()
    assert "x86_64.whl" in lock
    assert "aarch64.whl" not in lock


def test_one_platform_alone_is_a_variable_of_the_bake_file(toy: Toy, baked: Any) -> None:
    toy.done("bake", "both", "--tag=arm64", env={"PLATFORMS": "linux/arm64"})
    image = toy.image("both", "arm64")
    assert (
        docker("image", "inspect", "--format={{.Os}}/{{.Architecture}}", image).strip()
        == "linux/arm64"
    )
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
