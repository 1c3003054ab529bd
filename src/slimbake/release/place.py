"""Where a release is made: on this machine's engine, or on a builder that pushes from where it is.

Either way the same checks hold before anything has a name that somebody uses, and the same is
measured, attached and marked after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from slimbake import docker
from slimbake.errors import BuildError, CheckError, SetupError, SlimbakeError
from slimbake.images import this_platform
from slimbake.images.measure import prepare_layouts
from slimbake.plan.model import Target
from slimbake.registry import ImageRepository
from slimbake.registry.documents import INDEXES, StoredManifest
from slimbake.release.bake import BakeResult, bake
from slimbake.release.command import BakeOptions, staged
from slimbake.release.known import BAKED, baked, image_accounts, image_fingerprints
from slimbake.release.site import Site, built_for
from slimbake.release.timing import keep_costs

if TYPE_CHECKING:  # requests costs 0.1 s
    from slimbake.registry.session import Host

STAGED = "staged"
"""The tag under which a builder pushes what is not checked yet: nobody is to use it, and the next
bake overwrites it.
"""
ATTESTED = "attested"  # likewise, with provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeRequest:
    """What is baked, where, and under which names it is released."""

    targets: tuple[str, ...]  # services, or what they share
    registry: str
    tag: str = "latest"
    push: bool = False
    # what the registry has for the same inputs is not built, but gets the tag
    missing: bool = False
    keep_going: bool = False  # leave out what fails, with all that stands on it
    platform: str = ""  # the only one that is built for; "" = as planned
    # target -> REPOSITORY@DIGEST: not built, but stood on
    pushed: Mapping[str, str] = field(default_factory=dict)
    sets: tuple[str, ...] = ()  # overrides, as buildx takes them
    frozen: bool = False  # stale locks and generated files are an error


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An image that was built and checked, and has no name yet that anyone uses."""

    name: str  # its target
    image: str = ""  # what the engine calls it; "" = a shared one that the engine does not have
    pushed: str = ""  # REPOSITORY@DIGEST, where a builder has pushed it
    names: tuple[str, ...] = ()  # that the engine has for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a place built."""

    images: tuple[Built, ...] = ()
    failures: tuple[SlimbakeError, ...] = ()
    layouts: Path | None = None  # a folder with OCI layouts of the images, less what is known


class Place(Protocol):
    """Where a release is made."""

    def make(self, site: Site, targets: tuple[str, ...], request: BakeRequest) -> Made:
        """Build these targets and hold them to their checks, without moving a tag.

        With `request.keep_going`, what fails is left out. Raises SetupError, BuildError, CheckError.
        """

    def push(
        self,
        site: Site,
        images: tuple[Built, ...],
        names: Mapping[str, str],
        request: BakeRequest,
        host: Host,
    ) -> dict[str, StoredManifest]:
        """Have the registry know these images, which were checked, under their names; what it then
        holds, by target.

        Raises BuildError.
        """


@dataclass(frozen=True, slots=True)
class OnEngine:
    """Images come into this machine's engine, get their names there, and leave from there."""

    def make(self, site: Site, targets: tuple[str, ...], request: BakeRequest) -> Made:
        """What is unchanged since it was last built and checked here is taken as it is."""
        released = [name for name in targets if site.plan.target(name).released]
        measured = released and site.engine.two_outputs
        layouts = prepare_layouts(released, site.workspace) if measured else None
        options = BakeOptions(
            sets=request.sets,
            keep_going=request.keep_going,
            platform=request.platform,
            load=site.engine.builder != "docker",
            layouts=str(layouts or ""),
        )
        # what no fingerprint says
        unusual = bool(request.sets or request.platform or options.load)
        same, before = ((), {}) if unusual else still_built(site, targets)
        rest = tuple(name for name in targets if name not in {image.name for image in same})
        if same:
            site.console.say(f"unchanged: {', '.join(image.name for image in same)}")
        if not rest:
            return Made(images=same, layouts=layouts)
        result = bake(site, rest, options)
        keep_costs(site.workspace, result.seconds)
        new = built_in_engine(result.left, result)
        if not unusual:
            _keep(site, new, before)
        images = tuple(sorted((*same, *new), key=lambda image: targets.index(image.name)))
        return Made(images=images, failures=result.failures, layouts=layouts)

    def push(
        self,
        site: Site,
        images: tuple[Built, ...],
        names: Mapping[str, str],
        request: BakeRequest,
        host: Host,
    ) -> dict[str, StoredManifest]:
        if site.provenance:
            _push_attested(site, images, names, request)
        else:
            jobs = [(names[image.name], image.name) for image in images]
            with site.console.tracked("push") as work:
                work.each(lambda name: _push(name, names[name]), jobs, 1, "pushing")
        return {image.name: _held(image, names[image.name], host) for image in images}


