"""Where a release is made: what is asked of an engine or of a builder, what they push, what becomes
of tags, and what neither can do.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fleets import asks, fleet, service, unlocked
from tests.unit.machines import CONTAINER, ENGINE
from tests.unit.registries import Registry, registry
from tests.unit.release.played import (
    CONFIG,
    CONFIG_DIGEST,
    MB,
    Played,
    manifest,
    play,
    site,
)

from slimbake import docker
from slimbake.config.model import BaseEntry, Budget
from slimbake.errors import BuildError, CheckError, SetupError, SlimbakeError
from slimbake.host.workspace import Workspace
from slimbake.plan.graph import relinked
from slimbake.registry.address import endpoint
from slimbake.registry.documents import MANIFEST
from slimbake.registry.session import Host
from slimbake.release import place as places
from slimbake.release.bake import BakeResult
from slimbake.release.command import BakeOptions
from slimbake.release.place import BakeRequest, BuildPlace, BuiltImage, place_of
from slimbake.release.release import Released, release
from slimbake.release.site import Site

SERVICES = ("api", "nlg", "hybrid", "client")
FLEET = fleet(
    service("api", base="web", smoke="smoke.py", budget=Budget(uncompressed=8 * MB)),
    service("nlg", base="ml", smoke="smoke.py"),
    service("hybrid", base="ml", smoke="smoke.py"),
    service("client"),
    bases=(
        BaseEntry("web", requirements=asks("fastapi")),
        BaseEntry("ml", requirements=asks("torch"), extends="web"),
    ),
)


@dataclass
class Builder:
    """A builder that pushes at once, into a registry of this process."""

    server: Registry
    broken: Mapping[str, SlimbakeError] = field(default_factory=dict)
    asked: list[tuple[tuple[str, ...], bool]] = field(default_factory=list)
    options: list[BakeOptions] = field(default_factory=list)
    sites: list[Site] = field(default_factory=list)
    pulled: list[tuple[str, str]] = field(default_factory=list)  # image, platform

    def bake(
        self, site: Site, targets: tuple[str, ...], options: BakeOptions, *, checks: bool = True
    ) -> BakeResult:
        assert options.push
        self.asked.append((targets, checks))
        self.options.append(options)
        self.sites.append(site)
        # raises KeyError for what is stood on, as a bake does
        needed = {n: relinked(site.plan, site.around.pushed).needed((n,)) for n in targets}
        broken = dict(self.broken)
        failed = {n for n in targets if {t.name for t in needed[n]} & set(broken)}
        culprits = {n: next(t.name for t in needed[n] if t.name in broken) for n in sorted(failed)}
        failures = {name: broken[culprit] for name, culprit in culprits.items()}
        if failures and not options.keep_going:
            raise next(iter(failures.values()))
        good = tuple(name for name in targets if name not in failed)
        digests = {name: (self.put(name),) for name in good}
        return BakeResult(digests, failures, frozenset(good), good)

    def put(self, name: str) -> str:
        self.server.blobs[CONFIG_DIGEST] = CONFIG
        return self.server.put("x", MANIFEST, manifest(name).read())

    def pull(self, name: str, platform: str) -> str:
        self.pulled.append((name, platform))
        return f"{name.rpartition('@')[2]} for {platform}"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    with registry(referrers=True) as server:
        project = replace(unlocked(FLEET), workspace=Workspace(tmp_path))
        yield play(monkeypatch, tmp_path, project, server)


@pytest.fixture
def builder(machine: Played, monkeypatch: pytest.MonkeyPatch) -> Builder:
    made = Builder(machine.server)
    monkeypatch.setattr(places, "bake", made.bake)
    monkeypatch.setattr(docker, "pull_image", made.pull)
    monkeypatch.setattr(places, "place_of", lambda *_: BuildPlace(afar=True))
    monkeypatch.setattr("slimbake.release.release.place_of", lambda *_: BuildPlace(afar=True))
    return made


def asking(machine: Played, **said: Any) -> BakeRequest:
    """A request to push all services."""
    said = {"targets": SERVICES, "push": True, **said}
    return BakeRequest(registry=f"{machine.server.name}/atlas", **said)


def host(machine: Played) -> Host:
    return Host(endpoint(f"{machine.server.name}/atlas"), "")


def run(machine: Played, *names: str, **said: Any) -> Released:
    """A release on a builder of its own."""
    said = {"tag": "v1", "targets": names or SERVICES, **said}
    return release(machine.project, replace(asking(machine), **said), machine.console)


def digest(name: str) -> str:
    """Of the image that a target is built to."""
    return manifest(name).descriptor.digest


# --- on a builder that is not the engine's own


def test_what_was_checked_gets_its_tag_unchanged(machine: Played, builder: Builder) -> None:
    done = run(machine)
    at = f"{machine.server.name}/atlas"
    assert list(done.names) == list(SERVICES)
    assert done.names == {name: f"{at}/{name}:v1" for name in SERVICES}
    assert done.pushed == {name: f"{at}/{name}@{digest(name)}" for name in SERVICES}
    assert machine.tagged("v1") == sorted(SERVICES)
    assert {options.names[name] for options in builder.options for name in options.names} == {
        f"{at}/{name}:staged" for name in SERVICES
    }, "nobody uses these names before the checks hold"
    (platform,) = machine.project.plan.platforms
    pulled = {(f"{at}/{name}@{digest(name)}", platform) for name in SERVICES}
    assert sorted(builder.pulled) == sorted(pulled), "services alone"
    assert [image.name for image in done.measurement.images] == list(SERVICES)
    assert machine.tags == [f"{at}/{name}:v1" for name in SERVICES]


def test_with_keep_going_the_rest_is_tagged(machine: Played, builder: Builder) -> None:
    builder.broken = {"nlg": CheckError("the smoke of nlg failed")}
    done = run(machine, keep_going=True)
    assert machine.tagged("v1") == sorted({*SERVICES} - {"nlg"})
    assert [*done.failures] == ["nlg"]
    with pytest.raises(CheckError, match="the smoke of nlg failed") as error:
        done.expect_all()
    assert "hybrid" in error.value.hint


def test_one_builder_builds_all_and_pushes_services(machine: Played, builder: Builder) -> None:
    made = BuildPlace(afar=True).make(
        site(machine.project), SERVICES, asking(machine, platform="linux/x")
    )
    assert builder.asked == [(SERVICES, True)]
    assert [image.name for image in made.images] == list(SERVICES)
    assert [image.image for image in made.images] == [
        f"{digest(name)} for linux/x" for name in SERVICES
    ]


def test_what_runs_here_is_of_the_engine_s_platform(machine: Played, builder: Builder) -> None:
    both = unlocked(fleet(service("api"), platforms=("linux/riscv64", "linux/amd64")))
    (image,) = BuildPlace(afar=True).make(site(both), ("api",), asking(machine)).images
    assert image.image.endswith(f" for {'linux/amd64'}")
    assert {platform for _, platform in builder.pulled} == {"linux/riscv64", "linux/amd64"}


def test_a_nameless_image_is_an_error(machine: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        places, "bake", lambda _, targets, __: BakeResult({}, {}, frozenset(), targets)
    )
    with pytest.raises(BuildError, match="buildx names no image for api"):
        BuildPlace(afar=True).make(site(machine.project), ("api",), asking(machine))


# --- on the engine


@dataclass
class Engine:
    """An engine's images, by name, and what is done with them."""

    images: dict[str, str] = field(default_factory=dict)
    done: list[tuple[str, ...]] = field(default_factory=list)
    push: Callable[[str], None] = lambda _: None

    def tag(self, image: str, name: str) -> None:
        self.images[name] = self.images.get(image, image)

    def pushed(self, name: str) -> None:
        self.done.append((name, self.images[name]))
        self.push(name)

    def remove(self, name: str) -> bool:
        return bool(self.images.pop(name, ""))


