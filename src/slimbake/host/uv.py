"""The only module that starts uv: it resolves requirements and locates wheels."""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
import sysconfig
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from uv import find_uv_bin

from slimbake.errors import SetupError, SlimbakeError
from slimbake.host import kernel, process
from slimbake.host.machine import Machine
from slimbake.host.sources import Source, parse_sources
from slimbake.host.wheels import Located, file_path, fit, is_file, parse_pylock, uv_platform


class NoSolution(SlimbakeError):
    """uv found that requirements contradict each other; the message is its own explanation."""


class Found(NamedTuple):
    """What there is of some packages, by name."""

    wheels: dict[str, tuple[Located, ...]]
    sources: dict[str, Source]


# What uv says of a package that it may not build, and which has no wheel that serves.
_LACKING = r"(?:Wheels are (?:required|available)|Building source distributions) for `([a-z0-9-]+)`"
# Its index answers 403 for each package that it has not, as others do to an account that they refuse.
_PYTORCH = "https://download.pytorch.org/"
_REFUSED = re.compile(
    r"An index(?: URL)? \((?P<address>[^)]+)\) (?:could not be queried due to a lack of valid"
    r" authentication credentials|returned an?) \(?(?P<status>40[137] \w+(?: required)?)"
)
# uv is found by them: filled by two threads at once, Python 3.11 gives one of them half of it.
sysconfig.get_config_vars()
_LONG_LINE = 8000  # characters of what uv says that are kept
_LONGEST = 3600.0  # seconds: a slow index ends, and so does a build for what sources depend on
# What an index sends, uv keeps in memory and in its cache. It takes 0.3 GB for a lock of 200 packages.
_LIMITS = {kernel.DATA: 4 << 30, kernel.FILE_SIZE: 4 << 30}  # bytes
_GIT = re.compile(r"failed to (?:clone|fetch) into|Git operation failed")


class PipCompile:
    """`uv pip compile` for one Python on one platform, with this machine's package settings."""

    def __init__(
        self,
        machine: Machine,
        python: str,
        platform: str,
        work: Path,
        *,
        sources: Collection[str] = (),
        prereleases: bool = False,
        torch: str = "",
    ) -> None:
        """`work`: a folder for what uv reads and writes; `sources`: the packages that are built from
        sources, to which uv's calls add those that have no wheel; `prereleases`: whether to allow
        them; `torch`: the build to ask PyTorch's own index for, "" to leave that index out.
        """
        self._machine, self._python, self._platform = machine, python, platform
        self._work = work
        self.constraints: Sequence[str] = ()
        self._torch = torch
        self._prereleases = prereleases
        # setuptools (65 and later) writes what it knows of a project to the project's own folder.
        self._setuptools = work / "setuptools.cfg"
        self._setuptools.write_text(f"[egg_info]\negg_base = {work}\n")
        self.sources = {*sources}
        self.warnings: set[str] = set()

    def compile(
        self,
        files: Sequence[Path],
        output: Path,
        options: Sequence[str],
        constraints: Sequence[str] = (),
    ) -> None:
        """Resolve the requirements files into `output`; `options` are further arguments.

        Adds uv's warnings of yanked packages to `warnings`, and to `sources` what has no wheel where
        its sources serve. Raises NoSolution and SetupError.
        """
        try:
            self._compile(files, output, options, constraints)
        except NoSolution as error:
            lacking = {*re.findall(_LACKING, str(error))} - self.sources
            if not lacking:
                raise
            self.sources |= lacking
            try:
                self.compile(files, output, options, constraints)
            except NoSolution as other:
                self.sources -= lacking
                if any(name in str(other) for name in lacking):  # there are no sources either
                    raise error from None
                raise

    def _compile(
        self, files: Sequence[Path], output: Path, options: Sequence[str], more: Sequence[str]
    ) -> None:
        done = process.execute(
            [
                find_uv_bin(),
                "pip",
                "compile",
                *files,
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
                "--no-sources",  # what a project says of them, the manifest's reader has read
                "--no-header",
                "--no-emit-index-url",
                "--no-emit-find-links",
                *options,
                *self._options(output, more),
            ],
            env={
                **_settings(self._machine),
                "DIST_EXTRA_CONFIG": str(self._setuptools),
            },
            timeout=_LONGEST,
            limits=_LIMITS,
        )
        self.warnings.update(re.findall(r"^warning: (.*yanked.*)$", done.stderr, re.MULTILINE))
        if done.code < 0:
            raise SetupError(
                f"uv was ended by signal {-done.code}\n{done.last_lines(2)}",
                "it may use 4 GiB of memory, and 4 GiB for a file: an index that sends more is broken."
                " `slimbake doctor` shows the indexes that this machine uses",
            )
        if not done.ok:
            # An index may give a reason of megabytes.
            said = [line[:_LONG_LINE] for line in done.stderr.strip().split("\n")]
            raise _failure("\n".join(said), self._torch)

    def _options(self, output: Path, constraints: Sequence[str]) -> list[str]:
        """The options of uv that say what may be chosen, and from where. Constraints are written
        beside the output.
        """
        options = []
        lines = (*self.constraints, *constraints)
        if lines:
            path = output.with_suffix(".constraints")
            path.write_text("".join(f"{line}\n" for line in lines))
            options += ["--constraints", str(path)]
        for source in sorted(self.sources):
            options += ["--no-binary", source]
        if self._prereleases:
            options += ["--prerelease", "allow"]
        if self._machine.packages.no_index:
            options.append("--no-index")  # uv knows no variable for it
        if self._torch:
            options += ["--torch-backend", self._torch]
        for name, age in self._machine.packages.ages:
            options.append(
                f"--exclude-newer-package={name}={age}" if name else f"--exclude-newer={age}"
            )
        return options

    def locate(self, pins: Iterable[tuple[str, str]], name: str) -> Found:
        """The wheels of each of these packages (name, version) for the platform, by the package's
        name; best first. In place of a version there may be an address. Of what has no wheel, the
        sources.

        `name`: of the files in the work folder. Raises NoSolution and SetupError.
        """
        path, output = self._work / f"{name}.in", self._work / f"pylock.{name}.toml"
        path.write_text("".join(f"{exactly(*pin)}\n" for pin in pins))
        self.compile([path], output, ["--no-deps", "--format", "pylock.toml"])
        text = output.read_text()
        wheels = {}
        for package, listed in parse_pylock(text).items():
            for wheel in listed:
                self._refuse_foreign(wheel.url)
            wheels[package] = tuple(map(_weighed, sorted(listed, key=self._fit)))
        sources = parse_sources(text)
        for source in sources.values():
            self._refuse_foreign(source.found)
        return Found(wheels, sources)

    def _refuse_foreign(self, url: str) -> None:
        """Raise SetupError for a file of this machine that no setting of this machine names: then an
        index does.
        """
        if not is_file(url):
            return
        path = file_path(url)
        packages = self._machine.packages
        folders = [str(folder) for folder in packages.find_links_folders]
        indexes = (packages.index_url, *packages.extra_index_urls)
        folders += [file_path(index) for index in indexes if is_file(index)]
        for form in (os.path.normpath, os.path.realpath):
            for folder in folders:
                if Path(form(path)).is_relative_to(form(folder)):
                    return
        raise SetupError(
            f"an index names a file of this machine, {path}, which slimbake does not read",
            "if it is yours: name its folder in UV_FIND_LINKS, or in pip's find-links",
        )

    def _fit(self, located: Located) -> tuple[int, str]:
        place = fit(located.wheel.file, self._python, self._platform)
        return (sys.maxsize if place is None else place, located.wheel.file)


