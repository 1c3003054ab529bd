"""What images say of their origin: the locks that they stand on, and the image that they were
distilled from.
"""

import hashlib
from collections.abc import Mapping

from tests.unit.fleets import asks, fleet, plan_of, service

from slimbake.config.model import BaseEntry, ExternalEntry, WeightsEntry
from slimbake.fleet import Fleet
from slimbake.lock.locks import Locks
from slimbake.plan.model import Plan
from slimbake.release.command import BakeOptions, Surroundings, arguments

MODEL = "weights-a-model.txt"
LOCKS = {
    "base-web.txt": "# made by a tool\nhttpx==1 \\\n    --hash=sha256:aa\n",
    "base-ml.txt": "torch==2\n",
    MODEL: "a-model==3\n",
    "api.txt": "six==1\n",
    "far.txt": "iniconfig==1\n",
}


def images() -> Fleet:
    return fleet(
        service(
            "api", base="ml", requirements=asks("six"), weights=WeightsEntry("package", "a-model")
        ),
        service("far", requirements=asks("iniconfig")),
        service("bare"),
        service("own", base="web", dockerfile="own/Dockerfile"),
        bases=(
            BaseEntry(name="ml", extends="web", requirements=asks("torch")),
            BaseEntry(name="web", requirements=asks("httpx")),
        ),
        externals=(ExternalEntry("python", "example.com/python:3.11@sha256:1234"),),
    )


def label(of: Plan, target: str, name: str = "slimbake.lock") -> str | None:
    return dict(of.target(target).labels).get(name)


def decided(texts: Mapping[str, str]) -> Plan:
    return plan_of(images(), Locks(texts))


def test_the_digest_of_locks_is_that_of_their_lines_less_comments() -> None:
    text = "httpx==1 \\\n    --hash=sha256:aa\ntorch==2\na-model==3\nsix==1\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert label(decided(LOCKS), "api") == f"sha256:{digest}"


def test_the_digest_changes_with_what_is_below_and_with_nothing_else() -> None:
    before = decided(LOCKS)
    comment = decided(LOCKS | {"base-web.txt": "# other words\n" + LOCKS["base-web.txt"]})
    beside = decided(LOCKS | {"far.txt": "iniconfig==2\n"})
    below = decided(LOCKS | {"base-web.txt": "httpx==2\n"})
    assert label(comment, "api") == label(beside, "api") == label(before, "api")
    assert label(beside, "far") != label(before, "far")
    assert label(below, "api") != label(before, "api")
    assert label(below, "base-ml") != label(before, "base-ml")
    assert label(below, "far") == label(before, "far")


def test_without_a_lock_there_is_no_digest() -> None:
    found = decided({name: text for name, text in LOCKS.items() if name != MODEL})
    assert label(found, "api") is None
    assert label(found, "base-ml") is not None
    assert label(found, "bare") is None, "it uses the runtime alone"


def given(*standins: str) -> list[str]:
    """What a bake knows of the origin of the image `bare` and of what is under it."""
    around = Surroundings(
        externals={"python": "docker-image://here/python:1", "uv": "/uv"},
        digests={"python": "sha256:9", "uv": "uv-1"},
        standins=standins,
    )
    words = arguments(decided({}), ("bare", "own"), around, BakeOptions())
    return [word for word in words if ".labels.org" in word]


def test_the_digest_of_the_external_is_given_to_the_bake() -> None:
    digest = "labels.org.opencontainers.image.base.digest=sha256:9"
    assert given("uv") == [f"runtime.{digest}", f"base-web.{digest}", f"bare.{digest}"]


def test_a_stand_in_is_called_what_it_is() -> None:
    name = "labels.org.opencontainers.image.base.name=here/python:1"
    assert [word for word in given("python") if ".name=" in word] == [
        f"{image}.{name}" for image in ("runtime", "base-web", "bare")
    ]
