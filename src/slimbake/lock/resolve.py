"""Calls uv to resolve families. The one module that starts uv on this machine."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version
from uv import find_uv_bin

from slimbake import process
from slimbake.errors import MANIFEST, SetupError, SlimbakeError
from slimbake.lock.model import Family, Layer, Pin, parse_pins
from slimbake.machine import Machine

GLIBC = "x86_64-manylinux_2_40"  # of the runtime's Debian, 13


class ResolutionError(SlimbakeError):
    """The requirements of a family contradict each other; carries uv's own explanation."""

    exit_code = MANIFEST


def resolve(
    family: Family, root: Path, python: str, machine: Machine, known: Sequence[Pin]
) -> dict[str, tuple[Pin, ...]]:
    """Resolve a family once and cut the result by ownership: the name of each layer -> the pins that it adds.

    `known`: pins of an earlier lock, kept where they still fit. Raises ResolutionError and SetupError.
    """
    wheels = folder_wheels(machine.packages.find_links_folders, python, family)
    with tempfile.TemporaryDirectory(prefix="slimbake-lock-") as scratch:
        work = Path(scratch)
        whole = work / "family.txt"
        whole.write_text("".join(f"{pin.name}=={pin.version}\n" for pin in known))
        compile_ = _Compiler(root, python, machine, family, wheels, work)
        pins = {pin.name: pin for pin in compile_(family.layers, whole)}
        whole.write_text("".join(f"{pin.name}=={pin.version}\n" for pin in pins.values()))

        def names(layer: Layer) -> frozenset[str]:
            if len(family.layers) == 1:
                return frozenset(pins)
            output = work / f"{layer.name}.txt"
            output.write_text(whole.read_text())
            return frozenset(pin.name for pin in compile_(family.closure(layer.name), output))

        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            closures = dict(zip((layer.name for layer in family.layers), pool.map(names, family.layers), strict=True))
    owned: dict[str, tuple[Pin, ...]] = {}
    for layer in family.layers:
        below = frozenset().union(*(closures[parent.name] for parent in family.closure(layer.name)[:-1]))
        owned[layer.name] = tuple(sorted(pins[name] for name in closures[layer.name] - below))
    return owned


class _Compiler:
    """`uv pip compile` with everything but the requirements fixed."""

    def __init__(
        self, root: Path, python: str, machine: Machine, family: Family, wheels: dict[str, str], work: Path
    ) -> None:
        self._root, self._python, self._machine = root, python, machine
        self._family, self._wheels, self._work = family, wheels, work

    def __call__(self, layers: Sequence[Layer], output: Path) -> tuple[Pin, ...]:
        requirements = output.with_suffix(".in")
        local = sorted({package for layer in layers for package in layer.packages}, key=lambda package: package.name)
        requirements.write_text(
            "".join(f"{spec}\n" for layer in layers for spec in layer.specs)
            + "".join(f"{package.name} @ {(self._root / package.path).as_uri()}\n" for package in local)
        )
        constraints = output.with_suffix(".constraints")
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in self._wheels.items()))
        elsewhere = self._family.torch and "torch" not in self._wheels
        done = process.run(
            [
                find_uv_bin(), "pip", "compile", requirements, "--output-file", output, "--constraints", constraints,
                "--python-version", self._python, "--python-platform", GLIBC, "--only-binary", ":all:",
                "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links",
                *itertools.chain(*(("--no-binary", p.name, "--no-emit-package", p.name) for p in local)),
                *(("--torch-backend", self._family.torch) if elsewhere else ()),
                *(() if self._family.dependencies else ("--no-deps",)),
            ],
            env=settings(self._machine),
        )  # fmt: skip
        if not done.ok:
            raise _explained(done.stderr, layers)
        return parse_pins(output.read_text(), self._wheels.items())


def _explained(stderr: str, layers: Sequence[Layer]) -> SlimbakeError:
    text = stderr.strip()
    if "No solution found" in text:
        asked = "\n".join(f"{layer.name} asks for: {', '.join(layer.specs)}" for layer in layers if layer.specs)
        return ResolutionError(f"the requirements of this family have no solution together\n{text}", asked)
    return SetupError(
        f"uv could not resolve the requirements\n{text}",
        "`slimbake doctor` shows the indexes that this machine uses",
    )


def settings(machine: Machine) -> dict[str, str]:
    """The machine's package settings, as uv's variables."""
    packages = machine.packages
    variables = {
        "UV_DEFAULT_INDEX": packages.index_url,
        "UV_INDEX": " ".join(packages.extra_index_urls),
        "UV_FIND_LINKS": " ".join(packages.find_links),
        "UV_NO_INDEX": "1" if packages.no_index else "",
        "SSL_CERT_FILE": str(machine.ca_bundle or ""),
    }
    return {name: value for name, value in variables.items() if value}


def folder_wheels(folders: Iterable[Path], python: str, family: Family) -> dict[str, str]:
    """The newest wheel of each package in this machine's folders that is built for the family's kind of torch.

    An index sorts `2.13.0+cpu` before nothing: without this constraint the resolver takes the CUDA build from PyPI.
    """
    if not family.torch:
        return {}
    tags = _tags(python)
    wanted = {canonicalize_name(r.name): r for layer in family.layers for r in map(Requirement, layer.specs)}
    newest: dict[str, Version] = {}
    for path in sorted(file for folder in folders if folder.is_dir() for file in folder.glob("*.whl")):
        try:
            name, version, _, wheel_tags = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            continue
        fits = version.local == family.torch and not tags.isdisjoint(wheel_tags)
        if fits and name in wanted and wanted[name].specifier.contains(version, prereleases=True):
            newest[name] = max(version, newest.get(name, version))
    return {name: str(version) for name, version in newest.items()}


def _tags(python: str) -> frozenset[Tag]:
    major, minor = (int(part) for part in python.split("."))
    platforms = [
        *(f"manylinux_2_{glibc}_x86_64" for glibc in range(5, 41)),
        "manylinux2014_x86_64",
        "linux_x86_64",
    ]
    return frozenset(
        (
            *cpython_tags((major, minor), platforms=platforms),
            *compatible_tags((major, minor), platforms=platforms),
        )
    )
