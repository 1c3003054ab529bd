"""Takes the census of services: builds each with passes and without, and compares the two images."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from slimbake.build.bake import bake
from slimbake.build.command import BakeOptions
from slimbake.build.place import built_in_engine
from slimbake.build.site import Preparation, hold
from slimbake.console import Console
from slimbake.docker.containers import contained
from slimbake.errors import SetupError
from slimbake.host.workspace import Workspace
from slimbake.inside import from_stdin, with_check_pyz, zipapp
from slimbake.project import Project
from slimbake.proof.census import (
    Census,
    Imports,
    Tally,
    compared_imports,
    package_keys,
    tally,
)
from slimbake.proof.subjects import without_passes

SECONDS = 3600.0  # for one image; each import in it has a limit of its own
MEMORY = 6_000_000_000  # bytes
OUTCOMES = "imports"  # in the workspace: what came of imports, by package
_KEPT = 2_000  # packages


def census(
    project: Project, services: Sequence[str], console: Console, *, imports: bool = False
) -> dict[str, Tally]:
    """Compare each of these services with its image without passes.

    `imports`: modules that ask where they lie are imported in both, too. Raises as `hold` does, and
    BuildError and CheckError where an image does not build or hold.
    """
    names = tuple(services)
    with hold(project, Preparation(targets=names), console) as site:
        site = site.stocked(names)
        result = bake(site, names, BakeOptions())
        pruned = {i.name: i.image for i in built_in_engine(result.left, result)}
        bare = {i.name: i.image for i in without_passes(site, names, checks=False)}
        found = {}
        for name in names:
            before, after = (offered(images[name]) for images in (bare, pruned))
            both = (bare[name], before), (pruned[name], after)
            tried = _imports(*both, site.workspace) if imports else None
            found[name] = tally(before, after, tried)
            console.say(f"{name}: {len(found[name].losses)} losses")
        return found


def offered(image: str) -> dict[str, Any]:
    """What the program `census` tells of an image. Raises SetupError."""
    return dict(in_image(image, "census"))


def in_image(image: str, program: str, asked: object = None) -> Any:
    """The JSON that a program of check.pyz prints in a container of an image. Raises SetupError."""
    words = (
        "--network=none",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--user=65532:65532",
        "--read-only",
        "--tmpfs=/tmp:mode=1777,exec",
        f"--memory={MEMORY}",
        f"--memory-swap={MEMORY}",
        "--entrypoint=python",
        image,
        *from_stdin(program, site=True),
    )
    name = f"slimbake-{program}-{secrets.token_hex(6)}"
    done = contained(name, words, with_check_pyz(json.dumps(asked)), SECONDS)
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise SetupError(
            f"the program {program} gave no answer in {image}", done.stderr.strip()[-2000:]
        ) from None


def _imports(bare: tuple[str, Census], pruned: tuple[str, Census], workspace: Workspace) -> Imports:
    """What came of imports in both images; what differs is asked once more, one module at a time."""
    before = _outcomes(*bare, "without passes", workspace)
    after = _outcomes(*pruned, "with passes", workspace)
    again = [name for name, *_ in compared_imports(before, after)]
    if again:
        before |= _flat(in_image(bare[0], "imports", {"modules": again}))
        after |= _flat(in_image(pruned[0], "imports", {"modules": again}))
    return Imports(len(before), tuple(compared_imports(before, after)))


def _outcomes(image: str, found: Census, side: str, workspace: Workspace) -> dict[str, str]:
    """What came of every import in an image; the workspace keeps it by package, so that another
    version of one is asked for alone, with what requires it. `side`: an answer of one side is never
    taken for the other, since a package may import what it does not require.
    """
    keys = package_keys(found, zipapp("check") + zipapp("build") + side.encode())
    known = {name: workspace.read(f"{OUTCOMES}/{key}", dict) for name, key in keys.items()}
    new = sorted(name for name, outcomes in known.items() if outcomes is None)
    said = in_image(image, "imports", {"packages": new}) if new else {}
    for name in new:
        known[name] = said.get(name, {})
        workspace.write(f"{OUTCOMES}/{keys[name]}", known[name])
    workspace.trim(OUTCOMES, _KEPT)
    return {str(name): str(came) for name, came in _flat(known).items()}


def _flat(found: Mapping[str, Mapping[str, str] | None]) -> dict[str, str]:
    return {name: said for each in found.values() for name, said in (each or {}).items()}
