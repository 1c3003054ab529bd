"""Pins and downloads Debian packages; runs inside the external Python image, with the standard library only.

    python3.11 /inside/debs.py lock /out/lock.txt --arch amd64 --arch arm64 libpq5
    python3.11 /inside/debs.py download /debs

A lock has a line for each package: name, version, architecture, file, bytes and SHA-256, as apt knows them by signed
indexes. It holds all that the packages asked for depend on, whatever the image has already: another image has other
packages, and the lock is for all.
"""

import argparse
import difflib
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

LOCK = Path("/inside/debs.txt")


class Deb(NamedTuple):
    """One line of a lock."""

    name: str
    version: str
    arch: str
    file: str
    size: int
    sha256: str


def _run(command: tuple[str, ...], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)


def succeeds(*command: str) -> bool:
    """Whether one command of apt does."""
    return _run(command).returncode == 0


def apt(*command: str, folder: Path | None = None) -> str:
    """The output of one command of apt; where it fails, its errors end the step."""
    done = _run(command, folder)
    if done.returncode:
        lines = done.stderr.splitlines()
        errors = " ".join([line for line in lines if line.startswith("E: ")] or lines)
        sys.exit(f"slimbake: system: {' '.join(command[:2])} failed: {errors}")
    return done.stdout


def lock(names: list[str], arch: str) -> list[Deb]:
    """The packages and all that they depend on, for one architecture; names that apt does not know end the step."""
    of = ("-o", f"APT::Architecture={arch}", "-o", f"APT::Architectures::={arch}")
    apt("apt-get", *of, "update", "--error-on=any")
    known = sorted(apt("apt-cache", *of, "pkgnames").splitlines())
    unknown = sorted({*names}.difference(known))
    for name in unknown:
        near = difflib.get_close_matches(name, [other for other in known if other[:2] == name[:2]])
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        print(f"slimbake: system: Debian has no package {name!r}{hint}", file=sys.stderr)
    if unknown:
        sys.exit(1)
    with tempfile.NamedTemporaryFile() as nothing:  # as if nothing were installed
        words = ("--simulate", "--no-install-recommends", "-o", f"Dir::State::status={nothing.name}")
        planned = apt("apt-get", *of, *words, "install", *names)
    found = re.findall(r"^Inst (\S+) \((\S+) ", planned, re.MULTILINE)
    shown = apt("apt-cache", *of, "show", *(f"{name}={version}" for name, version in found))
    debs = {}
    for paragraph in shown.strip().split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", paragraph, re.MULTILINE))
        name, version = fields["Package"], fields["Version"]
        file = f"{name}_{version.replace(':', '%3a')}_{fields['Architecture']}.deb"
        debs[name, version] = Deb(name, version, fields["Architecture"], file, int(fields["Size"]), fields["SHA256"])
    return [debs[name.partition(":")[0], version] for name, version in found]


def text(debs: list[Deb]) -> str:
    return "".join(f"{' '.join(map(str, deb))}\n" for deb in sorted(set(debs)))


def parse(lock: str) -> list[Deb]:
    """The packages of a lock, of every architecture."""
    rows = (line.split() for line in lock.splitlines() if line and not line.startswith("#"))
    return [Deb(name, version, arch, file, int(size), sha256) for name, version, arch, file, size, sha256 in rows]


def wanted(lock: Path = LOCK, arch: str = "") -> list[Deb]:
    """The packages of a lock for one architecture, by default this machine's."""
    here = {"all", arch or apt("dpkg", "--print-architecture").strip()}
    return [deb for deb in parse(lock.read_text()) if deb.arch in here]


def download(debs: list[Deb], target: Path, arch: str = "") -> None:
    """Bring the packages into `target`; one that is not what the lock names ends the step."""
    target.mkdir(parents=True, exist_ok=True)
    of = ("-o", f"APT::Architecture={arch}", "-o", f"APT::Architectures::={arch}") if arch else ()
    user = ("-o", "APT::Sandbox::User=root")  # who may write here
    apt("apt-get", *of, "update", "--error-on=any")
    apt("apt-get", *of, *user, "download", *(f"{deb.name}={deb.version}" for deb in debs), folder=target)
    by_hash = {deb.sha256: deb for deb in debs}
    for path in target.glob("*.deb"):
        deb = by_hash.pop(hashlib.sha256(path.read_bytes()).hexdigest(), None)
        if deb is None:
            sys.exit(f"slimbake: system: {path.name} is not what the lock names: `slimbake lock --upgrade`")
        path.rename(target / deb.file)


def verified(debs: list[Deb], folder: Path) -> list[Path]:
    """The files of the packages, each as the lock names it; one that is not ends the step."""
    for deb in debs:
        path = folder / deb.file
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "nothing"
        if found != deb.sha256:
            sys.exit(f"slimbake: system: {deb.file} has sha256 {found}, the lock {deb.sha256}")
    return [folder / deb.file for deb in debs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    lock_ = commands.add_parser("lock")
    lock_.add_argument("out", type=Path)
    lock_.add_argument("--arch", action="append", required=True)
    lock_.add_argument("packages", nargs="+")
    download_ = commands.add_parser("download")
    download_.add_argument("out", type=Path)
    download_.add_argument("--arch", default="")
    download_.add_argument("--lock", type=Path, default=LOCK)
    arguments = parser.parse_args()
    os.umask(0o022)
    if arguments.command == "lock":
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text([deb for arch in arguments.arch for deb in lock(arguments.packages, arch)]))
    else:
        download(wanted(arguments.lock, arguments.arch), arguments.out, arguments.arch)


if __name__ == "__main__":
    main()
