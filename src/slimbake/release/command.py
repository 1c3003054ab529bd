"""The words of a `docker buildx bake` call: what is built, and what this machine brings to it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from slimbake.fingerprint.model import ExternalDigests
from slimbake.plan.graph import IMAGE, relinked
from slimbake.plan.model import Plan, Target
from slimbake.plan.origin import BASE_DIGEST, BASE_NAME, is_ours
from slimbake.render import BAKE_FILE

FIGURES = ".slimbake/parity"  # where `checks.parity` finds what bakes measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a machine brings to a build."""

    externals: Mapping[str, str]  # name of an external -> value of its context
    # name of an external -> changes when what it stands for does
    digests: Mapping[str, str] = field(default_factory=dict)
    standins: tuple[str, ...] = ()  # the externals that are stand-ins
    # target -> folder of the wheelhouse with its lock's wheels
    wheels: Mapping[str, str] = field(default_factory=dict)
    # target -> folder of the wheelhouse with its Debian packages
    debs: Mapping[str, str] = field(default_factory=dict)
    # target -> folder with what no index has of them
    find_links: Mapping[str, str] = field(default_factory=dict)
    # target -> REPOSITORY@DIGEST, where it is not built here
    pushed: Mapping[str, str] = field(default_factory=dict)
    ca_bundle: str = ""
    uv_settings: str = ""  # a uv.toml
    proxies: tuple[tuple[str, str], ...] = ()
    # a word for the repository's folder: another one may have the same project
    checkout: str = ""

    @property
    def external_digests(self) -> ExternalDigests:
        """What the externals are on this machine, as fingerprints have it."""
        return ExternalDigests(self.digests, self.standins)


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeOptions:
    """How one bake is done."""

    sets: tuple[str, ...] = ()  # overrides, as buildx takes them
    keep_going: bool = False  # leave out what fails, and what needs it
    platform: str = ""  # build for this one alone; "" = as the bake file says
    # the builder is not the engine's own: what it builds has to be brought there
    load: bool = False
    push: bool = False  # the builder pushes what it builds, under `names`
    # target -> what its image is called, if not as staged
    names: Mapping[str, str] = field(default_factory=dict)
    # the folder in which each image has a folder for an OCI layout of it
    layouts: str = ""
    # of the layers of images, if not as the manifest says: "uncompressed" for what nobody keeps
    compression: str = ""


def arguments(
    plan: Plan, names: tuple[str, ...], around: Surroundings, options: BakeOptions
) -> tuple[str, ...]:
    """The arguments of a bake of these targets that builds and checks without moving a tag."""
    targets = relinked(plan, around.pushed).needed(names)
    flags = ["--file", BAKE_FILE]
    for target in targets:
        overrides = _overrides(target, around)
        if options.platform:
            overrides.append(f"platform={options.platform}")
        if target.name in names:
            overrides += _named(plan, target, around, options)
        elif target.repository:
            overrides += ["tags=", "output=type=cacheonly"]
        for override in overrides:
            flags += ["--set", f"{target.name}.{override}"]
    for override in options.sets:
        flags += ["--set", override]
    # All by name: buildx loads a target that is only linked as an image of its own, and compresses
    # it with gzip.
    return (*flags, *(target.name for target in targets))


def _named(plan: Plan, target: Target, around: Surroundings, options: BakeOptions) -> Iterator[str]:
    """What is said of a target that is asked for by its name."""
    if target.kind == "parity":
        yield f"output=type=local,dest={FIGURES}/{target.service}"
    if not target.repository:
        return
    # Checked before it is released: until then it has a name of ours, which also serves
    # `slimbake debug`.
    yield f"tags={options.names.get(target.name) or staged(plan, target.name, around.checkout)}"
    if options.load:
        yield "output=type=docker"
    kind = plan.compression
    stored = (
        f"oci-mediatypes=true,compression={kind.type},compression-level={kind.level},"
        "force-compression=true"
    )
    if options.push:
        yield f"output=type=image,push=true,{stored}"


def staged(plan: Plan, target: str, checkout: str = "", kind: str = "built") -> str:
    """The name of what was last built of a target, checked or not; releases have other names.

    `checkout`: a word for the folder that builds, where it may not be the only one of its project.
    """
    tag = f"{kind}-{checkout}".rstrip("-")
    return f"slimbake/{plan.project}/{target}:{tag}"


def environment(around: Surroundings, options: BakeOptions) -> dict[str, str]:
    """The variables of the bake file and of buildx that this machine sets."""
    variables = {
        "CA_BUNDLE": around.ca_bundle,
        "UV_SETTINGS": around.uv_settings,
        "LAYOUTS": options.layouts,
        "COMPRESSION": options.compression,
        "PLATFORMS": options.platform,
    }
    return {name: value for name, value in variables.items() if value}


def _overrides(target: Target, around: Surroundings) -> list[str]:
    contexts = {}
    pushed = {f"{IMAGE}{image}" for image in around.pushed.values()}
    for name, value in target.contexts:
        external = around.externals.get(name, value)
        if external != value or value in pushed:
            contexts[name] = external
    for name, folders in (
        ("wheels", around.wheels),
        ("debs", around.debs),
        ("find-links", around.find_links),
    ):
        if target.name in folders:
            contexts[name] = folders[target.name]
    # A stage of its Dockerfile gets a commit from Git.
    if target.recipe and "#" in target.recipe.source and target.name in around.wheels:
        contexts["sources"] = around.wheels[target.name]
    overrides = [f"contexts.{name}={value}" for name, value in contexts.items()]
    if target.online:
        overrides += [f"args.{name}={value}" for name, value in around.proxies]
    if around.standins and target.labels:
        overrides.append(f"labels.slimbake.standin={','.join(around.standins)}")
    image = target.runtime.external if target.runtime else ""
    if is_ours(target) and (digest := around.digests.get(image)):
        overrides.append(f"labels.{BASE_DIGEST}={digest}")
        if image in around.standins:
            name = around.externals[image].removeprefix("docker-image://")
            overrides.append(f"labels.{BASE_NAME}={name}")
    return overrides
