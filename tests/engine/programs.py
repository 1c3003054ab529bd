"""What tests run in a process of its own. As functions, so that the type checker reads them too."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from slimbake.checks.verify import Limit, verify
from slimbake.cli.common import console, read
from slimbake.release.bake import bake
from slimbake.release.command import BakeOptions
from slimbake.release.site import hold

_ROOT = Path(__file__).parents[2]


def program(function: Callable[..., None]) -> str:
    """A program for `python -c`: it calls a function of this module with its arguments."""
    name = function.__name__
    return (
        f"import sys; sys.path.insert(0, {str(_ROOT)!r});"
        f" from tests.engine.programs import {name}; {name}(*sys.argv[1:])"
    )


def bake_all(packages: Literal["wheelhouse", "index"]) -> None:
    """Bake all that has a name of its own in a registry, the runtime and the bases too; print
    their digests.
    """
    project = read(Path("services.yaml"))
    names = tuple(target.name for target in project.plan.targets if target.repository)
    with hold(project, console, names) as found:
        fleet = found.project.fleet
        manifest = replace(fleet.manifest, packages=packages)
        held = replace(
            found, project=replace(found.project, fleet=replace(fleet, manifest=manifest))
        )
        result = bake(held.stocked(names), names, BakeOptions(), checks=False)
    json.dump({name: result.digests[name][0] for name in names}, sys.stdout)


def verified(image: str, seconds: str, memory: str) -> None:
    """Verify the only service in an image within limits; 6 where it does not hold."""
    project = read(Path("services.yaml"))
    (service,) = project.plan.services
    limit = Limit(seconds=float(seconds), memory=int(memory))
    verdict = verify(project.plan, service.service, image, project.root, limit)
    sys.stderr.write(textwrap.indent(f"{verdict.error}\n", "  "))
    sys.exit(0 if verdict.holds else 6)
