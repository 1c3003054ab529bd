"""Which passes the layers of a fleet carry: those that have fresh evidence, less what is not
wanted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from slimbake.catalogue.model import Applied
from slimbake.catalogue.read import catalogue
from slimbake.config.model import Base, Manifest, Optimize, Service
from slimbake.config.report import near
from slimbake.errors import UsageError
from slimbake.evidence.model import Evidence, Question, parse, stale
from slimbake.fleet.platforms import of_bases, of_service
from slimbake.fleet.sources import origin, weights_sources
from slimbake.inside import zipapp
from slimbake.lock import SYSTEM
from slimbake.lock.text import parse_pins
from slimbake.plan.exports import settings
from slimbake.plan.origin import lock_digest

FOLDER = "evidence"
# of how a layer without passes is made from its locks: another one makes all evidence stale
_LAYER = "1"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A pass that was proven once and is not carried, since its evidence does not answer any more."""

    layer: str
    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name} on {self.layer}: {self.why}"


@dataclass(frozen=True, slots=True)
class Carried:
    """What layers carry, by the name of their lock; and what they would, were its evidence fresh."""

    passes: Mapping[str, tuple[Applied, ...]]
    dropped: tuple[Dropped, ...]


def carried(manifest: Manifest, locks: Mapping[str, str]) -> Carried:
    """Decide for every layer of a settled manifest. `locks`: lock file -> its text.

    Raises UsageError where `optimize` leaves out what is no pass, ManifestError for faults of
    `passes.yaml`.
    """
    root = manifest.file.parent
    if not (root / FOLDER).is_dir():  # nothing was ever proven here
        return Carried({}, ())
    known = catalogue(root)
    _left_out(manifest, {each.name for each in known})
    passes: dict[str, tuple[Applied, ...]] = {}
    dropped: list[Dropped] = []
    for question, wanted in questions(manifest, locks):
        if wanted.none:
            continue
        evidence = committed(root, question.layer)
        carries = []
        for each in known:
            found = evidence.passes.get(each.name) if evidence else None
            if found is None or found.verdict != "proven" or each.name in wanted.without:
                continue
            why = (
                f"{', '.join(question.unchecked)} has no smoke"
                if question.unchecked
                else stale(question, evidence, each)
            )
            applied = each.applied(question.pins)
            if why:
                dropped.append(Dropped(question.layer, each.name, why))
            elif applied:
                carries.append(applied)
        if carries:
            passes[question.layer] = tuple(sorted(needed(carries), key=lambda each: each.name))
    return Carried(passes, tuple(dropped))


def _left_out(manifest: Manifest, known: Collection[str]) -> None:
    own = (
        *(base.optimize for base in manifest.bases),
        *(service.optimize for service in manifest.services),
    )
    for name in (name for optimize in (manifest.optimize, *own) for name in optimize.without):
        if name not in known:
            hint = near(name, known) or "`slimbake passes` lists them"
            raise UsageError(
                f"{manifest.file.name}: `optimize` leaves out '{name}', which is no pass", hint
            )


def needed(carries: Collection[Applied]) -> Iterator[Applied]:
    """Passes less those that strip less of what another one strips: each would read and write every
    file.
    """
    strong = [each for each in carries if each.strip == "unneeded"]
    for each in carries:
        if each.strip != "debug" or not any(_covers(other, each) for other in strong):
            yield each


def _covers(strong: Applied, weak: Applied) -> bool:
    return {*weak.packages} <= {*strong.packages} and {*strong.keep} <= {*weak.keep}


def committed(root: Path, layer: str) -> Evidence | None:
    """The evidence of a layer as it lies in the repository, None where there is none. Raises
    UsageError for no such.
    """
    file = root / FOLDER / f"{layer}.json"
    if not file.is_file():
        return None
    if found := parse(file.read_text("utf-8")):
        return found
    raise UsageError(
        f"{FOLDER}/{file.name} cannot be read as evidence: a merge, or another version of"
        " slimbake?",
        "take it from Git again, or remove it and run `slimbake prove`",
    )


