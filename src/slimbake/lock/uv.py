"""The one module that starts uv on this machine: to resolve requirements, and to find where a wheel
can be had.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from uv import find_uv_bin

from slimbake.errors import SetupError, SlimbakeError
from slimbake.fleet.model import Layer
from slimbake.host import process
from slimbake.host.machine import Machine
from slimbake.lock.answers import Located, Needed, parse_compiled, parse_pylock
from slimbake.lock.model import Family, Pin, Wheel
from slimbake.lock.offers import chosen, offers
from slimbake.lock.platforms import fit, uv_platform


class NoSolution(SlimbakeError):
    """uv found that requirements contradict each other; the message is its own explanation."""


class Uv:
    """`uv pip compile` for one family on one platform."""

    def __init__(
        self, family: Family, root: Path, python: str, platform: str, machine: Machine, work: Path
    ) -> None:
        self._root, self._python, self._platform = root, python, platform
        self._family, self._machine, self._work = family, machine, work
        names = {
            canonicalize_name(Requirement(spec).name)
            for layer in family.layers
            for spec in layer.asks.specs
        }
        self._torch = chosen(offers(machine, names), python, platform, family)
        self.warnings: set[str] = set()

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
        self._compile(asked, output, ["--annotation-style", "line", *words])
        return tuple(each for each in parse_compiled(output.read_text()) if each.name not in own)

    def locate(self, pins: Iterable[tuple[str, str]], name: str) -> dict[str, tuple[Located, ...]]:
        """The wheels of each of these packages (name, version) for the platform, by the package's
        name; best first.

        Raises SetupError.
        """
        asked, output = self._work / f"{name}.in", self._work / f"pylock.{name}.toml"
        asked.write_text("".join(f"{package}=={version}\n" for package, version in pins))
        self._compile([asked], output, ["--no-deps", "--format", "pylock.toml"])
        found = parse_pylock(output.read_text())
        return {
            package: tuple(map(_weighed, sorted(wheels, key=self._fit)))
            for package, wheels in found.items()
        }

    def _fit(self, found: Located) -> tuple[int, str]:
        place = fit(found.wheel.file, self._python, self._platform)
        return (sys.maxsize if place is None else place, found.wheel.file)

    def _compile(self, asked: Sequence[Path], output: Path, words: Sequence[str]) -> None:
        if fixed := (*self._torch.constraints, *self._family.constraints):
            constraints = self._work / "constraints.txt"
            constraints.write_text("".join(f"{line}\n" for line in fixed))
            words = [*words, "--constraints", str(constraints)]
        if self._machine.packages.no_index:
            words = [*words, "--no-index"]  # uv knows no variable for it
        elsewhere = self._family.torch and not self._torch.found
        done = process.run(
            [
                find_uv_bin(),
                "pip",
                "compile",
                *asked,
                "--output-file",
                output,
                "--python",
                sys.executable,
                "--python-version",
                self._python,
                "--python-platform",
                uv_platform(self._platform),
                "--only-binary",
                ":all:",
                "--no-header",
                "--no-emit-index-url",
                "--no-emit-find-links",
                *(("--torch-backend", self._family.torch) if elsewhere else ()),
                *words,
            ],
            env=settings(self._machine, self._torch.indexes),
        )
        self.warnings.update(re.findall(r"^warning: (.*yanked.*)$", done.stderr, re.MULTILINE))
        if not done.ok:
            raise _explained(done.stderr.strip(), self._family.torch if elsewhere else "")


def _explained(text: str, torch: str) -> SlimbakeError:
    """`torch`: the build that PyTorch's own index was asked for."""
    if "No solution found" in text:
        return NoSolution(text)
    return SetupError(
        f"uv could not resolve the requirements\n{text}",
        (
            f"PyTorch's own index was asked for +{torch}, of which no index of this machine has a"
            f" wheel; a mirror is named as any index is: UV_INDEX=https://HOST/{torch}"
            if torch and f"/{torch}/" in text
            else "`slimbake doctor` shows the indexes that this machine uses"
        ),
    )


def _weighed(found: Located) -> Located:
    """With its bytes, which uv does not say of a file in a folder."""
    if not found.local:
        return found
    size = Path(unquote(urlsplit(found.url).path)).stat().st_size
    return Located(Wheel(found.wheel.file, size, found.wheel.sha256), found.url)


def settings(machine: Machine, first: Sequence[str] = ()) -> dict[str, str]:
    """The machine's package settings, as uv's variables; `first`: of its indexes, those that come
    before the others.

    uv takes a package from the first index that has it at all, and asks the default one last.
    """
    packages = machine.packages
    variables = {
        "UV_DEFAULT_INDEX": packages.index_url,
        "UV_INDEX": " ".join(dict.fromkeys((*first, *packages.extra_index_urls))),
        "UV_FIND_LINKS": ",".join(packages.find_links),
        "SSL_CERT_FILE": str(machine.ca_bundle or ""),
    }
    return {name: value for name, value in variables.items() if value}


def exact(pins: Iterable[Pin]) -> dict[str, str]:
    """Name -> version."""
    return {pin.name: pin.version for pin in pins}
