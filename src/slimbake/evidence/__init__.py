"""Which passes the layers of a fleet carry: what `selection` decides, for a repository as it is."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path

from slimbake.catalogue.model import Applied, Condition, Pass
from slimbake.catalogue.read import catalogue
from slimbake.config.naming import EVIDENCE, WARM
from slimbake.config.report import did_you_mean
from slimbake.console import Console
from slimbake.errors import UsageError
from slimbake.evidence.compilers import compilers
from slimbake.evidence.model import (
    Evidence,
    Question,
    answering,
    evidence_name,
    parse_evidence,
)
from slimbake.evidence.selection import Dropped, LayerAnswer, by_default, selected
from slimbake.evidence.warm import parse_warm
from slimbake.fleet.model import Base, Fleet, Layer, Service
from slimbake.inside import zipapp
from slimbake.lock.locks import Locks
from slimbake.lock.text import lock_digest, names_packages

# of how a layer without passes is made from its locks: another one makes all evidence stale
_LAYER = "1"


@dataclass(frozen=True)
class FleetEvidence:
    """The evidence of a fleet as it is committed, read when it is first asked for."""

    fleet: Fleet
    locks: Locks
    known: tuple[Pass, ...] = ()  # the catalogue, where it was read already
    platform: str = ""  # the only one that anything is built for; "" = all of the fleet

    @cached_property
    def catalogue(self) -> tuple[Pass, ...]:
        """Every pass that is known. Raises ManifestError for faults of `passes.yaml`."""
        return self.known or catalogue(self.fleet.root)

    @property
    def read_already(self) -> tuple[Pass, ...]:
        """The catalogue if anybody has asked for it, else nothing: reading it takes time."""
        return self.catalogue if "catalogue" in vars(self) else self.known

    @cached_property
    def answers(self) -> tuple[LayerAnswer, ...]:
        """Of each layer of packages, and each platform that it is built for. Raises UsageError for
        a file that is no evidence.
        """
        return tuple(answer for each in self._asking for answer in self._answers(each))

    @property
    def layers(self) -> tuple[tuple[LayerAnswer, ...], ...]:
        """The answers of each layer, together."""
        together = itertools.groupby(self.answers, lambda each: each.question.layer)
        return tuple(tuple(found) for _, found in together)

    @cached_property
    def _asking(self) -> tuple[Base | Service, ...]:
        """What lays a layer of packages that has passes."""
        own = (service for service in self.fleet.services if service.dockerfile is None)
        every: tuple[Base | Service, ...] = (*self.fleet.bases, *own)
        return tuple(
            each
            for each in every
            if each.layer.services
            and self.locks.text(each.layer.lock) is not None
            and self.platform in ("", *each.layer.platforms)
        )

    def _answers(self, asker: Base | Service) -> tuple[LayerAnswer, ...]:
        wanted, met = self.fleet.allows(asker.optimize), self._met(asker.layer)
        return tuple(
            LayerAnswer(question, wanted, committed(self.fleet.root, question), met)
            for question in _questions(asker.layer, self._check, self.fleet, self.locks)
            if self.platform in ("", question.platform)
        )

    def _met(self, layer: Layer) -> frozenset[Condition]:
        """The conditions of passes that are so in every image that holds a layer."""
        on = [self.fleet.service(name) for name in layer.services]
        # What a Dockerfile or template of the user's own installs is not known.
        foreign = any(each.dockerfile or each.template for each in on)
        layers = {each.name for service in on for each in service.layer.closure}
        met: set[Condition] = {"on-linux", "unread"}
        if not foreign and layers.isdisjoint(self._compiling):
            met.add("no-compiler")
        return frozenset(met)

    @cached_property
    def _compiling(self) -> frozenset[str]:
        """The layers that bring a compiler, by name."""
        every: tuple[Base | Service, ...] = (*self.fleet.bases, *self.fleet.services)
        return frozenset(each.layer.name for each in every if _compiles(self.locks, each.layer))

    @cached_property
    def _check(self) -> Callable[[str], str]:
        return cache(partial(_check, self.fleet, self.locks))

    @cached_property
    def _decided(self) -> tuple[dict[str, tuple[Applied, ...]], tuple[Dropped, ...]]:
        # A layer that is to carry nothing asks nothing of its evidence, even if that is broken.
        asking = [e for e in self._asking if self.fleet.allows(e.optimize).level != "none"]
        if asking:
            _refuse_unknown(self.fleet, {each.name for each in self.catalogue})
        folder = self.fleet.root / EVIDENCE
        tried = frozenset(os.listdir(folder) if folder.is_dir() else ())  # noqa: PTH208
        # A fleet has tens of thousands of layers, and many carry the same.
        defaults = cache(partial(by_default, self.catalogue))
        same: dict[tuple[Applied, ...], tuple[Applied, ...]] = {}
        passes: dict[str, tuple[Applied, ...]] = {}
        dropped: list[Dropped] = []
        for each in asking:
            layer = each.layer
            if tried.isdisjoint(evidence_name(layer.name, p) for p in ("", *layer.platforms)):
                without = self.fleet.allows(each.optimize).without
                carries = defaults(self.locks.exact(layer.lock), self._met(layer), without)
            else:
                carries, lost = selected(self._answers(each), self.catalogue)
                dropped += lost
            if carries:
                passes[layer.name] = same.setdefault(carries, carries)
        return passes, tuple(dropped)

    @property
    def passes(self) -> Mapping[str, tuple[Applied, ...]]:
        """What layers carry, by name.

        Raises UsageError where `optimize` leaves out what is no pass, and as the others do.
        """
        return self._decided[0]

    @cached_property
    def warm(self) -> Mapping[str, tuple[str, ...]]:
        """The layers that have a list of warm modules, by name, and its lines.

        Raises UsageError for a file that is no such list.
        """
        if not (self.fleet.root / WARM).is_dir():
            return {}
        found = {
            name: read_warm(self.fleet.root, name) for name in warmable(self.fleet, self.locks)
        }
        return {name: lines for name, lines in found.items() if lines is not None}

    @property
    def dropped(self) -> tuple[Dropped, ...]:
        """What they carried before, or would by default, and do not. Raises as `passes`."""
        return self._decided[1]


def _refuse_unknown(fleet: Fleet, known: Collection[str]) -> None:
    own = [base.optimize for base in fleet.bases] + [each.optimize for each in fleet.services]
    for name in (name for optimize in (fleet.optimize, *own) for name in optimize.without):
        if name not in known:
            hint = did_you_mean(name, known) or "`slimbake passes` lists them"
            file = fleet.manifest.file.name
            raise UsageError(f"{file}: `optimize` leaves out '{name}', which is no pass", hint)


def committed(root: Path, question: Question) -> Evidence | None:
    """The evidence of a layer as it lies in the repository, None where there is none. Raises
    UsageError for no such.
    """
    return answering(question, lambda name: _read(root / EVIDENCE / name))


def _read(file: Path) -> Evidence | None:
    if not file.is_file():
        return None
    if found := parse_evidence(file.read_text("utf-8", errors="replace")):
        return found
    raise UsageError(
        f"{EVIDENCE}/{file.name} cannot be read as evidence: a merge, or another version of"
        " slimbake?",
        "take it from Git again, or remove it and run `slimbake prove`",
    )


def read_warm(root: Path, layer: str) -> tuple[str, ...] | None:
    """The warm list of a layer as it lies in the repository; None where there is none.

    Raises UsageError for a file that is no such list.
    """
    file = root / WARM / f"{layer}.txt"
    if not file.is_file():
        return None
    try:
        return parse_warm(file.read_text("utf-8"))
    except ValueError as error:
        raise UsageError(
            f"{WARM}/{file.name}: {error}",
            "take it from Git again, or remove it and run `slimbake prove --warm`",
        ) from None


def keep_lists(root: Path, layers: Container[str], console: Console) -> None:
    """Remove the warm lists of all but these layers, by their names."""
    for file in sorted((root / WARM).glob("*.txt")):
        if file.stem not in layers:
            file.unlink()
            console.say(f"{WARM}/{file.name} is removed: no layer has a cold store of that name")


def keep_lists_of(fleet: Fleet, console: Console) -> None:
    """Remove the warm lists of layers that a fleet, with the layers that were found, does not have."""
    every: tuple[Base | Service, ...] = (*fleet.bases, *fleet.services)
    keep_lists(fleet.root, {each.layer.name for each in every}, console)


def warmable(fleet: Fleet, locks: Locks) -> dict[str, Layer]:
    """The layers of packages whose modules may go to a cold store, by name: services hold them,
    their locks name packages, and `optimize` is not `none`. Packages of the repository stay as they
    are.
    """
    own = (service for service in fleet.services if service.dockerfile is None)
    every: tuple[Base | Service, ...] = (*fleet.bases, *own)
    return {
        each.layer.name: each.layer
        for each in every
        if each.layer.services
        and each.layer.installs
        and ((text := locks.text(each.layer.lock)) is None or names_packages(text))
        and fleet.allows(each.optimize).level != "none"
    }


def _questions(
    layer: Layer, check: Callable[[str], str], fleet: Fleet, locks: Locks
) -> Iterator[Question]:
    """What evidence has to answer for a layer, platform by platform."""
    texts = (text for each in reversed(layer.closure) for text in _texts(locks, each))
    stack = [pin for each in layer.closure for pin in locks.pins(each.lock)]
    every = Question(
        python=fleet.python,
        stack=tuple((pin.name, pin.version) for pin in stack),
        needs=tuple((asker, pin.name) for pin in stack for asker in pin.via if asker),
        layer=layer.name,
        pins=tuple((pin.name, pin.version) for pin in locks.pins(layer.lock)),
        inputs=_digest(_LAYER, fleet.python, lock_digest(texts)),
        packages=_digest(_LAYER, fleet.python, lock_digest(_texts(locks, layer))),
        platform="",
        checks={},
        several=len(layer.platforms) > 1,
    )
    for platform in layer.platforms:
        on = [n for n in layer.services if platform in fleet.service(n).layer.platforms]
        yield replace(
            every,
            platform=platform,
            checks={name: digest for name in on if (digest := check(name))},
            unchecked=tuple(name for name in on if not check(name)),
        )


def _texts(locks: Locks, layer: Layer) -> Iterator[str]:
    """The locks of a layer's own packages."""
    names = (layer.lock, layer.system_lock)
    return (text for name in names if (text := locks.text(name)) is not None)