def questions(manifest: Manifest, locks: Mapping[str, str]) -> Iterator[tuple[Question, Optimize]]:
    """What evidence has to answer for each layer of packages of a settled manifest, and what is
    wanted of it.
    """
    bases = {base.name: base for base in manifest.bases}
    on: dict[str, list[Service]] = {}
    for service in manifest.services:
        for base in _below(service, bases):
            on.setdefault(base.name, []).append(service)
    checks = {
        service.name: _check(service, manifest, locks)
        for service in manifest.services
        if service.smoke
    }
    platforms = of_bases(manifest)
    entries: list[Base | Service] = [
        *manifest.bases,
        *(s for s in manifest.services if s.dockerfile is None),
    ]
    for entry in entries:
        standing = on.get(entry.name, []) if isinstance(entry, Base) else [entry]
        if standing and _lock(entry) in locks:
            built_for = (
                platforms[entry.name] if isinstance(entry, Base) else of_service(entry, manifest)
            )
            chain = (entry, *_below(entry, bases))
            yield (
                _question(chain, built_for, standing, checks, manifest, locks),
                _wanted(entry.optimize, manifest),
            )


def _wanted(own: Optimize, manifest: Manifest) -> Optimize:
    fleet = manifest.optimize
    return Optimize(none=own.none or fleet.none, without=(*own.without, *fleet.without))


def _below(entry: Base | Service, bases: Mapping[str, Base]) -> tuple[Base, ...]:
    """The bases that something stands on, the nearest first."""
    found: list[Base] = []
    name = entry.base if isinstance(entry, Service) else entry.extends
    while name:
        found.append(bases[name])
        name = found[-1].extends
    return tuple(found)


def _lock(entry: Base | Service) -> str:
    return f"base-{entry.name}.txt" if isinstance(entry, Base) else f"{entry.name}.txt"


def _system(entry: Base | Service) -> str:
    return _lock(entry).removesuffix(".txt") + f"{SYSTEM}.txt"


def _question(
    chain: tuple[Base | Service, ...],
    platforms: tuple[str, ...],
    standing: list[Service],
    checks: Mapping[str, str],
    manifest: Manifest,
    locks: Mapping[str, str],
) -> Question:
    """Of the layer of the first of a chain."""
    texts = tuple(
        locks[name] for entry in chain for name in (_lock(entry), _system(entry)) if name in locks
    )
    return Question(
        layer=_lock(chain[0]).removesuffix(".txt"),
        pins=tuple((pin.name, pin.version) for pin in parse_pins(locks[_lock(chain[0])])),
        inputs=_digest(_LAYER, manifest.python, lock_digest(texts)),
        platforms=platforms,
        checks={
            service.name: checks[service.name] for service in standing if service.name in checks
        },
        unchecked=tuple(service.name for service in standing if service.name not in checks),
    )


def _check(service: Service, manifest: Manifest, locks: Mapping[str, str]) -> str:
    """Changes with what a service is checked by, and with its weights and packages; not with its
    code.
    """
    context = manifest.file.parent / service.context
    files = (service.smoke, service.reference or "reference.json", service.verify)
    contents = [_content(context / name) if name else b"" for name in files]
    sources, weights = weights_sources(manifest), service.weights
    name = sources[origin(weights)].name if weights else ""
    texts = [locks.get(name, "") for name in (f"{service.name}.txt", f"weights-{name}.txt")]
    texts += [text for text in (locks.get(_system(service)),) if text]
    if weights and weights.export:
        precision = weights.export.precision
        texts += [
            json.dumps(settings(precision), sort_keys=True),
            locks.get(f"base-{weights.export.base}.txt", ""),
        ]
        calibration = (
            manifest.file.parent / precision.calibration if precision.calibration else None
        )
        # The programs that export decide about the model as much as its source does.
        contents += [_content(calibration)] if calibration else []
        contents.append(zipapp("export"))
    return _digest(*(hashlib.sha256(content).hexdigest() for content in contents), *texts)


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _digest(*parts: str) -> str:
    return "sha256:" + hashlib.sha256("\0".join(parts).encode()).hexdigest()
