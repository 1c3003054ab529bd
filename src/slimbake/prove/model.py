"""Controls and samples as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Damage:
    """Harm to a package, or to the files that an absolute glob names, for a control."""

    how: Literal["remove", "corrupt", "replace"]
    what: str


@dataclass(frozen=True, slots=True)
class Control:
    """One way to break an image, and what to add to a smoke that does not notice."""

    name: str
    damage: Damage
    advice: str


@dataclass(frozen=True, slots=True)
class Caught:
    """What a smoke made of a control."""

    service: str
    control: Control
    level: str  # at which it failed; "" = it did not, and is too weak

    @property
    def held(self) -> bool:
        return bool(self.level)


@dataclass(frozen=True, slots=True)
class Compared:
    """What the evidence says, and what was found now."""

    layer: str
    name: str
    differs: str  # "" = it is what was found again
