"""What precedes every build: an engine, locks and generated files up to date, and what this machine
brings.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from slimbake import docker
from slimbake.build.command import Surroundings
from slimbake.build.surroundings import find_links, surroundings
from slimbake.config.model import Manifest
from slimbake.console import Console
from slimbake.docker.engine import DockerEngine, setup
from slimbake.errors import SetupError, StaleFiles
from slimbake.host.files import exclusively
from slimbake.host.machine import Machine, machine
from slimbake.lock import SYSTEM, lock, locked, stale
from slimbake.lock.wheelhouse import fetch
from slimbake.lock.wheelhouse.debs import fetch_debs
from slimbake.lock.wheelhouse.store import store
from slimbake.plan.model import Plan, Target
from slimbake.plan.relinked import relinked
from slimbake.project.planned import planned
from slimbake.render.generated import drift, generate, mend

Choose = Callable[[Plan, Surroundings], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A project that can be built on this machine now."""

    plan: Plan  # with what the locks, fresh by now, say
    services: tuple[str, ...]  # that are to be built
    engine: DockerEngine
    around: Surroundings


@contextlib.contextmanager
def prepared(
    manifest: Manifest,
    services: tuple[str, ...],
    console: Console,
    *,
    frozen: bool = False,
    install: bool = False,
    packages: str = "",
    pushed: Mapping[str, str] = {},
    platform: str = "",
    choose: Choose | None = None,
) -> Iterator[Prepared]:
    """Hold a project while it is built: what is built is staged under one name until it is checked.

    `frozen`: generated files that are stale are an error too; `install`: a missing engine may be
    installed; `packages`: "wheelhouse" or "index", "" as the manifest has it; `choose`: which
    services are left to build, asked before anything is fetched for them, and before this machine's
    folders are known; `pushed`: what is not built here, target -> REPOSITORY@DIGEST, read after
    `choose`, which may add to it; `platform`: the only one that is built for, "" = as planned. In
    the end, images that the build left without a name are removed. Raises SetupError, StaleFiles,
    UsageError.
    """
    engine = setup(install, console)
    here = machine()
    with exclusively(f"bake-{manifest.project}", console):
        plan = _refresh(manifest, here, frozen, console)
        targets = relinked(plan, pushed).needed(plan.with_checks(services))
        around = surroundings(
            plan,
            engine,
            here,
            console,
            install,
            {platform} if platform else built_for(plan, targets),
        )
        if choose:
            services = choose(plan, around)
            targets = relinked(plan, pushed).needed(plan.with_checks(services))
        around = replace(around, pushed=pushed)
        if (packages or manifest.packages) == "index":
            around = replace(around, find_links=find_links(targets, locked(manifest), here))
        else:
            around = replace(
                around,
                wheels=_wheels(manifest, targets, here, console),
                debs=_debs(manifest, targets, here, console),
            )
        try:
            yield Prepared(plan, services, engine, around)
        finally:
            with contextlib.suppress(SetupError):  # an engine that ended has been reported
                docker.remove_dangling(plan.project)


def built_for(plan: Plan, targets: Iterable[Target]) -> set[str]:
    """The platforms that these targets are built for, as the bake file's variable says where they
    do not.
    """
    asked = tuple(filter(None, os.environ.get("PLATFORMS", "").split(",")))
    return {
        platform for target in targets for platform in target.platforms or asked or plan.platforms
    }


def _wheels(
    manifest: Manifest, targets: Iterable[Target], here: Machine, console: Console
) -> dict[str, str]:
    """For each target that installs wheels: a folder of the wheelhouse with exactly those."""
    kept = store()
    layers = {target.name: target.lock for target in targets if target.lock}
    held = fetch(manifest, here, kept, console, only=set(layers.values())).by_layer
    return {name: str(kept.folder(held.get(layer, ()), "wheels")) for name, layer in layers.items()}


def _debs(
    manifest: Manifest, targets: Iterable[Target], here: Machine, console: Console
) -> dict[str, str]:
    """For each target that carries Debian packages: a folder of the wheelhouse with exactly those
    of its lock.
    """
    kept = store()
    layers = {
        target.name: f"{target.name}{SYSTEM}"
        for target in targets
        if target.recipe and target.recipe.system
    }
    held = fetch_debs(manifest, here, kept, console, only=set(layers.values()))
    return {name: str(kept.folder(held[layer], "debs")) for name, layer in layers.items()}


def _refresh(manifest: Manifest, here: Machine, frozen: bool, console: Console) -> Plan:
    """Lock what is new and bring generated files up to date; the plan as the locks are then. Raises
    StaleFiles.
    """
    lock_new(manifest, here, console, frozen)
    return refreshed(manifest, console, frozen)


def lock_new(manifest: Manifest, here: Machine, console: Console, frozen: bool = False) -> None:
    """Lock what was never locked.

    Raises StaleFiles where a lock that somebody may have reviewed does not hold any more, or
    `frozen` is set.
    """
    old = stale(manifest)
    if faults := [each for each in old if frozen or not each.new]:
        raise StaleFiles(
            f"locks are stale: {', '.join(map(str, faults))}", "`slimbake lock` mends it"
        )
    if old:
        lock(manifest, here, console)


def refreshed(manifest: Manifest, console: Console, frozen: bool = False) -> Plan:
    """The plan as locks and evidence are now, with generated files brought up to date. Raises as
    `_refresh`.
    """
    root = manifest.file.parent
    plan, dropped = planned(manifest)
    if dropped and frozen:
        words = "\n".join(f"  {each}" for each in dropped)
        raise StaleFiles(f"evidence is stale\n{words}", "`slimbake prove --stale` renews it")
    for each in dropped:
        console.say(f"not carried, its evidence is stale: {each}")
    found = drift(generate(plan, root), root)
    if found and frozen:
        names = ", ".join((*(file.path for file in found.write), *found.remove))
        raise StaleFiles(f"generated files are stale: {names}", "`slimbake generate` mends it")
    if found:
        mend(found, root)
        console.say(f"generated {len(found.write)} files")
    return plan
