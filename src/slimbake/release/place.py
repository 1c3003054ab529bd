"""Where a release is made: on this machine's engine, or on a builder that pushes from where it is.

Either way the same checks hold before anything has a name that somebody uses, and the same is
measured, attached and marked after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from slimbake import docker
from slimbake.errors import BuildError, SetupError, SlimbakeError, UsageError
from slimbake.images.measure import prepare_layouts
from slimbake.plan.model import Target
from slimbake.registry import ImageRepository
from slimbake.registry.documents import StoredManifest, platform_manifests
from slimbake.release.bake import BakeResult, bake
from slimbake.release.command import BakeOptions
from slimbake.release.inputs import BAKED, baked_images, image_accounts, image_fingerprints
from slimbake.release.site import Site, built_for

if TYPE_CHECKING:  # requests costs 0.1 s
    from slimbake.registry.session import Host

STAGED = "staged"
"""The tag under which a builder pushes what is not checked yet: nobody is to use it, and the next
bake overwrites it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeRequest:
    """What is baked, where, and under which names it is released."""

    targets: tuple[str, ...]  # services, or what they share
    registry: str
    tag: str = "latest"
    push: bool = False
    # what the registry has for the same inputs is not built, but gets the tag
    missing: bool = False
    # layers of packages that the registry has under their keys are not built
    take_layers: bool = False
    keep_going: bool = False  # leave out what fails, and what needs it
    platform: str = ""  # the only one that is built for; "" = as planned
    # target -> REPOSITORY@DIGEST, which is not built
    pushed: Mapping[str, str] = field(default_factory=dict)
    sets: tuple[str, ...] = ()  # overrides, as buildx takes them
    frozen: bool = False  # stale locks and generated files are an error

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.-]{0,127}", self.tag, re.ASCII):
            raise UsageError(
                f"'{self.tag}' cannot be the tag of an image",
                "use at most 128 letters, digits, '_', '.' and '-', neither '.' nor '-' first",
            )
        if "://" in self.registry:
            raise UsageError(f"'{self.registry}' is no registry", "leave out `http://`: HOST/NAME")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """An image that was built and checked, and has no name yet that anyone uses."""

    name: str  # its target
    image: str = ""  # what the engine calls it; "" = a shared one that the engine does not have
    pushed: str = ""  # REPOSITORY@DIGEST, where a builder has pushed it
    names: tuple[str, ...] = ()  # that the engine has for it


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImages:
    """What a place built."""

    images: tuple[BuiltImage, ...] = ()
    unchanged: frozenset[str] = frozenset()  # of these, those that were not built at all
    ran: frozenset[str] = frozenset()  # the targets of which a step ran: the rest is from cache
    failures: Mapping[str, SlimbakeError] = field(
        default_factory=dict
    )  # target -> why it is left out
    layouts: Path | None = None  # a folder with OCI layouts of the images, less what is known


