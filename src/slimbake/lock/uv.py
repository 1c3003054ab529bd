"""Asks uv for what the layers of a family need, with wheels of the torch that the family is for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from slimbake.fleet.model import Layer
from slimbake.host.machine import Machine
from slimbake.host.uv import PipCompile
from slimbake.lock.answers import Needed, parse_compiled
from slimbake.lock.model import Family, Pin
from slimbake.lock.offers import chosen, offers


class Uv(PipCompile):
    """`uv pip compile` for one family on one platform."""

    def __init__(
        self, family: Family, root: Path, python: str, platform: str, machine: Machine, work: Path
    ) -> None:
        self._root, self._family = root, family
        names = {
            canonicalize_name(Requirement(spec).name)
            for layer in family.layers
            for spec in layer.asks.specs
        }
        torch = chosen(offers(machine, names), python, platform, family)
        super().__init__(
            machine,
            python,
            platform,
            work,
            constraints=(*torch.constraints, *family.constraints),
            indexes=torch.indexes,
            torch="" if torch.found else family.torch,
        )

    def resolve(
        self, layers: Sequence[Layer], known: Mapping[str, str], name: str
    ) -> tuple[Needed, ...]:
        """What these layers need together; `known`: versions that are kept where they still fit.

        Raises NoSolution and SetupError.
        """
        output = self._work / f"{name}.txt"
        output.write_text("".join(f"{package}=={version}\n" for package, version in known.items()))
        asked = []
        for layer in layers:
            asked.append(self._work / f"{name}.{layer.name}.in")
            local = (
                f"{package.name} @ {(self._root / package.path).as_uri()}"
                for package in layer.asks.packages
            )
            asked[-1].write_text("".join(f"{line}\n" for line in (*layer.asks.specs, *local)))
        own = {package.name for layer in layers for package in layer.asks.packages}
        words = [
            word
            for each in sorted(own)
            for word in ("--no-binary", each, "--no-emit-package", each)
        ]
        words += [] if self._family.dependencies else ["--no-deps"]
        self.compile(asked, output, ["--annotation-style", "line", *words])
        return tuple(each for each in parse_compiled(output.read_text()) if each.name not in own)


def exact(pins: Iterable[Pin]) -> dict[str, str]:
    """Name -> version."""
    return {pin.name: pin.version for pin in pins}
