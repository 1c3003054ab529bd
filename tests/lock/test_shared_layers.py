"""Layers of what is equal in several locks, from the command line: what is locked, and what moves."""

import json
from typing import Any

import pytest
from tests.index import Index
from tests.lock.conftest import Repo

from slimbake.console import QUIET
from slimbake.host.machine import machine
from slimbake.project import load
from slimbake.release.site import regenerated, relocked


@pytest.fixture(autouse=True)
def packages(index: Index) -> None:
    """A heavy one that all services need, and others, which each pins as it likes."""
    add(index, "torch", "2", ["sympy"], size=190_000_000)
    add(index, "sympy", "1", size=6_000_000)
    for version in ("1", "2", "3"):
        add(index, "numpy", version, size=18_000_000)
        index.add("fastapi", version)


def add(index: Index, name: str, version: str, *requires: Any, size: int) -> None:
    index.add(name, version, *requires)
    index.entries[name][-1]["size"] = size


def services(repo: Repo, head: str = "", **asked: str) -> None:
    entries = (
        f"  {name}: {{context: {name}, requirements: {said}, start: none}}\n"
        for name, said in asked.items()
    )
    repo.write(f"{head}services:\n{''.join(entries)}", {f"{name}/app.py": "" for name in asked})


def locked(repo: Repo, head: str = "", **asked: str) -> dict[str, str]:
    """The locks of these services."""
    services(repo, head, **asked)
    repo.done("lock")
    return repo.locked()


THREE = {
    "ner": "[torch, numpy==1, fastapi==1]",
    "rank": "[torch, numpy==2, fastapi==2]",
    "embed": "[torch, numpy==3, fastapi==3]",
}


def chain(repo: Repo, service: str) -> list[str]:
    """The locks of a service, bottom first."""
    layers = json.loads(repo.locked()["layers.json"])
    name, names = layers["services"].get(service, ""), [service]
    while name:
        names.insert(0, f"base-{layers['layers'][name]['lock']}")
        name = layers["layers"][name]["on"]
    return names


def closure(repo: Repo, service: str) -> list[str]:
    return sorted(pin for name in chain(repo, service) for pin in repo.pins(name))


def test_a_bump_in_one_service_changes_its_lock_alone(repo: Repo) -> None:
    before = locked(repo, **THREE)
    services(repo, **THREE | {"ner": "[torch, numpy==1, fastapi==3]"})
    assert repo.run("lock").stdout.split() == ["bake/locks/ner.txt", "bake/locks/inputs.json"]
    changed = {n for n, text in repo.locked().items() if before[n] != text}
    assert changed == {"ner.txt", "inputs.json"}


def test_a_service_that_leaves_what_is_shared_takes_it_along_and_moves_no_other(repo: Repo) -> None:
    before = locked(repo, **dict.fromkeys(("a", "b", "c"), "[torch, numpy==1]"))
    repo.index.add("sympy", "2")
    locked(repo, a="[torch, numpy==1, sympy==2]", b="[torch, numpy==1]", c="[torch, numpy==1]")
    assert closure(repo, "a") == ["numpy==1", "sympy==2", "torch==2"]
    changed = {name for name, text in repo.locked().items() if before.get(name) != text}
    assert changed == {"a.txt", "inputs.json", "layers.json"}


def test_locks_of_services_that_go_and_come_are_removed_and_made(repo: Repo) -> None:
    locked(repo, **THREE)
    two = {name: said for name, said in THREE.items() if name != "rank"}
    services(repo, **two)
    assert repo.run("lock", "--check").code == 0
    assert repo.run("lock").code == 0
    assert "rank.txt" not in repo.locked() and '"rank"' not in repo.locked()["layers.json"]
    services(repo, **two, new="[torch]")
    made = regenerated(relocked(load(repo.root / "services.yaml"), machine(), QUIET), QUIET).plan
    assert chain(repo, "new")[0] == "base-torch" and made.target("new")


def test_none_gives_each_service_all_that_it_has_and_auto_shares_it_again(repo: Repo) -> None:
    shared = locked(repo, **THREE)
    services(repo, "layers: none\n", **THREE)
    assert repo.run("lock", "--check").code == 4, "each lock holds a part of what its service needs"
    assert repo.run("lock").code == 0
    assert repo.pins("ner") == ["fastapi==1", "numpy==1", "sympy==1", "torch==2"]
    assert not [name for name in repo.locked() if name.startswith(("base-", "layers"))]
    services(repo, **THREE)
    assert repo.run("lock", "--check").code == 4
    assert locked(repo, **THREE) == shared


@pytest.mark.parametrize("name", ["layers.json", "base-torch.txt", "ner.txt"])
@pytest.mark.parametrize("harm", ["edited", "gone"])
def test_an_edited_or_lost_lock_is_made_again_as_it_was(repo: Repo, name: str, harm: str) -> None:
    locked(repo, **THREE)
    before, wheels = repo.locked(), [closure(repo, each) for each in THREE]
    file = repo.root / "bake/locks" / name
    if harm == "gone":
        file.unlink()
    else:
        file.write_text(file.read_text() + "<<<<<<< HEAD\n")
    done = repo.run("lock", "--check")
    assert done.code == 4 and f"bake/locks/{name}" in done.stderr
    assert repo.run("lock").code == 0
    # Without the earlier layers, others may be found, of the same wheels.
    assert [closure(repo, each) for each in THREE] == wheels
    assert name == "base-torch.txt" or repo.locked().keys() == before.keys()
    assert repo.run("lock", "--check").code == 0
