"""Locks of a fleet with several Pythons, whose index has other wheels for each."""

from collections.abc import Mapping

import pytest
from tests.index import Index

from slimbake.config.names import PYTHONS
from slimbake.project import load

from .conftest import Repo

FAST = {"3.11": "fast==1", "3.13": "fast==2"}


@pytest.fixture(autouse=True)
def wheels(index: Index) -> None:
    """`fast` is 1 for 3.11 and 2 for 3.13; `old` has sources alone; the others suit every Python."""
    index.add("fast", "1", [], tag="cp311-cp311-manylinux_2_17_x86_64")
    index.add("fast", "2", [], tag="cp313-cp313-manylinux_2_17_x86_64")
    index.add("setuptools", "80")
    index.add("wheel", "1")
    index.add("leaf", "1")


def services(repo: Repo, asked: Mapping[str, str], more: str = "") -> None:
    """Services by their names, each with the rest of its entry. `more`: of the manifest."""
    lines = [more, "services:\n"]
    lines += [
        f"  {name}: {{context: {name}, start: none, {rest}}}\n" for name, rest in asked.items()
    ]
    repo.write("".join(lines), {f"{name}/app.py": "" for name in asked})


def test_each_service_has_the_wheels_of_its_python(repo: Repo) -> None:
    services(repo, {"a": "requirements: [fast]", "b": 'python: "3.13", requirements: [fast]'})
    repo.done("lock")
    assert (repo.pins("a"), repo.pins("b")) == ([FAST["3.11"]], [FAST["3.13"]])


@pytest.mark.parametrize("version", PYTHONS)
def test_every_python_has_its_wheels(repo: Repo, index: Index, version: str) -> None:
    tag = f"cp{version.replace('.', '')}"
    index.add("own", "1", [], tag="cp39-cp39-manylinux_2_17_x86_64")
    index.add("own", "2", [], tag=f"{tag}-{tag}-manylinux_2_17_x86_64")
    services(repo, {"a": f'python: "{version}", requirements: [own, leaf]'})
    repo.done("lock")
    assert repo.pins("a") == ["leaf==1", "own==2"]


def test_another_python_makes_the_lock_stale_and_moves_what_has_to(repo: Repo) -> None:
    services(repo, {"a": "requirements: [fast, leaf]", "b": "requirements: [leaf]"})
    repo.done("lock")
    services(repo, {"a": 'python: "3.13", requirements: [fast, leaf]', "b": "requirements: [leaf]"})
    said = repo.run("lock", "--check")
    assert said.code == 4 and "what a asks for has changed" in said.stderr
    repo.done("lock")
    assert repo.pins("a") == [FAST["3.13"], "leaf==1"]


def test_a_wheel_that_is_not_there_for_a_python_is_named(repo: Repo, index: Index) -> None:
    index.add("new", "1", [], tag="cp311-cp311-manylinux_2_17_x86_64")
    services(repo, {"a": "requirements: [new]", "b": 'python: "3.13", requirements: [new]'})
    said = repo.run("lock")
    assert said.code == 2
    assert "no solution for b on Python 3.13\n" in said.stderr and "`cp311`" in said.stderr


def test_variants_of_a_base_have_locks_of_their_own(repo: Repo) -> None:
    variants = '{py311: {python: "3.11"}, py313: {python: "3.13"}}'
    base = f"bases: {{web: {{requirements: [fast], variants: {variants}}}}}\n"
    services(repo, {"a": "base: web, requirements: [leaf]"}, base)
    repo.done("lock")
    assert repo.pins("base-web") == [FAST["3.11"]]
    assert repo.pins("base-web-py313") == [FAST["3.13"]]
    assert repo.pins("a") == repo.pins("a-py313") == ["leaf==1"]
    plan = load(repo.root / "services.yaml").plan
    assert dict(plan.target("base-web-py313").contexts)["base"] == "target:runtime-3_13"
    assert plan.target("a-py313").suffix == "-py313"


def test_a_variant_of_a_service_stands_on_a_copy_of_its_base(repo: Repo) -> None:
    base = "bases: {web: {requirements: [fast]}}\n"
    variants = 'variants: {py311: {python: "3.11"}, py313: {python: "3.13"}}'
    services(repo, {"a": f"base: web, {variants}", "b": "base: web"}, base)
    repo.done("lock")
    assert repo.pins("base-web-py313") == [FAST["3.13"]]
    fleet = load(repo.root / "services.yaml").fleet
    assert [(s.name, s.scope.chain[0].name) for s in fleet.services] == [
        ("a", "base-web"),
        ("a-py313", "base-web-py313"),
        ("b", "base-web"),
    ]


def test_a_package_without_a_wheel_is_built_for_each_python(repo: Repo, index: Index) -> None:
    index.add_sources("old", "1")
    asked = {"a": "requirements: [old]", "b": 'python: "3.13", requirements: [old]'}
    services(repo, asked)
    repo.done("lock")
    project = load(repo.root / "services.yaml")
    assert [p.scope.name for p in project.fleet.packages] == ["wheel-old", "wheel-old-3_13"]
    wheels = {layer.name: layer.wheels for layer in project.layering.layers}
    assert wheels == {"layer_a": ("wheel-old",), "layer_b": ("wheel-old-3_13",)}
    assert repo.run("lock", "--check").code == 0


def test_two_versions_of_one_package_without_wheels_are_two_targets(
    repo: Repo, index: Index
) -> None:
    index.add_sources("old", "1")
    index.add_sources("old", "2")
    services(repo, {"a": 'requirements: ["old==1"]', "b": 'requirements: ["old==2"]'})
    repo.done("lock")
    project = load(repo.root / "services.yaml")
    versions = {p.scope.name: p.source.version for p in project.fleet.packages if p.source}
    wheels = {layer.name: versions[layer.wheels[0]] for layer in project.layering.layers}
    assert wheels == {"layer_a": "1", "layer_b": "2"}
    assert repo.run("lock", "--check").code == 0


def test_wheels_of_each_python_and_platform_are_fetched(repo: Repo, index: Index) -> None:
    index.add("fast", "2", [], tag="cp313-cp313-manylinux_2_17_aarch64")
    platforms = "platforms: [linux/amd64, linux/arm64]\n"
    services(repo, {"a": 'python: "3.13", requirements: [fast]'}, platforms)
    repo.done("lock")
    repo.done("lock", "--fetch")
    machines = {name.removesuffix(".whl").partition("2_17_")[2] for name in repo.held()}
    assert machines == {"x86_64", "aarch64"}


def test_images_of_each_python_are_pinned(repo: Repo) -> None:
    services(repo, {"a": "requirements: [leaf]", "b": 'python: "3.13", requirements: [leaf]'})
    repo.done("lock")
    lines = repo.locked()["externals.txt"].splitlines()[1:]
    assert [line.split()[0] for line in lines] == [
        "python", "builder", "python-3.13", "builder-3.13", "uv"
    ]  # fmt: skip
