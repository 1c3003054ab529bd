"""A release without an engine: a project that is held, a place that builds and pushes at once, and
a real, small registry.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.machines import DEBIAN, ENGINE
from tests.unit.registries import Registry

from slimbake.console import Console
from slimbake.docker.engine import DockerEngine
from slimbake.errors import BuildError, SetupError, SlimbakeError
from slimbake.fingerprint import Account, ExternalDigests
from slimbake.fingerprint.model import digest, fingerprint_tag
from slimbake.images.sizes import Image, MeasuredLayer, Measurement
from slimbake.plan.model import Plan
from slimbake.project import Project
from slimbake.registry import ImageRepository
from slimbake.registry.documents import MANIFEST, StoredManifest, stored_manifest
from slimbake.registry.session import Host
from slimbake.release import release as releasing
from slimbake.release.command import Surroundings
from slimbake.release.inputs import platform_fingerprint, released_fingerprints
from slimbake.release.place import BakeRequest, BuiltImage, BuiltImages
from slimbake.release.site import Site
from slimbake.release.starts import Starts
from slimbake.release.statement import mark

MB = 1_000_000
BARE = Surroundings(externals={})
CONFIG = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": []}}).encode()
CONFIG_DIGEST = f"sha256:{hashlib.sha256(CONFIG).hexdigest()}"


def site(
    project: Project,
    said: list[str] | None = None,
    around: Surroundings = BARE,
    engine: DockerEngine = ENGINE,
) -> Site:
    """A project that is held on a machine of nobody's."""
    console = Console((said if said is not None else []).append)
    return Site(project=project, engine=engine, machine=DEBIAN, around=around, console=console)


@dataclass
class Played:
    """Stands for a place, the engine's tags and the disk; and what was done with them.

    An image says whose it is, and its id is its digest, as it is with the containerd store.
    """

    project: Project
    server: Registry
    # target -> fingerprint, of what has one
    inputs: dict[str, str]
    standins: tuple[str, ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)  # service -> bytes, else 1 MB
    broken: Mapping[str, SlimbakeError] = field(default_factory=dict)  # what does not build
    dead: Mapping[str, str] = field(default_factory=dict)  # service -> why it does not start
    edited: Mapping[str, str] = field(default_factory=dict)  # target -> fingerprint, by a build
    unlabelled: tuple[str, ...] = ()  # of which no SBOM can be made
    fetched: set[str] = field(default_factory=set)  # the locks whose wheels were
    built: list[str] = field(default_factory=list)
    stood_on: Mapping[str, str] = field(default_factory=dict)
    pushed: dict[str, str] = field(default_factory=dict)  # target -> its name
    mounts: dict[str, str] = field(default_factory=dict)  # service -> the image that it mounts
    tags: list[str] = field(default_factory=list)  # that moved in the engine
    said: list[str] = field(default_factory=list)
    asked_with: list[Mapping[str, str]] = field(default_factory=list)  # variables

    @property
    def console(self) -> Console:
        return Console(self.said.append)

    @property
    def fingerprints(self) -> dict[str, str]:
        """What images are known by on a registry."""
        known = {name: digest(value) for name, value in self.inputs.items()}
        return released_fingerprints(self.project.plan, known)

    def make(self, site: Site, targets: tuple[str, ...], request: BakeRequest) -> BuiltImages:
        failures = {name: self.broken[name] for name in targets if name in self.broken}
        if failures and not request.keep_going:
            raise next(iter(failures.values()))
        below = {name: {each.name for each in site.plan.needed((name,))} for name in targets}
        left = tuple(name for name in targets if not below[name] & set(self.broken))
        self.built += left
        self.inputs |= self.edited
        self.stood_on = dict(site.around.pushed)
        images = tuple(
            BuiltImage(name=name, image=manifest(name).descriptor.digest) for name in left
        )
        return BuiltImages(images=images, failures=failures)

    def push(
        self,
        site: Site,
        images: tuple[BuiltImage, ...],
        names: Mapping[str, str],
        host: Host,
    ) -> dict[str, StoredManifest]:
        self.server.blobs[CONFIG_DIGEST] = CONFIG
        found = {}
        for image in images:
            self.pushed[image.name] = names[image.name]
            at, _, tag = names[image.name].rpartition(":")
            found[image.name] = manifest(image.name)
            ImageRepository(at, host=host).put(tag, found[image.name])
        return found

    def mounted(self, plan: Plan, images: Mapping[str, str], services: Collection[str]) -> Plan:
        self.mounts = {s.service: images[s.weights] for s in plan.services if s.weights in images}
        return plan

    def has(self, name: str, fingerprint: str = "", platform: str = "") -> str:
        """Have the registry hold a target's image, as it was released before; its digest."""
        fingerprint = fingerprint or self.fingerprints[name]
        fingerprint = platform_fingerprint(fingerprint, platform) if platform else fingerprint
        self.server.blobs[CONFIG_DIGEST] = CONFIG
        found = manifest(name)
        tag = fingerprint_tag(fingerprint)
        self.server.put(tag, MANIFEST, found.read())
        mark(ImageRepository(f"{self.server.name}/{name}"), found, fingerprint, {})
        self.server.asked.clear()
        return found.descriptor.digest

    def tagged(self, tag: str) -> list[str]:
        """The targets that got a tag in the registry, by name."""
        puts = (line.split("/") for line in self.server.asked if line.startswith("PUT"))
        return sorted(words[-3] for words in puts if words[-2:] == ["manifests", tag])

    @property
    def marked(self) -> set[str]:
        """The targets that got the tag of their fingerprint."""
        given = {fingerprint_tag(value): name for name, value in self.fingerprints.items()}
        puts = (line.split("/") for line in self.server.asked if line.startswith("PUT"))
        return {words[2] for words in puts if given.get(words[-1]) == words[2]}


