"""Which builds of torch uv is allowed, and which index it asks for them."""

from pathlib import Path

import pytest
from tests.unit.fleets import asks, fleet, service
from tests.unit.machines import debian

from slimbake.host.pip import PackageSources
from slimbake.lock.model import locked_scopes
from slimbake.lock.resolve import Uv

LINUX = "cp311-cp311-manylinux_2_28_x86_64.whl"
MIRRORS = ("https://host/cu126", "https://host/simple", "https://host/cpu", "https://host/cu128/")


def uv(folder: Path, torch: str, spec: str = "torch", mirrors: tuple[str, ...] = ()) -> Uv:
    """uv for a service that requires `spec`; the folder's `wheels` are a setting of this machine."""
    packages = PackageSources(find_links=(str(folder / "wheels"),), extra_index_urls=mirrors)
    made = fleet(service("api", torch=torch, requirements=asks(spec)))
    [scope] = locked_scopes(made)
    return Uv(scope, folder, "linux/amd64", debian(packages=packages), folder)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with builds of torch, and with files that have no name of a wheel."""
    (tmp_path / "wheels").mkdir()
    for build in ("2.0+cpu", "2.1+cpu", "3.0+cpu", "2.1+cu128"):
        (tmp_path / f"wheels/torch-{build}-{LINUX}").touch()
    for name in (
        f"torch-2.2+cpu-{LINUX.replace('x86_64', 'aarch64')}",
        "torch.whl",
        "torch-old.whl",
    ):
        (tmp_path / "wheels" / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("torch", "spec", "constraints"),
    [
        ("cpu", "torch", ("torch==3.0+cpu",)),
        ("cpu", "torch<3", ("torch==2.1+cpu",)),
        ("cu128", "torch", ("torch==2.1+cu128",)),
        ("cu126", "torch", ()),
        (
            "cuda",
            "torch",
            (
                "torch!=2.0+cpu",
                "torch!=2.1+cpu",
                "torch!=2.1+cu128",
                "torch!=2.2+cpu",
                "torch!=3.0+cpu",
            ),
        ),
        ("cuda", "torch==2.1+cu128", ()),
        ("cuda", "scores", ()),
    ],
)
def test_of_the_wheels_in_a_folder_the_newest_of_the_build_is_allowed(
    torch: str, spec: str, constraints: tuple[str, ...], wheels: Path
) -> None:
    assert tuple(sorted(uv(wheels, torch, spec).constraints)) == constraints


@pytest.mark.parametrize(
    ("torch", "spec", "mirrors", "backend", "asked"),
    [
        ("cpu", "torch", (), "cpu", ()),
        ("cu128", "torch", (), "cu128", ()),
        ("cuda", "torch", (), "", ()),
        ("cpu", "triton", (), "", ()),  # refused with its size, which the package index knows
        ("cu128", "triton", (), "cu128", ()),
        ("cpu", "torch", ("https://host/simple",), "cpu", ("https://host/simple",)),
        ("cpu", "torch", MIRRORS, "", ("https://host/cpu", "https://host/simple")),
        ("cu128", "torch", MIRRORS, "", ("https://host/cu128/", "https://host/simple")),
        ("cuda", "torch", MIRRORS, "", ("https://host/simple",)),
    ],
)
def test_a_build_is_taken_from_a_mirror_first_and_without_one_from_pytorch_s_index(
    torch: str,
    spec: str,
    mirrors: tuple[str, ...],
    backend: str,
    asked: tuple[str, ...],
    tmp_path: Path,
) -> None:
    made = uv(tmp_path, torch, spec, mirrors)
    assert made._torch == backend
    assert made._machine.packages.extra_index_urls == asked


def test_a_wheel_in_a_folder_is_taken_without_a_question_to_pytorch_s_index(wheels: Path) -> None:
    assert uv(wheels, "cpu")._torch == ""
