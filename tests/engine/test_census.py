"""The census on real images, and probes: calls chosen from documentation, with passes and without."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import ROOT, Toy, docker, fleet
from tests.engine.toys import entry

from slimbake.console import QUIET
from slimbake.externals.standin import python_standin
from slimbake.host.machine import machine
from slimbake.inside.build.runtime import LEFT_BEHIND
from slimbake.proof.counting import offered

PROBES = Path(__file__).parent / "probes"
PROBED = ("embedding", "nlg", "api", "embedding-onnx")
RESULTS = ROOT / ".slimbake/probes.json"  # bench/results.py reads it


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    with fleet(tmp_path_factory.mktemp("census")) as made:
        made.write(
            "bases: {small: {requirements: [idna, six]}}\nservices:\n"
            + entry("one", "    base: small\n"),
            {"one/app.py": "", "one/smoke.py": "def imports():\n    import app\n"},
        )
        yield made


def test_an_image_of_lossless_passes_offers_what_one_without_does(toy: Toy) -> None:
    done = toy.slimbake("census", "--imports", "--json")
    assert done.code == 0, done.stderr
    found: dict[str, Any] = done.json()["one"]
    assert found["losses"] == [] and found["stale_imports"] == {}
    assert found["modules"] == found["found"] > 8
    assert found["files"].get("lost", 0) == 0
    assert found["imports"]["tried"] > 0 and found["imports"]["differ"] == []


def in_image(image: str) -> dict[str, str]:
    """What came of every probe in an image: read-only, no network, not as root."""
    said = docker(
        "run",
        "--rm",
        "--network=none",
        "--read-only",
        "--user=65532:65532",
        "--tmpfs=/tmp:mode=1777,exec",
        f"--volume={ROOT / 'bake/programs/check.pyz'}:/check.pyz:ro",
        f"--volume={PROBES}:/probes:ro",
        "--entrypoint=python",
        image,
        "-I",
        "/probes/run.py",
    )
    return dict(json.loads(said.splitlines()[-1]))


@pytest.fixture(scope="module")
def by_default(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """The example at the default level, as a project with a name of its own, baked."""
    with fleet(tmp_path_factory.mktemp("level")) as made:
        for name in ("bake", "examples"):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, made.root / name, ignore=ignore)
        shutil.copy(ROOT / "passes.yaml", made.root)
        manifest = (ROOT / "services.yaml").read_text("utf-8")
        for pattern, text in (
            (r"(?m)^project: .*$", f"project: {made.project}"),
            (r"(?m)^ *(optimize|budget): .*\n", ""),
        ):
            manifest = re.sub(pattern, text, manifest)
        made.file("services.yaml", manifest)
        done = made.slimbake("bake", *PROBED)
        assert done.code == 0, done.stderr
        yield made


@pytest.mark.slow
def test_at_least_200_documented_calls_have_the_same_outcome_with_passes_and_without(
    by_default: Toy,
) -> None:
    done = by_default.slimbake("census", "--json", *PROBED)
    assert done.code == 0, done.stderr
    tried: dict[str, set[str]] = {"tried": set(), "succeeded": set(), "differ": set()}
    for service in PROBED:
        name = f"slimbake/{by_default.project}/{service}"
        before, after = (in_image(f"{name}:{tag}") for tag in ("unpruned", "built"))
        tried["tried"] |= before.keys()
        tried["succeeded"] |= {probe for probe, said in before.items() if said[:7] == "value: "}
        for probe, said in before.items():
            if after.get(probe) != said:
                tried["differ"].add(f"{service}: {probe}: {said} / {after.get(probe)}")
    counts = {key: len(names) for key, names in tried.items()}
    RESULTS.write_text(json.dumps(counts))
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
