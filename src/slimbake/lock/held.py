"""Versions that a layer would have alone, and does not have because it shares them with others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from packaging.requirements import Requirement
from packaging.version import Version

from slimbake.config.specs import name_of, normalised
from slimbake.fleet.model import Layer
from slimbake.host.uv import NoSolution
from slimbake.lock.model import Family


@dataclass(frozen=True, slots=True)
class Needed:
    """One package of a resolution, and what needs it there."""

    name: str
    version: str  # or its address
    via: tuple[str, ...]  # names of packages; "" = a requirement of ours


class Resolver(Protocol):
    """What resolves layers, as `lock.resolve.Uv` does."""

    def resolve(
        self,
        layers: Sequence[Layer],
        known: Mapping[str, str],
        name: str,
        more: Sequence[str] = (),
        words: Sequence[str] = (),
    ) -> tuple[Needed, ...]:
        """What these layers need together; `more`: further constraints; `words`: for uv."""


@dataclass(frozen=True, slots=True)
class Held:
    """A package of a layer whose version others of its family hold back."""

    layer: str
    package: str
    version: str
    alone: str  # the version that it would have
    by: tuple[str, ...]  # layers; () = only several of them together do
    why: tuple[str, ...]  # what they require or pin that is a part of the reason
    moves: tuple[str, ...]  # the packages that have other versions without them
    news: bool = True  # not where a base has what the locks of its services pin

    def __str__(self) -> str:
        names = " and ".join(self.by) or "the others of its family together"
        why = f" ({', '.join(self.why)})" if self.why else ""
        return (
            f"{self.layer}: {self.package} {self.version}, alone {self.alone}: held back by"
            f" {names}{why}"
        )


def held_back(family: Family, uv: Resolver, versions: Mapping[str, str]) -> tuple[Held, ...]:
    """What the layers of a family ask for themselves and would have newer alone. `versions`: as the
    family has them.
    """
    if len(family.layers) < 2 or not family.dependencies:
        return ()
    candidates = set(_candidates(family, uv, versions))
    layers = [layer for layer in family.layers if candidates & _asked(layer)]
    alone: dict[str, dict[str, str]] = {}
    for layer in layers:
        try:
            found = uv.resolve((layer,), {}, f"alone-{layer.name}")
        except NoSolution:  # it needs what its base asks for: a build of torch, a constraint
            continue
        alone[layer.name] = {each.name: each.version for each in found}
    newer = [
        (layer, name)
        for layer in layers
        for name in sorted(candidates & _asked(layer))
        if _newer(alone.get(layer.name, {}).get(name), versions.get(name))
    ]
    if not newer:
        return ()
    # A version that is kept from an earlier lock is not held back by anybody.
    fresh = {each.name: each.version for each in uv.resolve(family.layers, {}, "fresh")}
    return tuple(
        _held(family, uv, layer, name, versions, alone[layer.name])
        for layer, name in newer
        if _newer(alone[layer.name][name], fresh.get(name))
    )


def _candidates(family: Family, uv: Resolver, versions: Mapping[str, str]) -> Iterator[str]:
    """Packages of which layers themselves would take another version, or ask for several."""
    asked: dict[str, set[str]] = {}
    for layer in family.layers:
        for spec in layer.asks.specs:
            asked.setdefault(name_of(spec), set()).add(spec)
    yield from (name for name, specs in asked.items() if len(specs) > 1)
    try:
        newest = uv.resolve(family.layers, {}, "newest", words=("--no-deps",))
    except NoSolution:
        return
    for each in newest:
        if each.name in asked and _newer(each.version, versions.get(each.name)):
            yield each.name


def _asked(layer: Layer) -> set[str]:
    return {name_of(spec) for spec in layer.asks.specs if " @ " not in spec}


def _newer(one: str | None, other: str | None) -> bool:
    if not one or not other or "://" in one or "://" in other:
        return False
    return Version(one).public != Version(other).public and Version(one) > Version(other)


def _held(
    family: Family,
    uv: Resolver,
    layer: Layer,
    name: str,
    versions: Mapping[str, str],
    alone: Mapping[str, str],
) -> Held:
    """Who of the family holds a package back: those with which it has no solution at that version."""
    by, why, news = [], dict[str, None](), True
    for other in family.layers:
        if other is layer:
            continue
        try:
            uv.resolve((layer, other), {}, "pair", more=(f"{name}=={alone[name]}",))
        except NoSolution as error:
            by.append(other.name)
            words = {normalised(word) for word in re.findall(r"[A-Za-z0-9][\w.-]*\w", str(error))}
            pins = [c for c in other.asks.constraints if not _admits(c.spec, name, alone[name])]
            said = {spec: spec for spec in other.asks.specs if not _admits(spec, name, alone[name])}
            said |= {each.spec: f"{each.spec} of {each.file}" for each in pins}
            why.update(dict.fromkeys(said[spec] for spec in said if name_of(spec) in words))
            above = layer.name in {each.name for each in other.chain}
            news = news and not (above and any(name_of(each.spec) == name for each in pins))
    moves = tuple(sorted(each for each in alone if alone[each] != versions.get(each)))
    return Held(layer.name, name, versions[name], alone[name], tuple(by), tuple(why), moves, news)


def _admits(spec: str, name: str, version: str) -> bool:
    """Whether a requirement is one of this package that takes this version."""
    return name_of(spec) == name and Requirement(spec).specifier.contains(version, prereleases=True)
