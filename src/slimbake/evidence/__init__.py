"""Which passes the layers of a fleet carry: what `selection` decides, for a repository as it is."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from slimbake.catalogue.model import Applied, Condition, Pass
from slimbake.catalogue.read import catalogue
from slimbake.config.naming import EVIDENCE, WARM
from slimbake.config.report import did_you_mean
from slimbake.errors import UsageError
from slimbake.evidence.compilers import compilers
from slimbake.evidence.model import Evidence, Question, answering, parse_evidence
from slimbake.evidence.selection import Dropped, LayerAnswer, selected
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
        return tuple(self._with_evidence(answer) for answer in self._asked)

    @property
    def layers(self) -> tuple[tuple[LayerAnswer, ...], ...]:
        """The answers of each layer, together."""
        return tuple(_by_layer(self.answers))

    @cached_property
    def _asked(self) -> tuple[LayerAnswer, ...]:
        return tuple(self._asking())

    def _asking(self) -> Iterator[LayerAnswer]:
        every = _asked(self.fleet, self.locks)
        return (e for e in every if self.platform in ("", e.question.platform))

    def _with_evidence(self, answer: LayerAnswer) -> LayerAnswer:
        return replace(answer, evidence=committed(self.fleet.root, answer.question))

    @cached_property
    def _decided(self) -> tuple[dict[str, tuple[Applied, ...]], tuple[Dropped, ...]]:
        # A layer that is to carry nothing asks nothing of its evidence, even if that is broken. One
        # after the other: a fleet has tens of thousands, and many carry the same.
        known = vars(self).get("_asked")
        wanted = (each for each in known or self._asking() if not each.none)
        passes: dict[str, tuple[Applied, ...]] = {}
        same: dict[tuple[Applied, ...], tuple[Applied, ...]] = {}
        dropped: list[Dropped] = []
        for number, answers in enumerate(_by_layer(map(self._with_evidence, wanted))):
            if not number:
                _refuse_unknown(self.fleet, {each.name for each in self.catalogue})
            carries, lost = selected(answers, self.catalogue)
            dropped += lost
            if carries:
                passes[answers[0].question.layer] = same.setdefault(carries, carries)
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


def _asked(fleet: Fleet, locks: Locks) -> Iterator[LayerAnswer]:
    """What evidence has to answer for each layer of packages, platform by platform, and what is
    wanted of it.
    """
    checks = {each.name: _check(each, fleet, locks) for each in fleet.services if each.smoke}
    own = (service for service in fleet.services if service.dockerfile is None)
    every: tuple[Base | Service, ...] = (*fleet.bases, *own)
    for each in every:
        if each.layer.services and locks.text(each.layer.lock) is not None:
            met = _met(each.layer, fleet, locks)
            for question in _questions(each.layer, checks, fleet, locks):
                yield LayerAnswer(question, fleet.allows(each.optimize), None, met)


def _by_layer(answers: Iterable[LayerAnswer]) -> Iterator[tuple[LayerAnswer, ...]]:
    together = itertools.groupby(answers, lambda each: each.question.layer)
    return (tuple(found) for _, found in together)


def _met(layer: Layer, fleet: Fleet, locks: Locks) -> frozenset[Condition]:
    """The conditions of passes that are so in every image that holds a layer."""
    on = [fleet.service(name) for name in layer.services]
    # What a Dockerfile or template of the user's own installs is not known.
    foreign = any(each.dockerfile or each.template for each in on)
    layers = {each.name: each for service in on for each in service.layer.closure}.values()
    wheels = (pin.name for each in layers for pin in locks.pins(each.lock))
    debs = (deb.name for each in layers for deb in locks.debs(each.system_lock))
    met: set[Condition] = {"on-linux", "unread"}
    if not foreign and not compilers((*wheels, *debs)):
        met.add("no-compiler")
    return frozenset(met)


def _questions(
    layer: Layer, checks: Mapping[str, str], fleet: Fleet, locks: Locks
) -> Iterator[Question]:
    names = (name for each in reversed(layer.closure) for name in (each.lock, each.system_lock))
    texts = (text for name in names if (text := locks.text(name)) is not None)
    stack = [pin for each in layer.closure for pin in locks.pins(each.lock)]
    every = Question(
        python=fleet.python,
        stack=tuple((pin.name, pin.version) for pin in stack),
        needs=tuple((asker, pin.name) for pin in stack for asker in pin.via if asker),
        layer=layer.name,
        pins=tuple((pin.name, pin.version) for pin in locks.pins(layer.lock)),
        inputs=_digest(_LAYER, fleet.python, lock_digest(texts)),
        platform="",
        checks={},
        several=len(layer.platforms) > 1,
    )
    for platform in layer.platforms:
        on = [n for n in layer.services if platform in fleet.service(n).layer.platforms]
        yield replace(
            every,
            platform=platform,
            checks={name: checks[name] for name in on if name in checks},
            unchecked=tuple(name for name in on if name not in checks),
        )


def _check(service: Service, fleet: Fleet, locks: Locks) -> str:
    """Changes with what a service is checked by, and with its weights and packages; not with its
    code.
    """
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