@dataclass(frozen=True, slots=True)
class BuildPlace:
    """Where images are built, and from where they are pushed.

    `afar`: the builder in use pushes what it builds, and the services' images are then pulled by
    their digests, for what has to run in them. Else images come into this machine's engine, get
    their names there, and leave from there.
    """

    afar: bool = False

    def make(self, site: Site, targets: tuple[str, ...], request: BakeRequest) -> BuiltImages:
        """Build these targets and hold them to their checks, without moving a tag. What is unchanged
        since the engine's own builder last built it is taken as it is.

        With `request.keep_going`, what fails is left out. Raises SetupError, BuildError, CheckError.
        """
        if self.afar:
            names = {name: _staged_name(site, name, request) for name in targets}
            result = bake(site, targets, replace(_options(request), push=True, names=names))
            return _build(_pulled(site, result, request), result)
        layouts = _layouts(site, targets)
        load = site.engine.builder != "docker"
        options = replace(_options(request), load=load, layouts=str(layouts or ""))
        if load or request.sets or request.platform:  # what no fingerprint says
            result = bake(site, targets, options)
            return _build(built_in_engine(result.left, result), result, layouts)

        unchanged, fingerprints = still_built(site, targets)
        same = frozenset(image.name for image in unchanged)
        if same:
            site.console.say(f"unchanged: {', '.join(image.name for image in unchanged)}")
        rest = tuple(name for name in targets if name not in same)
        if not rest:
            return BuiltImages(images=unchanged, unchanged=same, layouts=layouts)
        result = bake(site, rest, options)
        new = built_in_engine(result.left, result)
        _keep(site, new, fingerprints)
        image_of = {image.name: image for image in (*unchanged, *new)}
        images = tuple(image_of[name] for name in targets if name in image_of)
        return replace(_build(images, result, layouts), unchanged=same)

    def push(
        self,
        site: Site,
        images: tuple[BuiltImage, ...],
        names: Mapping[str, str],
        host: Host,
    ) -> dict[str, StoredManifest]:
        """Have the registry know these images, which were checked, under their names; what it then
        holds, by target.

        Raises BuildError.
        """
        if self.afar:
            return _tag_in_registry(images, names, host)
        jobs = [(names[image.name], image.name) for image in images]
        with site.console.tracked("push") as work:
            work.each(lambda name: _push(name, names[name]), jobs, 1, "pushing")
        return {image.name: _in_registry(image, names[image.name], host) for image in images}


def place_of(site: Site, request: BakeRequest) -> BuildPlace:
    """Where a request is carried out: on the builder in use, where it pushes from elsewhere."""
    return BuildPlace(afar=request.push and site.engine.builder != "docker")


def _options(request: BakeRequest) -> BakeOptions:
    return BakeOptions(sets=request.sets, keep_going=request.keep_going, platform=request.platform)


def _build(
    images: tuple[BuiltImage, ...], result: BakeResult, layouts: Path | None = None
) -> BuiltImages:
    return BuiltImages(images=images, ran=result.ran, failures=result.failures, layouts=layouts)


def reference(target: Target, registry: str, tag: str) -> str:
    """The name under which a target's image is tagged and pushed."""
    return f"{registry}/{target.repository}:{tag}{target.suffix}"


def still_built(
    site: Site, targets: tuple[str, ...]
) -> tuple[tuple[BuiltImage, ...], Mapping[str, str]]:
    """The targets whose last image still is what would be built, and the fingerprints of all."""
    baked = baked_images(site.workspace)
    last = {name: baked[name] for name in targets if name in baked}
    with ThreadPoolExecutor() as pool:  # the engine takes as long as we do
        pending = pool.submit(docker.held_images, [image for _, image in last.values()])
        fingerprints = image_fingerprints(site.plan, image_accounts(site))
    names_of = pending.result()
    unchanged = []
    for name, (fingerprint, image) in last.items():
        if image in names_of and fingerprint == fingerprints.get(name):
            unchanged.append(BuiltImage(name=name, image=image, names=names_of[image]))
    return tuple(unchanged), fingerprints


def built_in_engine(targets: tuple[str, ...], result: BakeResult) -> tuple[BuiltImage, ...]:
    """These images as the engine holds them. Raises BuildError and SetupError for one that is not
    there.
    """
    ids: list[str] = []
    for name in targets:
        ids += _ids(name, result)
    names_of = docker.held_images(ids)
    images = []
    lost = []
    for name in targets:
        image = next((image for image in _ids(name, result) if image in names_of), "")
        if image:
            images.append(BuiltImage(name=name, image=image, names=names_of[image]))
        else:
            lost.append(f"{name}: {' or '.join(_ids(name, result))}")
    if lost:
        raise SetupError(
            "the engine does not hold what was just built", f"looked for {'; '.join(lost)}"
        )
    return tuple(images)


def _ids(name: str, result: BakeResult) -> tuple[str, ...]:
    if not result.digests.get(name):
        raise BuildError(
            f"buildx names no image for {name}",
            "look whether `--set` or a template of your own changes the target's output",
        )
    return result.digests[name]


