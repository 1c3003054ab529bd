"""Bases that services can share, found in what they require. Pure.

Services on one base have one resolution. So only those share a base whose requirements, and the
pins of whose locks, some version meets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

TORCH = "torch"
_MOST_PAIRS = 20_000
_LOOKED_AHEAD = 8


@dataclass(frozen=True, slots=True)
class Wants:
    """What one service requires."""

    service: str
    specs: tuple[str, ...]
    torch: str = ""  # the build
    pins: tuple[str, ...] = ()  # of its lock: what has this version if anything needs it
    # of a compiled list: each package that only others in it require -> these
    via: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SharedBase:
    name: str
    extends: str  # "": none
    requirements: tuple[str, ...]
    services: tuple[str, ...]  # which stand on it, or on a base that extends it
    torch: str = ""
    system: tuple[str, ...] = ()  # Debian packages that all of them need


@dataclass(frozen=True, slots=True)
class Sharing:
    bases: tuple[SharedBase, ...]
    base_of: Mapping[str, str]  # service -> the base on which it stands
    # two services that have something in common and cannot share it, and which package is why
    apart: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class _Parsed:
    service: str
    torch: str
    extras: Mapping[str, frozenset[str]]  # name -> extras, in the order of the service
    versions: Mapping[str, SpecifierSet]
    via: Mapping[str, frozenset[str]]


def shared(wants: Sequence[Wants]) -> Sharing:
    """The bases that services share: greedily, what saves most installations first."""
    parsed = [_parsed(each) for each in wants]
    clashes = _clashes(parsed)
    made: list[SharedBase] = []
    base_of: dict[str, str] = {}
    asked = Counter(name for each in parsed for name in each.extras)
    _share(parsed, frozenset(), "", clashes, made, base_of, asked)
    for each in parsed:
        below = _chain(base_of.get(each.service, ""), made)
        has = {name for base in below for name in base.requirements}
        build = each.torch or ("cpu" if TORCH in each.extras else "")
        if TORCH in each.extras and TORCH not in has and build != "pypi":
            parent = base_of.get(each.service, "")
            name = _free(TORCH if len(parsed) == 1 else f"{each.service}-torch", made)
            made.append(SharedBase(name, parent, (TORCH,), (each.service,), build))
            base_of[each.service] = name
    apart = tuple(
        (one, other, name)
        for (one, other), name in clashes.items()
        if len(_of(parsed, one).extras.keys() & _of(parsed, other).extras.keys()) > 1
    )
    return Sharing(tuple(made), base_of, apart)


def versions_wanted(wants: Sequence[Wants], package: str) -> dict[str, str]:
    """Which versions of a package each service takes, by what it requires and what its lock pins;
    without those that say nothing about it.
    """
    found = ((each.service, each.versions.get(package)) for each in map(_parsed, wants))
    return {service: str(said) for service, said in found if said}


def _share(
    services: list[_Parsed],
    below: frozenset[str],
    parent: str,
    clashes: Mapping[tuple[str, str], str],
    made: list[SharedBase],
    base_of: dict[str, str],
    asked: Mapping[str, int],
) -> None:
    """`asked`: how many services of the whole repository require each package."""
    rest = list(services)
    while len(rest) > 1:
        best = _best(rest, below, clashes)
        if best is None:
            break
        names, members = best
        ordered = _asked_for([name for name in members[0].extras if name in names], members)
        requirements = []
        for name in ordered:
            extras = frozenset.intersection(*(each.extras[name] for each in members))
            requirements.append(f"{name}[{','.join(sorted(extras))}]" if extras else name)
        build = ""
        if TORCH in names:
            build = next((each.torch for each in members if each.torch), "cpu")
            build = "" if build == "pypi" else build
        base = SharedBase(
            _free(TORCH if TORCH in names else min(ordered, key=asked.__getitem__), made),
            parent,
            tuple(requirements),
            tuple(each.service for each in members),
            build,
        )
        made.append(base)
        base_of.update(dict.fromkeys(base.services, base.name))
        _share(members, below | names, base.name, clashes, made, base_of, asked)
        rest = [each for each in rest if each not in members]


def _asked_for(names: Sequence[str], members: Sequence[_Parsed]) -> list[str]:
    """Of these packages, the ones that somebody wrote: the rest comes with them, in each service. Torch
    stays, since its base says which build.
    """
    kept = [
        name
        for name in names
        if name == TORCH or not all({*names} & each.via.get(name, frozenset()) for each in members)
    ]
    for name in names:
        if name not in kept and not all(_comes(name, kept, each) for each in members):
            kept.append(name)
    return [name for name in names if name in kept]


def _comes(name: str, kept: Sequence[str], service: _Parsed) -> bool:
    """Whether a package comes with one of those that are kept."""
    waiting, seen = [name], set()
    while waiting:
        at = waiting.pop()
        if at in kept:
            return True
        if at not in seen:
            seen.add(at)
            waiting += service.via.get(at, ())
    return False


_Choice = tuple[frozenset[str], list[_Parsed]]


def _best(
    services: list[_Parsed], below: frozenset[str], clashes: Mapping[tuple[str, str], str]
) -> _Choice | None:
    """The set of requirements, and the services that have all of it, that saves most: itself, and
    with the best base that could extend it.
    """
    first = _choices(services, below, clashes)[:_LOOKED_AHEAD]
    best, most = None, 0
    for names, members in first:
        nested = _choices(members, below | names, clashes)[:1]
        saves = _saved((names, members)) + sum(map(_saved, nested))
        if saves > most:
            best, most = (names, members), saves
    return best


def _choices(
    services: list[_Parsed], below: frozenset[str], clashes: Mapping[tuple[str, str], str]
) -> list[_Choice]:
    """What pairs of services have in common, and who else has it; what saves most first."""
    sets = {each.service: frozenset(each.extras) - below for each in services}
    candidates: dict[frozenset[str], None] = {}
    for one, other in islice(combinations(services, 2), _MOST_PAIRS):
        if common := sets[one.service] & sets[other.service]:
            candidates[common] = None
    found = []
    for names in candidates:
        members = _together([s for s in services if names <= sets[s.service]], clashes)
        if len(members) > 1:
            found.append((names, members))
    return sorted(found, key=lambda choice: (-_saved(choice), sorted(choice[0])))


def _saved(choice: _Choice) -> int:
    names, members = choice
    return (len(members) - 1) * len(names)


def _together(services: list[_Parsed], clashes: Mapping[tuple[str, str], str]) -> list[_Parsed]:
    """The largest part of services, as far as adding one by one finds it, of which no two clash."""
    best: list[_Parsed] = []
    for first in services:
        members = [first]
        for each in services:
            pairs = ((each.service, m.service) for m in members)
            if each is not first and not any(
                (one, other) in clashes or (other, one) in clashes for one, other in pairs
            ):
                members.append(each)
        if len(members) > len(best):
            best = members
        if len(best) == len(services):
            break
    return [each for each in services if each in best]


def _clashes(parsed: list[_Parsed]) -> dict[tuple[str, str], str]:
    found = {}
    known: dict[tuple[str, str], bool] = {}
    for one, other in combinations(parsed, 2):
        if one.torch and other.torch and one.torch != other.torch:
            found[one.service, other.service] = TORCH
            continue
        for name in one.versions.keys() & other.versions.keys():
            key = (str(one.versions[name]), str(other.versions[name]))
            if key not in known:
                known[key] = _meet(one.versions[name], other.versions[name])
            if not known[key]:
                found[one.service, other.service] = name
                break
    return found


def _meet(one: SpecifierSet, other: SpecifierSet) -> bool:
    """Whether some version meets both: one that they name, or one just above it."""
    both = one & other
    if not both:
        return True
    tried: list[Version] = []
    for each in both:
        text = each.version.removesuffix(".*")
        try:
            version = Version(text)
        except InvalidVersion:
            return True
        release = [*version.release, 0, 0][:3]
        above = Version(".".join(map(str, (*release[:2], release[2] + 1))))
        under = Version(".".join(map(str, (max(0, release[0] - 1), 999, 0))))
        tried += [version, above, under]
    return any(both.contains(version, prereleases=True) for version in tried)


def _parsed(wants: Wants) -> _Parsed:
    extras: dict[str, frozenset[str]] = {}
    versions: dict[str, SpecifierSet] = {}
    for spec in (*wants.specs, *wants.pins):
        try:
            requirement = Requirement(spec)
        except InvalidRequirement:
            continue
        name = canonicalize_name(requirement.name)
        if requirement.specifier and requirement.marker is None:
            versions[name] = versions.get(name, SpecifierSet()) & requirement.specifier
        if spec in wants.specs and requirement.marker is None and requirement.url is None:
            extras[name] = extras.get(name, frozenset()) | frozenset(requirement.extras)
    return _Parsed(wants.service, wants.torch, extras, versions, wants.via)


def _of(parsed: list[_Parsed], service: str) -> _Parsed:
    return next(each for each in parsed if each.service == service)


def _chain(name: str, made: list[SharedBase]) -> list[SharedBase]:
    by_name = {base.name: base for base in made}
    found = []
    while name:
        found.append(by_name[name])
        name = by_name[name].extends
    return found


def _free(name: str, made: list[SharedBase]) -> str:
    """A name for a base that no other has. It is that of a package: torch, else the one that the
    fewest other services require, of several the first.
    """
    clean = name.replace("_", "-").replace(".", "-")
    taken = {base.name for base in made}
    number, found = 2, clean
    while found in taken:
        found, number = f"{clean}-{number}", number + 1
    return found
