"""Gathers what this machine brings to a build: externals, certificates, indexes, proxies, wheels no
index has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from slimbake.docker.engine import DockerEngine
from slimbake.externals.resolve import resolve_externals
from slimbake.host.files import state_folder, write_atomically
from slimbake.host.machine import Machine
from slimbake.host.pip import PackageSources
from slimbake.inside.step import hashed
from slimbake.lock.model import Pin
from slimbake.lock.wheelhouse.store import Held, store
from slimbake.plan.model import Plan, Target
from slimbake.release.command import Surroundings


def surroundings(plan: Plan, engine: DockerEngine, here: Machine) -> Surroundings:
    """What a bake of this plan is given on this machine. Raises SetupError for an external that can
    be had nowhere.
    """
    externals = resolve_externals(plan.externals, engine)
    return Surroundings(
        externals={external.name: external.context for external in externals.resolved},
        digests={external.name: external.digest for external in externals.resolved},
        standins=externals.standins,
        ca_bundle=str(here.ca_bundle or ""),
        uv_settings=_uv_settings(here.packages),
        proxies=here.proxies,
    )


def find_links(
    targets: Iterable[Target], locks: Mapping[str, tuple[Pin, ...]], here: Machine
) -> dict[str, str]:
    """For a build that asks an index: target -> a folder with exactly what of its lock lies in this
    machine's folders.

    A layer that saw the whole folder would be built again with every wheel that anybody adds.
    """
    paths: dict[str, Path] = {}
    for folder in here.packages.find_links_folders:
        if folder.is_dir():
            paths |= {path.name: path for path in sorted(folder.glob("*.whl"))}
    folder_of: dict[str, str] = {}
    for target in targets:
        if not target.takes_wheels:
            continue
        pins = locks.get(target.lock, ())
        if target.recipe and target.recipe.layer:
            pins = target.recipe.layer.pins
        wheels = []
        for pin in pins:
            for wheel in pin.wheels:
                path = paths.get(wheel.file)
                if path:
                    wheels.append(Held(hashed(path), path))
        if wheels:
            folder_of[target.name] = str(store().folder(wheels, ""))
    return folder_of


def _uv_settings(packages: PackageSources) -> str:
    """A uv.toml with this machine's indexes, for the build to mount as a secret; "" where it has
    none of its own.
    """
    lines = []
    if packages.extra_index_urls:
        lines.append(f"extra-index-url = {_toml(packages.extra_index_urls)}")
    if packages.index_url:
        lines.append(f"index-url = {_toml_string(packages.index_url)}")
    if packages.no_index:
        lines.append("no-index = true")
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
