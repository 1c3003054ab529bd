"""Refuses wheels that write over each other's files, or over what the layers below have.

What a wheel holds is read from its archive, never from its RECORD, which may leave files out or
name wrong hashes.
"""

from __future__ import annotations

import base64
import configparser
import csv
import hashlib
import os
import posixpath
import shutil
import sys
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..step import SITE, StepError
from .tree import same_file, tree

CODE = frozenset((".py", ".so", ".pth"))
OURS = ("ledger",)  # folders of the prefix that only slimbake writes
SHOWN = 10
SITE_HERE = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


@dataclass(frozen=True)
class Claim:
    """A file that a wheel installs: a member of its archive, or the script of an entry point."""

    wheel: Path
    path: Path
    member: str = ""
    entry_point: str = ""

    def content(self) -> bytes:
        """What the wheel holds for this path."""
        if not self.member:
            return self.entry_point.encode()
        with zipfile.ZipFile(self.wheel) as archive:
            return archive.read(self.member)


def claims_of(wheel: Path, prefix: Path) -> Iterator[Claim]:
    """The files that a wheel installs. Raises StepError for a place that no wheel may write to."""
    site = prefix / SITE_HERE
    roots = {
        "data": prefix,
        "scripts": prefix / "bin",
        "headers": prefix / "include/site" / site.parent.name / wheel.name.partition("-")[0],
    }
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            top, _, inner = member.partition("/")
            scheme, _, rest = inner.partition("/")
            if top.endswith(".dist-info") and inner == "entry_points.txt":
                for name, entry in scripts_of(archive.read(member).decode(errors="replace")):
                    yield Claim(wheel, prefix / "bin" / name, entry_point=entry)
            spread = top.endswith(".data")
            root, relative = (roots.get(scheme, site), rest) if spread else (site, member)
            path = Path(posixpath.normpath(root / relative))
            if not path.is_relative_to(prefix):
                raise StepError(f"{wheel.name} would write outside of {prefix}: {member}")
            if path.relative_to(prefix).parts[:1] in [(folder,) for folder in OURS]:
                raise StepError(f"{wheel.name} would write into a folder of slimbake's: {member}")
            if not member.endswith("/"):
                yield Claim(wheel, path, member)


def scripts_of(entry_points: str) -> list[tuple[str, str]]:
    """Name and entry point of the scripts that an installer makes. Raises configparser.Error."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(entry_points)
    groups = ("console_scripts", "gui_scripts")
    return [item for group in groups if parser.has_section(group) for item in parser[group].items()]


def refuse_collisions(claims: Iterable[Claim], prefix: Path) -> dict[Path, Claim]:
    """Raise StepError where wheels of one layer have different modules or scripts for one place.

    uv would overwrite one of them. Other files that collide are printed, and returned with the last
    wheel that has them.
    """
    owners: dict[Path, Claim] = {}
    contested: dict[Path, Claim] = {}
    faults = []
    for claim in claims:
        path = claim.path
        if path not in owners:
            owners[path] = claim
            continue
        same = owners[path].content() == claim.content()
        collision = (
            f"{path.relative_to(prefix)} is in {owners[path].wheel.name} and, with other contents,"
            f" in {claim.wheel.name}"
        )
        if not same and (path.suffix in CODE or path.parent == prefix / "bin"):
            faults.append(collision)
        elif not same:
            print(f"slimbake: {collision}: the later one stays")
        if claim.member and (not same or path in contested):
            contested[path] = claim
    refuse(faults)
    return contested


def refuse(faults: Sequence[str]) -> None:
    """Raise StepError with these faults, where there are any."""
    if faults:
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise StepError(f"packages collide: {'; '.join(faults[:SHOWN])}{more}")


def _digest(content: bytes) -> str:
    """A hash as RECORD writes it."""
    digest = hashlib.sha256(content).digest()
    return f"sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def merged(source: Path, prefix: Path) -> list[Path]:
    """Copy the files below `source` to where they lie below a prefix; return those that are new.

    A file that layers below have, with the same bytes, is left there. Raises StepError for one that
    they have with others, on the disk or by their RECORDs.
    """
    installed, above = _recorded(prefix), _recorded(source)
    new: list[tuple[Path, Path]] = []
    faults = []
    for path in tree(source):
        place = path.relative_to(source)
        target = prefix / place
        owner, digest = installed.get(place, ("the layers below", ""))
        if path.is_dir() and not path.is_symlink():
            same = target.is_dir() or not os.path.lexists(target)
        elif os.path.lexists(target):
            same = same_file(path, target)
        else:
            same = not digest or path.is_symlink() or digest == _digest(path.read_bytes())
            new.append((path, target))
        if not same:
            other = above.get(place, ("a package of this layer",))[0]
            faults.append(f"{place} is in {owner} and, with other contents, in {other}")
    refuse(faults)
    for path, target in new:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target, follow_symlinks=False)
    return [target for _, target in new]


def _recorded(prefix: Path) -> dict[Path, tuple[str, str]]:
    """The files that RECORDs below a prefix list: path below it -> package and version, hash."""
    files: dict[Path, tuple[str, str]] = {}
    for record in sorted(prefix.glob(f"{SITE}/*.dist-info/RECORD")):
        site = record.parents[1].relative_to(prefix)
        for name, digest, *_ in csv.reader(record.read_text().splitlines()):
            if digest:
                files[Path(posixpath.normpath(site / name))] = (record.parent.stem, digest)
    return files
