"""All that distilling asks of the package manager of the external image. There is one, dpkg: another
would answer the same questions in a module like this one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from pathlib import Path

from ..step import StepError

ROOT = Path("/")
DPKG = Path("/var/lib/dpkg")
STATUS_D = DPKG / "status.d"  # the records of an image, as distroless lays them out


def require_dpkg(root: Path = ROOT) -> None:
    """Raise StepError where something else than dpkg keeps the packages of a root."""
    if not (root / "var/lib/dpkg/info").is_dir() or not (root / "var/lib/dpkg/status").is_file():
        raise StepError(
            "the Python image does not keep its packages with dpkg, as images of Alpine and Red Hat"
            " do not, and slimbake makes runtimes of images with dpkg.\nslimbake: name one of Debian"
            " or Ubuntu in `externals: {python: {image: ...}}`, such as python:3.12-slim, or give the"
            " service a `dockerfile` of its own"
        )


@functools.cache
def debian_owners() -> dict[Path, str]:
    """The package of every installed file, by its real path."""
    resolve = functools.cache(Path.resolve)  # before the usrmerge a package may have said /lib/x
    # Made by its maintainer script:
    owned = {Path("/etc/ssl/certs/ca-certificates.crt"): "ca-certificates"}
    for listing in sorted(DPKG.glob("info/*.list")):
        for path in map(Path, listing.read_text().splitlines()):
            if path.parent != ROOT:  # many packages own /lib as a folder
                owned[resolve(path.parent) / path.name] = listing.stem.split(":")[0]
    return owned


def made_beside(packages: Collection[str]) -> set[Path]:
    """What the installation of packages made: files that no package owns, in folders that only these
    have, such as a list of plug-ins. No logs, and no caches, which programs make again.
    """
    having: dict[Path, set[str]] = {}
    for listing in DPKG.glob("info/*.list"):
        for line in listing.read_text().splitlines():
            having.setdefault(Path(line), set()).add(listing.stem.split(":")[0])
    made: set[Path] = set()
    for folder, names in having.items():
        if not names.issubset(packages) or not folder.is_dir() or folder.is_symlink():
            continue
        for path in folder.resolve().iterdir():
            if path.is_file() and not path.is_symlink() and path.parts[1] != "var":
                made.add(path)
    return made.difference(debian_owners())


def paragraphs() -> dict[str, str]:
    """What is known of each package: its name, and its paragraph, which scanners read."""
    texts = {}
    for text in (DPKG / "status").read_text().strip().split("\n\n"):
        first, _, _ = text.partition("\n")
        texts[first.removeprefix("Package: ")] = text
    return texts


def is_installed(paragraph: str) -> bool:
    """Whether a package's paragraph says that it is installed, also where it is on hold."""
    status = re.search(r"^Status: \S+ \S+ (\S+)$", paragraph, re.MULTILINE)
    return status is not None and status[1] == "installed"


def copyright_file(package: str) -> Path:
    """The copyright of a package; it may be a link."""
    return Path(f"/usr/share/doc/{package}/copyright")


def alternative_links() -> list[Path]:
    """The links by which one of several packages answers a name, such as libblas.so.3."""
    links = []
    for file in (DPKG / "alternatives").iterdir():
        head, _, _ = file.read_text().partition("\n\n")
        links += [Path(line) for line in head.splitlines() if line.startswith("/")]
    return links
