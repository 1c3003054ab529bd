"""Resolve the requirements of one scope with uv, for each platform.

The versions of the scopes below are taken as they are.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
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
from slimbake.lock.explain import refuse_hashes
from slimbake.lock.indexes import refuse_strangers
from slimbake.lock.model import Pin, merged

# The packages of which PyTorch's indexes have one build for each kind of machine.
TORCH = frozenset({"torch", "torchaudio", "torchvision"})
# Docker's images of Python 3.10 and 3.11 have this setuptools (versions.json of docker-library/python
# at commit 4f070595 of 2026-06-23), and pip keeps it where it fits. Many a package that requires any
# setuptools fails with 82 or newer, which has no `pkg_resources`.
_SETUPTOOLS = "79.0.1"
_BUILD = re.compile(r"/(cpu|cu\d+)/?$")  # the end of the address of such an index or a mirror of it


@dataclass(frozen=True, slots=True)
class Taken:
    """The pins that a scope takes as they are."""

    beneath: tuple[Pin, ...] = ()  # of the scopes that its image lies on
    agreed: tuple[Pin, ...] = ()  # of others, whose packages it may have itself


@dataclass(frozen=True, slots=True)
class Needed:
    """One package of a resolution, and the packages that need it."""

    name: str
    version: str  # or its address
    via: tuple[str, ...]  # names of packages; "" = a requirement of the scope itself
    index: str = ""  # the address of the index that gives it; "" of others


# A line of what uv prints: a requirement with annotations.
_LINE = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)[^#]*(?:# via"
    r" (?P<via>.*))?$"
)
_FROM = "    # from "
_ADDRESSED = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])? @ (?P<version>[^\s;]+)[^#]*"
    r"(?:(?<=\s)# via (?P<via>.*))?$"
)


def parse_compiled(text: str) -> tuple[Needed, ...]:
    """Parse the output of `uv pip compile --annotation-style line --emit-index-annotation`.

    A line is `anyio==4.16.0  # via httpx, -r api.in`. Below it stands `# from` and an index.
    """
    packages: list[Needed] = []
    for line in text.splitlines():
        match = _LINE.match(line) or _ADDRESSED.match(line)
        if match:
            packages.append(Needed(match["name"], match["version"], _via(match["via"] or "")))
        elif line.startswith(_FROM) and packages:
            packages[-1] = replace(packages[-1], index=line.removeprefix(_FROM).strip())
    return tuple(packages)


def _via(text: str) -> tuple[str, ...]:
    names = set()
    for entry in text.split(","):
        entry = entry.strip()
        if entry.startswith("-r "):
            names.add("")
        elif entry and not entry.startswith(("-c ", "--override")):
            names.add(entry)
    return tuple(sorted(names))


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
        self._root = root
        self._scope = scope
        self._pinned = pinned
        machine = _for_build(machine, scope.torch)
        torch_constraints = _torch_constraints(_torch_wheels(machine), scope, platform)
        super().__init__(
            machine,
            scope.python.version,
            platform,
            work,
            sources=_source_packages(scope),
            prereleases=bool(scope.asks.prereleases),
            torch=_torch_backend(scope, machine, torch_constraints),
        )
        constraints = [line for line in torch_constraints if name_of(line) not in pinned]
        constraints += [exactly(name, version) for name, version in pinned.items()]
        self.constraints = tuple(constraints)

    def resolve(self, locked: Mapping[str, str]) -> tuple[Needed, ...]:
        """The packages of the scope and of the scopes below it.

        `locked`: versions that are kept where they still fit. Raises NoSolution and SetupError.
        """
        if Version(self._scope.python.version) < Version("3.12"):
            locked = {"setuptools": _SETUPTOOLS, **locked}
        asks = self._scope.asks
        line_of = {spec: self._at_commit(spec, locked) for spec in asks.specs}
        local_lines = []
        local_names = set()
        extras = dict(asks.extras)
        for package in asks.packages:
            local_names.add(package.name)
            name = package.name
            if package.name in extras:
                name += f"[{','.join(extras[package.name])}]"
            local_lines.append(f"{name} @ {(self._root / package.path).as_uri()}")
        options: list[str] = []
        for name in sorted(local_names):
            options += ["--no-binary", name, "--no-emit-package", name]
        if self._scope.kind == "weights":
            options.append("--no-deps")

        lines = [*line_of.values(), *local_lines]
        try:
            needed = self._solved(lines, locked, [*options, *self._overrides(asks.overrides)])
        except NoSolution:
            if len(asks.by_file) < 2:
                raise
            # What the manifest itself asks for holds for every file.
            own = dict(line_of)
            files = []
            for specs in asks.by_file:
                files.append([line_of[spec] for spec in specs])
                for spec in specs:
                    own.pop(spec, None)
            for file in files:
                file += [*own.values(), *local_lines]
            needed = self._as_pip_would(lines, files, locked, options)
        return tuple(package for package in needed if package.name not in local_names)

    def _as_pip_would(
        self,
        lines: Sequence[str],
        files: Iterable[Iterable[str]],
        locked: Mapping[str, str],
        options: Sequence[str],
    ) -> tuple[Needed, ...]:
        """The packages that there are when pip installs requirements files one after another."""
        overrides = self._overrides(self._scope.asks.overrides)
        pins = self._one_by_one(files, locked, [*options, *overrides])
        # uv drops the extras of a requirement that is overridden, and with them what they need. So
        # the pins are required, too, and none of them counts as required by the user for that.
        solved = self._solved([*lines, *pins], {}, [*options, *self._overrides(pins)])
        required = {name_of(line) for line in lines}
        needed = []
        for package in solved:
            if package.name not in required:
                package = replace(package, via=tuple(name for name in package.via if name))
            needed.append(package)
        return tuple(needed)

    def _overrides(self, specs: Sequence[str]) -> list[str]:
        """The options for requirements that count in place of what packages require."""
        if not specs:
            return []
        path = self._work / "overrides.in"
        path.write_text("\n".join(specs))
        return ["--overrides", str(path)]

    def _solved(
        self, lines: Iterable[str], locked: Mapping[str, str], options: Iterable[str]
    ) -> tuple[Needed, ...]:
        path = self._work / f"{self._scope.name}.in"
        path.write_text("\n".join(lines))
        # uv keeps the versions of an output file that exists.
        output = self._work / "needed.txt"
        kept = [f"{name}=={pin}\n" for name, pin in locked.items() if "://" not in pin]
        output.write_text("".join(kept))
        constraints: dict[str, None] = {}
        for constraint in self._scope.asks.constraints:
            # A package of a scope below has its version: the lock of a library cannot change it.
            if not (constraint.library and name_of(constraint.spec) in self._pinned):
                constraints[constraint.spec] = None
        annotated = ("--annotation-style", "line", "--emit-index-annotation")
        self.compile([path], output, [*options, *annotated], [*constraints])
        return parse_compiled(output.read_text())

    def _one_by_one(
        self,
        files: Iterable[Iterable[str]],
        locked: Mapping[str, str],
        options: Iterable[str],
    ) -> list[str]:
        """The versions that there are when pip installs files one after another, as requirements.

        Each file keeps the versions of those before it where they fit, and changes the others. A
        warning names what changed.
        """
        versions: dict[str, str] = {}
        changed: set[str] = set()
        for lines in files:
            for package in self._solved(lines, {**locked, **versions}, options):
                if versions.get(package.name, package.version) != package.version:
                    changed.add(package.name)
                versions[package.name] = package.version
        names = ", ".join(f"{name} {versions[name]}" for name in sorted(changed))
        self.warnings.add(
            f"{self._scope.name}: its requirements files have no solution together. A later one moves"
            f" what an earlier one brought, as with pip, and `pip check` may object: {names}"
        )
        return [exactly(name, version) for name, version in versions.items()]

    def _at_commit(self, spec: str, locked: Mapping[str, str]) -> str:
        """A requirement of a Git source at the commit that is locked.

        A branch may move while slimbake locks: without, two platforms could get two commits.
        """
        commit = locked.get(name_of(spec), "")
        name, is_source, address = spec.partition(" @ ")
        if not is_source or "git+" not in commit:
            return spec
        _, semicolon, condition = address.partition(" ; ")
        return f"{name} @ {commit}{semicolon}{condition}"


def _for_build(machine: Machine, torch: str) -> Machine:
    """The machine's settings without the indexes of other builds of torch.

    An index of this build comes first, since uv takes a package from the first index that has it.
    """
    of_build, others = [], []
    for url in machine.packages.extra_index_urls:
        build = _BUILD.search(url)
        if build is None:
            others.append(url)
        elif build[1] == torch:
            of_build.append(url)
    packages = replace(machine.packages, extra_index_urls=(*of_build, *others))
    return replace(machine, packages=packages)


def _source_packages(scope: Scope) -> list[str]:
    """The packages that a scope asks for by an address that is no wheel's."""
    names: list[str] = []
    for spec in scope.asks.specs:
        requirement = Requirement(spec)
        if requirement.url and not requirement.url.partition("#")[0].endswith(".whl"):
            names.append(canonicalize_name(requirement.name))
    return names


