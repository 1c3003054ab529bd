"""`bake --push --missing` against a real registry: what is there is tagged and not built, what is
in doubt is built.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.conftest import Ended, Toy
from tests.engine.registries import Pushed
from tests.engine.test_bake import built_steps
from tests.engine.toys import code, entry

from slimbake.release.statement import KIND

pytestmark = pytest.mark.slow

BASED = "    base: small\n"


@pytest.fixture(scope="module")
def toys(shared_toy: Toy, registry: str) -> Toy:
    """Two services on a base and one on none, all pushed as `v1`."""
    shared_toy.write(
        "bases: {small: {requirements: [six]}}\nservices:\n"
        + entry("one", BASED)
        + entry("two", BASED)
        + entry("alone"),
        code(shared_toy, "one", "two", "alone"),
    )
    done = push(shared_toy, registry, "v1")
    assert done.code == 0, done.stderr
    return shared_toy


def push(toy: Toy, registry: str, tag: str, *words: str) -> Ended:
    return toy.slimbake(
        "bake", "--push", "--json", "--registry", f"{registry}/{toy.project}", "--tag", tag, *words
    )


def digests(toy: Toy, registry: str, tag: str) -> dict[str, str]:
    """What a tag names, by service."""
    return {name: Pushed(registry, toy, name).manifest(tag)[0] for name in ("one", "two", "alone")}


def kept(done: Ended) -> set[str]:
    return set(done.json()["on_registry"])


def own_tag(toy: Toy, registry: str, service: str) -> str:
    """The tag of the fingerprint of the image that `v1` names."""
    pushed = Pushed(registry, toy, service)
    digest, _ = pushed.manifest("v1")
    (found,) = [
        tag for tag in pushed.tags() if tag.startswith("fp-") and pushed.manifest(tag)[0] == digest
    ]
    return found


def artifacts(toy: Toy, registry: str, service: str, digest: str) -> list[dict[str, Any]]:
    _, index = Pushed(registry, toy, service).manifest(digest.replace(":", "-"))
    return list(index["manifests"])


def test_an_image_that_was_checked_and_pushed_has_its_fingerprint_and_says_so(
    toys: Toy, registry: str
) -> None:
    found = digests(toys, registry, "v1")
    assert len(found) == 3
    for service, digest in found.items():
        tag = own_tag(toys, registry, service)
        assert Pushed(registry, toys, service).manifest(tag)[0] == digest
        (statement,) = [
            e for e in artifacts(toys, registry, service, digest) if e["artifactType"] == KIND
        ]
        (layer,) = Pushed(registry, toys, service).manifest(statement["digest"])[1]["layers"]
        fingerprint = Pushed(registry, toys, service).blob(layer["digest"]).decode()
        assert fingerprint.removeprefix("sha256:").startswith(tag.removeprefix("fp-"))


def test_a_second_run_builds_nothing_and_retags(toys: Toy, registry: str) -> None:
    before = digests(toys, registry, "v1")
    attached = {name: artifacts(toys, registry, name, digest) for name, digest in before.items()}
    done = push(toys, registry, "v2", "--missing")
    assert done.code == 0, done.stderr
    assert "on the registry: one, two, alone" in done.stderr.splitlines()
    assert (built_steps(done), done.json()["images"]) == (set(), {})
    assert kept(done) == {"one", "two", "alone"}
    assert {name: each["digest"] for name, each in done.json()["on_registry"].items()} == before
    assert digests(toys, registry, "v2") == before
    assert {
        n: artifacts(toys, registry, n, d) for n, d in digests(toys, registry, "v2").items()
    } == attached


def test_a_one_line_edit_builds_and_pushes_that_service_only(toys: Toy, registry: str) -> None:
    before = digests(toys, registry, "v1")
    text = toys.edit("print", "print('edited')\nprint", "one/app.py")
    done = push(toys, registry, "v3", "--missing")
    again = push(toys, registry, "v4", "--missing")
    toys.file("one/app.py", text)
    assert (done.code, again.code) == (0, 0), done.stderr + again.stderr
    assert kept(done) == {"two", "alone"}
    assert set(done.json()["images"]) == {"one"}
    assert kept(again) == {"one", "two", "alone"}
    after = digests(toys, registry, "v3")
    assert {name for name in before if after[name] != before[name]} == {"one"}
    assert digests(toys, registry, "v4") == after


def test_an_edited_smoke_is_run_and_gives_the_same_image_another_fingerprint(
    toys: Toy, registry: str
) -> None:
    before = digests(toys, registry, "v1")["two"]
    text = toys.edit("import app", "import app\ndef load():\n    pass", "two/smoke.py")
    done = push(toys, registry, "v5", "--missing")
    toys.file("two/smoke.py", text)
    assert done.code == 0, done.stderr
    assert kept(done) == {"one", "alone"}
    assert digests(toys, registry, "v5")["two"] == before
    pushed = Pushed(registry, toys, "two")
    tags = [tag for tag in pushed.tags() if tag.startswith("fp-")]
    assert [pushed.manifest(tag)[0] for tag in tags].count(before) == 2
    kinds = [each["artifactType"] for each in artifacts(toys, registry, "two", before)]
    assert kinds.count(KIND) == 2