def _layouts(site: Site, targets: tuple[str, ...]) -> Path | None:
    """The folder for layouts of what is measured, where the engine can write them beside images."""
    released = [name for name in targets if site.plan.target(name).released]
    if not released or not site.engine.two_outputs:
        return None
    return prepare_layouts(released, site.workspace)


def _keep(site: Site, images: tuple[BuiltImage, ...], before: Mapping[str, str]) -> None:
    """Record what was built and checked; not what was edited meanwhile, which may or may not be in
    its image.
    """
    now = image_fingerprints(site.plan, image_accounts(site))
    record = baked_images(site.workspace)
    for image in images:
        record.pop(image.name, None)
        fingerprint = before.get(image.name)
        if fingerprint and fingerprint == now.get(image.name):
            record[image.name] = fingerprint, image.image
    released = sorted(target.name for target in site.plan.targets if target.released)
    site.workspace.write(BAKED, {name: record[name] for name in released if name in record})


def _staged_name(site: Site, target: str, request: BakeRequest) -> str:
    return reference(site.plan.target(target), request.registry, STAGED)


def _pulled(site: Site, result: BakeResult, request: BakeRequest) -> tuple[BuiltImage, ...]:
    """What a builder has pushed; services' images are brought into the engine: what a check, an
    SBOM or a measurement needs is in the very image that the registry holds.
    """
    images = []
    for name in result.left:
        target = site.plan.target(name)
        image = ""
        pushed = f"{request.registry}/{target.repository}@{_ids(name, result)[0]}"
        if target.kind == "service":
            site.console.say(f"{name}: pulled for what has to run in it: {pushed}")
            platforms = built_for(site.plan, (target,), request.platform)
            # The last is what runs here: without the containerd store each platform has an id.
            for platform in sorted(platforms, key=lambda each: each == site.engine.platform):
                image = docker.pull_image(pushed, platform)
        images.append(BuiltImage(name=name, image=image, pushed=pushed))
    return tuple(images)


def _push(name: str, under: str) -> None:
    """Push what was tagged. Raises BuildError with the registry's words."""
    try:
        docker.push_image(under)
    except SetupError as error:
        raise BuildError(
            f"{name} was built and checked, but {under} could not be pushed\n{error.hint}",
            "once the registry answers, the same command goes on from here",
        ) from None


def _tag_in_registry(
    images: tuple[BuiltImage, ...], names: Mapping[str, str], host: Host
) -> dict[str, StoredManifest]:
    """Give what a builder has pushed its tag."""
    manifest_of = {}
    for image in images:
        name, _, digest = image.pushed.partition("@")
        repository = ImageRepository(name, host=host)
        manifest_of[image.name] = _document(repository, image.name, digest)
    for image in images:
        name, _, tag = names[image.name].rpartition(":")
        ImageRepository(name, host=host).put(tag, manifest_of[image.name])
    return manifest_of


def _in_registry(image: BuiltImage, name: str, host: Host) -> StoredManifest:
    """What the registry has under the name of an image that the engine pushed. Raises BuildError
    where that is another one.
    """
    repository_name, _, tag = name.rpartition(":")
    repository = ImageRepository(repository_name, host=host)
    stored_manifest = _document(repository, image.name, tag)
    # Engines with the containerd store call an image by its manifest, those without by its
    # configuration.
    digests = {manifest.digest for manifest in platform_manifests(stored_manifest).values()}
    digests.add(stored_manifest.descriptor.digest)
    digests.add(repository.read(stored_manifest).get("config", {}).get("digest", ""))
    if image.image not in digests:
        raise BuildError(
            f"{name} was pushed, and is another image by now: nothing was attached to it"
        )
    return stored_manifest


def _document(repository: ImageRepository, name: str, tag_or_digest: str) -> StoredManifest:
    stored_manifest = repository.document(tag_or_digest)
    if stored_manifest is None:
        raise BuildError(f"{name} was pushed, and the registry does not have {tag_or_digest}")
    return stored_manifest
