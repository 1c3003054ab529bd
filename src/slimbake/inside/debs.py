"""Pins and downloads Debian packages; runs in the external Python image.

    python3.11 /make.pyz lock-debs /out/lock.txt amd64,arm64 libpq5
    python3.11 /make.pyz fetch-debs /debs

A lock has a line for each package: name, version, architecture, file, bytes and SHA-256, as apt
reads them from signed indexes. It lists all dependencies, whatever the image has already: another
image has other packages, and the lock is for all. slimbake reads locks with this module, too.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .lines import lines_of
from .step import INSIDE, StepError, hashed

LOCK = INSIDE / "lock.txt"
_ERRORS = 4  # lines of a failed command that are shown
UNKNOWN = "unknown.json"  # name -> the packages that may be meant


class Deb(NamedTuple):
    """One line of a lock."""

    name: str
    version: str
    arch: str
    file: str
    size: int
    sha256: str


def apt(*command: str, folder: Path | None = None) -> str:
    """The output of a command of apt or dpkg. Raises StepError with its errors where it fails."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
            cwd=folder,
        )
    except FileNotFoundError:
        raise StepError(
            f"system: the Python image has no {command[0]}: name one of Debian or Ubuntu in"
            " `externals: {python: {image: ...}}`"
        ) from None
    if done.returncode:
        lines = done.stderr.splitlines()
        # A script of a package says first what went wrong, then dpkg that it failed, and apt last.
        errors = [line for line in lines if line.startswith("E: ") or ": error" in line]
        shown = "\n  ".join((errors or lines)[:_ERRORS])
        raise StepError(f"system: {' '.join(command[:2])} failed: {shown}")
    return done.stdout


def _architecture(arch: str) -> tuple[str, ...]:
    return ("-o", f"APT::Architecture={arch}", "-o", f"APT::Architectures::={arch}")


def _unknown(names: Sequence[str], of: Sequence[str]) -> dict[str, list[str]]:
    """Of those that cannot be installed, what may be meant: of a virtual package, what provides it.
    apt takes the only package that provides a name for that one, as after a rename.
    """
    policy = apt("apt-cache", *of, "policy", *names)
    candidates = dict(re.findall(r"^(\S+):\n.*\n  Candidate: (.+)$", policy, re.MULTILINE))
    unknown: dict[str, list[str]] = {}
    for name in sorted({*names}):
        if candidates.get(name, "(none)") != "(none)":
            continue
        providers = _providers(name, of) if name in candidates else []
        if len(providers) == 1:
            continue
        unknown[name] = providers[:6] or _similar(name, of)
    return unknown


def _providers(name: str, of: Sequence[str]) -> list[str]:
    """The packages that provide a virtual one."""
    shown = apt("apt-cache", *of, "showpkg", name)
    _, _, listed = shown.partition("Reverse Provides:")
    return sorted({line.split()[0] for line in listed.splitlines() if line.strip()})


def _similar(name: str, of: Sequence[str]) -> list[str]:
    """The packages whose names are most like this one."""
    packages = sorted(apt("apt-cache", *of, "pkgnames").splitlines())
    return difflib.get_close_matches(name, [other for other in packages if other[:2] == name[:2]])


def resolve_debs(names: Sequence[str], of: Sequence[str]) -> list[Deb]:
    """The packages and all that they depend on, for one architecture. Raises StepError."""
    with tempfile.NamedTemporaryFile() as nothing:  # as if nothing were installed
        status = f"Dir::State::status={nothing.name}"
        options = ("--simulate", "--no-install-recommends", "-o", status)
        simulated = apt("apt-get", *of, *options, "install", *names)
    installs = re.findall(r"^Inst (\S+) \((\S+) ", simulated, re.MULTILINE)
    shown = apt("apt-cache", *of, "show", *(f"{name}={version}" for name, version in installs))
    debs = {}
    for paragraph in shown.strip().split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", paragraph, re.MULTILINE))
        name, version, arch = fields["Package"], fields["Version"], fields["Architecture"]
        file = f"{name}_{version.replace(':', '%3a')}_{arch}.deb"
        debs[name, version] = Deb(name, version, arch, file, int(fields["Size"]), fields["SHA256"])
    return [debs[name.partition(":")[0], version] for name, version in installs]


def format_debs(debs: Sequence[Deb]) -> str:
    """The lines of a lock."""
    return "".join(f"{' '.join(map(str, deb))}\n" for deb in sorted(set(debs)))


def parse_debs(lock: str) -> list[Deb]:
    """The packages of a lock, of every architecture."""
    debs = []
    for line in lines_of(lock):
        if line and not line.startswith("#"):
            name, version, arch, file, size, sha256 = line.split()
            debs.append(Deb(name, version, arch, file, int(size), sha256))
    return debs


def debs_of(lock: Path, arch: str = "") -> list[Deb]:
    """The packages of a lock for one architecture, by default this machine's."""
    here = {"all", arch or apt("dpkg", "--print-architecture").strip()}
    return [deb for deb in parse_debs(lock.read_text()) if deb.arch in here]


def download_debs(debs: Sequence[Deb], target: Path, arch: str = "") -> None:
    """Download the packages into `target`. Raises StepError for one that is not the locked one."""
    target.mkdir(parents=True, exist_ok=True)
    of = _architecture(arch) if arch else ()
    user = ("-o", "APT::Sandbox::User=root")  # the user who may write here
    apt("apt-get", *of, "update", "--error-on=any")
    pins = (f"{deb.name}={deb.version}" for deb in debs)
    apt("apt-get", *of, *user, "download", *pins, folder=target)
    by_hash = {deb.sha256: deb for deb in debs}
    for path in target.glob("*.deb"):
        deb = by_hash.pop(hashed(path), None)
        if deb is None:
            raise StepError(
                f"system: {path.name} is not what the lock names: `slimbake lock --upgrade`"
            )
        path.rename(target / deb.file)


def verify_debs(debs: Sequence[Deb], folder: Path) -> list[Path]:
    """The files of the packages. Raises StepError for one that is not what the lock names."""
    paths = [folder / deb.file for deb in debs]
    for deb, path in zip(debs, paths, strict=True):
        digest = hashed(path) if path.is_file() else "nothing"
        if digest != deb.sha256:
            raise StepError(f"system: {deb.file} has sha256 {digest}, the lock {deb.sha256}")
    return paths


def lock_debs(arguments: Sequence[str]) -> None:
    """The program `lock-debs OUT ARCH,... PACKAGE ...`. Beside OUT, UNKNOWN says which packages
    Debian does not have: these are faults of a manifest, and of no build.
    """
    out, architectures, *packages = arguments
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    unknown: dict[str, list[str]] = {}
    locked: list[Deb] = []
    for of in map(_architecture, architectures.split(",")):
        apt("apt-get", *of, "update", "--error-on=any")
        missing = _unknown(packages, of)
        if not missing:
            locked += resolve_debs(packages, of)
        unknown = missing | unknown
    Path(out).write_text(format_debs(locked))
    Path(out).with_name(UNKNOWN).write_text(json.dumps(unknown))


def fetch_locked_debs(arguments: Sequence[str]) -> None:
    """The program `fetch-debs OUT [ARCH]`; ARCH is by default this machine's."""
    out = arguments[0]
    arch = arguments[1] if len(arguments) > 1 else ""
    download_debs(debs_of(LOCK, arch), Path(out), arch)
