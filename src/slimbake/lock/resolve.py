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
from packaging.utils import canonicalize_name

from slimbake.config.specs import name_of
from slimbake.console import Console
from slimbake.console.tables import some
from slimbake.console.tracker import Tracker
from slimbake.fleet.model import Layer
from slimbake.host.machine import Machine
from slimbake.host.sources import Source
from slimbake.host.uv import Found, NoSolution, PipCompile
from slimbake.host.wheels import Located, Wheel, marker
from slimbake.lock.explain import (
    explained,
    refuse_cuda,
    refuse_hashes,
    refuse_no_torch,
    refuse_torch,
)
from slimbake.lock.held import Held, Needed, held_back
from slimbake.lock.model import Family, Pin, merged
from slimbake.lock.offers import BUILDS, chosen, offers

# Asks uv for what the layers of a family need, with wheels of the torch that the family is for.

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
        below: Mapping[str, str] = {},
    ) -> None:
        """`below`: of packages that come with others, the version that is too new."""
        self._root, self._family = root, family
        requirements = [Requirement(spec) for layer in family.layers for spec in layer.asks.specs]
        names = {canonicalize_name(each.name) for each in requirements}
        names |= {*map(canonicalize_name, BUILDS)} if family.torch else set()
        torch = chosen(offers(machine, names), python, platform, family, below)
        self.along = torch.along
        super().__init__(
            machine,
            python,
            platform,
            work,
            constraints=(*torch.constraints, *family.constraints),
            sources=[
                canonicalize_name(each.name)
                for each in requirements
                if each.url and not each.url.partition("#")[0].endswith(".whl")
            ],
            prereleases=any(layer.asks.prereleases for layer in family.layers),
            indexes=torch.indexes,
            torch="" if torch.found else family.torch,
        )

    def resolve(
        self,
        layers: Sequence[Layer],
        known: Mapping[str, str],
        name: str,
        more: Sequence[str] = (),
        words: Sequence[str] = (),
    ) -> tuple[Needed, ...]:
        """What these layers need together; `known`: versions that are kept where they still fit;
        `more`: further constraints; `words`: further ones for uv.

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
            *words,
            *(
                word
                for each in sorted(own)
                for word in ("--no-binary", each, "--no-emit-package", each)
            ),
        ]
        words += [] if self._family.dependencies else ["--no-deps"]
        words += ["--annotation-style", "line"]
        self.compile(asked, output, words, [*dict.fromkeys(constraints), *more])
        return tuple(each for each in parse_compiled(output.read_text()) if each.name not in own)

    def _at_commit(self, spec: str, known: Mapping[str, str]) -> str:
        """A requirement of a Git source with the commit that it has by now, so that a branch which
        moves meanwhile is one commit.
        """
        name, at, address = spec.partition(" @ ")
        commit = known.get(name_of(spec), "")
        return f"{name} @ {commit}{_marker(address)}" if at and "git+" in commit else spec


def _marker(address: str) -> str:
    _, found, marker = address.partition(" ; ")
    return f" ; {marker}" if found else ""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a family needs."""

    pins: dict[str, tuple[Pin, ...]]  # the name of each layer -> what it adds
    sources: dict[str, Source]  # of what has no wheel, by the package's name
    held: tuple[Held, ...] = ()  # where sharing costs a version


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
    compare: bool = False,
) -> Resolved:
    """The pins that each layer adds to what it stands on, and the sources of what has no wheel.

    `known`: pins of an earlier lock, kept where they still fit; `sources`: theirs; `compare`: find
    what layers would have newer alone; `work`: shows the steps, among them those of `steps`. Raises
    ResolutionError where requirements contradict each other, a family for CPUs would hold CUDA, or
    a service on ONNX Runtime torch; SetupError where uv or an index fails.
    """
    found: dict[str, dict[str, tuple[Pin, ...]]] = {}
    built: dict[str, Source] = {}
    at = still_asked(family, sources)
    held: tuple[Held, ...] = ()
    for platform in family.platforms:
        here = family.on(platform)
        with tempfile.TemporaryDirectory(prefix="slimbake-lock-") as scratch:
            uv, resolved = _solved(
                here,
                (root, python, platform, machine),
                Path(scratch),
                exact(known, at),
                work,
                _on(family, platform),
            )
            if compare and platform == family.platforms[0] and len(here.layers) > 1:
                versions = {p.name: p.version for pins in resolved.pins.values() for p in pins}
                with work.step(f"versions held back in {_together(here)}"):
                    held = held_back(here, uv, versions)
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
    return Resolved(locked, with_asked(family, built), held)


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


def _solved(
    family: Family,
    around: tuple[Path, str, str, Machine],
    scratch: Path,
    known: dict[str, str],
    work: Tracker,
    on: str,
) -> tuple[Uv, Resolved]:
    """A family resolved for one platform, and what did it. `on`: that platform, in words.

    A build of torch that only comes with other packages is the newest of those that they take.
    Raises ResolutionError where there is none.
    """
    below: dict[str, str] = {}
    first: tuple[Uv, NoSolution] | None = None
    while True:
        uv = Uv(family, *around, scratch, below)
        try:
            return uv, _resolved(family, uv, known, work, on)
        except NoSolution as error:
            first = first or (uv, error)
            words = " ".join(str(error).split())
            tried = {
                name: version for name, version in uv.along.items() if f"{name}=={version}" in words
            }
            if not tried:
                uv, error = first
                raise explained(family, str(error), uv.resolve) from None
            below |= tried


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
