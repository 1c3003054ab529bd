"""Collects requirements in the order in which they are read, each once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from slimbake.config.model import (
    Constraint,
    ForPython,
    Hashed,
    IndexLine,
    LocalPackage,
    Requirements,
    once,
)


@dataclass(slots=True)
class Collected:
    """What was read so far."""

    file: str = ""  # that lists what no file that it includes does; "": the manifest
    specs: dict[str, None] = field(default_factory=dict)
    packages: dict[LocalPackage, None] = field(default_factory=dict)
    files: dict[str, None] = field(default_factory=dict)
    extras: dict[str, dict[str, None]] = field(default_factory=dict)
    constraints: dict[Constraint, None] = field(default_factory=dict)
    hashes: dict[Hashed, None] = field(default_factory=dict)
    indexes: dict[IndexLine, None] = field(default_factory=dict)
    prereleases: dict[str, None] = field(default_factory=dict)
    by_file: list[tuple[str, ...]] = field(default_factory=list)
    pythons: dict[ForPython, None] = field(default_factory=dict)
    overrides: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.file:
            self.files[self.file] = None

    def add(self, other: Requirements) -> None:
        """Everything of another list, after what is there."""
        self.specs.update(dict.fromkeys(other.specs))
        self.packages.update(dict.fromkeys(other.packages))
        self.files.update(dict.fromkeys(other.files))
        for name, extras in other.extras:
            self.extras.setdefault(name, {}).update(dict.fromkeys(extras))
        self.constrain(other.constraints)
        self.hashes.update(dict.fromkeys(other.hashes))
        self.indexes.update(dict.fromkeys(other.indexes))
        self.prereleases.update(dict.fromkeys(other.prereleases))
        self.by_file += other.by_file
        self.pythons.update(dict.fromkeys(other.pythons))
        self.overrides.update(dict.fromkeys(other.overrides))

    def constrain(self, constraints: Iterable[Constraint]) -> None:
        """Versions that packages have, wherever they come from."""
        self.constraints.update(dict.fromkeys(constraints))

    def value(self) -> Requirements:
        """All of it."""
        return Requirements(
            once(tuple(self.specs)),
            tuple(self.packages),
            tuple(self.files),
            tuple((name, tuple(extras)) for name, extras in self.extras.items()),
            tuple(self.constraints),
            tuple(self.hashes),
            tuple(self.indexes),
            tuple(self.prereleases),
            tuple(self.by_file),
            tuple(self.pythons),
            tuple(self.overrides),
        )
