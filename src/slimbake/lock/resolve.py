"""Resolves a family once and cuts the result by ownership."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from slimbake.config.specs import name_of
from slimbake.console import Console
from slimbake.console.tables import some
from slimbake.console.tracker import Tracker
from slimbake.fleet.model import Layer
from slimbake.host.machine import Machine
from slimbake.host.sources import Source
from slimbake.host.uv import Found, NoSolution, PipCompile
from slimbake.host.wheels import Located, Wheel, fit, marker
from slimbake.lock.explain import (
    no_solution,
    refuse_cuda,
    refuse_hashes,
    refuse_no_torch,
    refuse_torch,
)
from slimbake.lock.model import Family, Pin, merged

# What PyTorch's indexes have a build of for each kind of machine.
BUILDS = ("torch", "torchaudio", "torchvision")
_BUILD = re.compile(r"/(cpu|cu\d+)/?$")  # how such an index's address ends, and a mirror's


@dataclass(frozen=True, slots=True)
class Needed:
    """One package of a resolution, and what needs it there."""

    name: str
    version: str  # or its address
    via: tuple[str, ...]  # names of packages; "" = a requirement of ours


# Reads what uv answers: requirements with annotations.

_LINE = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)[^#]*(?:# via"
    r" (?P<via>.*))?$"
)


_ADDRESSED = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])? @ (?P<version>[^\s;]+)[^#]*?"
    r"(?:\s+;[^#]*)?(?:\s# via (?P<via>.*))?$"
)


def parse_compiled(text: str) -> tuple[Needed, ...]:
    """`uv pip compile --annotation-style line`: `anyio==4.16.0  # via httpx, -r api.in`."""
    found = (_LINE.match(line) or _ADDRESSED.match(line) for line in text.splitlines())
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
        self,
        family: Family,
        root: Path,
        python: str,
        platform: str,
        machine: Machine,
        work: Path,
    ) -> None:
        self._root, self._family = root, family
        requirements = [Requirement(spec) for layer in family.layers for spec in layer.asks.specs]
        machine = _for_build(machine, family.torch)
        folders = machine.packages.find_links_folders
        files = [file.name for folder in folders for file in folder.glob("torch*.whl")]
        torch = _build(files, family, python, platform)
        mirrored = any(_BUILD.search(each) for each in machine.packages.extra_index_urls)
        there = mirrored or any(each.startswith("torch==") for each in torch)
        super().__init__(
            machine,
            python,
            platform,
            work,
            constraints=(*torch, *family.constraints),
            sources=[
                canonicalize_name(each.name)
                for each in requirements
                if each.url and not each.url.partition("#")[0].endswith(".whl")
            ],
            prereleases=any(layer.asks.prereleases for layer in family.layers),
            torch="" if there else family.torch,
        )

    def resolve(
        self,
        layers: Sequence[Layer],
        known: Mapping[str, str],
        name: str,
    ) -> tuple[Needed, ...]:
        """What these layers need together; `known`: versions that are kept where they still fit.

        Raises NoSolution and SetupError.
        """
        output = self._work / f"{name}.txt"
        kept = (f"{each}=={version}\n" for each, version in known.items() if "://" not in version)
        output.write_text("".join(kept))
        asked = []
        for layer in layers:
            asked.append(self._work / f"{name}.{layer.name}.in")
            extras = {each: f"[{','.join(more)}]" for each, more in layer.asks.extras}
            local = (
                f"{package.name}{extras.get(package.name, '')} @"
                f" {(self._root / package.path).as_uri()}"
                for package in layer.asks.packages
            )
            specs = (self._at_commit(spec, known) for spec in layer.asks.specs)
            asked[-1].write_text("".join(f"{line}\n" for line in (*specs, *local)))
        constraints = [each.spec for layer in layers for each in layer.asks.constraints]
        own = {package.name for layer in layers for package in layer.asks.packages}
        words = [
            word
            for each in sorted(own)
            for word in ("--no-binary", each, "--no-emit-package", each)
        ]
        words += [] if self._family.dependencies else ["--no-deps"]
        words += ["--annotation-style", "line"]
        self.compile(asked, output, words, [*dict.fromkeys(constraints)])
        return tuple(each for each in parse_compiled(output.read_text()) if each.name not in own)

    def _at_commit(self, spec: str, known: Mapping[str, str]) -> str:
        """A requirement of a Git source with the commit that it has by now, so that a branch which
        moves meanwhile is one commit.
        """
        name, at, address = spec.partition(" @ ")
        commit = known.get(name_of(spec), "")
        return f"{name} @ {commit}{_marker(address)}" if at and "git+" in commit else spec


def _for_build(machine: Machine, torch: str) -> Machine:
    """The machine's settings without the indexes of other builds of torch; one of this build comes
    first, since uv takes a package from the first index that has it.
    """
    every = machine.packages.extra_index_urls
    builds = {url: found[1] for url in every if (found := _BUILD.search(url))}
    urls = sorted(
        (url for url in every if builds.get(url, torch) == torch), key=lambda u: u not in builds
    )
    return replace(machine, packages=replace(machine.packages, extra_index_urls=tuple(urls)))


def _build(files: Iterable[str], family: Family, python: str, platform: str) -> tuple[str, ...]:
    """Constraints by which uv takes, of the wheels in folders, the newest of the family's build of
    torch that its requirements allow, and none of another build.
    """
    asked = [Requirement(spec) for layer in family.layers for spec in layer.asks.specs]
    wanted = {name: Requirement(name).specifier for name in BUILDS if family.torch}
    wanted |= {canonicalize_name(each.name): each.specifier for each in asked}
    newest: dict[str, Version] = {}
    others: dict[str, None] = {}
    for file in files:
        name, version, _, _ = parse_wheel_filename(file)
        if name not in wanted or version.local is None:
            continue
        if version.local == family.torch:
            fits = fit(file, python, platform) is not None
            if fits and wanted[name].contains(version, prereleases=True):
                newest[name] = max(version, newest.get(name, version))
        elif not family.torch and "+" not in str(wanted[name]):
            others[f"{name}!={version}"] = None
    return (*(f"{name}=={version}" for name, version in newest.items()), *others)


def _marker(address: str) -> str:
    _, found, marker = address.partition(" ; ")
    return f" ; {marker}" if found else ""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a family needs."""

    pins: dict[str, tuple[Pin, ...]]  # the name of each layer -> what it adds
    sources: dict[str, Source]  # of what has no wheel, by the package's name


