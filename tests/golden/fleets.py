"""Whole small fleets: each a folder with a manifest, what it names, and in `expected/` what is
generated from it.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from slimbake.plan.model import Plan
from slimbake.project import load
from slimbake.render import Generated
from slimbake.render.generated import laid_out, update

REPOSITORY = Path(__file__).parents[2]
CASES = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Fleet:
    """A golden case."""

    root: Path

    def __str__(self) -> str:
        return "the-eight" if self.root == REPOSITORY else self.root.name

    @property
    def plan(self) -> Plan:
        return load(self.root / "services.yaml").plan

    def files(self) -> tuple[Generated, ...]:
        return tuple(laid_out(self.plan, self.root))

    def written(self, folder: Path) -> Path:
        """A copy of this fleet with its files generated, in which buildx finds all that it looks
        for.
        """
        if self.root == REPOSITORY:
            return self.root
        root = folder / "fleet"
        shutil.copytree(self.root, root, ignore=shutil.ignore_patterns("expected"))
        update(self.files(), root)
        return root


FLEETS = (Fleet(REPOSITORY), *(Fleet(root) for root in sorted(CASES.iterdir())))