@dataclass(frozen=True, slots=True)
class OnBuilder:
    """The builder in use pushes what it builds from where it is; the services' images are then
    pulled by their digests, for what has to run in them.
    """

    def make(self, site: Site, targets: tuple[str, ...], request: BakeRequest) -> Made:
        result = bake(site, targets, self._options(site, targets, request))
        keep_costs(site.workspace, result.seconds)
        images = tuple(_pushed(site, name, result, request) for name in result.left)
        return Made(images=_pulled(site, images, request), failures=result.failures)

    def push(
        self,
        site: Site,
        images: tuple[Built, ...],
        names: Mapping[str, str],
        request: BakeRequest,
        host: Host,
    ) -> dict[str, StoredManifest]:
        """Only tags move, in the registry itself."""
        digests = {image.name: image.pushed.rpartition("@")[2] for image in images}
        if site.provenance:
            digests = self._attested(site, images, digests, request, host)
        found = {}
        for image in images:
            at, _, tag = names[image.name].rpartition(":")
            repository = ImageRepository(at, at=host)
            found[image.name] = _document(repository, image.name, digests[image.name])
            repository.put(tag, found[image.name])
        return found

    def _options(
        self, site: Site, targets: Iterable[str], request: BakeRequest, tag: str = STAGED
    ) -> BakeOptions:
        at = {name: site.plan.target(name) for name in targets}
        names = {name: reference(each, request.registry, tag) for name, each in at.items()}
        return BakeOptions(
            sets=request.sets,
            keep_going=request.keep_going,
            platform=request.platform,
            push=True,
            names=names,
        )

    def _attested(
        self,
        site: Site,
        images: tuple[Built, ...],
        digests: Mapping[str, str],
        request: BakeRequest,
        host: Host,
    ) -> dict[str, str]:
        """Push each image in an index with BuildKit's provenance, from the cache of the builder that
        built it.
        """
        names = tuple(image.name for image in images)
        # with their passwords they would stand in it, and what is cached needs none
        around = replace(site.around, proxies=())
        options = replace(
            self._options(site, names, request, ATTESTED),
            provenance=True,
            keep_going=False,  # all of it was built before
        )
        result = bake(replace(site, around=around), names, options, checks=False)
        found = {name: result.digests[name][0] for name in names}
        for image in images:
            repository = ImageRepository(image.pushed.partition("@")[0], at=host)
            attested = _document(repository, image.name, found[image.name])
            checked = _document(repository, image.name, digests[image.name])
            if not _manifests(checked) <= _manifests(attested):
                raise BuildError(
                    f"{image.name}: with provenance, buildx built another image than the one that"
                    " was checked"
                )
        return found


def reference(target: Target, registry: str, tag: str) -> str:
    """The name under which a target's image is tagged and pushed."""
    return f"{registry}/{target.repository}:{tag}{target.suffix}"


def built_in_engine(targets: tuple[str, ...], result: BakeResult) -> tuple[Built, ...]:
    """These images as the engine holds them. Raises BuildError and SetupError for one that is not
    there.
    """
    if missing := [name for name in targets if not result.digests.get(name)]:
        raise BuildError(
            f"buildx names no image for {', '.join(missing)}",
            "look whether `--set` or a template of your own changes the target's output",
        )
    held = docker.held_images([each for name in targets for each in result.digests[name]])
    ids = {name: next((d for d in result.digests[name] if d in held), "") for name in targets}
    if lost := [name for name, image in ids.items() if not image]:
        raise SetupError(
            "the engine does not hold what was just built", f"looked for {', '.join(lost)}"
        )
    return tuple(Built(name=name, image=image, names=held[image]) for name, image in ids.items())


def still_built(
    site: Site, targets: tuple[str, ...]
) -> tuple[tuple[Built, ...], Mapping[str, str]]:
    """The targets whose last image still is what would be built, and the fingerprints of all."""
    known = {name: was for name, was in baked(site.workspace).items() if name in targets}
    with ThreadPoolExecutor() as pool:  # the engine takes as long as we do
        asked = pool.submit(docker.held_images, [image for _, image in known.values()])
        fingerprints = image_fingerprints(site.plan, image_accounts(site))
    held = asked.result()
    found = ((name, *known[name]) for name in targets if name in known)
    same = tuple(
        Built(name=name, image=image, names=held[image])
        for name, fingerprint, image in found
        if image in held and fingerprint == fingerprints.get(name)
    )
    return same, fingerprints


def _keep(site: Site, images: tuple[Built, ...], before: Mapping[str, str]) -> None:
    """Record what was built and checked; not what was edited meanwhile, which may or may not be in
    its image.
    """
    after, known = image_fingerprints(site.plan, image_accounts(site)), baked(site.workspace)
    for image in images:
        known.pop(image.name, None)
        if (fingerprint := before.get(image.name)) and fingerprint == after.get(image.name):
            known[image.name] = fingerprint, image.image
    live = {target.name for target in site.plan.targets if target.released}
    site.workspace.write(BAKED, {name: known[name] for name in sorted(known) if name in live})


