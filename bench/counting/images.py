"""Takes the census of services: builds each optimised and not, and compares the two images."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import secrets
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.counting.tally import (
    Census,
    Imports,
    Tally,
    compared_imports,
    package_keys,
    tally,
)

from slimbake.console import Console
from slimbake.docker.containers import contained
from slimbake.errors import SetupError
from slimbake.host.workspace import Workspace
from slimbake.inside import FOLDER, FROM_STDIN, zipapp
from slimbake.project import Project
from slimbake.release.bake import bake
from slimbake.release.bare import bare_images
from slimbake.release.command import BakeOptions
from slimbake.release.place import built_in_engine
from slimbake.release.site import hold

SECONDS = 3600.0  # for one image; each import in it has a limit of its own
MEMORY = 6_000_000_000  # bytes
OUTCOMES = "imports"  # in the workspace: what came of imports, by package
_KEPT = 2_000  # packages


_MAIN = """
import importlib
importlib.import_module(f"programs.{sys.argv[1]}").main()
"""


def archive() -> bytes:
    """check.pyz, the programs of this package, and what these import of make.pyz."""
    members = {"slimbake/inside/fates.py": FOLDER / "fates.py"}
    for path in sorted(Path(__file__).with_name("programs").glob("*.py")):
        members[f"programs/{path.name}"] = path
    file = io.BytesIO(zipapp("check"))
    with zipfile.ZipFile(file, "a") as zipped:
        for name, path in members.items():
            # not by its name alone: that would write the time of day, and change the digest
            zipped.writestr(zipfile.ZipInfo(name), path.read_bytes())
    return file.getvalue()


@dataclass(frozen=True, slots=True)
class Pair:
    """The image of a service without optimisation, and the optimised one, by their ids."""

    bare: str
    optimised: str


@contextlib.contextmanager
def pairs(
    project: Project, services: Sequence[str], console: Console
) -> Iterator[tuple[dict[str, Pair], Workspace]]:
    """Both images of each service, built, while the project is held. Raises as `bake` does."""
    names = tuple(services)
    with hold(project, console, names) as site:
        site = site.stocked(names)
        result = bake(site, names, BakeOptions())
        optimised = {i.name: i.image for i in built_in_engine(result.left, result)}
        bare = {i.name: i.image for i in bare_images(site, names)}
        yield {name: Pair(bare[name], optimised[name]) for name in names}, site.workspace


def census(pair: Pair, workspace: Workspace, *, imports: bool = False) -> Tally:
    """Compare two images. `imports`: modules that ask where they lie are imported in both, too."""
    before, after = offered(pair.bare), offered(pair.optimised)
    both = (pair.bare, before), (pair.optimised, after)
    return tally(before, after, _imports(*both, workspace) if imports else None)


def calls(image: str) -> dict[str, str]:
    """What came of each call of `calls/` in an image."""
    files = sorted(Path(__file__).with_name("calls").glob("*.txt"))
    return dict(in_image(image, "calls", {path.stem: path.read_text() for path in files}))


def offered(image: str) -> dict[str, Any]:
    """What the program `census` tells of an image. Raises SetupError."""
    return dict(in_image(image, "census"))


def in_image(image: str, program: str, asked: object = None) -> Any:
    """The JSON that a program prints in a container of an image. Raises SetupError."""
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
        *("-IB", "-c", f"{FROM_STDIN}{_MAIN}", program),
    )
    name = f"slimbake-{program}-{secrets.token_hex(6)}"
    done = contained(
        name, words, f"{base64.b64encode(archive()).decode()}\n{json.dumps(asked)}", SECONDS
    )
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise SetupError(
            f"the program {program} gave no answer in {image}", done.stderr.strip()[-2000:]
        ) from None


def _imports(
    bare: tuple[str, Census], optimised: tuple[str, Census], workspace: Workspace
) -> Imports:
    """What came of imports in both images; what differs is asked once more, one module at a time."""
    before = _outcomes(*bare, "bare", workspace)
    after = _outcomes(*optimised, "optimised", workspace)
    again = [name for name, *_ in compared_imports(before, after)]
    if again:
        before |= _flat(in_image(bare[0], "imports", {"modules": again}))
        after |= _flat(in_image(optimised[0], "imports", {"modules": again}))
    return Imports(len(before), tuple(compared_imports(before, after)))


def _outcomes(image: str, found: Census, side: str, workspace: Workspace) -> dict[str, str]:
    """What came of every import in an image; the workspace keeps it by package, so that another
    version of one is asked for alone, with what requires it. `side`: an answer of one side is never
    taken for the other, since a package may import what it does not require.
    """
    keys = package_keys(found, archive() + zipapp("make") + side.encode())
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
