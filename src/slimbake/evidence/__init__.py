"""Which passes the layers of a fleet carry: those that have fresh evidence, less what is not
wanted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from slimbake.catalogue.model import Applied, Pass
from slimbake.catalogue.read import catalogue
from slimbake.config.model import Optimize
from slimbake.config.naming import EVIDENCE, WARM
from slimbake.config.report import did_you_mean
from slimbake.errors import UsageError
from slimbake.evidence.model import Evidence, Question, parse_evidence, stale_evidence
from slimbake.evidence.warm import parse_warm
from slimbake.fleet.model import Base, Fleet, Layer, Service
from slimbake.inside import zipapp
from slimbake.lock.locks import Locks
from slimbake.lock.text import lock_digest

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
class LayerAnswer:
    """What evidence has to answer for one layer of packages, and what it says."""

    question: Question
    wanted: Optimize  # the layer's own and the fleet's
    evidence: Evidence | None

    def stale(self, each: Pass) -> str:
        """Why the evidence does not answer for a pass any more; "" while it does."""
        return stale_evidence(self.question, self.evidence, each)

    def proven(self, each: Pass) -> bool:
        """Whether the evidence says that a pass holds, stale or not."""
        found = self.evidence.passes.get(each.name) if self.evidence else None
        return found is not None and found.verdict == "proven"


@dataclass(frozen=True)
class FleetEvidence:
    """The evidence of a fleet as it is committed, read when it is first asked for."""

    fleet: Fleet
    locks: Locks
    known: tuple[Pass, ...] = ()  # the catalogue, where it was read already

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
        """Of each layer of packages. Raises UsageError for a file that is no evidence."""
        return tuple(self._answer(*asked) for asked in self._asked)

    @cached_property
    def _asked(self) -> tuple[tuple[Question, Optimize], ...]:
        return tuple(_questions(self.fleet, self.locks))

    def _answer(self, question: Question, wanted: Optimize) -> LayerAnswer:
        return LayerAnswer(question, wanted, committed(self.fleet.root, question.layer))

    @cached_property
    def _decided(self) -> tuple[dict[str, tuple[Applied, ...]], tuple[Dropped, ...]]:
        if not (self.fleet.root / EVIDENCE).is_dir():  # nothing was ever proven here
            return {}, ()
        _refuse_unknown(self.fleet, {each.name for each in self.catalogue})
        passes: dict[str, tuple[Applied, ...]] = {}
        dropped: list[Dropped] = []
        # A layer that is to carry nothing asks nothing of its evidence, even if that is broken.
        for answer in (self._answer(q, wanted) for q, wanted in self._asked if not wanted.none):
            carries = []
            for each in self.catalogue:
                if not answer.proven(each) or each.name in answer.wanted.without:
                    continue
                unchecked = answer.question.unchecked
                why = f"{', '.join(unchecked)} has no smoke" if unchecked else answer.stale(each)
                applied = each.applied(answer.question.pins)
                if why:
                    dropped.append(Dropped(answer.question.layer, each.name, why))
                elif applied:
                    carries.append(applied)
            if carries:
                kept = sorted(needed_passes(carries), key=lambda each: each.name)
                passes[answer.question.layer] = tuple(kept)
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
        found = {name: read_warm(self.fleet.root, name) for name in warmable(self.fleet)}
        return {name: lines for name, lines in found.items() if lines is not None}

    @property
    def dropped(self) -> tuple[Dropped, ...]:
        """What they would carry, were its evidence fresh. Raises as `passes`."""
        return self._decided[1]


def _refuse_unknown(fleet: Fleet, known: Collection[str]) -> None:
    own = [base.optimize for base in fleet.bases] + [each.optimize for each in fleet.services]
    for name in (name for optimize in (fleet.optimize, *own) for name in optimize.without):
        if name not in known:
            hint = did_you_mean(name, known) or "`slimbake passes` lists them"
            file = fleet.manifest.file.name
            raise UsageError(f"{file}: `optimize` leaves out '{name}', which is no pass", hint)


def needed_passes(carries: Collection[Applied]) -> Iterator[Applied]:
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
    file = root / EVIDENCE / f"{layer}.json"
    if not file.is_file():
        return None
    if found := parse_evidence(file.read_text("utf-8")):
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


def warmable(fleet: Fleet) -> dict[str, Layer]:
    """The layers of packages whose modules may go to a cold store, by name: services hold them,
    and `optimize` is not `none`.
    """
    own = (service for service in fleet.services if service.dockerfile is None)
    every: tuple[Base | Service, ...] = (*fleet.bases, *own)
    return {
        each.layer.name: each.layer
        for each in every
        if each.layer.services and each.layer.installs and not _wanted(each.optimize, fleet).none
    }


def _questions(fleet: Fleet, locks: Locks) -> Iterator[tuple[Question, Optimize]]:
    """What evidence has to answer for each layer of packages, and what is wanted of it."""
    checks = {each.name: _check(each, fleet, locks) for each in fleet.services if each.smoke}
    own = (service for service in fleet.services if service.dockerfile is None)
    every: tuple[Base | Service, ...] = (*fleet.bases, *own)
    for each in every:
        if each.layer.services and locks.text(each.layer.lock) is not None:
            yield _question(each.layer, checks, fleet, locks), _wanted(each.optimize, fleet)


def _wanted(own: Optimize, fleet: Fleet) -> Optimize:
    whole = fleet.optimize
    return Optimize(none=own.none or whole.none, without=(*own.without, *whole.without))


def _question(layer: Layer, checks: Mapping[str, str], fleet: Fleet, locks: Locks) -> Question:
    names = (name for each in reversed(layer.closure) for name in (each.lock, each.system_lock))
    texts = (text for name in names if (text := locks.text(name)) is not None)
    return Question(
        layer=layer.name,
        pins=tuple((pin.name, pin.version) for pin in locks.pins(layer.lock)),
        inputs=_digest(_LAYER, fleet.python, lock_digest(texts)),
        platforms=layer.platforms,
        checks={name: checks[name] for name in layer.services if name in checks},
        unchecked=tuple(name for name in layer.services if name not in checks),
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