def _compiles(locks: Locks, layer: Layer) -> bool:
    """Whether a layer brings a compiler, by its locks."""
    wheels = (name for name, _ in locks.exact(layer.lock))
    return bool(compilers((*wheels, *(deb.name for deb in locks.debs(layer.system_lock)))))


def _check(fleet: Fleet, locks: Locks, name: str) -> str:
    """Changes with what a service is checked by, and with its weights and packages; not with its
    code. "" of one without a smoke.
    """
    service = fleet.service(name)
    if not service.smoke:
        return ""
    context = fleet.root / service.context
    files = (service.smoke, service.reference or "reference.json", service.verify)
    contents = [_content(context / name) if name else b"" for name in files]
    weights = service.weights
    texts = [locks.text(service.layer.lock) or ""]
    texts.append((locks.text(weights.layer.lock) or "") if weights else "")
    texts += [text for text in (locks.text(service.layer.system_lock),) if text]
    if weights and weights.export:
        precision = weights.export.precision
        texts.append(json.dumps(precision.settings(), sort_keys=True))
        texts.append(locks.text(weights.export.base.lock) or "")
        if precision.calibration:
            contents.append(_content(fleet.root / precision.calibration))
        # The programs that export decide about the model as much as its source does.
        contents.append(zipapp("export"))
    return _digest(*(hashlib.sha256(content).hexdigest() for content in contents), *texts)


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _digest(*parts: str) -> str:
    return "sha256:" + hashlib.sha256("\0".join(parts).encode()).hexdigest()