def _torch_wheels(machine: Machine) -> list[str]:
    """The names of the wheels of torch that lie in folders of this machine."""
    files = []
    for folder in machine.packages.find_links_folders:
        files += [file.name for file in folder.glob("torch*.whl")]
    return files


def _torch_backend(scope: Scope, machine: Machine, constraints: Iterable[str]) -> str:
    """The build of torch for which uv asks PyTorch's own index; "" = it asks no such index."""
    if scope.torch == CUDA:
        return ""
    if any(_BUILD.search(url) for url in machine.packages.extra_index_urls):
        return ""  # a mirror of it
    if any(line.startswith("torch==") for line in constraints):
        return ""  # a wheel in a folder
    # That index has triton, too, which no scope for CPUs may have. If one asks for it, it has to
    # come from the package index: slimbake then refuses it with its size.
    names = [canonicalize_name(Requirement(spec).name) for spec in scope.asks.specs]
    if scope.torch == CPU and "triton" in names:
        return ""
    return scope.torch


def _torch_constraints(files: Iterable[str], scope: Scope, platform: str) -> tuple[str, ...]:
    """Constraints for the wheels of torch in folders.

    uv then takes the newest of the scope's build that the requirements allow, and none of another
    build.
    """
    requirements = [Requirement(spec) for spec in scope.asks.specs]
    requirements += [Requirement(constraint.spec) for constraint in scope.asks.constraints]
    specifier_of: dict[str, SpecifierSet] = {}
    if scope.torch != CUDA:
        specifier_of = {name: SpecifierSet() for name in sorted(TORCH)}
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        specifier_of[name] = requirement.specifier & specifier_of.get(name, SpecifierSet())

    newest: dict[str, Version] = {}
    other_builds: dict[str, None] = {}
    for file in files:
        try:
            name, version, _, _ = parse_wheel_filename(file)
        except InvalidWheelFilename:  # uv passes over such a file, too
            continue
        if name not in specifier_of or version.local is None:
            continue
        if version.local == scope.torch:
            fits = fit(file, scope.python.version, platform) is not None
            if fits and specifier_of[name].contains(version, prereleases=True):
                newest[name] = max(version, newest.get(name, version))
        elif scope.torch == CUDA and "+" not in str(specifier_of[name]):
            other_builds[f"{name}!={version}"] = None
    return (*(f"{name}=={version}" for name, version in newest.items()), *other_builds)


