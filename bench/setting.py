"""What all sides share: a copy of the repository, and what this machine brings to a build."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.timed import CONSOLE, run, say

from slimbake.docker import engine
from slimbake.host.machine import Machine, machine
from slimbake.lock.wheelhouse import fetch
from slimbake.lock.wheelhouse.store import store
from slimbake.plan.model import Plan
from slimbake.project import load
from slimbake.release.command import Surroundings
from slimbake.release.surroundings import surroundings

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = "services.yaml"
PREFIX = "slimbake-bench"
"""All images that a benchmark makes are named PREFIX/..., and nothing else is; it is the copy's
project too.
"""
PYTHON = f"{PREFIX}/python:3.11"
LABEL = "slimbake.bench"
"""Every image of a baseline has it, also when a newer one took its name."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A repository to build in, and what the machine gives to each side."""

    root: Path
    plan: Plan
    around: Surroundings
    python: str
    """Context value of the Python image that the baselines stand on."""
    wheels: Path
    """Wheels that no index has: the folder that slimbake's own base is given, or an empty one."""
    pip_settings: Path
    """A pip.conf, mounted as a secret."""


def copied(target: Path, source: Path = ROOT) -> Path:
    """Copy what Git knows or would add of this repository, or of a folder of it: an edit is made
    there, never here.

    The copy is a project of its own, so that its images replace none of a person's.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=source,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)
            (target / name).chmod(0o755 if (source / name).stat().st_mode & 0o100 else 0o644)
    text = (target / MANIFEST).read_text("utf-8")
    renamed, count = re.subn(r"^project: .*$", f"project: {PREFIX}", text, flags=re.MULTILINE)
    assert count == 1, f"{MANIFEST} names no project in a line of its own"
    (target / MANIFEST).write_text(renamed, encoding="utf-8")
    return target


def prepared(root: Path, scratch: Path) -> Setting:
    """Have the engine hold what people would have there before they build: the images from outside,
    with pip.

    Raises SetupError where there is no engine, or something that it needs cannot be had.
    """
    project = load(root / MANIFEST)
    made = project.plan
    here = machine()
    around = surroundings(made, engine.expect_engine(), here)
    for value in around.externals.values():
        image = value.removeprefix("docker-image://")
        if image != value and not _holds(image):
            run(["docker", "pull", "--quiet", image], root)
    wheels = scratch / "wheels"
    wheels.mkdir()
    # All sides have the same files at hand: no side is measured by how fast an index answers.
    fetched = fetch(project.fleet, project.locks, here, store(), CONSOLE)
    for held in {held for lock in fetched.by_lock.values() for held in lock}:
        shutil.copyfile(held.path, wheels / held.path.name)
    settings = scratch / "pip.conf"
    settings.write_text(pip_settings(here))
    python = around.externals["python"]
    if "python" in around.standins:
        _add_pip(scratch, python, around)
        python = f"docker-image://{PYTHON}"
    return Setting(root, made, around, python, wheels, settings)


def pip_settings(here: Machine) -> str:
    """This machine's indexes and certificates, as the pip.conf of a build."""
    packages = here.packages
    pages = [entry for entry in packages.find_links if not entry.startswith("/")]
    lines = {
        "index-url": packages.index_url,
        "extra-index-url": " ".join(packages.extra_index_urls),
        "find-links": " ".join(("/wheels", *pages)),
        "no-index": "true" if packages.no_index else "",
        "cert": "/run/secrets/ca" if here.ca_bundle else "",
        "disable-pip-version-check": "true",
        "timeout": "120",
    }
    return "[global]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items() if value)


def secrets(around: Surroundings, pip: Path) -> list[str]:
    """The secrets of a baseline's build, as buildx takes them."""
    ca = [f"id=ca,src={around.ca_bundle}"] if around.ca_bundle else []
    return [*ca, f"id=pip,src={pip}"]


def _add_pip(scratch: Path, python: str, around: Surroundings) -> None:
    """A stand-in has no pip, and the image that it stands for has: make one that has."""
    say(f"adding pip to the stand-in: {PYTHON}")
    nothing = scratch / "nothing"
    nothing.mkdir()
    words = [
        "--build-context",
        f"python={python}",
        "--build-context",
        f"uv={around.externals['uv']}",
    ]
    for name, value in around.proxies:
        words += ["--build-arg", f"{name}={value}"]
    if around.ca_bundle:
        words += ["--secret", f"id=ca,src={around.ca_bundle}"]
    if around.uv_settings:
        words += ["--secret", f"id=uv-settings,src={around.uv_settings}"]
    file = ROOT / "bench" / "baseline" / "python.Dockerfile"
    environment = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    run(
        ["docker", "build", "--file", file, "--tag", PYTHON, *words, nothing], ROOT, env=environment
    )


def _holds(image: str) -> bool:
    return (
        subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode == 0
    )


def images(services: tuple[str, ...], repository: str) -> dict[str, str]:
    """The id of each service's image, as the engine holds it."""
    found = {}
    for service in services:
        shown = subprocess.run(
            ["docker", "image", "inspect", f"{repository}/{service}:latest"],
            capture_output=True,
            check=True,
        )
        found[service] = str(json.loads(shown.stdout)[0]["Id"])
    return found
