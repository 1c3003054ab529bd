"""Packages of Debian and Ubuntu: which of them apt has, and installing them without a question."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from slimbake.errors import SetupError
from slimbake.host import process

Say = Callable[[str], None]

_QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l", "LC_ALL": "C.UTF-8"}


def system_path(environ: Mapping[str, str] = os.environ) -> str:
    """PATH with the folders of the system's own programs in it, which `su` leaves out."""
    folders = [folder for folder in environ.get("PATH", "").split(os.pathsep) if folder]
    return os.pathsep.join(
        [*folders, *(more for more in ("/usr/sbin", "/sbin") if more not in folders)]
    )


def update(say: Say) -> None:
    """Fetch apt's lists of packages. Raises SetupError when none could be fetched."""
    say("fetching apt's lists of packages")
    _apt_get(["update", "-qq"], "could not fetch its lists of packages")


def available(names: Iterable[str]) -> frozenset[str]:
    """Those of the packages that apt could install."""
    shown = process.run(["apt-cache", "policy", *names], env={"LC_ALL": "C"}, timeout=process.LOOK)
    return parse_policy(shown.stdout)


def parse_policy(text: str) -> frozenset[str]:
    """The packages with a candidate in what `apt-cache policy` prints."""
    found = set()
    name = ""
    for line in text.splitlines():
        if line and not line[0].isspace():
            name = line.rstrip(":")
        elif line.strip().startswith("Candidate:") and "(none)" not in line:
            found.add(name)
    return frozenset(found)


def install(names: Iterable[str], say: Say) -> None:
    """Install packages without a question. Raises SetupError with apt's last words when that fails."""
    wanted = list(names)
    say(f"installing {' '.join(wanted)}")
    keep = ["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]
    _apt_get(
        ["install", "-y", "-qq", "--no-install-recommends", *keep, *wanted],
        "could not install packages",
    )


def may_install(root: bool) -> bool:
    """Whether apt is here and we have the right to use it."""
    return root and Path("/usr/bin/apt-get").exists()


def _apt_get(arguments: list[str], failure: str) -> None:
    # Another apt (unattended-upgrades on a fresh machine) may hold the lock for a while.
    done = process.run(
        ["apt-get", "-o", "DPkg::Lock::Timeout=300", *arguments],
        env={**_QUIET, "PATH": system_path()},
    )
    if not done.ok:
        raise SetupError(
            f"apt-get {failure}:\n{done.last_lines()}", "mend what apt says, then run this again"
        )