def exactly(package: str, version: str) -> str:
    """A requirement of one version, or of what is at an address."""
    if "://" in version:
        return f"{package} @ {version}"
    return f"{package}=={version}"


def uv_version() -> str:
    """The version of that uv."""
    return importlib.metadata.version("uv")


def _failure(text: str, torch: str) -> SlimbakeError:
    """`torch`: the build that PyTorch's own index was asked for."""
    if unbuilt := _unbuilt(text):
        return unbuilt
    for refused in _REFUSED.finditer(" ".join(text.split())):
        address = refused["address"]
        if address.startswith(_PYTORCH):
            continue
        return SetupError(
            f"the index {address} refuses this machine: {refused['status']}",
            "check its user and password: in the index's address, ~/.netrc or uv's and pip's"
            " settings. `slimbake doctor` shows the indexes that this machine uses",
        )
    if "No solution found" in text or re.search(_LACKING, text):
        return NoSolution(text)
    hint = "`slimbake doctor` shows the indexes that this machine uses"
    if torch and f"/{torch}/" in text:
        hint = (
            f"PyTorch's own index was asked for +{torch}, of which no index of this machine has a"
            f" wheel; a mirror is named as any index is: UV_INDEX=https://HOST/{torch}"
        )
    return SetupError(f"uv could not resolve the requirements\n{text}", hint)


def _unbuilt(text: str) -> SetupError | None:
    """The error for sources of which uv could not learn what they depend on; None for others."""
    flat = " ".join(text.split())
    named = re.search(r"Failed to \w+(?: and \w+)? `([^`]+)`", flat)
    package = named[1] if named else "a package"
    if _GIT.search(flat):
        reason = [line.strip() for line in text.splitlines() if "fatal:" in line]
        return SetupError(
            f"the Git source of {package} cannot be had\n" + "\n".join(reason[:2]),
            "`git ls-remote` of that address shows whether this machine reaches it, and which"
            " revisions it has",
        )
    if named and re.search(r"build backend|Failed to build|requirements from `", flat):
        return SetupError(
            f"the sources of {package} do not say what they depend on, and their build failed here\n"
            + "\n".join(text.splitlines()[-12:]),
            "they have to build on this machine once, for their metadata: install what the log"
            " names, or require a version that has a wheel",
        )
    return None


def _weighed(located: Located) -> Located:
    """With its bytes, which uv does not say of a file in a folder."""
    if not located.local:
        return located
    size = Path(file_path(located.url)).stat().st_size
    return replace(located, wheel=replace(located.wheel, bytes=size))


def _settings(machine: Machine) -> dict[str, str]:
    """The machine's package settings, as uv's variables.

    uv takes a package from the first index that has it at all, and asks the default one last.
    """
    packages = machine.packages
    variables = {
        "UV_DEFAULT_INDEX": packages.index_url,
        "UV_INDEX": " ".join(packages.extra_index_urls),
        "UV_FIND_LINKS": ",".join(packages.find_links),
        "SSL_CERT_FILE": str(machine.ca_bundle or ""),
    }
    settings = {name: value for name, value in variables.items() if value}
    # Without further indexes, none of the user's environment counts.
    return {**settings, "UV_INDEX": variables["UV_INDEX"], "UV_EXTRA_INDEX_URL": ""}
