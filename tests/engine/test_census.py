"""The census on real images, and probes: calls chosen from documentation, with passes and without."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import chain
from typing import Any

import pytest
from bench.levels import DEFAULT, SERVICES, copied, probed
from slimbake.proof.counting import offered
from tests.engine.conftest import Toy, fleet
from tests.engine.toys import entry

from slimbake.console import QUIET
from slimbake.externals.standin import python_standin
from slimbake.host.machine import machine
from slimbake.inside.build.runtime import LEFT_BEHIND


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    with fleet(tmp_path_factory.mktemp("census")) as made:
        made.write(
            "bases: {small: {requirements: [idna, six]}}\nservices:\n"
            + entry("one", "    base: small\n"),
            {"one/app.py": "", "one/smoke.py": "def imports():\n    import app\n"},
        )
        yield made


@pytest.mark.slow
def test_an_image_of_lossless_passes_offers_what_one_without_does(toy: Toy) -> None:
    done = toy.slimbake("census", "--imports", "--json")
    assert done.code == 0, done.stderr
    found: dict[str, Any] = done.json()["one"]
    assert found["losses"] == [] and found["stale_imports"] == {}
    assert found["modules"] == found["found"] > 8
    assert found["files"].get("lost", 0) == 0
    assert found["imports"]["tried"] > 0 and found["imports"]["differ"] == []


@pytest.fixture(scope="module")
def by_default(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """The example at the default level, as a project with a name of its own, baked."""
    with fleet(tmp_path_factory.mktemp("level")) as made:
        copied(made.root, made.project, DEFAULT)
        done = made.slimbake("bake", *SERVICES)
        assert done.code == 0, done.stderr
        yield made


@pytest.mark.slow
def test_at_least_200_documented_calls_have_the_same_outcome_with_passes_and_without(
    by_default: Toy,
) -> None:
    done = by_default.slimbake("census", "--json", *SERVICES)
    assert done.code == 0, done.stderr
    tried: dict[str, set[str]] = {"tried": set(), "succeeded": set(), "differ": set()}
    for service in SERVICES:
        before, after = (probed(by_default.staged(service, k)) for k in ("unpruned", "built"))
        tried["tried"] |= before.keys()
        tried["succeeded"] |= {probe for probe, said in before.items() if said[:7] == "value: "}
        for probe, said in before.items():
            if after.get(probe) != said:
                tried["differ"].add(f"{service}: {probe}: {said} / {after.get(probe)}")
    counts = {key: len(names) for key, names in tried.items()}
    assert not tried["differ"], "\n".join(sorted(tried["differ"]))
    assert counts["tried"] >= 220 and counts["succeeded"] >= 200


def test_what_distilling_leaves_out_of_the_standard_library_is_named(toy: Toy) -> None:
    assert toy.slimbake("bake").code == 0
    whole, runtime = (
        set(offered(each)["stdlib"])
        for each in (
            python_standin("3.11", machine(), QUIET, install=True),
            toy.image("one"),
        )
    )
    gone = whole - runtime
    named = {
        name
        for name in gone
        for part in name.split(".")
        for pattern in chain.from_iterable(LEFT_BEHIND.values())
        if any(fnmatch(each, pattern) for each in (part, f"{part}.py", f"{part}.any.so"))
    }
    assert gone == named and {"venv", "curses"} <= gone
    assert len(whole) > 500 and runtime < whole
