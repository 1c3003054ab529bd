"""What wheels install, and which of them write over each other's files.

What a wheel holds is read from its archive, never from its RECORD, which may leave files out or
name wrong hashes.
"""

from __future__ import annotations

import configparser
import posixpath
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..archives import open_zip
from ..lines import some
from ..names import CODE
from ..step import StepError

# What only slimbake and the runtime write, below the prefix.
OURS = re.compile(r"ledger/.*|libraries\.txt|pyvenv\.cfg|bin/python[\d.]*")
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
        with open_zip(self.wheel) as archive:
            return archive.read(self.member)


def claims_of(wheel: Path, prefix: Path) -> Iterator[Claim]:
    """The files that a wheel installs. Raises StepError for a place that no wheel may write to."""
    site = prefix / SITE_HERE
    roots = {
        "data": prefix,
        "scripts": prefix / "bin",
        "headers": prefix / "include/site" / site.parent.name / wheel.name.partition("-")[0],
    }
    with open_zip(wheel) as archive:
        for member in archive.namelist():
            top, _, inner = member.partition("/")
            scheme, _, rest = inner.partition("/")
            if top.endswith(".dist-info") and inner == "entry_points.txt":
                for name, entry in scripts_of(archive.read(member).decode(errors="replace")):
                    yield Claim(wheel, prefix / "bin" / name, entry_point=entry)
            place = site / member
            if top.endswith(".data"):
                place = roots.get(scheme, site) / rest
            path = Path(posixpath.normpath(place))
            if not path.is_relative_to(prefix):
                raise StepError(f"{wheel.name} would write outside of {prefix}: {member}")
            if OURS.fullmatch(str(path.relative_to(prefix))):
                raise StepError(f"{wheel.name} would write what only slimbake writes: {member}")
            if not member.endswith("/"):
                yield Claim(wheel, path, member)


def scripts_of(entry_points: str) -> list[tuple[str, str]]:
    """Name and entry point of the scripts that an installer makes. Raises configparser.Error."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(entry_points)
    scripts: list[tuple[str, str]] = []
    for group in ("console_scripts", "gui_scripts"):
        if parser.has_section(group):
            scripts += parser[group].items()
    return scripts


def refuse_collisions(claims: Iterable[Claim], prefix: Path) -> dict[Path, Claim]:
    """Raise StepError where wheels of one layer have different modules or scripts for one place: uv
    would overwrite one of them.

    Returns other files that collide, with the last wheel that has them. The image's inventory says so.
    """
    owners: dict[Path, Claim] = {}
    contested: dict[Path, Claim] = {}
    faults = []
    for claim in claims:
        path = claim.path
        owner = owners.setdefault(path, claim)
        if owner is claim or owner.content() == claim.content():
            continue
        if path.suffix in CODE or path.parent == prefix / "bin":
            faults.append(
                f"{path.relative_to(prefix)} is in {owner.wheel.name} and, with other contents,"
                f" in {claim.wheel.name}"
            )
        elif claim.member:
            contested[path] = claim
    if faults:
        raise StepError(f"packages collide: {some(faults, SHOWN, '; ')}")
    return contested
