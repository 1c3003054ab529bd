"""All that docs/results.md is made of, as it lies in the repository; what is not there is empty."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slimbake.catalogue.model import Pass
from slimbake.config.naming import EVIDENCE
from slimbake.evidence.model import Evidence, Question
from slimbake.lock.locks import locked_pins
from slimbake.project import load

Json = Mapping[str, Any]

WRITEUP = Path(__file__).parents[1] / "writeup.json"
MANIFEST = "services.yaml"
RESULTS = "bench/results"


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of packages, what evidence of it has to answer, and what is known of passes on it."""

    question: Question
    evidence: Evidence | None = None

    @property
    def name(self) -> str:
        return self.question.layer

    @property
    def pins(self) -> tuple[tuple[str, str], ...]:
        return self.question.pins


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Claims, evidence and measurements; an empty mapping is one that was not made."""

    writeup: Json
    passes: tuple[Pass, ...]
    services: tuple[str, ...]  # all of the fleet, as the manifest has them
    # service -> its base; without one, not in it
    bases: Mapping[str, str] = field(default_factory=dict)
    verified: frozenset[str] = frozenset()  # the services that have a verify
    layers: tuple[Layer, ...] = ()
    # package -> bytes of its wheel, as locked
    wheels: Mapping[str, int] = field(default_factory=dict)
    images: Json = field(
        default_factory=dict
    )  # bake/evidence/images.json: `slimbake prove --images`
    # bake/evidence/sizes.json: `slimbake sizes --record`
    sizes: Json = field(default_factory=dict)
    limits: Json = field(
        default_factory=dict
    )  # bake/evidence/limits.json: `slimbake limits --record`
    parity: Json = field(
        default_factory=dict
    )  # bake/evidence/parity.json: `slimbake parity --evidence`
    bake: Json = field(default_factory=dict)  # bench/results/bake.json: bench/bake.py
    prune: Json = field(default_factory=dict)  # bench/results/prune.json: bench/prune.py
    serving: Json = field(default_factory=dict)  # bench/results/serving.json: bench/serving.py
    levels: Json = field(default_factory=dict)  # bench/results/levels.json: bench/levels.py
    cold: Json = field(default_factory=dict)  # bench/results/cold.json: bench/cold.py
    # bench/results/controls.json: `slimbake prove --control --json`
    controls: Sequence[Json] = ()
    cast: str = ""  # bench/results/bake.cast: bench/record.py


def read(root: Path) -> Inputs:
    """What lies in a repository. Raises ManifestError for its manifest, ValueError for a file that
    is no JSON.
    """
    project = load(root / MANIFEST)
    services, locked = project.fleet.services, locked_pins(project.fleet, project.locks)
    pins = [pin for found in locked.values() for pin in found]
    return Inputs(
        writeup=_json(WRITEUP),
        passes=project.evidence.catalogue,
        services=tuple(service.name for service in services),
        bases={service.name: service.base.name for service in services if service.base},
        verified=frozenset(service.name for service in services if service.verify),
        layers=tuple(Layer(each.question, each.evidence) for each in project.evidence.answers),
        wheels={
            pin.name: size for pin in pins if len(pin.wheels) == 1 and (size := pin.wheels[0].bytes)
        },
        images=_json(root / EVIDENCE / "images.json"),
        sizes=_json(root / EVIDENCE / "sizes.json"),
        limits=_json(root / EVIDENCE / "limits.json"),
        parity=_json(root / EVIDENCE / "parity.json"),
        bake=_json(root / RESULTS / "bake.json"),
        prune=_json(root / RESULTS / "prune.json"),
        serving=_json(root / RESULTS / "serving.json"),
        levels=_json(root / RESULTS / "levels.json"),
        cold=_json(root / RESULTS / "cold.json"),
        controls=_list(root / RESULTS / "controls.json"),
        cast=_text(root / RESULTS / "bake.cast"),
    )


def _json(file: Path) -> Json:
    return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else {}


def _list(file: Path) -> Sequence[Json]:
    return tuple(json.loads(_text(file) or "[]"))


def _text(file: Path) -> str:
    return file.read_text("utf-8") if file.is_file() else ""
