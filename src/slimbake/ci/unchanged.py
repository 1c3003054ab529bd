"""Services that need no job: a registry has their images, or nothing of them has changed. In doubt,
they need one.
"""

from __future__ import annotations

import os
from pathlib import Path

from slimbake.build.prepare import built_for
from slimbake.build.registered import Registered
from slimbake.build.retag import Held
from slimbake.build.surroundings import surroundings
from slimbake.ci.changes import changed
from slimbake.console import Console
from slimbake.docker.engine import setup
from slimbake.errors import SetupError, UsageError
from slimbake.host.machine import machine
from slimbake.plan.model import Plan


def held(
    plan: Plan, root: Path, services: tuple[str, ...], registry: str, console: Console
) -> tuple[Held, ...]:
    """The images that a registry has as this machine would build them; doubts are said. Raises
    SetupError.
    """
    there = Registered(root, services, registry, console)
    around = surroundings(
        plan, setup(False, console), machine(), console, platforms=built_for(plan, plan.targets)
    )
    there.know(plan, around)
    there.left(provenance=False)
    return there.held


def same(file: Path, services: tuple[str, ...], revision: str, console: Console) -> tuple[str, ...]:
    """The services whose image, smoke and all that these stand on is now what it was at a commit.

    A commit that is not here, as in a shallow clone or after a push by force, is a doubt. `file`:
    the manifest.
    """
    try:
        found = changed(file, revision, None, os.environ)
    except (UsageError, SetupError) as error:
        console.say(f"all are built, to be sure: {error.message}")
        return ()
    touched = {each.service for each in found if each.rebuilt}
    return tuple(name for name in services if name not in touched)
