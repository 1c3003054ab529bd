"""What is measured of each side: cold, sizes, no-op."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench import tables
from bench.setting import Setting, images
from bench.sides import Side
from bench.smokes import working
from bench.timed import say

from slimbake.host.workspace import Workspace
from slimbake.images.measure import IMAGES, measure_images
from slimbake.images.sizes import Measurement

Empty = Callable[[], None]


@dataclass(slots=True)
class Found:
    """The numbers of one side: seconds of each run, by phase; what was not run has none."""

    cold: list[float] = field(default_factory=list)
    noop: list[float] = field(default_factory=list)
    sizes: Measurement | None = None
    smokes: dict[str, bool] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Seconds and bytes; null where unmeasured."""
        return {
            "cold": {"median": tables.median(self.cold), "runs": self.cold},
            "noop": {"median": tables.median(self.noop), "runs": self.noop},
            "sizes": self.sizes.as_json() if self.sizes else None,
            "smokes": self.smokes,
        }


@dataclass(frozen=True, slots=True)
class Bench:
    """One benchmark: which services, how often, and how the engine is emptied (None: it may not
    be).
    """

    setting: Setting
    services: tuple[str, ...]
    cold_runs: int
    runs: int
    empty: Empty | None

    def measure(self, sides: tuple[Side, ...]) -> dict[str, Found]:
        """Measure every side. Cold bakes take turns; in the last turn the rest of a side follows
        its cold bake.
        """
        found = {side.name: Found() for side in sides}
        turns = self.cold_runs if self.empty else 1
        for turn in range(turns):
            for side in sides:
                self._first(side, found[side.name], turn)
                if turn == turns - 1:
                    self._rest(side, found[side.name])
        return found

    def _first(self, side: Side, found: Found, turn: int) -> None:
        if self.empty is None:
            say(f"{side.name}: first bake, not measured: the engine was not emptied")
            side.release(self.services)
            return
        say(f"{side.name}: emptying the engine")
        self.empty()
        Workspace(self.setting.root).path(f"{IMAGES}.json").unlink(missing_ok=True)
        say(f"{side.name}: cold bake {turn + 1} of {self.cold_runs}")
        found.cold.append(side.release(self.services))
        say(f"  {found.cold[-1]:.1f} s")

    def _rest(self, side: Side, found: Found) -> None:
        say(f"{side.name}: measuring the images")
        found.sizes = self._sizes(side)
        if not side.proves:
            found.smokes = working(self.setting, side.repository, self.services)
        # what the cold bake wrote would otherwise be on its way to the disk while others are timed
        os.sync()
        for number in range(self.runs):
            found.noop.append(side.release(self.services))
            say(f"{side.name}: no-op bake {number + 1} of {self.runs}: {found.noop[-1]:.2f} s")

    def _sizes(self, side: Side) -> Measurement:
        return measure_images(images(self.services, side.repository), Workspace(None))