@pytest.fixture
def engine(machine: Played, monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine()
    monkeypatch.setattr(docker, "tag_image", made.tag)
    monkeypatch.setattr(docker, "push_image", made.pushed)
    monkeypatch.setattr(docker, "remove_image", made.remove)
    return made


def send(machine: Played, held: Site, **said: Any) -> dict[str, Any]:
    """Push the image of `api`, which has its name in the engine already."""
    request = asking(machine, **said)
    images = (BuiltImage(name="api", image=digest("api")),)
    names = {"api": f"{request.registry}/api:v1"}
    return dict(BuildPlace().push(held, images, names, host(machine)))


def test_an_image_that_the_registry_lost_is_an_error(machine: Played, engine: Engine) -> None:
    engine.tag(digest("api"), f"{machine.server.name}/atlas/api:v1")
    with pytest.raises(BuildError, match="api was pushed, and the registry does not have v1"):
        send(machine, site(machine.project))


def test_a_refused_push_is_reported_with_its_words(machine: Played, engine: Engine) -> None:
    def refused(_: str) -> None:
        raise SetupError("docker failed", "denied: you may not")

    engine.push = refused
    engine.tag(digest("api"), f"{machine.server.name}/atlas/api:v1")
    with pytest.raises(BuildError) as caught:
        send(machine, site(machine.project))
    assert "api was built and checked, but" in caught.value.message
    assert caught.value.message.endswith("could not be pushed\ndenied: you may not")


@pytest.fixture
def built(
    machine: Played, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[tuple[str, ...], BakeOptions]]:
    """Have the engine build and hold what is asked for; what that is."""
    calls: list[tuple[tuple[str, ...], BakeOptions]] = []

    def bake(_: Site, targets: tuple[str, ...], options: BakeOptions, **__: Any) -> BakeResult:
        calls.append((targets, options))
        machine.inputs |= machine.edited
        engine.images |= {f"{name}:built": digest(name) for name in targets}
        digests = {name: (digest(name),) for name in targets}
        return BakeResult(digests, left=targets)

    monkeypatch.setattr(places, "bake", bake)
    monkeypatch.setattr(
        docker, "held_images", lambda _: {image: (each,) for each, image in engine.images.items()}
    )
    return calls


def test_what_another_builder_built_is_brought_here(machine: Played, built: list[Any]) -> None:
    held = site(machine.project, engine=CONTAINER)
    for _ in range(2):
        BuildPlace().make(held, ("api",), asking(machine, push=False))
    assert [options.load for _, options in built] == [True, True]


def test_layouts_are_written_of_services_alone(machine: Played, built: list[Any]) -> None:
    layer = {"diff": "sha256:1", "blob": "sha256:2", "uncompressed": 3, "files": 1}
    held = site(machine.project)
    held.workspace.write("measured", {"sha256:0": [{**layer, "compressed": 2}]})
    assert BuildPlace().make(held, ("runtime", "base-web"), asking(machine)).layouts is None
    folder = held.workspace.path("layouts")
    assert BuildPlace().make(held, SERVICES, asking(machine)).layouts == folder
    assert [options.layouts for _, options in built] == ["", str(folder)]
    assert sorted(path.name for path in folder.iterdir()) == sorted(("blobs", *SERVICES))


def test_images_are_known_by_whichever_id_the_engine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {"sha256:manifest of api": ("a:1",), "sha256:configuration of nlg": ()}
    monkeypatch.setattr(docker, "held_images", lambda _: held)
    result = BakeResult(
        {
            name: (f"sha256:manifest of {name}", f"sha256:configuration of {name}")
            for name in SERVICES
        }
    )
    assert places.built_in_engine(("api", "nlg"), result) == (
        BuiltImage(name="api", image="sha256:manifest of api", names=("a:1",)),
        BuiltImage(name="nlg", image="sha256:configuration of nlg"),
    )
    with pytest.raises(SetupError, match="does not hold what was just built") as caught:
        places.built_in_engine(("api", "client"), result)
    assert caught.value.hint == (
        "looked for client: sha256:manifest of client or sha256:configuration of client"
    )
    with pytest.raises(BuildError, match="buildx names no image for other"):
        places.built_in_engine(("api", "other"), result)


# --- which of them


AFAR = replace(CONTAINER, builder="remote")


@pytest.mark.parametrize(
    ("engine", "said", "expected"),
    [
        (ENGINE, {}, BuildPlace()),
        (ENGINE, {"push": True}, BuildPlace()),
        (AFAR, {}, BuildPlace()),  # which has it brought there
        (AFAR, {"push": True}, BuildPlace(afar=True)),
    ],
)
def test_who_has_the_image_pushes(engine: Any, said: dict[str, Any], expected: BuildPlace) -> None:
    request = BakeRequest(targets=("api",), registry="r.example", **said)
    assert place_of(site(unlocked(FLEET), engine=engine), request) == expected
