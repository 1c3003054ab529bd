"""The only module that starts uv: it resolves requirements and locates wheels."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from uv import find_uv_bin

from slimbake.errors import SetupError, SlimbakeError
from slimbake.host import process
from slimbake.host.machine import Machine
from slimbake.host.wheels import Located, fit, parse_pylock, uv_platform


class NoSolution(SlimbakeError):
    """uv found that requirements contradict each other; the message is its own explanation."""


class PipCompile:
    """`uv pip compile` for one Python on one platform, with this machine's package settings."""

    def __init__(
        self,
        machine: Machine,
        python: str,
        platform: str,
        work: Path,
        *,
        constraints: Sequence[str] = (),
        indexes: Sequence[str] = (),
        torch: str = "",
    ) -> None:
        """`work`: a folder for what uv reads and writes; `indexes`: asked before the machine's own;
        `torch`: the build that PyTorch's own index is asked for, "" to leave it out.
        """
        self._machine, self._python, self._platform = machine, python, platform
        self._work, self._constraints, self._indexes = work, constraints, indexes
        self._torch = torch
        self.warnings: set[str] = set()

    def compile(self, asked: Sequence[Path], output: Path, words: Sequence[str]) -> None:
        """Resolve the requirements files into `output`; `words` are further arguments.

        Adds uv's warnings of yanked packages to `warnings`. Raises NoSolution and SetupError.
        """
        if self._constraints:
            constraints = self._work / "constraints.txt"
            constraints.write_text("".join(f"{line}\n" for line in self._constraints))
            words = [*words, "--constraints", str(constraints)]
        if self._machine.packages.no_index:
            words = [*words, "--no-index"]  # uv knows no variable for it
        done = process.execute(
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
                *(("--torch-backend", self._torch) if self._torch else ()),
                *words,
            ],
            env=_settings(self._machine, self._indexes),
        )
        self.warnings.update(re.findall(r"^warning: (.*yanked.*)$", done.stderr, re.MULTILINE))
        if not done.ok:
            raise _failure(done.stderr.strip(), self._torch)

    def locate(self, pins: Iterable[tuple[str, str]], name: str) -> dict[str, tuple[Located, ...]]:
        """The wheels of each of these packages (name, version) for the platform, by the package's
        name; best first.

        `name`: of the files in the work folder. Raises NoSolution and SetupError.
        """
        asked, output = self._work / f"{name}.in", self._work / f"pylock.{name}.toml"
        asked.write_text("".join(f"{package}=={version}\n" for package, version in pins))
        self.compile([asked], output, ["--no-deps", "--format", "pylock.toml"])
        return {
            package: tuple(map(_weighed, sorted(wheels, key=self._fit)))
            for package, wheels in parse_pylock(output.read_text()).items()
        }

    def _fit(self, found: Located) -> tuple[int, str]:
        place = fit(found.wheel.file, self._python, self._platform)
        return (sys.maxsize if place is None else place, found.wheel.file)


def uv_program() -> Path:
    """The uv that slimbake depends on, and so has."""
    return Path(find_uv_bin())


def uv_version() -> str:
    """The version of that uv."""
    return importlib.metadata.version("uv")


def _failure(text: str, torch: str) -> SlimbakeError:
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
    return replace(found, wheel=replace(found.wheel, bytes=size))


def _settings(machine: Machine, first: Sequence[str]) -> dict[str, str]:
    """The machine's package settings, as uv's variables; `first`: indexes that come before its own.

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
