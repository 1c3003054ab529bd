"""Bakes of toy fleets through the command line: what is built again, tagged, pushed, and reported."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.engine.conftest import Ended, Toy, call, docker, inspected
from tests.engine.toys import BROKEN, code, dangling, entry, held, library, write

from slimbake.console import QUIET
from slimbake.docker.engine import expect_engine
from slimbake.externals.resolve import resolve_externals
from slimbake.host.files import checkout, exclusively
from slimbake.host.machine import machine
from slimbake.project import load


def baked(toy: Toy, *words: str) -> dict[str, Any]:
    """A bake that must succeed; what it says of each image."""
    done = toy.done("bake", "--json", *words)
    return dict(done.json()["images"])


def built_steps(done: Ended) -> set[str]:
    """The targets that a bake had to build a step of."""
    return {
        line.partition(": ")[0]
        for line in done.stderr.splitlines()
        if re.search(r"\(\d+\.\d s\)$", line)
    }


@pytest.fixture(scope="module")
def first(shared_toy: Toy) -> Ended:
    """How the first bake ended of two services on a base, one of which also needs a package of the
    repository.
    """
    project = shared_toy.project
    shared_toy.write(
        "bases: {small: {requirements: [six]}}\nservices:\n"
        + entry("one", "    base: small\n")
        + entry("two", "    base: small\n    requirements: [toml, ./libs/shared]\n"),
        code(shared_toy, "one", "two")
        | library("shared", code=f"WORD = 'before'  # {project}\n")
        | {"two/app.py": f"import shared  # {project}\nprint('two', shared.WORD)\n"},
    )
    return shared_toy.done("bake")


@pytest.fixture(scope="module")
def fine(first: Ended, shared_toy: Toy) -> Toy:
    """The fleet of the first bake."""
    return shared_toy


def test_stdout_holds_the_table_and_nothing_else(first: Ended) -> None:
    lines = first.stdout.splitlines()
    assert lines[0].split("  ")[0] == "image"
    assert [line.split()[0] for line in lines] == [*("image", "one", "two", "together:", "each")]


def test_stderr_holds_one_plain_line_for_each_step(first: Ended) -> None:
    assert "\x1b" not in first.stderr
    lines = first.stderr.splitlines()
    for expected in (
        "wheel-shared: build-wheel /wheel",
        "two: install-local",
        "one: copy-code /app",
    ):
        assert len([line for line in lines if line.startswith(expected)]) == 1, first.stderr
    assert len([line for line in lines if line.startswith("one-smoke: smoke: import passed")]) == 1


def test_a_bake_of_nothing_new_builds_nothing_and_changes_no_digest(fine: Toy) -> None:
    before = baked(fine)
    again = fine.slimbake("bake", "--json")
    assert again.json()["images"] == before
    assert built_steps(again) == set()
    assert {name: held(fine.image(name)) for name in before} == {
        n: image["digest"] for n, image in before.items()
    }
    assert dangling(fine) == ""


@pytest.mark.slow
def test_what_a_build_puts_out_beside_an_image_weighs_what_the_engine_saves(fine: Toy) -> None:
    """After an edit, a layout of what is new is measured; without a record of it, the image as
    saved.
    """
    baked(fine)
    fine.file("two/more.py", f"MORE = 'x' * 10  # {fine.project}\n")
    exported = baked(fine, "two")["two"]
    record = fine.root / ".slimbake" / "measured.json"
    assert not record.with_name("layouts").exists()
    record.unlink()
    saved = fine.slimbake("sizes", "--json", "two").json()["images"]["two"]
    # `sizes` says more of a layer than a bake does.
    assert exported["layers"] == [
        {key: layer[key] for key in exported["layers"][0]} for layer in saved["layers"]
    ]


def test_a_change_of_one_service_builds_that_service_only(fine: Toy) -> None:
    before = baked(fine)
    fine.file("one/app.py", f"print('one, edited')  # {fine.project}\n")
    done = fine.slimbake("bake", "--json")
    after = done.json()["images"]
    assert built_steps(done) == {"one", "one-smoke"}
    assert after["two"] == before["two"]
    shared = [layer["diff"] for layer in before["one"]["layers"]][:-1]
    assert [layer["diff"] for layer in after["one"]["layers"]][:-1] == shared
    assert docker("run", "--rm", fine.image("one")) == "one, edited\n"
    assert dangling(fine) == ""


def test_a_change_of_a_local_package_builds_those_who_require_it_and_no_locked_package(
    fine: Toy,
) -> None:
    before = baked(fine)
    fine.file("libs/shared/src/shared/__init__.py", f"WORD = 'after'  # {fine.project}\n")
    done = fine.slimbake("bake", "--json")
    assert built_steps(done) == {"wheel-shared", "two", "two-smoke", "two-inventory"}
    assert "two: install-local" in done.stderr
    was, now = (
        [layer["diff"] for layer in images["two"]["layers"]]
        for images in (before, done.json()["images"])
    )
    changed = [place for place, (old, new) in enumerate(zip(was, now, strict=True)) if old != new]
    assert changed == [len(was) - 2], "the code's layer is last, and as it was"
    assert done.json()["images"]["one"] == before["one"]
    assert docker("run", "--rm", fine.image("two")) == "two after\n"


@pytest.mark.slow
def test_a_service_that_is_added_with_other_packages_rebuilds_nothing_else(fine: Toy) -> None:
    before = baked(fine)
    checks = ("new-smoke", "new-inventory")
    new = entry("new", "    base: small\n    requirements: [iniconfig]\n")
    fine.edit("services:\n", f"services:\n{new}")
    for name, text in code(fine, "new").items():
        fine.file(name, text)
    done = fine.done("bake", "--json")
    # A layer of these wheels may be there already, of any fleet.
    assert built_steps(done) - {"inside", "layer_new"} == {"new", *checks}
    after = done.json()["images"]
    assert {name: after[name]["layers"] for name in before} == {
        name: before[name]["layers"] for name in before
    }
    base = [layer["diff"] for layer in before["one"]["layers"]][:-1]
    assert [layer["diff"] for layer in after["new"]["layers"]][: len(base)] == base


def test_the_generated_files_build_without_slimbake(fine: Toy) -> None:
    words, env = outside(fine)
    bake = ("docker", "buildx", "bake", "--file", "docker-bake.hcl", *words)
    settings = env | {"TAG": "plain", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    for group in (("default",), ("smoke",)):
        done = call(*bake, *group, cwd=fine.root, env=settings)
        assert done.code == 0, done.stderr
    assert docker("run", "--rm", fine.image("two", "plain")).startswith("two ")
    plain, ours = (
        inspected(fine.image("one", tag), ".RootFS.Layers") for tag in ("plain", "latest")
    )
    assert plain == ours


def outside(toy: Toy) -> tuple[list[str], dict[str, str]]:
    """What plain buildx has to know on a machine without a registry, and its environment."""
    here, decided = machine(), load(toy.root / "services.yaml").plan
    found = resolve_externals(decided.externals, expect_engine())
    words = [
        f"--set={target.name}.contexts.{external.name}={external.context}"
        for external in found.resolved
        for target in decided.targets
        if external.name in dict(target.contexts)
    ]
    return words, {"CA_BUNDLE": str(here.ca_bundle or "")}


@pytest.mark.slow
def test_two_folders_of_one_project_leave_each_others_images(
    toy: Toy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    write(toy, "one")
    other = Toy(tmp_path_factory.mktemp("other"), toy.project)
    other.write("services:\n  alone: {context: a, command: [python, a.py]}\n", {"a/a.py": ""})
    with exclusively(f"bake-{toy.project}-{checkout(toy.root)}", QUIET):  # it is being baked
        done = other.slimbake("bake")
    assert done.code == 0 and "waiting" not in done.stderr, done.stderr
    assert toy.slimbake("bake").code == 0
    names = (other.staged("alone"), other.image("alone"))
    assert toy.slimbake("prune", "--all").code == 0
    assert all(map(held, names)) and not held(toy.image("one"))
    assert other.slimbake("prune").code == 0
    assert [bool(held(name)) for name in names] == [False, True]


@pytest.mark.slow
def test_debug_gives_a_shell_and_leaves_no_image_behind(fine: Toy) -> None:
    done = fine.slimbake("debug", "one", "bash", "-c", "ls /app; id -u; python -m app; exit 3")
    assert done.code == 3, done.stderr
    assert done.stdout.split()[:3] == ["__pycache__", "app.py", "65532"]
    derived = f"slimbake-debug/{fine.project}-one"
    assert held(derived) == ""
    assert held(fine.image("one")), "an image of a release stays"


@pytest.mark.slow
def test_debug_opens_the_image_whose_smoke_failed(toy: Toy) -> None:
    write(toy, "one")
    toy.file("one/smoke.py", BROKEN)
    assert toy.slimbake("bake").code == 6
    done = toy.slimbake("debug", "one", "cat", "app.py")
    assert (done.code, done.stdout) == (0, f"print('one')  # {toy.project}\n"), done.stderr
    assert held(toy.image("one")) == ""


@pytest.mark.slow
def test_frozen_refuses_stale_files_and_fixes_none(fine: Toy) -> None:
    dockerfile = fine.root / "bake/dockerfiles/one.Dockerfile"
    fine.edit("CMD", "# by hand\nCMD", "bake/dockerfiles/one.Dockerfile")
    stale = dockerfile.read_text()
    done = fine.slimbake("bake", "--frozen")
    assert done.code == 4
    assert done.stderr.startswith(
        "slimbake: generated files are stale: bake/dockerfiles/one.Dockerfile"
    )
    assert "`slimbake generate`" in done.stderr
    assert dockerfile.read_text() == stale
    assert fine.slimbake("bake").code == 0
    assert dockerfile.read_text() != stale


@pytest.mark.slow
def test_the_smoke_of_an_installed_program_imports_what_it_runs(toy: Toy) -> None:
    """A package in the code, and its wheel, which a script of it imports."""
    toy.write(
        "services:\n  one:\n    context: one\n    requirements: [./one]\n    command: [shop]\n"
        "    smoke: smoke.py\n    start: runs\n",
        {
            "one/pyproject.toml": '[project]\nname = "shop"\nversion = "1"\n'
            '[project.scripts]\nshop = "shop.main:run"\n'
            '[build-system]\nrequires = ["uv_build>=0.9,<1"]\nbuild-backend = "uv_build"\n'
            '[tool.uv.build-backend]\nmodule-root = ""\n',
            "one/shop/__init__.py": "",
            "one/shop/main.py": f"def run(): print(__file__)  # {toy.project}\n",
            "one/smoke.py": "def imports():\n    import shop.main\n\n    assert '/site-packages/' in"
            " shop.main.__file__, shop.main.__file__\n",
        },
    )
    toy.done("bake")
    assert "/site-packages/shop/main.py" in docker("run", "--rm", toy.image("one"))
