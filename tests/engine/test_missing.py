"""`bake --push --missing` against a real registry: what is there is tagged and not built, what is
in doubt is built.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine.conftest import Ended, Toy, fleet
from tests.engine.registries import Pushed, free_port
from tests.engine.test_bake import built_steps
from tests.engine.toys import BROKEN, SMOKE, code, entry

from slimbake.release.statement import KIND

pytestmark = pytest.mark.slow

BASED = "    base: small\n"


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory, registry: str) -> Iterator[Toy]:
    """Two services on a base and one on none, all pushed as `v1`."""
    with fleet(tmp_path_factory.mktemp("missing")) as made:
        made.write(
            "bases: {small: {requirements: [six]}}\nservices:\n"
            + entry("one", BASED)
            + entry("two", BASED)
            + entry("alone"),
            code(made, "one", "two", "alone"),
        )
        done = push(made, registry, "v1")
        assert done.code == 0, done.stderr
        yield made


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


def test_a_smoke_that_fails_leaves_no_fingerprint_and_moves_no_tag(
    toys: Toy, registry: str
) -> None:
    tags = Pushed(registry, toys, "alone").tags()
    toys.file("alone/smoke.py", BROKEN)
    done = push(toys, registry, "v6", "--missing")
    toys.file("alone/smoke.py", SMOKE)
    assert done.code == 6, done.stderr
    assert Pushed(registry, toys, "alone").tags() == tags
    assert "v6" not in Pushed(registry, toys, "one").tags()


def test_what_was_pushed_is_written_as_buildx_does_and_into_files_of_the_users(
    toys: Toy, registry: str
) -> None:
    at, pushed = f"{registry}/{toys.project}", digests(toys, registry, "v1")
    done = push(toys, registry, "v7", "--missing", "--metadata-file", "metadata.json")
    assert done.code == 0, done.stderr
    assert json.loads((toys.root / "metadata.json").read_text()) == {
        name: {"containerimage.digest": digest, "image.name": f"{at}/{name}:v7"}
        for name, digest in pushed.items()
    }
    toys.file("deploy/one.yaml", f"image: {at}/one:v0  # by hand\n")
    words = ("images", "deploy/one.yaml", "--registry", at, "--tag", "v7")
    exported = toys.done("export", *words)
    assert exported.stdout == "changed: one (deploy/one.yaml:1:8)\n"
    text = (toys.root / "deploy/one.yaml").read_text()
    assert text == f"image: {at}/one:v7@{pushed['one']}  # by hand\n"


def test_where_nobody_answers_all_is_built_and_the_push_fails(toys: Toy) -> None:
    done = push(toys, f"127.0.0.1:{free_port()}", "v1", "--missing")
    assert done.code == 5
    doubt = "built to be sure: one, two, alone: the registry cannot be reached"
    assert doubt in done.stderr.splitlines()
