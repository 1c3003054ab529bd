"""What precedes every build: an engine, locks and generated files up to date, and what this machine
brings.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from slimbake.build.command import Surroundings
from slimbake.build.surroundings import find_links, surroundings
from slimbake.deploy.prune import remove_dangling
from slimbake.docker.engine import Engine, setup
from slimbake.errors import SetupError, StaleFiles
from slimbake.fleet import Fleet
from slimbake.host.files import exclusively
from slimbake.host.machine import Machine, machine
from slimbake.lock import Locks, lock, locked_pins
from slimbake.lock.wheelhouse import fetch
from slimbake.lock.wheelhouse.debs import fetch_debs
from slimbake.lock.wheelhouse.store import store
from slimbake.plan.model import Plan, Target
from slimbake.plan.relinked import relinked
from slimbake.project import Project, reread
from slimbake.render.generated import drift, generate, mend

Say = Callable[[str], None]
Choose = Callable[[Plan, Surroundings], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A project that can be built on this machine now."""

    project: Project  # with what the locks, fresh by now, say
    services: tuple[str, ...]  # that are to be built
    engine: Engine
    around: Surroundings

    @property
    def plan(self) -> Plan:
        return self.project.plan


@contextlib.contextmanager
def prepared(
    project: Project,
    services: tuple[str, ...],
    say: Say,
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
    engine = setup(install, say)
    here = machine()
    with exclusively(f"bake-{project.manifest.project}", say):
        # Whoever held it may have locked or proven something since the project was read.
        project = refreshed(locked_anew(reread(project), here, say, frozen), say, frozen)
        plan, fleet, locks = project.plan, project.fleet, project.locks
        targets = relinked(plan, pushed).needed(plan.with_checks(services))
        platforms = {platform} if platform else built_for(plan, targets)
        around = surroundings(plan, engine, here, say, install, platforms)
        if choose:
            services = choose(plan, around)
            targets = relinked(plan, pushed).needed(plan.with_checks(services))
        around = replace(around, pushed=pushed)
        if (packages or fleet.manifest.packages) == "index":
            links = find_links(targets, locked_pins(fleet, locks), here)
            around = replace(around, find_links=links)
        else:
            wheels = _wheels(fleet, locks, targets, here, say)
            debs = _debs(fleet, locks, targets, here, say)
            around = replace(around, wheels=wheels, debs=debs)
        try:
            yield Prepared(project, services, engine, around)
        finally:
            with contextlib.suppress(SetupError):  # an engine that ended has been reported
                remove_dangling(plan.project)


def built_for(plan: Plan, targets: Iterable[Target]) -> set[str]:
    """The platforms that these targets are built for, as the bake file's variable says where they
    do not.
    """
    asked = tuple(filter(None, os.environ.get("PLATFORMS", "").split(",")))
    return {
        platform for target in targets for platform in target.platforms or asked or plan.platforms
    }


def _wheels(
    fleet: Fleet, locks: Locks, targets: Iterable[Target], here: Machine, say: Say
) -> dict[str, str]:
    """For each target that installs wheels: a folder of the wheelhouse with exactly those."""
    kept = store()
    layers = {target.name: target.lock for target in targets if target.lock}
    held = fetch(fleet, locks, here, kept, say, only=set(layers.values())).by_layer
    return {name: str(kept.folder(held.get(layer, ()), "wheels")) for name, layer in layers.items()}


def _debs(
    fleet: Fleet, locks: Locks, targets: Iterable[Target], here: Machine, say: Say
) -> dict[str, str]:
    """For each target that carries Debian packages: a folder of the wheelhouse with exactly those
    of its lock.
    """
    kept = store()
    layers = {target.name: target.system_lock for target in targets if target.system_lock}
    held = fetch_debs(fleet, locks, here, kept, say, only=set(layers.values()))
    return {name: str(kept.folder(held[layer], "debs")) for name, layer in layers.items()}


def locked_anew(project: Project, here: Machine, say: Say, frozen: bool = False) -> Project:
    """Lock what was never locked.

    Raises StaleFiles where a lock that somebody may have reviewed does not hold any more, or
    `frozen` is set.
    """
    old = project.stale_locks
    if faults := [each for each in old if frozen or not each.new]:
        names = ", ".join(map(str, faults))
        raise StaleFiles(f"locks are stale: {names}", "`slimbake lock` mends it")
    if not old:
        return project
    lock(project.asked, here, say)
    return reread(project)


def refreshed(project: Project, say: Say, frozen: bool = False) -> Project:
    """Bring generated files up to date with the project. Raises StaleFiles where `frozen` is set
    and they, or evidence, are stale.
    """
    dropped = project.evidence.dropped
    if dropped and frozen:
        words = "\n".join(f"  {each}" for each in dropped)
        raise StaleFiles(f"evidence is stale\n{words}", "`slimbake prove --stale` renews it")
    for each in dropped:
        say(f"not carried, its evidence is stale: {each}")
    found = drift(generate(project.plan, project.root), project.root)
    if found and frozen:
        names = ", ".join((*(file.path for file in found.write), *found.remove))
        raise StaleFiles(f"generated files are stale: {names}", "`slimbake generate` mends it")
    if found:
        mend(found, project.root)
        say(f"generated {len(found.write)} files")
    return project
