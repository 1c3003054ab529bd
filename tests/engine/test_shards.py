"""`bake --shards` on two engines, each in a network namespace of its own, as Docker contexts, with
one registry.
"""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.engine.conftest import Ended, Toy, call, fleet
from tests.engine.engines import bring_externals, own_engine, sees_loopback
from tests.engine.toys import BROKEN, SMOKE, write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="engines of their own need root"),
]
SERVICES = ("one", "two", "three")


class Nodes:
    """A toy fleet, and the contexts `near` and `far`; `gone` is one whose engine does not answer."""

    def __init__(self, toy: Toy, registry: str, config: Path) -> None:
        self.toy, self.to, self.env = (
            toy,
            f"{registry}/{toy.project}",
            {"DOCKER_CONFIG": str(config)},
        )

    def add(self, name: str, host: str) -> None:
        made = call("docker", "context", "create", name, "--docker", f"host={host}", env=self.env)
        assert made.code == 0, made.stderr

    def bake(self, *nodes: str) -> Ended:
        words = [word for node in nodes for word in ("--node", node)]
        return self.toy.slimbake(
            "bake", "--push", "--registry", self.to, "--json", *words, env=self.env
        )

    def served(self, name: str, tag: str = "latest") -> str:
        """The digest that the registry has under a tag; "" for none."""
        host, _, path = self.to.partition("/")
        kinds = (
            "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
        )
        request = urllib.request.Request(
            f"http://{host}/v2/{path}/{name}/manifests/{tag}",
            headers={"Accept": kinds},
            method="HEAD",
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return str(answer.headers["Docker-Content-Digest"])
        except urllib.error.HTTPError:
            return ""


@pytest.fixture(scope="module")
def nodes(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with ExitStack() as undo:
        toy = undo.enter_context(fleet(tmp_path_factory.mktemp("shards")))
        write(toy, *SERVICES)
        made = Nodes(toy, registry, tmp_path_factory.mktemp("docker"))
        for name in ("near", "far"):
            engine = undo.enter_context(own_engine())
            undo.enter_context(sees_loopback(engine, int(registry.rpartition(":")[2])))
            bring_externals(toy.root / "services.yaml", engine.host)
            made.add(name, engine.host)
        made.add("gone", "unix:///nowhere/docker.sock")
        yield made


def test_two_engines_share_what_is_built_once_and_give_what_one_gives(nodes: Nodes) -> None:
    done = nodes.bake("near", "far")
    assert done.code == 0, done.stderr
    images = done.json()["images"]
    assert set(images) == {"runtime", *SERVICES}
    assert {images[name]["node"] for name in SERVICES} == {"near", "far"}
    assert len(re.findall(r"^shard \d+: runtime: make-runtime", done.stderr, re.MULTILINE)) == 1, (
        "built once in all"
    )
    for name in ("runtime", *SERVICES):
        assert nodes.served(name) == images[name]["digest"]

    alone = nodes.toy.slimbake("bake", "--registry", nodes.to, "--json")
    assert {name: about["digest"] for name, about in alone.json()["images"].items()} == {
        name: images[name]["digest"] for name in SERVICES
    }, "the same inputs give the same digests, wherever they are built"
    assert set(json.loads((nodes.toy.root / ".slimbake/costs.json").read_text())) >= {
        "runtime",
        *SERVICES,
    }


def test_a_shard_whose_node_is_gone_is_built_elsewhere(nodes: Nodes) -> None:
    done = nodes.bake("near", "gone")
    assert done.code == 0, done.stderr
    assert "gone is lost; once more, elsewhere" in done.stderr
    assert {about["node"] for about in done.json()["images"].values()} == {"near"}


def test_no_tag_moves_to_an_image_whose_smoke_fails(nodes: Nodes) -> None:
    assert nodes.bake("near", "far").code == 0
    before = {name: nodes.served(name) for name in SERVICES}
    nodes.toy.file("two/app.py", f"print('edited')  # {nodes.toy.project}\n")
    nodes.toy.file("two/smoke.py", BROKEN)
    done = nodes.bake("near", "far")
    assert (done.code, done.stdout) == (6, "")
    assert "the smoke of two failed" in done.stderr
    assert nodes.served("two") == before["two"] != ""
    nodes.toy.file("two/smoke.py", SMOKE)
    assert nodes.bake("near", "far").code == 0
    assert nodes.served("two") != before["two"]
