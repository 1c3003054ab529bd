"""What was last built and checked here is not built again while nothing of it changes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fingerprint.test_fingerprint import AROUND, BASES, SERVICES, repository
from tests.unit.fleets import fleet, service, unlocked
from tests.unit.machines import CONTAINER, DEBIAN, ENGINE

from slimbake import docker
from slimbake.config.model import ServiceEntry
from slimbake.console import Console
from slimbake.errors import BuildError
from slimbake.host.workspace import Workspace
from slimbake.project import Project
from slimbake.release import place
from slimbake.release.bake import BakeResult
from slimbake.release.command import BakeOptions, Surroundings
from slimbake.release.inputs import baked_images, last_images
from slimbake.release.place import BakeRequest, BuildPlace, BuiltImage, BuiltImages
from slimbake.release.site import Site

BOTH = ("api", "embed")


@dataclass
class Engine:
    """What stands for the engine, and what was asked of it."""

    site: Site
    said: list[str]
    held: dict[str, tuple[str, ...]] = field(default_factory=dict)  # id -> names
    built: list[str] = field(default_factory=list)
    fails: str = ""
    meanwhile: Callable[[], object] = lambda: None  # while it builds

    def make(self, *targets: str, **said: Any) -> BuiltImages:
        request = BakeRequest(targets=targets or BOTH, registry="r.example", **said)
        return BuildPlace().make(self.site, request.targets, request)

    def builds(self, *targets: str, **said: Any) -> list[str]:
        """What is built where these are asked for."""
        self.built.clear()
        self.make(*targets, **said)
        return self.built

    def bake(
        self, _: Site, targets: tuple[str, ...], options: BakeOptions, **__: Any
    ) -> BakeResult:
        self.built += targets
        self.meanwhile()
        left = tuple(name for name in targets if name != self.fails)
        self.held |= {f"sha256:{name}": (f"{name}:built",) for name in left}
        failures = {name: BuildError(f"{name}: no") for name in targets if name == self.fails}
        digests = {name: (f"sha256:{name}",) for name in left}
        return BakeResult(digests, failures, left=left)


def project(root: Path, *services: ServiceEntry) -> Project:
    made = fleet(*services, bases=BASES, file=root / "services.yaml")
    repository(root, made)
    return unlocked(made)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    said: list[str] = []
    console = Console(said.append)
    site = Site(
        project=replace(project(tmp_path, *SERVICES), workspace=Workspace(tmp_path, console)),
        engine=ENGINE,
        machine=DEBIAN,
        around=Surroundings(externals={}, digests=AROUND.digests),
        console=console,
    )
    made = Engine(site, said)
    monkeypatch.setattr(place, "bake", made.bake)
    monkeypatch.setattr(docker, "held_images", lambda _: made.held)
    return made


def test_what_was_baked_is_unchanged_until_an_edit(engine: Engine, tmp_path: Path) -> None:
    assert engine.builds() == ["api", "embed"]
    engine.built.clear()
    assert engine.make("embed", "api").images == (
        BuiltImage(name="embed", image="sha256:embed", names=("embed:built",)),
        BuiltImage(name="api", image="sha256:api", names=("api:built",)),
    )
    assert (engine.built, engine.said) == ([], ["unchanged: embed, api"])
    (tmp_path / "services/embed/smoke.py").write_text("def load(): ...")
    assert engine.builds() == ["embed"], "its smoke was never run"
    assert engine.builds() == []


def test_what_the_engine_lost_is_built_in_the_order_asked_for(engine: Engine) -> None:
    engine.make()
    del engine.held["sha256:api"]
    assert [image.name for image in engine.make().images] == ["api", "embed"]
    assert engine.built == ["api", "embed", "api"]


@pytest.mark.parametrize("then", ["as it was", "first edit", "second edit"])
def test_edits_during_a_build_are_no_record(engine: Engine, tmp_path: Path, then: str) -> None:
    code = tmp_path / "services/api/file.txt"
    code.write_text("as it was")
    engine.make()
    code.write_text("first edit")
    engine.meanwhile = lambda: code.write_text("second edit")
    assert engine.builds() == ["api"]
    code.write_text(then)
    assert engine.builds() == ["api"]


def test_what_failed_is_not_recorded(engine: Engine) -> None:
    engine.fails = "embed"
    engine.make(keep_going=True)
    assert last_images(engine.site.workspace) == {"api": "sha256:api"}
    assert engine.builds(keep_going=True) == ["embed"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"api": 1}', '{"api": []}', '{"api": ["x"]}', '{"api": {"x": []}}']
)
def test_a_garbled_record_is_made_again(engine: Engine, tmp_path: Path, text: str) -> None:
    (tmp_path / ".slimbake").mkdir()
    (tmp_path / ".slimbake/baked.json").write_text(text)
    assert engine.builds() == ["api", "embed"]
    assert engine.said == [".slimbake/baked.json cannot be read, and is discarded"]
    assert engine.builds() == []


def test_a_service_that_is_gone_is_forgotten(engine: Engine, tmp_path: Path) -> None:
    engine.make()
    less = project(tmp_path, service("api"))
    engine.site = replace(engine.site, project=replace(less, workspace=engine.site.workspace))
    engine.make("api")
    assert baked_images(engine.site.workspace).keys() == {"api"}


@pytest.mark.parametrize("said", [{"sets": ("api.args.A=1",)}, {"platform": "linux/arm64"}])
def test_another_build_is_not_what_was_baked(engine: Engine, said: dict[str, Any]) -> None:
    assert engine.builds(**said) == ["api", "embed"]
    assert baked_images(engine.site.workspace) == {}
    engine.make()
    assert engine.builds(**said) == ["api", "embed"]
    assert engine.builds() == []


def test_a_builder_of_its_own_keeps_account_itself(engine: Engine) -> None:
    engine.site = replace(engine.site, engine=CONTAINER)
    assert engine.builds() == ["api", "embed"]
    assert engine.builds() == ["api", "embed"]
