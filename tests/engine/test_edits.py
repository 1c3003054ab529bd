"""Edits of code, which are built of settled code: the same images, and the same checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine.conftest import Ended, Toy, call, docker, fleet
from tests.engine.test_bake import outside
from tests.engine.test_sbom import Pushed
from tests.engine.toys import BROKEN, SMOKE, entry, held

SERVES = "import http.server\n\nhttp.server.test(port=8000)\n"
BOTH = ("two", "web")


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """Two services that were baked and edited, so that the next edit is built of settled code."""
    with fleet(tmp_path_factory.mktemp("edited")) as made:
        made.write(
            "bases: {small: {requirements: [six]}}\nservices:\n"
            + entry(
                "two",
                "    base: small\n    requirements: [toml]\n    budget: {uncompressed: 60MB}\n",
            )
            + "  web: {context: web, command: [python, -m, app], port: 8000,"
            f" volumes: {{{made.project}-kept: /kept}}}}\n",
            {"two/app.py": "import six, toml\n", "two/smoke.py": SMOKE, "web/app.py": SERVES},
        )
        for number in range(2):
            made.file("two/deep/more.py", f"MORE = {{'a', 'b', {number}}}  # {made.project}\n")
            made.file("web/run", f"# {made.project} {number}\n")
            (made.root / "web/run").chmod(0o700)
            (made.root / "web/empty").mkdir(exist_ok=True)
            done = made.slimbake("bake")
            assert done.code == 0, done.stderr
            assert staged(done, *BOTH) == BOTH
        yield made


def staged(done: Ended, *services: str) -> tuple[str, ...]:
    """Those of these services whose code a step of their Dockerfile settled; the others were built
    of settled code.
    """
    steps = tuple(name for name in services if f"{name}: copy-code /app" in done.stderr)
    for name in services:
        copied = f"{name}: COPY --from=code /app /app" in done.stderr
        assert copied or name in steps, done.stderr
    return steps


def images(done: Ended) -> dict[str, Any]:
    assert done.code == 0, done.stderr
    return dict(done.json()["images"])


def edit(toy: Toy, text: str) -> None:
    toy.file("two/app.py", f"import six, toml\nimport deep.more  # {text} {toy.project}\n")
    toy.file("web/app.py", f"{SERVES}# {text} {toy.project}\n")


@pytest.mark.slow
def test_the_image_is_the_one_that_all_stages_build(edited: Toy, registry: str) -> None:
    """On a registry, by plain buildx and without a cache, with the same fingerprints."""
    at = f"{registry}/{edited.project}"
    edit(edited, "same")
    done = edited.slimbake("bake", "--json", "--push", "--registry", at)
    assert staged(done, *BOTH) == ()
    baked = (edited.root / ".slimbake/baked.json").read_text()
    words, env = outside(edited)
    plain = ("docker", "buildx", "bake", "--file", "docker-bake.hcl", *words, "default")
    env |= {"REGISTRY": at, "TAG": "plain", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    built = call(*plain, cwd=edited.root, env=env)
    assert built.code == 0, built.stderr
    again = edited.slimbake(
        "bake", "--json", "--no-cache", "--push", "--registry", at, "--tag", "again"
    )
    assert staged(again, *BOTH) == BOTH
    assert images(again) == images(done)
    assert (edited.root / ".slimbake/baked.json").read_text() == baked
    for name in BOTH:
        pushed = Pushed(registry, edited, name)
        assert pushed.manifest("latest") == pushed.manifest("again")
        layers = "--format={{json .RootFS.Layers}}"  # labels name the stand-ins of this machine
        known = {
            docker("image", "inspect", layers, f"{at}/{name}:{tag}") for tag in ("plain", "again")
        }
        assert len(known) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("two/smoke.py", BROKEN, "the weights are wrong"),
        ("two/app.py", "import nothing\n", "nothing"),
        ("two/data.txt", "0123456789" * 3_000_000, "two: uncompressed "),
        ("web/app.py", "raise SystemExit('cannot serve')\n", "the start check of web"),
    ],
    ids=["smoke", "import", "budget", "start"],
)
def test_no_tag_moves_to_what_a_check_refuses(edited: Toy, path: str, text: str, said: str) -> None:
    edit(edited, path)
    before = images(edited.slimbake("bake", "--json"))
    edit(edited, f"{path} of which a check refuses")
    edited.file(path, text)
    refused = edited.slimbake("bake")
    assert refused.code == 6 and said in refused.stderr, refused.stderr
    assert staged(refused, path.partition("/")[0]) == ()
    assert {n: held(edited.image(n)) for n in BOTH} == {n: before[n]["digest"] for n in BOTH}
    (edited.root / path).unlink()
    edited.file("two/smoke.py", SMOKE)
    edit(edited, path)
    assert images(edited.slimbake("bake", "--json")) == before


@pytest.mark.slow
def test_what_no_folder_settled_here_can_be_is_left_to_the_stages(edited: Toy) -> None:
    edit(edited, "left")
    (edited.root / "two/link").symlink_to("app.py")
    done = edited.slimbake("bake", "--json")
    assert staged(done, *BOTH) == ("two",)
    (edited.root / "two/link").unlink()
    docker("image", "rm", edited.staged("web", "below"))
    edit(edited, "lost")
    done = edited.slimbake("bake", "--json")
    assert staged(done, *BOTH) == ("web",)
    edit(edited, "kept again")
    assert staged(edited.slimbake("bake"), *BOTH) == ()
    edit(edited, "to a cache")
    cached = edited.slimbake("bake", env={"CACHE_TO": "type=inline"})
    assert staged(cached, *BOTH) == BOTH
