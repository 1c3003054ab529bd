"""Builds of torch that are chosen where nobody requires torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from slimbake.config.document import KeyPath
from slimbake.config.model import Base, Manifest, Requirements, Service
from slimbake.config.report import ProblemReport
from slimbake.config.specs import name_of


def without_torch(manifest: Manifest, report: ProblemReport) -> None:
    """Report a base, service or variant that chooses a build of torch and does not ask for torch.

    A variant may leave it to what it stands on.
    """
    bases = {base.name: base for base in manifest.bases}
    entries: tuple[Base | Service, ...] = (*manifest.bases, *manifest.services)
    for entry in entries:
        kind = "bases" if isinstance(entry, Base) else "services"
        path = (kind, entry.name)
        below = list(_below(entry, bases))
        if entry.torch and not requires_torch([entry.requirements]):
            _told((*path, "torch"), entry.torch, kind[:-1], report)
        for variant in entry.variants:
            if variant.torch and not requires_torch(
                [*below, entry.requirements, variant.requirements]
            ):
                _told((*path, "variants", variant.name, "torch"), variant.torch, kind[:-1], report)


def _below(entry: Base | Service, bases: dict[str, Base]) -> Iterator[Requirements]:
    name = entry.extends if isinstance(entry, Base) else entry.base
    seen = set()  # a circle has been reported
    while name in bases and name not in seen:
        seen.add(name)
        yield bases[name].requirements
        name = bases[name].extends


def requires_torch(requirements: Iterable[Requirements]) -> bool:
    """Whether torch is asked for by its name."""
    return any(name_of(spec) == "torch" for each in requirements for spec in each.specs)


def _told(path: KeyPath, build: str, kind: str, report: ProblemReport) -> None:
    message = f"'{build}' chooses a build of torch, and torch is none of this {kind}'s requirements"
    report.value(path, message, "add torch to its requirements, or remove this key")
