"""Makes a layer of packages inside a build: installs locked wheels and applies passes. Standard library only.

Bind-mounted, like layer.py, into a RUN step that has no shell and no network.
"""

from __future__ import annotations

import csv
import glob
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING or __package__:
    from . import ledger, passes
    from .layer import EPOCH, INSIDE, OFFLINE, PREFIX, SITE, LayerError, compile_modules, settle, tree, uv
else:  # a program of its own, with what it needs beside it
    import ledger
    import passes
    from layer import EPOCH, INSIDE, OFFLINE, PREFIX, SITE, LayerError, compile_modules, settle, tree, uv

LOCK = Path("/tmp/lock.txt")  # noqa: S108 - a tmpfs of this step alone


def main() -> int:
    os.umask(0o022)
    try:
        install()
    except (LayerError, passes.PassError) as error:
        print(f"slimbake: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        return error.returncode if error.returncode > 0 else 1
    return 0


def package(wheel: str) -> str:
    """The normalised name of the package that a wheel's file name begins with."""
    return re.sub("[-_.]+", "-", wheel.partition("-")[0]).lower()


def without(lock: str, names: Container[str]) -> str:
    """The text of a lock less these packages."""
    kept, skipping = [], False
    for line in lock.splitlines(keepends=True):
        found = re.match(r"([A-Za-z0-9][\w.-]*)==", line)
        skipping = found[1] in names if found else skipping and line.startswith(" ")
        kept += [] if skipping else [line]
    return "".join(kept)


def install() -> None:
    """Install the wheels of `/inside/lock.txt` and `/inside/own/*/` under the prefix, without dependencies.

    All come from `/inside/wheels`, and uv verifies each by the lock's hash: the step has no network. The passes of
    `/inside/passes.json` are applied before anything is compiled.
    """
    told = (INSIDE / "passes.json").read_text()
    carried = passes.read(told)
    own = sorted(INSIDE.glob("own/*/*.whl"))
    here = re.compile(rf".*-(any|.*_{os.uname().machine})\.whl")  # there may be wheels for other platforms, too
    unwanted = passes.unwanted(carried)
    there = [wheel for wheel in sorted(INSIDE.glob("wheels/*.whl")) if here.fullmatch(wheel.name)]
    wheels = [wheel for wheel in there if package(wheel.name) not in unwanted] + own
    contested = refuse_collisions(wheels)
    before = set(tree(PREFIX))
    arguments = ["--python", str(PREFIX / "bin" / "python"), "--no-deps", "--no-build"]
    cache = PREFIX / ".uv"  # beside what it makes, so that uv need not copy what it unpacked
    LOCK.write_text(without((INSIDE / "lock.txt").read_text(), unwanted))
    if re.search(r"^[A-Za-z0-9][\w.-]*==", LOCK.read_text(), re.MULTILINE):
        uv("pip", "install", *arguments, *OFFLINE, "--requirements", str(LOCK), cache=cache, UV_LINK_MODE="hardlink")
    if own:
        uv("pip", "install", *arguments, "--no-index", *map(str, own), cache=cache, UV_LINK_MODE="hardlink")
    shutil.rmtree(cache, ignore_errors=True)
    remove_debris(PREFIX)
    settle_contest(contested)
    new = [path for path in tree(PREFIX) if path not in before]
    packages = passes.Packages(PREFIX, new)
    entries = passes.apply(packages, carried, INSIDE / "tools", compiled=False)
    entries += ledger.left_out(there, unwanted)
    compile_modules(filter(passes.compiles(packages, carried), packages.files.values()))
    explain(json.loads(told), entries)
    settle(path for path in tree(PREFIX) if path not in before)
    # uv's lock came and went in the prefix; so did what passes removed, in folders of layers below.
    for folder in {PREFIX, *(path.parent for path in new)} & before:
        os.utime(folder, (EPOCH, EPOCH))


def explain(told: Mapping[str, str], entries: list[ledger.Entry]) -> None:
    """Leave the ledger in the layer, and what lets a failed import tell of it, unless they are not wanted."""
    if not entries or not told["explain"]:
        return
    folder = PREFIX / "ledger"
    folder.mkdir(exist_ok=True)
    (folder / f"{told['layer']}.json.gz").write_bytes(ledger.ledger_bytes(entries))
    module = next(PREFIX.glob(SITE)) / "_slimbake_ledger.py"
    if not module.exists():  # a layer below may have it
        module.write_bytes((INSIDE / "explain.py").read_bytes())
        module.with_suffix(".pth").write_text("import _slimbake_ledger\n")
        compile_modules([module])


def refuse_collisions(wheels: list[Path]) -> dict[str, Path]:
    """Raise LayerError where two packages would put different modules in one place: uv overwrites, whoever is last.

    Files that Python does not import are named, and given back with the wheel that has the last word.
    """
    contested: dict[str, Path] = {}
    owners: dict[str, tuple[str, str]] = {}
    for record in sorted(PREFIX.glob(f"{SITE}/*.dist-info/RECORD")):
        owners.update({path: (record.parent.stem, digest) for path, digest in recorded(record.read_text())})
    faults = []
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            listing = next(name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/RECORD", name))
            text = archive.read(listing).decode()
        for path, digest in recorded(text):
            other, known = owners.setdefault(path, (wheel.name, digest))
            collision = f"{path} is in {other} and, otherwise, in {wheel.name}"
            if known != digest and path.endswith((".py", ".so", ".pth")):
                faults.append(collision)
            elif known != digest:
                print(f"slimbake: {collision}: the later one stays")
            if known != digest or path in contested:
                contested[path] = wheel
    if faults:
        raise LayerError("packages collide: " + "; ".join(faults[:10]))
    return contested


def settle_contest(contested: Mapping[str, Path]) -> None:
    """Lay down the files that several wheels have: uv installs wheels side by side, and the slowest would win."""
    for path, wheel in contested.items():
        with zipfile.ZipFile(wheel) as archive:
            next(PREFIX.glob(f"{SITE}/{glob.escape(path)}")).write_bytes(archive.read(path))


def recorded(text: str) -> Iterator[tuple[str, str]]:
    """Path and hash of the files in a RECORD that has them; wheels and installed packages say it alike."""
    return ((row[0], row[1]) for row in csv.reader(text.splitlines()) if len(row) > 1 and row[1])


def remove_debris(root: Path) -> None:
    """Remove what uv leaves beside the packages: its lock, and its cache records with their rows in RECORD."""
    (root / ".lock").unlink(missing_ok=True)
    for record in root.glob(f"{SITE}/*.dist-info/uv_cache.json"):
        listing = record.with_name("RECORD")
        rows = [row for row in csv.reader(listing.read_text().splitlines()) if not row[0].endswith("/uv_cache.json")]
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        listing.write_text(text.getvalue())
        record.unlink()


if __name__ == "__main__":
    sys.exit(main())
