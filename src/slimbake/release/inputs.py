"""What images depend on here, what they were last built from, and what a registry knows them by."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from slimbake.console import Console
from slimbake.fingerprint import Account, accounts, of_services
from slimbake.fingerprint.model import digest
from slimbake.host.workspace import Workspace
from slimbake.plan.model import CHECKS, Plan
from slimbake.project import Project
from slimbake.release.site import Site, seen
from slimbake.render import Generated
from slimbake.render.generated import laid_out

BAKED = "baked"  # in the workspace: of each image that is released its fingerprint and its id


def registry_fingerprints(site: Site, platform: str = "") -> dict[str, str]:
    """What each image is known by on a registry, by its target; where that is unknown there is none.

    `platform`: the only one that is built for. An image for it is another one.
    """
    # An image is the same under whichever name it is pushed.
    unnamed = dict(os.environ)
    for name in ("REGISTRY", "TAG"):
        unnamed.pop(name, None)
    images = image_accounts(site, variables=unnamed)
    fingerprints = {account.target: account.fingerprint for account in images}
    released = released_fingerprints(site.plan, fingerprints)
    if not platform:
        return released
    return {name: platform_fingerprint(value, platform) for name, value in released.items()}


def outdated(project: Project, images: Mapping[str, str], console: Console) -> tuple[str, ...]:
    """Those of these images that were baked here from other inputs than today's, or whose locks do
    not hold any more. Of an image that was baked elsewhere, nothing is known.

    `images`: target -> id. Raises SetupError.
    """
    baked = baked_images(project.workspace)
    fingerprints = {}
    for name, image in images.items():
        fingerprint, baked_image = baked.get(name, ("", ""))
        if image == baked_image:
            fingerprints[name] = fingerprint
    if not fingerprints:
        return ()
    generated = {file.path: file for file in laid_out(project.plan, project.root)}
    accounts_now = image_accounts(seen(project, console), generated)
    now = image_fingerprints(project.plan, accounts_now)
    stale = {lock.name for lock in project.stale_locks}
    names = []
    for name, fingerprint in fingerprints.items():
        if (accounts_now and now.get(name) != fingerprint) or not stale.isdisjoint(
            project.lock_names((name,))
        ):
            names.append(name)
    return tuple(names)


def image_accounts(
    site: Site,
    files: Mapping[str, Generated] | None = None,
    variables: Mapping[str, str] = os.environ,
) -> tuple[Account, ...]:
    """What each target depends on here. `files`: generated ones, in place of those on disk."""
    try:
        return accounts(
            site.plan, site.root, site.workspace, site.around.external_digests, variables, files
        )
    except OSError:  # something is being moved about just now
        return ()


def image_fingerprints(plan: Plan, target_accounts: Iterable[Account]) -> dict[str, str]:
    """Of each service that has one: of all that its image and its checks depend on. And of each
    image of weights.
    """
    known = {}
    for account in target_accounts:
        if account.fingerprint:
            known[account.target] = account.fingerprint
    fingerprints = of_services(plan, known)
    for target in plan.targets:
        if target.mounted and target.name in known:
            fingerprints[target.name] = known[target.name]
    return fingerprints


def last_images(workspace: Workspace) -> dict[str, str]:
    """The id of each image as it was last built and checked here, by its target."""
    return {name: image for name, (_, image) in baked_images(workspace).items()}


def baked_images(workspace: Workspace) -> dict[str, tuple[str, str]]:
    """Of each image that was built here, its fingerprint then, and its id."""

    def parse(content: Any) -> dict[str, tuple[str, str]]:
        images = {}
        for name, (fingerprint, image) in content.items():
            images[str(name)] = (str(fingerprint), str(image))
        return images

    return workspace.read(BAKED, parse) or {}


def released_fingerprints(plan: Plan, fingerprints: Mapping[str, str]) -> dict[str, str]:
    """Of each image that is pushed its fingerprint, by its target; where one cannot be known there
    is none.

    `fingerprints`: target -> fingerprint, "" for unknown. A service has one of its image, its
    checks, its start check and its budget together: a pushed image held to them, and a tighter one
    is to be checked.
    """
    fingerprint_of = {}
    checks_of: dict[str, list[str]] = {}
    for target in plan.targets:
        if target.kind in CHECKS:
            checks_of.setdefault(target.service, []).append(target.name)
        if target.shared and fingerprints.get(target.name):
            fingerprint_of[target.name] = fingerprints[target.name]
    for service in plan.services:
        names = [service.service, *checks_of.get(service.service, ())]
        known = [fingerprints[name] for name in names if fingerprints.get(name)]
        if len(known) == len(names):
            parts = [*known, asdict(service.budget), asdict(service.start)]
            fingerprint_of[service.service] = digest(json.dumps(parts, sort_keys=True))
    return fingerprint_of


def platform_fingerprint(fingerprint: str, platform: str) -> str:
    """The fingerprint of an image that is built for one platform alone."""
    return digest(f"{fingerprint} {platform}")
