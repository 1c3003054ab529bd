"""Shows that no file of an installed package is lost. Reads files; runs nothing of the image.

Each row of each RECORD has one fate: the file is on disk with the wheel's hash,
or a rule or `remove:` changed or removed it and the ledger says so. Anything else is a loss.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ..ledger import LedgerEntry, package_key, read_ledger
from ..rules import file_name
from ..step import INSIDE, PREFIX, SITE
from .libraries import unanswered

BELOW = INSIDE / "below" / "inventory.json"  # what this program wrote of the layers below
NOTHING: dict[str, Any] = {"layers": {}, "files": {}, "libraries": []}  # where there are none
LOCK = INSIDE / "lock.txt"
OUT = Path("/inventory.json")
ROOT = Path("/")
NAMED = 12  # losses that a build prints; a bake's error shows 20 lines

Fate = Literal["disk", "changed", "removed", "requested", "bytecode", "contested", "lost"]
Digest = tuple[str, str]  # algorithm and hexadecimal digits
Stamp = list[int]  # inode, time of the last change of it in ns, bytes

LOST = "it is not in the image, and no rule lists it"
ALTERED = "its bytes are not the wheel's, and no rule lists it"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a RECORD."""

    name: str  # relative to site-packages, or with a leading `/` to the prefix, as in ledgers
    digest: Digest | None  # None: the RECORD has none
    package: str
    version: str


@dataclass(frozen=True, slots=True)
class Loss:
    """A file that is not what the wheel installed, and that no rule explains."""

    name: str
    package: str
    version: str
    layer: str
    why: str

    def __str__(self) -> str:
        package = f"{self.package} {self.version}".rstrip()
        return f"{self.name} of {package} in {self.layer}: {self.why}"


@dataclass(frozen=True, slots=True)
class Inventory:
    """What became of the files of all packages of an image."""

    files: Mapping[str, int]  # by fate
    rules: Mapping[str, int]  # files that a rule changed or removed, by rule
    losses: tuple[Loss, ...]


def take_inventory(_: Sequence[str]) -> int:
    """The program `inventory`: fail where a file of the image `CHECKED` is lost.

    The packages that the mounted lock has for every platform must be there, and those that `LOCAL`
    names. Missing shared libraries are reported: who needs one may never be loaded. What was found goes
    to OUT, for the inventories of the layers above.
    """
    layer, local = os.environ["CHECKED"], os.environ.get("LOCAL", "").split()
    print(f"inventory of {layer}")  # a bake reads it: buildx may name another target
    base_receipt = json.loads(BELOW.read_text()) if BELOW.exists() else NOTHING
    site = next(PREFIX.glob(SITE))
    rows = list(recorded(site))
    layers = {row.package: base_receipt["layers"].get(row.package, layer) for row in rows}
    entries = {entry.path: entry for entry in ledgers(PREFIX)}
    disk, stamps = read_files(site, rows, entries, base_receipt["files"])
    result = inventory(rows, disk, entries, layers)
    locked = re.findall(r"^([A-Za-z0-9][\w.-]*)==[^;\n]*$", LOCK.read_text(), re.MULTILINE)
    required = map(package_key, (*locked, *local))
    missing = absent(
        {**dict.fromkeys(required, layer), **base_receipt["layers"]}, layers, entries.values()
    )
    losses = [*missing, *result.losses]
    libraries = unanswered(ROOT)
    receipt = {
        "layers": layers,
        "files": stamps,
        "counts": asdict(result),
        "libraries": [library.name for library in libraries],
    }
    OUT.write_text(json.dumps(receipt))
    print(summary(result))
    for library in libraries:
        if library.name not in base_receipt["libraries"]:
            print(f"slimbake: warning: {layer}: {library}")
    for loss in losses[:NAMED]:
        print(f"lost: {loss}")
    if more := losses[NAMED:]:
        print(f"lost: {len(more)} more")
    return 1 if losses else 0


def summary(result: Inventory) -> str:
    """An inventory in one line."""
    texts = {
        "disk": "on disk",
        "changed": "changed by rules",
        "removed": "removed by rules",
        "requested": "removed on request",
        "lost": "lost",
    }
    counted = {**result.files, "lost": len(result.losses)}
    parts = (f"{counted[fate]:,} {text}" for fate, text in texts.items() if counted.get(fate))
    return f"inventory: {sum(result.files.values()):,} files: {', '.join(parts)}"


