"""Compares what two images offer, one without optimisation and one with it: nothing may be lost. Pure."""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from slimbake.inside.ledger import package_key

Census = Mapping[str, Any]
"""What the program `census` tells of an image."""


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """Something that an image without optimisation offers and an optimised one does not, or otherwise."""

    kind: str  # module, listing, entry point, requirement, library
    name: str
    before: str
    after: str
    by: str  # the rule that explains it; "" = none does: it is lost

    def __str__(self) -> str:
        after = self.after or "not there"
        why = f" ({self.by})" if self.by else ", and no rule explains it"
        return f"{self.kind} {self.name}: {self.before or 'none'} before, {after} now{why}"


@dataclass(frozen=True, slots=True)
class Imports:
    """What came of the imports of modules in both images."""

    tried: int
    differ: tuple[tuple[str, str, str], ...]  # module, outcome without optimisation, and with it


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of all modules and files of an image."""

    modules: int
    found: int  # of them, as before
    files: Mapping[str, int]  # by fate
    differences: tuple[Difference, ...]
    lost_files: tuple[str, ...]
    stale_imports: Mapping[str, int]  # import statements that point at what a rule took, by rule
    imports: Imports | None = None

    @property
    def losses(self) -> tuple[str, ...]:
        """All that is gone and that no rule explains, each in words."""
        unexplained = (str(each) for each in self.differences if not each.by)
        differ = self.imports.differ if self.imports else ()
        outcomes = (f"import {name}: {was}; optimised: {now}" for name, was, now in differ)
        return (*self.lost_files, *unexplained, *outcomes)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "losses": list(self.losses)}


def tally(before: Census, after: Census, imports: Imports | None = None) -> Tally:
    """Compare an optimised image (`after`) with the same one without."""
    found = tuple(sorted(differences(before, after)))
    modules = before["modules"]
    gone = {each.name for each in found if each.kind == "module"}
    losses = after["inventory"]["losses"]
    return Tally(
        modules=len(modules),
        found=len(modules) - len(gone),
        files=after["inventory"]["files"],
        differences=found,
        lost_files=tuple(f"{e['name']} of {e['package']}: {e['why']}" for e in losses),
        stale_imports=dict(Counter(by for _, _, by, _ in after["stale_imports"])),
        imports=imports,
    )


def compared_imports(
    before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """The modules whose outcomes differ, each with both."""
    for name, said in before.items():
        if (now := after.get(name, "it is not there")) != said:
            yield name, said, now


def differences(before: Census, after: Census) -> Iterator[Difference]:
    """All that an image without optimisation offers, and an optimised one no more, or otherwise."""
    taken = _Taken(after["ledger"])
    for name, kind in before["modules"].items():
        if (now := after["modules"].get(name, "")) != kind:
            yield Difference("module", name, kind, now, taken.module(name))
    for name, listed in before["listings"].items():
        for each in sorted({*listed} - {*after["listings"].get(name, ())}):
            child = f"{name}.{each.rstrip('.')}"
            yield Difference("listing", child, "listed", "", taken.module(child))
    for name, (module, kind) in before["entry_points"].items():
        if (now := after["entry_points"].get(name, ("", ""))[1]) != kind:
            by = taken.module(module) or (taken.folder(module) if kind == "namespace" else "")
            yield Difference("entry point", name, kind, now, by)
    for package, text in sorted({*unsatisfied(after)} - {*unsatisfied(before)}):
        by = taken.package(package_key(Requirement(text).name))
        yield Difference("requirement", f"{text} of {package}", "met", "", by)
    yield from _libraries(before, after, taken)


def _libraries(before: Census, after: Census, taken: _Taken) -> Iterator[Difference]:
    for path, missing in after["unresolved"].items():
        for library in sorted({*missing} - {*before["unresolved"].get(path, ())}):
            by = taken.file(library)
            yield Difference("library", f"{library} of {path}", "found", "", by)
    for name, where in before["find_library"].items():
        if (now := after["find_library"].get(name)) != where:
            yield Difference("find_library", name, where or "", now or "", "")


class _Taken:
    """What rules removed from an image: for a module, package or file, the rule that took it."""

    def __init__(self, ledger: Iterable[tuple[str, str]]) -> None:
        files = dict(ledger)
        self._modules = {name: by for path, by in files.items() if (name := _dotted(path))}
        self._names = {path.rpartition("/")[2]: by for path, by in files.items()}
        self._folders = {
            path.rpartition("/")[0].replace("/", "."): by for path, by in files.items()
        }
        self._packages = {
            package_key(path.partition(".dist-info/")[0].rpartition("-")[0]): by
            for path, by in files.items()
            if path.endswith(".dist-info/METADATA")
        }

    def module(self, name: str) -> str:
        """Or the rule that took a package above it, whose modules nothing finds then."""
        return next((self._modules[each] for each in _up(name) if each in self._modules), "")

    def folder(self, name: str) -> str:
        """Of a namespace: the rule that took a file out of its folder."""
        return self._folders.get(name, "")

    def package(self, name: str) -> str:
        return self._packages.get(name, "")

    def file(self, name: str) -> str:
        return self._names.get(name, "")


def unsatisfied(census: Census) -> Iterator[tuple[str, str]]:
    """The requirements of distributions that no distribution of the image meets."""
    versions = census["versions"]
    for package, requires in census["requires"].items():
        for text in requires:
            try:
                wanted = Requirement(text)
            except InvalidRequirement:
                continue
            if wanted.marker and not wanted.marker.evaluate({**census["markers"], "extra": ""}):
                continue
            version = versions.get(package_key(wanted.name))
            if version is None or not wanted.specifier.contains(version, prereleases=True):
                yield package, text


def package_keys(census: Census, programs: bytes) -> dict[str, str]:
    """For each package of an image a digest of all that decides what comes of its imports: itself,
    what it requires, with extras too, and Python. `programs`: what imports them.
    """
    contents, common = census["contents"], hashlib.sha256(programs)
    common.update(repr(sorted(census["markers"].items())).encode())
    needs = {package: {*_required(census["requires"].get(package, ()))} for package in contents}
    keys = {}
    for package in contents:
        found, left = {package}, [package]
        while left:
            new = (needs[left.pop()] & contents.keys()) - found
            found |= new
            left += new
        made = common.copy()
        made.update("\n".join((package, *(contents[each] for each in sorted(found)))).encode())
        keys[package] = made.hexdigest()
    return keys


def _required(requires: Iterable[str]) -> Iterator[str]:
    for text in requires:
        with contextlib.suppress(InvalidRequirement):
            yield package_key(Requirement(text).name)


def _dotted(path: str) -> str:
    """The module of a file that a ledger lists; "" of what is no module."""
    if path.endswith(".py"):
        return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    if ".so" in path:
        return path.partition(".")[0].replace("/", ".")
    return ""


def _up(name: str) -> Iterator[str]:
    """A module and its packages: what a package's `__init__` took with it has the same rule."""
    while name:
        yield name
        name = name.rpartition(".")[0]