def _pushed(site: Site, name: str, result: BakeResult, request: BakeRequest) -> Built:
    if not result.digests.get(name):
        raise BuildError(f"buildx names no image for {name}")
    at = f"{request.registry}/{site.plan.target(name).repository}"
    return Built(name=name, pushed=f"{at}@{result.digests[name][0]}")


def _pulled(site: Site, images: tuple[Built, ...], request: BakeRequest) -> tuple[Built, ...]:
    """The same, those of services brought into the engine: what a check, an SBOM or a measurement
    needs is in the very image that the registry holds.
    """
    found = []
    for image in images:
        target = site.plan.target(image.name)
        if target.kind == "service":
            site.console.say(f"{image.name}: pulled for what has to run in it: {image.pushed}")
            platforms = [request.platform] if request.platform else built_for(site.plan, (target,))
            # The last is what runs here: without the containerd store each platform has an id.
            for platform in sorted(platforms, key=lambda each: each == this_platform()):
                image = replace(image, image=docker.pull_image(image.pushed, platform))
        found.append(image)
    return tuple(found)


def _push(name: str, under: str) -> None:
    """Push what was tagged. Raises BuildError with the registry's words."""
    try:
        docker.push_image(under)
    except SetupError as error:
        raise BuildError(
            f"{name} was built and checked, but {under} could not be pushed\n{error.hint}",
            "once the registry answers, the same command goes on from here",
        ) from None


def _push_attested(
    site: Site, images: tuple[Built, ...], names: Mapping[str, str], request: BakeRequest
) -> None:
    """Push images that were checked, each in an index with BuildKit's provenance (SLSA, `mode=max`)
    beside it.

    BuildKit gives it at a build only: one more, from cache. The engine keeps the images without it
    under their names. Raises BuildError, also where that build made anything but what was checked;
    then nothing is pushed.
    """
    called = {
        image.name: staged(site.plan, image.name, site.around.checkout, "provenance")
        for image in images
    }
    # with their passwords they would stand in it, and what is cached needs none
    around = replace(site.around, proxies=())
    options = BakeOptions(
        sets=request.sets, platform=request.platform, provenance=True, names=called
    )
    try:
        bake(replace(site, around=around), tuple(called), options, checks=False)
    except (BuildError, CheckError) as error:
        raise BuildError(f"buildx makes no provenance\n{error.message}", error.hint) from None
    try:
        for image in images:
            if not docker.same_image(image.image, called[image.name]):
                raise BuildError(
                    f"{image.name}: with provenance, buildx built another image than the one that"
                    " was checked"
                )
        for image in images:
            docker.tag_image(called[image.name], names[image.name])
            try:
                _push(image.name, names[image.name])
            finally:
                docker.tag_image(image.image, names[image.name])
    finally:
        for name in called.values():
            docker.remove_image(name)


def _held(image: Built, name: str, host: Host) -> StoredManifest:
    """What the registry has under the name of an image that the engine pushed. Raises BuildError
    where that is another one.
    """
    at, _, tag = name.rpartition(":")
    repository = ImageRepository(at, at=host)
    found = _document(repository, image.name, tag)
    content = repository.read(found)
    # Engines with the containerd store call an image by its manifest, those without by its
    # configuration.
    known = {
        found.descriptor.digest,
        *_manifests(found),
        content.get("config", {}).get("digest"),
    }
    if image.image not in known:
        raise BuildError(
            f"{name} was pushed, and is another image by now: nothing was attached to it"
        )
    return found


def _document(repository: ImageRepository, name: str, what: str) -> StoredManifest:
    found = repository.document(what)
    if found is None:
        raise BuildError(f"{name} was pushed, and the registry does not have {what}")
    return found


def _manifests(found: StoredManifest) -> frozenset[str]:
    """The manifests of an index, without what attests to them; or the one that it is itself."""
    if found.descriptor.media_type not in INDEXES:
        return frozenset((found.descriptor.digest,))
    return frozenset(
        entry["digest"]
        for entry in found.read()["manifests"]
        if entry.get("platform", {}).get("os", "unknown") != "unknown"
    )


def place_of(site: Site, request: BakeRequest) -> Place:
    """Where a request is carried out: on the builder in use, where it pushes from elsewhere.

    Raises SetupError for what the place cannot do.
    """
    ours = site.engine.builder == "docker"
    if not ours and request.push:
        return OnBuilder()
    wanted = {
        "`provenance: max`": request.push and site.provenance,
        # without it an engine pushes layers as gzip of its own
        "`compression: {type: estargz}`": request.push and site.plan.compression.type == "estargz",
    }
    asked = [name for name, needed in wanted.items() if needed]
    if asked and not (ours and site.engine.store == "containerd"):
        raise SetupError(
            f"{asked[0]} needs the engine's containerd image store, or a builder of its own"
        )
    return OnEngine()
