"""Layers that slimbake finds, baked: what images share, what each holds, and what a new service
leaves as it is.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.engine.conftest import Ended, Toy, docker
from tests.engine.toys import code, entry

ASKED = {
    "one": {"six", "iniconfig"},
    "two": {"six", "iniconfig", "packaging"},
    "three": {"six", "iniconfig", "pluggy"},
}
HELD = """
import importlib.metadata, os, sysconfig
found = list(importlib.metadata.distributions())
files = {str(path).partition("/")[0] for each in found for path in each.files if not str(path).startswith("..")}
stray = set(os.listdir(sysconfig.get_path("purelib"))) - files - {"__pycache__"}
print(*sorted(each.name for each in found), *(f"stray: {name}" for name in sorted(stray)))
"""


def written(toy: Toy, asked: dict[str, set[str]]) -> None:
    entries = (
        entry(name, f"    requirements: [{', '.join(sorted(specs))}]\n")
        for name, specs in asked.items()
    )
    toy.write("services:\n" + "".join(entries), code(toy, *asked))


def baked(toy: Toy) -> tuple[Ended, dict[str, Any]]:
    done = toy.done("bake", "--json")
    return done, done.json()["images"]


def diffs(image: Any) -> list[str]:
    return [layer["diff"] for layer in image["layers"]]


@pytest.mark.slow
def test_services_without_bases_share_the_layers_that_are_found_and_a_new_one_leaves_them_as_they_are(
    toy: Toy,
) -> None:
    written(toy, ASKED)
    _, before = baked(toy)
    found = json.loads((toy.root / "bake/locks/layers.json").read_text())
    shared = {
        name for name, base in found["bases"].items() if {"six", "iniconfig"} & set(base["holds"])
    }
    for name, specs in ASKED.items():
        assert docker(
            "run", "--rm", "--entrypoint=python", toy.image(name), "-c", HELD
        ).split() == sorted(specs)
    runtime = 2
    first, *others = (diffs(before[name])[: runtime + len(shared)] for name in ASKED)
    assert shared and others == [first, first]
    assert len({diffs(image)[-2] for image in before.values()} - set(first)) == 2, (
        "packaging and pluggy are one's own"
    )

    written(toy, ASKED | {"four": {"six", "iniconfig", "typing-extensions"}})
    done, after = baked(toy)
    built = {
        line.partition(": ")[0]
        for line in done.stderr.splitlines()
        if re.search(r"\(\d+\.\d s\)$", line)
    }
    # a `prune` of another test may have taken the cache of the runtime
    assert built - {"inside", "runtime"} == {"four", "four-smoke"}
    assert {name: after[name] for name in before} == before
    assert diffs(after["four"])[: len(first)] == first
    held = docker("run", "--rm", "--entrypoint=python", toy.image("four"), "-c", HELD).split()
    assert held == ["iniconfig", "six", "typing_extensions"]
    assert toy.slimbake("lock", "--check").code == 0
