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


_ENDED = {"time": "not known: it ran out of time", "memory": "not known: it ran out of memory"}
AGAIN = (
    "try again on an idle machine; a smoke that waits or grows when something is missing has to"
    " raise instead"
)


@dataclass(frozen=True, slots=True)
class Caught:
    """What a smoke made of a control."""

    service: str
    control: Control
    level: str  # at which it failed; "" = it did not, and is too weak

    @property
    def held(self) -> bool:
        """Whether the smoke noticed."""
        return self.level != "" and not self.undecided

    @property
    def undecided(self) -> bool:
        """Whether its trial was ended before the smoke said anything: that may be the machine's
        fault.
        """
        return self.level in _ENDED

    @property
    def words(self) -> str:
        """The level at which it was caught, or that it was not."""
        return _ENDED.get(self.level, self.level) or "NOT caught"

    @property
    def advice(self) -> str:
        """What fixes it; "" where it was caught."""
        return "" if self.held else AGAIN if self.undecided else self.control.advice


@dataclass(frozen=True, slots=True)
class Compared:
    """What the evidence says, and what was found now."""

    layer: str
    name: str
    differs: str  # "" = it is what was found again
