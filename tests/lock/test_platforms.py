"""Locks of two platforms whose index has other versions for each."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.index import Index

from .conftest import Repo

MACHINES = {"amd": "x86_64", "arm": "aarch64"}
AMD, ARM = (f'platform_machine == "{machine}"' for machine in MACHINES.values())
BOTH = "platforms: [linux/amd64, linux/arm64]\n"
ONE = "platforms: [linux/amd64]\n"


def publish(
    index: Index, name: str, version: str, where: str, requires: Sequence[str] = ()
) -> None:
    """A wheel for one kind of machine."""
    tag = f"cp311-cp311-manylinux_2_17_{MACHINES[where]}"
    index.add(name, version, requires, tag=tag)


@pytest.fixture(autouse=True)
def wheels(index: Index) -> None:
    """`fast` is 2 on one and 1 on the other, and `dep` with it; `core` is everywhere."""
    publish(index, "fast", "2", "amd", ["dep>=2"])
    publish(index, "fast", "1", "arm", ["dep<2"])
    for version in ("1", "2"):
        index.add("dep", version)
        index.add("core", version)
    index.add("leaf", "1")


def services(repo: Repo, asked: Mapping[str, str], base: str = "", platforms: str = BOTH) -> None:
    """Services with their requirements, on the base `web` where it has some."""
    lines = [platforms, f"bases: {{web: {{requirements: {base}}}}}\n" * bool(base)]
    lines.append("services:\n")
    on = "base: web, " * bool(base)
    for name, requirements in asked.items():
        lines.append(
            f"  {name}: {{{on}context: {name}, requirements: {requirements}, start: none}}\n"
        )
    repo.write("".join(lines), {f"{name}/app.py": "" for name in asked})


def pins(repo: Repo, name: str) -> set[str]:
    """The pins of a lock, those of one platform with its marker."""
    lines = re.findall(r"^[a-z]+==\S+(?: ; [^\\\n]+)?", repo.locked()[f"{name}.txt"], re.MULTILINE)
    return {
        line.strip().replace(f" ; {AMD}", "@amd").replace(f" ; {ARM}", "@arm") for line in lines
    }


FAST = {"fast==2@amd", "fast==1@arm", "dep==2@amd", "dep==1@arm"}


def test_a_change_of_another_service_moves_no_pin(repo: Repo) -> None:
    services(repo, {"a": "[fast]", "b": "[]"})
    repo.done("lock")
    assert pins(repo, "a") == FAST
    services(repo, {"a": "[fast]", "b": "[leaf]"})
    repo.done("lock")
    assert (pins(repo, "a"), pins(repo, "b")) == (FAST, {"leaf==1"})


def fast(asked: str, **said: str) -> dict[str, Any]:
    """A service that requires this, and more of the fleet."""
    return {"asked": {"a": asked}, **said}


UPGRADED = {"fast==4@amd", "fast==3@arm", "dep==2@amd", "dep==1@arm"}
MOVES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, ...], str, set[str]]] = {
    "a new requirement": (fast("[fast]"), fast("[fast, leaf]"), (), "a", {*FAST, "leaf==1"}),
    "an upgrade of another": (
        *(fast("[fast, core<2]"),) * 2,
        ("--upgrade", "core"),
        "a",
        {*FAST, "core==1.5"},
    ),
    "an upgrade": (*(fast("[fast]"),) * 2, ("--upgrade", "fast"), "a", UPGRADED),
    "arm64 goes": (fast("[fast]"), fast("[fast]", platforms=ONE), (), "a", {"fast==2", "dep==2"}),
    "amd64 goes": (
        fast("[fast]"),
        fast("[fast]", platforms=ONE.replace("amd64", "arm64")),
        (),
        "a",
        {"fast==1", "dep==1"},
    ),
    "a base goes": (
        fast("[leaf]", base="[fast]"),
        fast("[leaf, fast]"),
        (),
        "a",
        {*FAST, "leaf==1"},
    ),
    "a new base": (fast("[fast]"), fast("[]", base="[fast]"), (), "base-web", FAST),
}


@pytest.mark.parametrize(
    ("before", "after", "words", "name", "expected"), MOVES.values(), ids=MOVES
)
def test_newer_versions_move_a_pin_only_where_that_is_asked_for(
    before: dict[str, Any],
    after: dict[str, Any],
    words: tuple[str, ...],
    name: str,
    expected: set[str],
    repo: Repo,
    index: Index,
) -> None:
    services(repo, **before)
    repo.done("lock")
    index.add("core", "1.5")
    publish(index, "fast", "4", "amd", ["dep"])
    publish(index, "fast", "3", "arm", ["dep"])
    services(repo, **after)
    repo.done("lock", *words)
    assert pins(repo, name) == expected


def test_a_service_takes_what_its_base_has_on_each_platform(repo: Repo) -> None:
    services(repo, {"a": "[dep]", "b": "[leaf, dep<3]"}, base="[fast]")
    repo.done("lock")
    assert pins(repo, "base-web") == FAST
    assert (pins(repo, "a"), pins(repo, "b")) == (set(), {"leaf==1"})
    services(repo, {"a": "[dep, core]", "b": "[leaf, dep<3]"}, base="[fast]")
    repo.done("lock")
    assert (pins(repo, "base-web"), pins(repo, "a")) == (FAST, {"core==2"})


def test_a_service_that_contradicts_its_base_on_one_platform_is_an_error(repo: Repo) -> None:
    services(repo, {"a": "[dep>=2]"}, base="[fast]")
    done = repo.run("lock")
    assert done.code == 2
    assert "no solution for a, which takes the versions of base-web" in done.stderr
    assert not (repo.root / "bake/locks/a.txt").exists()


def test_what_the_base_has_on_one_platform_the_service_has_on_the_other(
    repo: Repo, index: Index
) -> None:
    index.add("tool", "1", [f"core ; {ARM}"])
    services(repo, {"a": "[core]", "b": "['core>=2']"}, base="[tool]")
    repo.done("lock")
    assert pins(repo, "base-web") == {"tool==1", "core==2@arm"}
    assert pins(repo, "a") == pins(repo, "b") == {"core==2@amd"}
    text = repo.locked()["a.txt"]
    assert text.count("--hash") == 1
    services(repo, {"a": "[core, leaf]", "b": "['core>=2']"}, base="[tool]")
    repo.done("lock")
    assert pins(repo, "a") == {"core==2@amd", "leaf==1"}


def test_a_second_platform_moves_nothing_of_the_first(repo: Repo, index: Index) -> None:
    services(repo, {"a": "[fast, core]"}, platforms=ONE)
    repo.done("lock")
    assert pins(repo, "a") == {"fast==2", "dep==2", "core==2"}
    publish(index, "fast", "4", "amd", ["dep"])
    index.add("core", "3")
    services(repo, {"a": "[fast, core]"})
    repo.done("lock")
    assert pins(repo, "a") == {*FAST, "core==2"}


def test_sources_are_built_where_there_is_no_wheel(repo: Repo, index: Index) -> None:
    index.add("setuptools", "80")
    index.add("wheel", "0.45")
    publish(index, "slow", "1", "amd")
    index.add_sources("slow", "1")
    services(repo, {"a": "[slow]"})
    repo.done("lock")
    text = repo.locked()["a.txt"]
    assert f"slow==1 ; {AMD} \\" in text
    assert re.search(rf"^# built from slow-1.tar.gz\S+: slow==1 ; {re.escape(ARM)}$", text, re.M)
    repo.done("lock")
    assert repo.locked()["a.txt"] == text


def test_a_file_of_the_second_platform_that_no_hash_allows_is_refused(
    repo: Repo, index: Index
) -> None:
    tag = "cp311-cp311-manylinux_2_17_{}"
    allowed = index.add("core", "3", tag=tag.format("aarch64"))
    index.add("core", "4", tag=tag.format("x86_64"))
    services(repo, {"a": "requirements.txt"})
    (repo.root / "a/requirements.txt").write_text(f"core --hash=sha256:{allowed}\n")
    done = repo.run("lock")
    assert "core-4-cp311-cp311-manylinux_2_17_x86_64.whl has sha256" in done.stderr
    assert "core-3-" not in done.stderr


def test_each_platform_of_a_package_is_explained(repo: Repo, index: Index) -> None:
    index.add("tool", "1", [f"dep ; {AMD}"])
    index.add("other", "1", [f"dep ; {ARM}"])
    services(repo, {"a": "[tool, other]"})
    repo.done("lock")
    shown = repo.done("why", "dep").stdout
    assert "tool -> dep" in shown and "other -> dep" in shown


def test_what_runs_exports_takes_the_versions_of_each_platform(repo: Repo, index: Index) -> None:
    for name in ("onnxruntime", "tokenizers", "onnx", "onnx-ir", "onnxscript", "safetensors"):
        index.add(name, "1")
    index.add("transformers", "1")
    index.add("torch", "1")
    for version in ("1", "2", "3"):
        index.add("numpy", version)
    publish(index, "net", "1", "amd", ["numpy==2"])
    publish(index, "net", "1", "arm", ["numpy==1"])
    repo.write(
        f"{BOTH}bases: {{ml: {{requirements: [net, torch, transformers], torch: cuda}}}}\n"
        "services:\n  a: {base: ml, context: a, weights: {path: models/a}, inference: onnx, start: none}\n",
        {"a/app.py": "", "models/a/config.json": "{}"},
    )
    repo.done("lock")
    expected = {"numpy==2@amd", "numpy==1@arm"}
    assert pins(repo, "base-ml-onnx") & expected == expected
    assert pins(repo, "base-ml-export") & expected == expected