def inventory(
    rows: Sequence[Row],
    disk: Mapping[tuple[str, str], str],
    ledger: Mapping[str, LedgerEntry],
    layers: Mapping[str, str],
) -> Inventory:
    """Decide the fate of each row. Pure.

    `disk`: (name, algorithm) -> digest.
    """
    files: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    losses = []
    whole = {row.name for row in rows if row.digest and row.digest[1] == _on_disk(row, disk)}
    for row in rows:
        fate, why = _fate(row, disk, ledger.get(row.name), row.name in whole)
        files[fate] += 1
        if fate in ("changed", "removed", "requested"):
            rules[ledger[row.name].by] += 1
        if why:
            losses.append(Loss(row.name, row.package, row.version, layers[row.package], why))
    return Inventory(dict(files), dict(sorted(rules.items())), tuple(losses))


def _on_disk(row: Row, disk: Mapping[tuple[str, str], str]) -> str | None:
    return disk.get((row.name, row.digest[0] if row.digest else "sha256"))


def _fate(
    row: Row,
    disk: Mapping[tuple[str, str], str],
    entry: LedgerEntry | None,
    whole: bool,
) -> tuple[Fate, str]:
    """The fate of a row, and why it is a loss. `whole`: the file is what some RECORD lists."""
    # Some wheels have bytecode (numpy 2.3). A build compiles it again, of a source that has a fate of
    # its own; where there is none, Python imports nothing from this folder.
    bytecode = row.name.endswith(".pyc") and "__pycache__" in row.name.split("/")
    there = _on_disk(row, disk)
    if there is not None:
        if row.digest is None or there == row.digest[1]:
            return "disk", ""
        if entry and entry.after and disk.get((row.name, "sha256")) == entry.digest:
            return "changed", ""
        if bytecode:
            return "bytecode", ""
        # Two packages have it: the installer kept one, and an image without rules has it so too.
        return ("contested", "") if whole else ("lost", ALTERED)
    if entry and not entry.after:
        return ("requested" if entry.requested else "removed"), ""
    return ("bytecode", "") if bytecode else ("lost", LOST)


def absent(
    required: Mapping[str, str], there: Collection[str], ledger: Iterable[LedgerEntry]
) -> Iterator[Loss]:
    """The packages of these, package -> layer, of which neither metadata nor a ledger tells."""
    explained = {entry.package for entry in ledger}
    for name in sorted(required.keys() - {*there} - explained):
        yield Loss("METADATA", name, "", required[name], LOST)


def recorded(site: Path) -> Iterator[Row]:
    """The rows of all RECORDs of a folder of packages."""
    for record in sorted(site.glob("*.dist-info/RECORD")):
        package, _, version = record.parent.stem.rpartition("-")
        for path, digest, *_ in csv.reader(record.read_text("utf-8").splitlines()):
            algorithm, _, value = digest.partition("=")
            recorded_digest = (
                (algorithm, base64.urlsafe_b64decode(f"{value}==").hex()) if value else None
            )
            yield Row(
                file_name(f"{site}/{path}", site), recorded_digest, package_key(package), version
            )


def ledgers(prefix: Path) -> Iterator[LedgerEntry]:
    """What the ledgers of all layers list."""
    for file in sorted(prefix.glob("ledger/*.json.gz")):
        yield from read_ledger(file.read_bytes()).entries


def read_files(
    site: Path,
    rows: Sequence[Row],
    ledger: Mapping[str, LedgerEntry],
    earlier: Mapping[str, tuple[Stamp, Digest]],
) -> tuple[dict[tuple[str, str], str], dict[str, tuple[Stamp, Digest]]]:
    """The digests of the files that rows list, (name, algorithm) -> digits, and what to keep.

    A file that a rule changed has its SHA-256, even where the RECORD has another hash.

    `earlier`: what the inventory of the layers below has read, which is not read twice. A stamp
    that is the same means the same file: only the kernel sets the time of an inode's last change.
    Where an engine copies layers, stamps differ, and files are read again.
    """
    required = {(row.name, row.digest[0] if row.digest else "sha256") for row in rows}
    required |= {(name, "sha256") for name, _ in required if name in ledger and ledger[name].after}
    stamps: dict[str, tuple[Stamp, Digest]] = {}

    def read(wanted: tuple[str, str]) -> tuple[tuple[str, str], str] | None:
        name, algorithm = wanted
        path = Path(f"{site.parents[2]}{name}" if name[0] == "/" else f"{site}/{name}")
        try:
            with path.open("rb", buffering=0) as file:
                stat = os.fstat(file.fileno())
                stamp = [stat.st_ino, stat.st_ctime_ns, stat.st_size]
                before, digest = earlier.get(name, ([], ("", "")))
                if before != stamp or digest[0] != algorithm:
                    digest = algorithm, hashlib.file_digest(file, algorithm).hexdigest()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        stamps[name] = stamp, digest
        return wanted, digest[1]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(filter(None, pool.map(read, sorted(required)))), stamps
