"""The census on real images: what they offer, and calls chosen from documentation, optimised and not."""

from __future__ import annotations

import re
import sys
from fnmatch import fnmatch
from itertools import chain

import pytest
from bench.counting.images import offered
from tests.engine.conftest import Ended, Toy, call, fleet, python
from tests.engine.toys import copy_example, entry
from tools.bare.images import python_image

from slimbake.inside.make.runtime import LEFT_BEHIND

SERVICES = ("api", "embedding-onnx", "embedding", "nlg")  # the last two take a quarter of an hour


def census(toy: Toy, *words: str) -> Ended:
    manifest = f"--manifest={toy.root / 'services.yaml'}"
    return call(sys.executable, "bench/census.py", *words, manifest, env={"CI": "true"})


@pytest.fixture(scope="module")
def toy(shared_toy: Toy) -> Toy:
    shared_toy.write(
        "bases: {small: {requirements: [attrs, idna, six]}}\nservices:\n"
        + entry("one", "    base: small\n"),
        {"one/app.py": "", "one/smoke.py": "def imports():\n    import app\n"},
    )
    return shared_toy


@pytest.mark.slow
def test_an_optimised_image_offers_what_one_without_does(toy: Toy) -> None:
    done = census(toy, "one", "--imports")
    assert done.code == 0, (done.stdout, done.stderr)
    found = re.search(r"one: (\d+) of (\d+) modules, 0 losses", done.stdout)
    assert found and found[1] == found[2] and int(found[1]) > 8
    bare = toy.staged("one", "bare")
    ledger = "import os; print(os.path.exists('/opt/slimbake/ledger'))"
    optimised = toy.staged("one")
    assert [python(image, ledger) for image in (bare, optimised)] == ["False\n", "True\n"]


@pytest.mark.slow
@pytest.mark.nightly
def test_at_least_200_documented_calls_have_the_same_outcome_in_the_example(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    services = SERVICES if request.config.getoption("--example") else SERVICES[:2]
    with fleet(tmp_path_factory.mktemp("example")) as example:
        copy_example(example, "bake", "examples", "libs")
        manifest = (example.root / "services.yaml").read_text("utf-8")
        for pattern, text in (
            (r"(?m)^registry: .*$", f"registry: {example.project}"),  # the example keeps its tags
            (r"(?m)^ *budget: .*\n", ""),
        ):
            manifest, changed = re.subn(pattern, text, manifest)
            assert changed, pattern
        example.file("services.yaml", manifest)
        done = census(example, *services)
    assert done.code == 0, (done.stdout, done.stderr)
    assert done.stdout.count(" 0 losses") == len(services)
    calls = re.findall(r"(\d+) of (\d+) calls the same", done.stdout)
    assert len(calls) == len(services) and all(same == tried for same, tried in calls)
    assert sum(int(tried) for _, tried in calls) >= 200


def test_what_distilling_leaves_out_of_the_standard_library_is_named(toy: Toy) -> None:
    assert toy.slimbake("bake").code == 0
    whole, runtime = (
        set(offered(each)["stdlib"]) for each in (python_image("3.11"), toy.image("one"))
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