def exact(pins: Iterable[Pin], sources: Mapping[str, Source], platform: str) -> dict[str, str]:
    """The versions of the pins of a platform, by name; of a Git source, its address with the commit.

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
    """Return the pins of a scope without those of the scopes below it, and the sources to build.

    `kept`: pins of an earlier lock, which stay where they still fit; `sources`: of `kept` and
    `taken`, by their origins. Raises NoSolution where requirements contradict each other,
    ResolutionError where the manifest or a hash refuses what an index gives, and SetupError where
    uv or an index fails.
    """
    all_pins: dict[str, tuple[Pin, ...]] = {}  # by the marker of a platform
    own_pins: dict[str, list[Pin]] = {}
    built: dict[str, Source] = {}
    same_sources = still_asked(scope, sources)
    digests = Digests(machine, console)
    for platform in scope.platforms:
        locked = exact(kept, same_sources, platform)
        below = exact(taken.beneath, sources, platform)
        pinned = {**below, **exact(taken.agreed, sources, platform)}
        with tempfile.TemporaryDirectory(prefix="slimbake-lock-") as scratch:
            uv = Uv(scope, root, platform, machine, Path(scratch), pinned)
            needed = uv.resolve(locked)
            refuse_strangers(needed, machine.packages)
            versions = [(package.name, package.version) for package in needed]
            found = uv.locate(versions, "wheels") if versions else Found({}, {})
            for warning in sorted(uv.warnings):
                console.say(warning)
        found = digests.complete(found, {package.name for package in needed})
        built |= {source.origin: source for source in found.sources.values()}
        pins = tuple(_pin(package, found) for package in needed)
        all_pins[marker(platform)] = pins
        own_pins[marker(platform)] = [pin for pin in pins if pin.name not in below]
    refuse_hashes(scope, merged(all_pins), built)
    return merged(own_pins), with_asked(scope, built.values())


def _pin(needed: Needed, found: Found) -> Pin:
    source = found.sources.get(needed.name)
    if source:
        return Pin(needed.name, source.version, (), needed.via, built=source.origin)
    wheel = found.wheels[needed.name][0].wheel
    return Pin(needed.name, needed.version, (wheel,), needed.via)


def still_asked(scope: Scope, sources: Mapping[str, Source]) -> dict[str, Source]:
    """The sources whose address is required as before: they stay at their commit."""
    addresses = _addresses(scope).values()
    return {origin: source for origin, source in sources.items() if source.asked in addresses}


def with_asked(scope: Scope, sources: Iterable[Source]) -> list[Source]:
    """The sources, each with the address by which the scope requires it."""
    address_of = _addresses(scope)
    return [replace(source, asked=address_of.get(source.name, "")) for source in sources]


def _addresses(scope: Scope) -> dict[str, str]:
    """The addresses that a scope requires, by the name of the package."""
    addresses = {}
    for spec in scope.asks.specs:
        _, is_source, rest = spec.partition(" @ ")
        if is_source:
            addresses[name_of(spec)] = rest.partition(" ; ")[0]
    return addresses
