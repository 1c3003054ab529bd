"""Resolves the requirements of one scope, with the versions of the scopes beneath."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from slimbake.config.naming import CPU, CUDA
from slimbake.config.specs import name_of
from slimbake.console import Console
from slimbake.fleet.model import Scope
from slimbake.host.machine import Machine
from slimbake.host.sources import Source
from slimbake.host.uv import Found, NoSolution, PipCompile, exactly
from slimbake.host.wheels import fit, marker
from slimbake.lock.digests import Digests
from slimbake.lock.explain import no_solution, refuse_hashes
from slimbake.lock.model import Pin, merged

# What PyTorch's indexes have a build of for each kind of machine.
TORCH = frozenset({"torch", "torchaudio", "torchvision"})
_BUILD = re.compile(r"/(cpu|cu\d+)/?$")  # how such an index's address ends, and a mirror's


@dataclass(frozen=True, slots=True)
class Taken:
    """The pins that a scope takes as they are."""

    beneath: tuple[Pin, ...] = ()  # of the scopes that its image lies on
    agreed: tuple[Pin, ...] = ()  # of others, whose packages it may have itself


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
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])? @ (?P<version>[^\s;]+)[^#]*"
    r"(?:(?<=\s)# via (?P<via>.*))?$"
)


def parse_compiled(text: str) -> tuple[Needed, ...]:
    """`uv pip compile --annotation-style line`: `anyio==4.16.0  # via httpx, -r api.in`."""
    matches = (_LINE.match(line) or _ADDRESSED.match(line) for line in text.splitlines())
    return tuple(
        Needed(line["name"], line["version"], _via(line["via"] or "")) for line in matches if line
    )


def _via(text: str) -> tuple[str, ...]:
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    named = {
        "" if entry.startswith("-r ") else entry
        for entry in entries
        if not entry.startswith(("-c ", "--override"))
    }
    return tuple(sorted(named))


class Uv(PipCompile):
    """`uv pip compile` for one scope on one platform."""

    def __init__(
        self,
        scope: Scope,
        root: Path,
        platform: str,
        machine: Machine,
        work: Path,
        pinned: Mapping[str, str] = {},
    ) -> None:
        """`pinned`: the versions, or addresses, that the scope takes as they are."""
        self._root, self._scope, self._below = root, scope, pinned
        requirements = [Requirement(spec) for spec in scope.asks.specs]
        machine = _for_build(machine, scope.torch)
        folders = machine.packages.find_links_folders
        files = [file.name for folder in folders for file in folder.glob("torch*.whl")]
        torch = _build(files, scope, platform)
        mirrored = any(_BUILD.search(url) for url in machine.packages.extra_index_urls)
        there = mirrored or any(constraint.startswith("torch==") for constraint in torch)
        # uv would ask PyTorch's index for triton too, which a scope for CPUs must not have: where
        # it is asked for, all comes from the package index, and is refused with its size.
        triton = any(canonicalize_name(each.name) == "triton" for each in requirements)
        on_index = scope.torch == CUDA or (scope.torch == CPU and triton)
        super().__init__(
            machine,
            scope.python.version,
            platform,
            work,
            sources=[
                canonicalize_name(requirement.name)
                for requirement in requirements
                if requirement.url and not requirement.url.partition("#")[0].endswith(".whl")
            ],
            prereleases=bool(scope.asks.prereleases),
            torch="" if there or on_index else scope.torch,
        )
        self.constraints = (
            *(constraint for constraint in torch if name_of(constraint) not in pinned),
            *(exactly(*pin) for pin in pinned.items()),
        )

    def resolve(self, locked: Mapping[str, str]) -> tuple[Needed, ...]:
        """The packages of the scope and of the scopes beneath it.

        `locked`: versions that are kept where they still fit. Raises NoSolution and SetupError.
        """
        asks = self._scope.asks
        extras = {name: f"[{','.join(more)}]" for name, more in asks.extras}
        local = [
            f"{package.name}{extras.get(package.name, '')} @ {(self._root / package.path).as_uri()}"
            for package in asks.packages
        ]
        specs = {spec: self._at_commit(spec, locked) for spec in asks.specs}
        every = (*specs.values(), *local)
        local_names = {package.name for package in asks.packages}
        options = [
            word
            for name in sorted(local_names)
            for word in ("--no-binary", name, "--no-emit-package", name)
        ]
        options += ["--no-deps"] if self._scope.kind == "weights" else []
        try:
            needed = self._solved(every, locked, options)
        except NoSolution:
            if len(asks.by_file) < 2:
                raise
            listed = {spec for file in asks.by_file for spec in file}
            # What the manifest itself asks for moves for no file.
            own = [*(line for spec, line in specs.items() if spec not in listed), *local]
            files = ([*(specs[spec] for spec in file), *own] for file in asks.by_file)
            pins = self._one_by_one(files, locked, options)
            path = self._work / "overrides.in"
            path.write_text("\n".join(pins))
            # An override drops the extras that are asked for: what they need is asked for itself.
            over = self._solved((*every, *pins), {}, [*options, "--overrides", str(path)])
            asked = {*map(name_of, every)}
            needed = tuple(
                replace(package, via=tuple(n for n in package.via if n or package.name in asked))
                for package in over
            )
        return tuple(package for package in needed if package.name not in local_names)

    def _solved(
        self, lines: Iterable[str], locked: Mapping[str, str], options: Iterable[str]
    ) -> tuple[Needed, ...]:
        path, output = self._work / f"{self._scope.name}.in", self._work / "needed.txt"
        path.write_text("\n".join(lines))
        kept = (f"{name}=={version}\n" for name, version in locked.items() if "://" not in version)
        output.write_text("".join(kept))
        # What lies below has its version: the lock of a library does not count.
        constraints = dict.fromkeys(
            constraint.spec
            for constraint in self._scope.asks.constraints
            if not (constraint.library and name_of(constraint.spec) in self._below)
        )
        self.compile([path], output, [*options, "--annotation-style", "line"], [*constraints])
        return parse_compiled(output.read_text())

    def _one_by_one(
        self,
        files: Iterable[Iterable[str]],
        locked: Mapping[str, str],
        options: Iterable[str],
    ) -> list[str]:
        """What there is when pip installs files one after another, as requirements: each keeps what
        fits it of what those before it brought, and moves the rest. Says what was moved.
        """
        versions, moved = dict[str, str](), set[str]()
        for lines in files:
            needed = self._solved(lines, {**locked, **versions}, options)
            new = {package.name: package.version for package in needed}
            moved |= {name for name in new if versions.get(name, new[name]) != new[name]}
            versions |= new
        names = ", ".join(f"{name} {versions[name]}" for name in sorted(moved))
        self.warnings.add(
            f"{self._scope.name}: its requirements files have no solution together. A later one moves"
            f" what an earlier one brought, as with pip, and `pip check` may object: {names}"
        )
        return [exactly(*pin) for pin in versions.items()]

    def _at_commit(self, spec: str, locked: Mapping[str, str]) -> str:
        """A requirement of a Git source with the commit that it has by now, so that a branch which
        moves meanwhile is one commit.
        """
        name, at, address = spec.partition(" @ ")
        commit = locked.get(name_of(spec), "")
        return (
            f"{name} @ {commit}{''.join(address.partition(' ; ')[1:])}"
            if at and "git+" in commit
            else spec
        )


def _for_build(machine: Machine, torch: str) -> Machine:
    """The machine's settings without the indexes of other builds of torch; one of this build comes
    first, since uv takes a package from the first index that has it.
    """
    every = machine.packages.extra_index_urls
    builds = {url: match[1] for url in every if (match := _BUILD.search(url))}
    urls = sorted(
        (url for url in every if builds.get(url, torch) == torch), key=lambda u: u not in builds
    )
    return replace(machine, packages=replace(machine.packages, extra_index_urls=tuple(urls)))


def _build(files: Iterable[str], scope: Scope, platform: str) -> tuple[str, ...]:
    """Constraints by which uv takes, of the wheels in folders, the newest of the scope's build of
    torch that its requirements allow, and none of another build.
    """
    requirements = [Requirement(spec) for spec in scope.asks.specs]
    requirements += [Requirement(constraint.spec) for constraint in scope.asks.constraints]
    specifier_of = {
        name: Requirement(name).specifier for name in sorted(TORCH) if scope.torch != CUDA
    }
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        specifier_of[name] = requirement.specifier & specifier_of.get(name, requirement.specifier)
    newest: dict[str, Version] = {}
    others: dict[str, None] = {}
    for file in files:
        name, version, _, _ = parse_wheel_filename(file)
        if name not in specifier_of or version.local is None:
            continue
        if version.local == scope.torch:
            fits = fit(file, scope.python.version, platform) is not None
            if fits and specifier_of[name].contains(version, prereleases=True):
                newest[name] = max(version, newest.get(name, version))
        elif scope.torch == CUDA and "+" not in str(specifier_of[name]):
            others[f"{name}!={version}"] = None
    return (*(f"{name}=={version}" for name, version in newest.items()), *others)


def exact(pins: Iterable[Pin], sources: Mapping[str, Source], platform: str) -> dict[str, str]:
    """Of the pins of a platform: name -> version; of a Git source, the address with its commit.
    `sources`: by their origins.
    """
    versions = {}
    for pin in pins:
        if pin.on(platform):
            source = sources.get(pin.built)
            versions[pin.name] = source.address if source and source.address else pin.version
    return versions


def resolve_scope(
    scope: Scope,
    root: Path,
    machine: Machine,
    kept: Sequence[Pin],
    taken: Taken,
    console: Console,
    sources: Mapping[str, Source] = {},
) -> tuple[tuple[Pin, ...], list[Source]]:
    """The pins of what a scope needs besides the scopes beneath it, and the sources of what has no
    wheel.

    `kept`: of an earlier lock, which stay where they still fit; `sources`: of `kept` and `taken`, by
    their origins. Raises ResolutionError where requirements contradict each other, and SetupError
    where uv or an index fails.
    """
    needs: dict[str, tuple[Pin, ...]] = {}  # by the marker of a platform
    own: dict[str, list[Pin]] = {}
    built: dict[str, Source] = {}
    still = still_asked(scope, sources)
    digests = Digests(machine, console)
    for platform in scope.platforms:
        locked = exact(kept, still, platform)
        beneath = exact(taken.beneath, sources, platform)
        with tempfile.TemporaryDirectory(prefix="slimbake-lock-") as scratch:
            under = {**beneath, **exact(taken.agreed, sources, platform)}
            uv = Uv(scope, root, platform, machine, Path(scratch), under)
            try:
                needed = uv.resolve(locked)
                versions = [(package.name, package.version) for package in needed]
                there = uv.locate(versions, "wheels") if versions else Found({}, {})
            except NoSolution as error:
                raise no_solution(scope, str(error)) from None
            for warning in sorted(uv.warnings):
                console.say(warning)
        there = digests.complete(there, {package.name for package in needed})
        built |= {source.origin: source for source in there.sources.values()}
        pins = tuple(_pin(package, there) for package in needed)
        needs[marker(platform)] = pins
        own[marker(platform)] = [pin for pin in pins if pin.name not in beneath]
    refuse_hashes(scope, merged(needs), built)
    return merged(own), with_asked(scope, built.values())


def _pin(needed: Needed, there: Found) -> Pin:
    if source := there.sources.get(needed.name):
        return Pin(needed.name, source.version, (), needed.via, built=source.origin)
    wheel = there.wheels[needed.name][0].wheel
    return Pin(needed.name, needed.version, (wheel,), needed.via)


def still_asked(scope: Scope, sources: Mapping[str, Source]) -> dict[str, Source]:
    """Of these sources, those whose address is asked for as it was: they stay at their commit."""
    addresses = _addresses(scope).values()
    return {origin: source for origin, source in sources.items() if source.asked in addresses}


def with_asked(scope: Scope, sources: Iterable[Source]) -> list[Source]:
    """Sources, with the address by which a scope asks for each."""
    address_of = _addresses(scope)
    return [replace(source, asked=address_of.get(source.name, "")) for source in sources]


def _addresses(scope: Scope) -> dict[str, str]:
    return {
        name_of(spec): spec.partition(" @ ")[2].partition(" ; ")[0]
        for spec in scope.asks.specs
        if " @ " in spec
    }