def exact(pins: Iterable[Pin], sources: Mapping[str, Source]) -> dict[str, str]:
    """Name -> version; of Git sources, the address with its commit."""
    return {
        pin.name: at.address if (at := sources.get(pin.name)) and at.address else pin.version
        for pin in pins
    }


def resolve_family(
    family: Family,
    root: Path,
    python: str,
    machine: Machine,
    known: Sequence[Pin],
    console: Console,
    work: Tracker,
    sources: Mapping[str, Source] = {},
) -> Resolved:
    """The pins that each layer adds to what it stands on, and the sources of what has no wheel.

    `known`: pins of an earlier lock, kept where they still fit; `sources`: theirs; `work`: shows the
    steps, among them those of `steps`. Raises
    ResolutionError where requirements contradict each other, a family for CPUs would hold CUDA, or
    a service on ONNX Runtime torch; SetupError where uv or an index fails.
    """
    found: dict[str, dict[str, tuple[Pin, ...]]] = {}
    built: dict[str, Source] = {}
    at = still_asked(family, sources)
    for platform in family.platforms:
        here = family.on(platform)
        with tempfile.TemporaryDirectory(prefix="slimbake-lock-") as scratch:
            uv = Uv(here, root, python, platform, machine, Path(scratch))
            try:
                resolved = _resolved(here, uv, exact(known, at), work, _on(family, platform))
            except NoSolution as error:
                raise no_solution(here, str(error)) from None
            found[marker(platform)] = resolved.pins
            built |= resolved.sources
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
    refuse_hashes(family, locked, built)
    refuse_no_torch(family, locked)
    return Resolved(locked, with_asked(family, built))


def steps(family: Family) -> Iterator[str]:
    """What it takes to resolve a family, as far as that is known before: the versions that all of
    it has, then what each layer needs of it.
    """
    for platform in family.platforms:
        here = family.on(platform)
        yield f"{_together(here)}{_on(family, platform)}"
        if len(here.layers) > 1:
            yield from (f"{layer.name}{_on(family, platform)}" for layer in here.layers)


def _together(family: Family) -> str:
    return some([layer.name for layer in family.layers], 1)


def _on(family: Family, platform: str) -> str:
    return f" on {platform}" if len(family.platforms) > 1 else ""


def still_asked(family: Family, sources: Mapping[str, Source]) -> dict[str, Source]:
    """Of these sources, those whose address is asked for as it was: they stay at their commit."""
    asked = {address for _, address in _addresses(family)}
    return {name: each for name, each in sources.items() if each.asked in asked}


def with_asked(family: Family, sources: Mapping[str, Source]) -> dict[str, Source]:
    """Sources, with the address by which the family asks for each."""
    asked = dict(_addresses(family))
    return {name: replace(each, asked=asked.get(name, "")) for name, each in sources.items()}


def _addresses(family: Family) -> Iterator[tuple[str, str]]:
    for layer in family.layers:
        for spec in layer.asks.specs:
            if " @ " in spec:
                yield name_of(spec), spec.partition(" @ ")[2].partition(" ; ")[0]


def _pinned(found: Located) -> Wheel:
    """A wheel that lies in a folder of this machine lends a lock no hash: it may not be upstream's."""
    return replace(found.wheel, sha256="") if found.local else found.wheel


def _resolved(family: Family, uv: Uv, known: dict[str, str], work: Tracker, on: str) -> Resolved:
    names = [layer.name for layer in family.layers]
    with work.step(f"{_together(family)}{on}", f"locking {', '.join(names)}{on}"):
        whole = uv.resolve(family.layers, known, "family")
    versions = {needed.name: needed.version for needed in whole}

    def needed_by(layer: Layer) -> dict[str, tuple[str, ...]]:
        if layer.closure == family.layers:
            return {needed.name: needed.via for needed in whole}
        line = f"resolving {layer.name}{on} ({names.index(layer.name) + 1} of {len(names)})"
        with work.step(f"{layer.name}{on}", line):
            found = uv.resolve(layer.closure, versions, layer.name)
        return {needed.name: needed.via for needed in found}

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        closures = dict(zip(names, pool.map(needed_by, family.layers), strict=True))
    with work.step(f"wheels of {_together(family)}{on}"):
        there = uv.locate(versions.items(), "wheels") if versions else Found({}, {})

    def pinned(name: str, via: tuple[str, ...]) -> Pin:
        if source := there.sources.get(name):
            return Pin(name, source.version, (), via, built=source.origin)
        return Pin(name, versions[name], (_pinned(there.wheels[name][0]),), via)

    owned: dict[str, tuple[Pin, ...]] = {}
    for layer in family.layers:
        below = frozenset().union(*(closures[parent.name] for parent in layer.closure[:-1]))
        owned[layer.name] = tuple(
            sorted(
                pinned(name, via) for name, via in closures[layer.name].items() if name not in below
            )
        )
    return Resolved(owned, there.sources)
