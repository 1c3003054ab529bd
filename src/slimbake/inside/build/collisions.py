"""Refuses wheels that write over each other's files, or over what the layers below have.

What a wheel holds is read from its archive, never from its RECORD, which may leave files out or
name wrong hashes. What uv did is seen by comparing the prefix before and after.
"""

from __future__ import annotations

import base64
import configparser
import csv
import hashlib
import posixpath
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..step import SITE, hashed
from .settle import LayerError, tree

CODE = frozenset((".py", ".so", ".pth"))
OURS = ("cold", "ledger")  # folders of the prefix that only slimbake writes
SHOWN = 10


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
    """The files that a wheel installs. Raises LayerError for a place that no wheel may write to."""
    site = next(prefix.glob(SITE))
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
            root, below = (roots.get(scheme, site), rest) if spread else (site, member)
            path = Path(posixpath.normpath(root / below))
            if not path.is_relative_to(prefix):
                raise LayerError(f"{wheel.name} would write outside of {prefix}: {member}")
            if path.relative_to(prefix).parts[:1] in [(each,) for each in OURS]:
                raise LayerError(f"{wheel.name} would write into a folder of slimbake's: {member}")
            if not member.endswith("/"):
                yield Claim(wheel, path, member)


def scripts_of(entry_points: str) -> list[tuple[str, str]]:
    """Name and entry point of the scripts that an installer makes."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(entry_points)
    except configparser.Error:
        return []  # uv refuses it
    groups = ("console_scripts", "gui_scripts")
    return [item for each in groups if parser.has_section(each) for item in parser[each].items()]


def refuse_collisions(claims: Iterable[Claim], prefix: Path) -> dict[Path, Claim]:
    """Raise LayerError where packages put different modules or scripts in one place.

    uv would overwrite one of them. Between wheels of this layer, other files that collide are
    printed, and returned with the last wheel that has them. Layers below are asked by their RECORDs
    here, since what is in a cold store is not on the disk; `Below` compares what is.
    """
    site, scripts = next(prefix.glob(SITE)), prefix / "bin"
    below: dict[Path, tuple[str, str]] = {}
    for record in sorted(site.glob("*.dist-info/RECORD")):
        for name, digest in recorded_files(record.read_text()):
            below[Path(posixpath.normpath(site / name))] = (record.parent.stem, digest)
    owners: dict[Path, Claim] = {}
    contested: dict[Path, Claim] = {}
    faults = []
    for claim in claims:
        path = claim.path
        if path in below and path.parent != scripts:
            owner, known = below[path]
            same = known == record_digest(claim)
        elif path in owners:
            owner, same = owners[path].wheel.name, owners[path].content() == claim.content()
        else:
            owners[path] = claim
            continue
        shown = path.relative_to(site) if path.is_relative_to(site) else path
        collision = f"{shown} is in {owner} and, with other contents, in {claim.wheel.name}"
        if not same and (path in below or path.suffix in CODE or path.parent == scripts):
            faults.append(collision)
        elif not same:
            print(f"slimbake: {collision}: the later one stays")
        if path in owners and claim.member and (not same or path in contested):
            contested[path] = claim
    refuse(faults)
    return contested


def refuse(faults: Sequence[str]) -> None:
    """Raise LayerError with these faults, where there are any."""
    if faults:
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise LayerError(f"packages collide: {'; '.join(faults[:SHOWN])}{more}")


def record_digest(claim: Claim) -> str:
    """The hash of a claim's content, as RECORD writes it."""
    digest = hashlib.sha256(claim.content()).digest()
    return f"sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def recorded_files(record: str) -> Iterator[tuple[str, str]]:
    """Path and hash of the files in the RECORD of an installed package."""
    rows = csv.reader(record.splitlines())
    return ((row[0], row[1]) for row in rows if len(row) > 1 and row[1])


@dataclass(frozen=True)
class Below:
    """What the layers below had in the prefix before wheels were installed."""

    states: Mapping[Path, tuple[int, ...]]
    digests: Mapping[Path, str]  # of files that wheels claim, or may

    def rewritten(self, claims: Iterable[Claim]) -> set[Path]:
        """The files that were written again with the bytes they had.

        Raises LayerError for those that changed, with the wheels that install them.
        """
        changed = {path for path, state in self.states.items() if state_of(path) != state}
        same = {
            path
            for path in changed & self.digests.keys()
            if path.is_file() and not path.is_symlink() and hashed(path) == self.digests[path]
        }
        wheels = {claim.path: claim.wheel.name for claim in claims}
        refuse(
            [
                f"{path} of the layers below was changed by {wheels.get(path, 'a wheel')}"
                for path in sorted(changed - same)
            ]
        )
        return same


def layers_below(prefix: Path, claims: Iterable[Claim]) -> Below:
    """What lies in the prefix now. Only what wheels may write again is hashed."""
    states = {path: state_of(path) for path in tree(prefix)}
    named = {claim.path for claim in claims} & states.keys()
    files = (path for path in named if path.is_file() and not path.is_symlink())
    return Below(states, {path: hashed(path) for path in files})


def state_of(path: Path) -> tuple[int, ...]:
    """What changes when a path is written; of a folder, only whether it is one, and its mode.

    A link's target is part of it: a wheel can write through the link.
    """
    state: list[int] = []
    for follow in (False, True):
        try:
            found = path.stat(follow_symlinks=follow)
        except OSError:  # nothing is there, or the link leads nowhere
            continue
        times = (found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        state += [found.st_mode, *(() if stat.S_ISDIR(found.st_mode) else times)]
        if not stat.S_ISLNK(found.st_mode):
            break
    return tuple(state)
