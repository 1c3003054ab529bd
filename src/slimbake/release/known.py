"""What is known of images before they are built: by this machine's last bake, and by a registry."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from slimbake.console import Console
from slimbake.fingerprint import Account, accounts, fingerprints, of_services
from slimbake.host.workspace import Workspace
from slimbake.lock.locks import EXTERNALS, LAYERS
from slimbake.plan.model import Plan
from slimbake.project import Project
from slimbake.release.on_registry import OnRegistry, on_registry
from slimbake.release.site import Site, seen
from slimbake.release.statement import platform_fingerprint, released_fingerprints
from slimbake.render import Generated
from slimbake.render.generated import laid_out

BAKED = "baked"  # in the workspace: of each service its fingerprint, and its image's id


@dataclass(frozen=True, slots=True)
class RegistryOffer:
    """What a registry has of a fleet, by the fingerprints that its images had before a build."""

    fingerprints: Mapping[str, str] = field(default_factory=dict)  # target -> fingerprint
    held: tuple[OnRegistry, ...] = ()  # need not be built

    @property
    def targets(self) -> frozenset[str]:
        """Those that need not be built."""
        return frozenset(image.target for image in self.held)


def offered(
    site: Site,
    targets: tuple[str, ...],
    registry: str,
    *,
    platform: str = "",
    ask: bool = False,
    provenance: bool = False,
) -> RegistryOffer:
    """Take the fingerprints of now; with `ask`, look which of these images a registry has for them.

    `platform`: the only one that they are built for, "" = as planned; `provenance`: an image
    without counts as missing. Doubts are said.
    """
    found = _registry_fingerprints(site, platform)
    if not ask:
        return RegistryOffer(found)
    held = on_registry(
        site.plan,
        targets,
        found,
        registry,
        site.console,
        ca_bundle=site.around.ca_bundle,
        provenance=provenance,
    )
    if names := [name for name in targets if name in {image.target for image in held}]:
        site.console.say(f"on the registry: {', '.join(names)}")
    return RegistryOffer(found, held)


def unedited(site: Site, offer: RegistryOffer, platform: str = "") -> dict[str, str]:
    """The fingerprints that still hold: what was edited meanwhile may or may not be in its image."""
    after = _registry_fingerprints(site, platform) if offer.fingerprints else {}
    return {name: value for name, value in offer.fingerprints.items() if after.get(name) == value}


def _registry_fingerprints(site: Site, platform: str) -> dict[str, str]:
    # An image is the same under whichever name it is pushed.
    variables = {
        name: value for name, value in os.environ.items() if name not in ("REGISTRY", "TAG")
    }
    try:
        every = fingerprints(
            site.plan, site.root, site.workspace, site.around.external_digests, variables
        )
    except OSError:  # something is being moved about just now
        return {}
    found = released_fingerprints(site.plan, every)
    # Of an image for several platforms, the part for one is another image.
    return (
        {n: platform_fingerprint(value, platform) for n, value in found.items()}
        if platform
        else found
    )


def outdated(project: Project, images: Mapping[str, str], console: Console) -> tuple[str, ...]:
    """Those of these images that were baked here from other inputs than today's, or whose locks do
    not hold any more. Of an image that was baked elsewhere, nothing is known.

    `images`: target -> id. Raises SetupError.
    """
    known = baked(project.workspace)
    mine = [name for name, image in images.items() if name in known and known[name][1] == image]
    if not mine:
        return ()
    generated = {each.path: each for each in laid_out(project.plan, project.root)}
    accounts_now = image_accounts(seen(project, console), generated)
    now = image_fingerprints(project.plan, accounts_now)
    stale = {each.name for each in project.stale_locks}
    return tuple(
        name
        for name in mine
        if (accounts_now and now.get(name) != known[name][0])
        or stale & lock_names(project.plan, name)
    )


def lock_names(plan: Plan, target: str) -> set[str]:
    """The names of all locks that say what a target is made of."""
    below = plan.needed((target,))
    return {EXTERNALS, LAYERS, *(e.lock for e in below), *(e.system_lock for e in below)}


def image_accounts(site: Site, files: Mapping[str, Generated] | None = None) -> tuple[Account, ...]:
    """What each target depends on here. `files`: generated ones, in place of those on disk."""
    try:
        return accounts(
            site.plan, site.root, site.workspace, site.around.external_digests, os.environ, files
        )
    except OSError:  # something is being moved about just now
        return ()


def image_fingerprints(plan: Plan, found: Iterable[Account]) -> dict[str, str]:
    """Of each service that has one: of all that its image and its checks depend on. And of each
    image of weights.
    """
    every = {each.target: each.fingerprint for each in found if each.fingerprint}
    mounted = (each.name for each in plan.targets if each.mounted and each.name in every)
    return of_services(plan, every) | {name: every[name] for name in mounted}


def last_images(workspace: Workspace) -> dict[str, str]:
    """The id of each service's image as it was last built and checked here."""
    return {name: image for name, (_, image) in baked(workspace).items()}


def baked(workspace: Workspace) -> dict[str, tuple[str, str]]:
    """Of each service that was built here, its fingerprint then, and its image's id."""

    def parse(said: Any) -> dict[str, tuple[str, str]]:
        return {str(name): (str(was), str(image)) for name, (was, image) in said.items()}

    return workspace.read(BAKED, parse) or {}
