"""Resolves a family once and cuts the result by ownership."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from slimbake.console import Console
from slimbake.fleet.model import Layer
from slimbake.host.machine import Machine
from slimbake.host.uv import NoSolution, PipCompile
from slimbake.host.wheels import Located, Wheel, marker
from slimbake.lock.explain import explained, refuse_cuda, refuse_torch
from slimbake.lock.model import Family, Pin, merged
from slimbake.lock.offers import chosen, offers

# Asks uv for what the layers of a family need, with wheels of the torch that the family is for.

# Reads what uv answers: requirements with annotations.

_LINE = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)[^#]*(?:# via"
    r" (?P<via>.*))?$"
)


@dataclass(frozen=True, slots=True)
class Needed:
    """One package of a resolution, and what needs it there."""

    name: str
    version: str
    via: tuple[str, ...]  # names of packages; "" = a requirement of ours


def parse_compiled(text: str) -> tuple[Needed, ...]:
    """`uv pip compile --annotation-style line`: `anyio==4.16.0  # via httpx, -r api.in`."""
    found = (_LINE.match(line) for line in text.splitlines())
    return tuple(
        Needed(line["name"], line["version"], _via(line["via"] or "")) for line in found if line
    )


def _via(text: str) -> tuple[str, ...]:
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    named = {
        "" if entry.startswith("-r ") else entry for entry in entries if not entry.startswith("-c ")
    }
    return tuple(sorted(named))


class Uv(PipCompile):
    """`uv pip compile` for one family on one platform."""

    def __init__(
        self, family: Family, root: Path, python: str, platform: str, machine: Machine, work: Path
    ) -> None:
        self._root, self._family = root, family
        names = {
            canonicalize_name(Requirement(spec).name)
            for layer in family.layers
            for spec in layer.asks.specs
        }
        torch = chosen(offers(machine, names), python, platform, family)
        super().__init__(
            machine,
            python,
            platform,
            work,
            constraints=(*torch.constraints, *family.constraints),
            indexes=torch.indexes,
            torch="" if torch.found else family.torch,
        )

    def resolve(
        self, layers: Sequence[Layer], known: Mapping[str, str], name: str
    ) -> tuple[Needed, ...]:
        """What these layers need together; `known`: versions that are kept where they still fit.

        Raises NoSolution and SetupError.
        """
        output = self._work / f"{name}.txt"
        output.write_text("".join(f"{package}=={version}\n" for package, version in known.items()))
        asked = []
        for layer in layers:
            asked.append(self._work / f"{name}.{layer.name}.in")
            local = (
                f"{package.name} @ {(self._root / package.path).as_uri()}"
                for package in layer.asks.packages
            )
            asked[-1].write_text("".join(f"{line}\n" for line in (*layer.asks.specs, *local)))
        own = {package.name for layer in layers for package in layer.asks.packages}
        words = [
            word
            for each in sorted(own)
            for word in ("--no-binary", each, "--no-emit-package", each)
        ]
        words += [] if self._family.dependencies else ["--no-deps"]
        self.compile(asked, output, ["--annotation-style", "line", *words])
        return tuple(each for each in parse_compiled(output.read_text()) if each.name not in own)


def exact(pins: Iterable[Pin]) -> dict[str, str]:
    """Name -> version."""
    return {pin.name: pin.version for pin in pins}


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