def manifest(name: str) -> StoredManifest:
    """The image that a target is built to, whenever and wherever that is."""
    content = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"digest": CONFIG_DIGEST},
        "layers": [],
        "annotations": {"is": name},
    }
    return stored_manifest(MANIFEST, json.dumps(content).encode())


def play_here(
    monkeypatch: pytest.MonkeyPatch, folder: Path, project: Project, server: Registry
) -> Played:
    """The same as `play`, with the result as the place where releases are made."""
    made = play(monkeypatch, folder, project, server)
    monkeypatch.setattr(releasing, "place_of", lambda *_: made)
    return made


def play(
    monkeypatch: pytest.MonkeyPatch, folder: Path, project: Project, server: Registry
) -> Played:
    """Have releases of this project take place without an engine, and fingerprints be what the
    result says.
    """
    made = Played(project, server, {t.name: f"sha256:{t.name}" for t in project.plan.targets})
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.setenv("SLIMBAKE_WHEELHOUSE", str(folder / "wheelhouse"))

    @contextlib.contextmanager
    def hold(
        project: Project, console: Console, _: object, *, pushed: Mapping[str, str], **__: object
    ) -> Iterator[Site]:
        externals = dict.fromkeys(made.standins, "docker-image://stand-in")
        around = Surroundings(externals=externals, standins=made.standins, pushed=pushed)
        yield replace(site(project, around=around), console=console)

    def fetch(*_: Any, only: Collection[str]) -> Any:
        made.fetched |= set(only)
        return SimpleNamespace(by_lock={})

    def accounts(
        _: Any,
        root: Path,
        workspace: Any,
        externals: ExternalDigests,
        variables: Mapping[str, str],
        *__: object,
    ) -> tuple[Account, ...]:
        made.asked_with.append(variables)
        named = externals.standins or ""
        return tuple(
            Account(name, (), (), digest(f"{value}{named}")) for name, value in made.inputs.items()
        )

    def measure(ids: Mapping[str, str], *_: Any) -> Measurement:
        layers = {
            name: MeasuredLayer("sha256:1", "sha256:2", made.sizes.get(name, MB), 1, 1)
            for name in ids
        }
        return Measurement(tuple(Image(name, ids[name], (layers[name],)) for name in ids))

    def sbom(_: Any, name: str, *rest: Any) -> str:
        if name in made.unlabelled:
            raise SetupError(f"the image of {name} was made from other locks")
        return f"of {name}"

    monkeypatch.setattr(releasing, "hold", hold)
    monkeypatch.setattr(releasing, "measure_images", measure)
    monkeypatch.setattr(
        releasing,
        "start_checks",
        lambda _, __, ids, *___: Starts(
            made.dead, {each: "start" for each in ids if each not in made.dead}
        ),
    )
    monkeypatch.setattr(releasing, "mounted", made.mounted)
    monkeypatch.setattr("slimbake.release.site.fetch", fetch)
    monkeypatch.setattr("slimbake.release.inputs.accounts", accounts)
    monkeypatch.setattr("slimbake.release.publish.sbom", sbom)
    monkeypatch.setattr("slimbake.docker.tag_image", lambda _, name: made.tags.append(name))
    return made


def failing(*names: str, kind: Callable[[str], SlimbakeError] = BuildError) -> dict[str, Any]:
    """What does not build, by target."""
    return {name: kind(f"{name} does not build") for name in names}
