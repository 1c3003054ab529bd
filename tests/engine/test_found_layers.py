"""Layers of what is equal in several locks, baked: what images share, what each holds, and what a new
service leaves as it is.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.engine.conftest import Ended, Toy, python
from tests.engine.test_bake import built_steps
from tests.engine.toys import code, entry

ASKED = {"one": {"numpy", "six"}, "two": {"numpy", "packaging"}, "three": {"numpy", "pluggy"}}
HELD = """
import importlib.metadata, os, sysconfig
found = list(importlib.metadata.distributions())
files = {str(path).partition("/")[0] for each in found for path in each.files if not str(path).startswith("..")}
stray = {n for n in os.listdir(sysconfig.get_path("purelib")) if "slimbake" not in n} - files - {"__pycache__"}
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
def test_services_share_what_is_equal_in_their_locks_and_a_new_one_leaves_it_as_it_is(
    toy: Toy,
) -> None:
    written(toy, ASKED)
    _, before = baked(toy)
    found = json.loads((toy.root / "bake/locks/layers.json").read_text())
    assert {name: layer["holds"] for name, layer in found["layers"].items()} == {"numpy": ["numpy"]}
    for name, specs in ASKED.items():
        assert python(toy.image(name), HELD).split() == sorted(specs)
    runtime = 2
    first, *others = (diffs(before[name])[: runtime + 1] for name in ASKED)
    assert others == [first, first]
    assert len({diffs(image)[-2] for image in before.values()} - set(first)) == 3, (
        "six, packaging and pluggy are each one's own"
    )

    written(toy, ASKED | {"four": {"numpy", "typing-extensions"}})
    done, after = baked(toy)
    # a `prune` of another test may have taken the cache of the runtime
    assert built_steps(done) - {"inside", "runtime"} == {"four", "four-smoke"}
    assert {name: after[name] for name in before} == before
    assert diffs(after["four"])[: len(first)] == first
    assert python(toy.image("four"), HELD) == "numpy typing_extensions\n"
    assert toy.slimbake("lock", "--check").code == 0
