"""Checks what no layer shows alone: that the packages of an image are there, that none overwrites
another, and that none lacks a shared library. Reads files; runs nothing of the image.

That each layer has what its wheels brought was checked when it was made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..ledger import Ledger, LedgerEntry, ledgers
from ..names import CODE, module_of, path_of
from ..records import Row, recorded
from ..step import PREFIX, SITE
from .libraries import Unanswered, unanswered

ROOT = Path("/")
HINT = """\
Of packages with the same files only one can stay. Take the others out of the requirements. Where a
package asks for one, name it in `override-dependencies` of [tool.uv] in a pyproject.toml that the
service requires, as: "opencv-python; sys_platform == 'none'"."""
SHOWN = 12  # faults that a build prints; a bake's error shows 20 lines


def take_inventory(_: Sequence[str]) -> int:
    """The program `inventory`: fail where the image `CHECKED` lacks a package or a file of one, or
    where two have different modules of one name.

    `PACKAGES`: what it adds to the image below, `NAME@MACHINE` of what one kind of machine has;
    `REMOVES`: as JSON, the manifest's lines that are to remove something of that. Missing shared
    libraries are reported: who needs one may never be loaded.
    """
    checked = os.environ["CHECKED"]
    print(f"inventory of {checked}")  # a bake reads it: buildx may name another target
    own = own_packages(os.environ["PACKAGES"])
    site = next(PREFIX.glob(SITE))
    told = list(ledgers(PREFIX))
    entries = [entry for ledger in told for entry in ledger.entries]
    removed = {(entry.package, entry.path): entry for entry in entries if not entry.after}
    packages = {entry.package for entry in entries}
    rows = []
    for row in rows_of_image(site, told):
        packages.add(row.package)
        if (row.package, row.name) not in removed:
            rows.append(row)
    print(f"inventory: {len(rows):,} files of {len(packages):,} packages")
    libraries = unanswered(ROOT)
    collisions = list(overwritten(rows))
    faults = [f"{package} is not in the image" for package in sorted(own - packages)]
    faults += missing(site, rows)
    faults += [str(collision) for collision in collisions if collision.of_code]
    faults += taken(libraries, removed.values())
    warnings = [str(collision) for collision in collisions if not collision.of_code]
    below = {str(path_of(row.name, site)) for row in rows if row.package not in own}
    # What is needed below only, the inventory there has reported.
    warnings += [str(library) for library in libraries if not below.issuperset(library.files)]
    done = {entry.by for entry in entries}
    for line in json.loads(os.environ.get("REMOVES", "[]")):
        if line not in done:
            warnings.append(f"{line} matches no file")

    for warning in warnings:
        print(f"slimbake: warning: {checked}: {warning}")
    for fault in faults[:SHOWN]:
        print(f"lost: {fault}")
    if len(faults) > SHOWN:
        print(f"lost: {len(faults) - SHOWN} more")
    if any(collision.of_code for collision in collisions):
        print(HINT)
    return 1 if faults else 0


def own_packages(words: str) -> set[str]:
    """The packages that this machine's image adds. `words`: NAME, or NAME@MACHINE."""
    own = set()
    for word in words.split():
        package, _, machine = word.partition("@")
        if machine in ("", os.uname().machine):
            own.add(package)
    return own


def rows_of_image(site: Path, told: Iterable[Ledger]) -> list[Row]:
    """The rows of all RECORDs; of files that one does not list, or has no hash of, as ledgers have
    them.
    """
    unlisted = {}
    for ledger in told:
        for name, digest in ledger.unlisted.items():
            row = Row(name, ("sha256", digest), ledger.package, ledger.version)
            unlisted[row.package, row.name] = row
    listed = [row for row in recorded(site) if (row.package, row.name) not in unlisted]
    return [*listed, *unlisted.values()]


def missing(site: Path, rows: Iterable[Row]) -> Iterator[str]:
    """The files of packages that are not in the image."""
    for row in rows:
        path = path_of(row.name, site)
        # Another layer may have a folder in its place.
        if not (row.is_bytecode or path.is_symlink() or path.is_file()):
            yield f"{row.name} of {row.package} {row.version} is not in the image"


@dataclass(frozen=True)
class Collision:
    """Several packages with different contents for one file."""

    name: str
    packages: tuple[str, ...]

    @property
    def of_code(self) -> bool:
        """Whether it changes what an import or a program runs."""
        return Path(self.name).suffix in {*CODE, ".pyc"} or self.name.startswith("/bin/")

    def __str__(self) -> str:
        return f"{self.name} is, with other contents each, in {' and '.join(self.packages)}"


def overwritten(rows: Iterable[Row]) -> Iterator[Collision]:
    """The files that several packages have, of which one layer hides the others; and bytecode of
    another package's module.
    """
    owners: dict[str, list[Row]] = {}
    bytecode = []
    for row in rows:
        if row.is_bytecode:
            bytecode.append(row)
        else:
            owners.setdefault(row.name, []).append(row)
    for row in bytecode:
        of_module = owners.get(module_of(row.name), [])
        if of_module and all(owner.package != row.package for owner in of_module):
            yield _collision(row.name, [row, *of_module])
    for name, several in owners.items():
        if any(row.digest != several[0].digest for row in several):
            yield _collision(name, several)


def _collision(name: str, rows: Iterable[Row]) -> Collision:
    packages = {f"{row.package} {row.version}" for row in rows}
    return Collision(name, tuple(sorted(packages)))


def taken(libraries: Iterable[Unanswered], removed: Iterable[LedgerEntry]) -> Iterator[str]:
    """The libraries that a rule of ours took, and another package needs."""
    by_name = {entry.path.rpartition("/")[2]: entry for entry in removed if not entry.requested}
    for library in libraries:
        entry = by_name.get(library.name)
        if entry:
            owner = f"{entry.package} {entry.version}"
            yield f"{entry.path} of {owner}, which {library.files[0]} needs: {entry.by} removed it"
