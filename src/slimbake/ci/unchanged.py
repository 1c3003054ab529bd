"""Services that need no job: a registry has their images, or nothing of them has changed. In doubt,
they need one.
"""

from __future__ import annotations

import os
from pathlib import Path

from slimbake.ci.changes import changed
from slimbake.console import Console
from slimbake.errors import SetupError, UsageError
from slimbake.project import Project
from slimbake.release.known import offered
from slimbake.release.on_registry import OnRegistry
from slimbake.release.site import seen


def held(
    project: Project, services: tuple[str, ...], registry: str, console: Console
) -> tuple[OnRegistry, ...]:
    """The images that a registry has as this machine would build them; doubts are said. Raises
    SetupError.
    """
    site = seen(project, console)
    return offered(site, services, registry, ask=True).held


def same(file: Path, services: tuple[str, ...], revision: str, console: Console) -> tuple[str, ...]:
    """The services whose image, smoke and all that these stand on is now what it was at a commit.

    A commit that is not here, as in a shallow clone or after a push by force, is a doubt. `file`:
    the manifest.
    """
    try:
        found = changed(file, revision, os.environ)
    except (UsageError, SetupError) as error:
        console.say(f"all are built, to be sure: {error.message}")
        return ()
    touched = {each.service for each in found if each.rebuilt}
    return tuple(name for name in services if name not in touched)
