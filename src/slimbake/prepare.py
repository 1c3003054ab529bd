"""What precedes every build: an engine, locks and generated files up to date, and what this machine brings."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from slimbake.bake.command import Surroundings
from slimbake.engine import Engine, setup
from slimbake.errors import SetupError, StaleFiles
from slimbake.generated import drift, generate, mend
from slimbake.lock import lock, locked, stale
from slimbake.machine import Machine, machine
from slimbake.manifest.model import Manifest
from slimbake.plan import plan as plan_of
from slimbake.plan.model import Plan
from slimbake.prune import remove_dangling
from slimbake.state import exclusively
from slimbake.surroundings import surroundings

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A project that can be built on this machine now."""

    plan: Plan  # with what the locks, fresh by now, say
    engine: Engine
    around: Surroundings


@contextlib.contextmanager
def prepared(
    manifest: Manifest, plan: Plan, say: Say, *, frozen: bool = False, install: bool = False
) -> Iterator[Prepared]:
    """Hold a project while it is built: what is built is staged under one name until it is checked.

    `frozen`: stale locks and generated files are an error; `install`: a missing engine may be installed. In the end,
    images that the build left without a name are removed. Raises SetupError, StaleFiles, UsageError.
    """
    engine = setup(install, say)
    here = machine()
    with exclusively(f"bake-{plan.project}", say):
        plan = _refresh(manifest, plan, here, frozen, say)
        around = surroundings(plan, manifest.file.parent, engine, here, say, install)
        try:
            yield Prepared(plan, engine, around)
        finally:
            with contextlib.suppress(SetupError):  # an engine that ended has been reported
                remove_dangling(plan.project)


def _refresh(manifest: Manifest, plan: Plan, here: Machine, frozen: bool, say: Say) -> Plan:
    """Bring locks and generated files up to date. Raises StaleFiles where they are not and `frozen` is set.

    Gives the plan as the locks are then: their digests are labels of images.
    """
    root = manifest.file.parent
    old = [layer.name for family in stale(manifest) for layer in family.layers]
    if old and frozen:
        raise StaleFiles(f"locks are stale: {', '.join(old)}", "`slimbake lock` mends it")
    if old:
        lock(manifest, here, say)
        plan = plan_of(manifest, locked(manifest))
    found = drift(generate(plan, root), root)
    if found and frozen:
        names = ", ".join((*(file.path for file in found.write), *found.remove))
        raise StaleFiles(f"generated files are stale: {names}", "`slimbake generate` mends it")
    if found:
        mend(found, root)
        say(f"generated {len(found.write)} files")
    return plan
