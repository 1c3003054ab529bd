"""Resolves a family once and cuts the result by ownership."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from slimbake.console import Console
from slimbake.fleet.model import Layer
from slimbake.host.machine import Machine
from slimbake.host.uv import NoSolution
from slimbake.host.wheels import Located, Wheel, marker
from slimbake.lock.explain import explained, refuse_cuda, refuse_torch
from slimbake.lock.model import Family, Pin, merged
from slimbake.lock.uv import Uv, exact


def resolve_family(
    family: Family,
    root: Path,
    python: str,
    machine: Machine,
    known: Sequence[Pin],
    console: Console,
) -> dict[str, tuple[Pin, ...]]:
    """The name of each layer -> the pins that it adds to what it stands on.

    `known`: pins of an earlier lock, kept where they still fit. Raises ResolutionError where
    requirements contradict each other, a family for CPUs would hold CUDA, or a service on ONNX
    Runtime torch; SetupError where uv or an index fails.
    """
    found: dict[str, dict[str, tuple[Pin, ...]]] = {}
    for platform in family.platforms:
        here = family.on(platform)
        with tempfile.TemporaryDirectory(prefix="slimbake-lock-") as scratch:
            uv = Uv(here, root, python, platform, machine, Path(scratch))
            try:
                found[marker(platform)] = _resolved(here, uv, exact(known))
            except NoSolution as error:
                raise explained(here, str(error), uv.resolve) from None
            for warning in sorted(uv.warnings):
                console.say(warning)
    locked = {
        layer.name: merged(
            {on: pins[layer.name] for on, pins in found.items() if layer.name in pins}
        )
        for layer in family.layers
    }
    refuse_cuda(family, locked)
    refuse_torch(family, locked)
    return locked


def _pinned(found: Located) -> Wheel:
    """A wheel that lies in a folder of this machine lends a lock no hash: it may not be upstream's."""
    return replace(found.wheel, sha256="") if found.local else found.wheel


def _resolved(family: Family, uv: Uv, known: dict[str, str]) -> dict[str, tuple[Pin, ...]]:
    versions = {
        needed.name: needed.version for needed in uv.resolve(family.layers, known, "family")
    }

    def needed_by(layer: Layer) -> dict[str, tuple[str, ...]]:
        found = uv.resolve(layer.closure, versions, layer.name)
        return {needed.name: needed.via for needed in found}

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        closures = dict(
            zip(
                (layer.name for layer in family.layers),
                pool.map(needed_by, family.layers),
                strict=True,
            )
        )
        wheels = uv.locate(versions.items(), "wheels") if versions else {}
    owned: dict[str, tuple[Pin, ...]] = {}
    for layer in family.layers:
        below = frozenset().union(*(closures[parent.name] for parent in layer.closure[:-1]))
        owned[layer.name] = tuple(
            sorted(
                Pin(name, versions[name], (_pinned(wheels[name][0]),), via)
                for name, via in closures[layer.name].items()
                if name not in below
            )
        )
    return owned
