"""Gathers what this machine brings to a build: externals, wheels, certificates, indexes, proxies."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from slimbake.bake.command import Surroundings
from slimbake.engine import Engine
from slimbake.externals import resolve
from slimbake.lock.model import parse_pins
from slimbake.machine import Machine
from slimbake.pipconf import Packages
from slimbake.plan.model import Plan, Target
from slimbake.plan.targets import LOCKS
from slimbake.state import state_folder, write_atomically


def surroundings(
    plan: Plan, root: Path, engine: Engine, here: Machine, say: Callable[[str], None], install: bool = False
) -> Surroundings:
    """What a bake of this plan is given on this machine. Makes stand-ins where no registry can be reached.

    `install` lets what stand-ins need be installed. Raises SetupError.
    """
    externals = resolve(plan.externals, plan.python, engine, here, say, install)
    return Surroundings(
        externals={external.name: external.context for external in externals.resolved},
        digests={external.name: external.digest for external in externals.resolved},
        standins=externals.standins,
        wheels=_wheels(plan, root, here),
        ca_bundle=str(here.ca_bundle or ""),
        uv_settings=_uv_settings(here.packages),
        proxies=here.proxies,
    )


def _wheels(plan: Plan, root: Path, here: Machine) -> dict[str, str]:
    """For each layer whose lock names wheels in this machine's folders: a folder with exactly those.

    A layer that saw the whole folder would be built again with every wheel that anybody adds.
    """
    there = {
        tuple(path.name.split("-")[:2]): path
        for folder in here.packages.find_links_folders
        if folder.is_dir()
        for path in sorted(folder.glob("*.whl"))
    }
    found: dict[str, str] = {}
    for target in plan.targets:
        wheels = [there[key] for key in _pinned(target, root) if key in there]
        if wheels:
            found[target.name] = str(_folder_of(wheels))
    return found


def _pinned(target: Target, root: Path) -> list[tuple[str, str]]:
    install = target.recipe.install if target.recipe else None
    lock = root / LOCKS / install.lock if install else None
    if lock is None or not lock.is_file():
        return []
    return [(pin.name.replace("-", "_"), pin.version) for pin in parse_pins(lock.read_text("utf-8"))]


def _folder_of(wheels: list[Path]) -> Path:
    key = "\n".join(f"{wheel}:{wheel.stat().st_size}:{wheel.stat().st_mtime_ns}" for wheel in sorted(wheels))
    folder = state_folder() / "wheels" / hashlib.sha256(key.encode()).hexdigest()[:16]
    if not folder.is_dir():
        half = folder.with_suffix(f".{os.getpid()}")
        half.mkdir(parents=True, exist_ok=True)
        for wheel in wheels:
            try:
                (half / wheel.name).hardlink_to(wheel)
            except OSError:  # another file system, or there already
                shutil.copy2(wheel, half / wheel.name)
        half.rename(folder)
    return folder


def _uv_settings(packages: Packages) -> str:
    """A uv.toml with this machine's indexes, for the build to mount as a secret; "" where it has none of its own."""
    lines = [f"extra-index-url = {_toml(packages.extra_index_urls)}"] if packages.extra_index_urls else []
    if packages.index_url:
        lines.append(f"index-url = {_toml_string(packages.index_url)}")
    pages = tuple(entry for entry in packages.find_links if not entry.startswith("/"))
    if pages:
        lines.append(f"find-links = {_toml(pages)}")
    if not lines:
        return ""
    path = state_folder() / "uv.toml"
    write_atomically(path, ("\n".join(lines) + "\n").encode(), mode=0o600)
    return str(path)


def _toml(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(_toml_string(value) for value in values) + "]"


def _toml_string(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
