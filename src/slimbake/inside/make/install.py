"""Makes a layer of packages: unpacks locked wheels, and lays what stays of them."""

from __future__ import annotations

import configparser
import json
import os
import pkgutil
import re
import shutil
import zipfile
import zlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import ledger, rules
from ..step import EPOCH, INSIDE, PREFIX, SITE, StepError
from .collisions import SITE_HERE, Claim, claims_of, merged, refuse_collisions
from .layer import OFFLINE, TMP, compile_modules, link_identical, run_uv
from .tree import normalise, tree

LOCK = TMP / "lock.txt"
LOCAL = TMP / "local"
UNPACKED = INSIDE / "unpacked"  # what the stage before has unpacked
STRIPPED = "stripped.json"  # there: what was stripped, and by which rule


def unpack_wheels(arguments: Sequence[str]) -> None:
    """The program `unpack FOLDER`: install the wheels of `lock.txt` into FOLDER/prefix, without
    dependencies, and those of `own/*/`, which were built from sources that it pins.

    All are read from `wheels`, and uv verifies each by the lock's hash. Where the variable STRIP
    names a rule, shared libraries are stripped, and STRIPPED says so under that name. Raises StepError.
    """
    folder = Path(*arguments)
    into = folder / "prefix"
    # There may be wheels for other platforms, too.
    here = re.compile(rf".*-(any|.*_{os.uname().machine})\.whl")
    wheels = [wheel for wheel in sorted(INSIDE.glob("wheels/*.whl")) if here.fullmatch(wheel.name)]
    local = sorted(INSIDE.glob("own/*/*.whl"))
    unpack((INSIDE / "lock.txt").read_text(), wheels, local, into)
    layer = rules.LayerFiles(into, tree(into))
    rule = os.environ.get("STRIP")
    stripped = map(asdict, rules.strip_symbols(layer, rule) if rule else ())
    (folder / STRIPPED).write_text(json.dumps([*stripped]))


def lay_packages(_: Sequence[str] = ()) -> None:
    """The program `lay`: lay what was unpacked upon the layers below, by the rules of `rules.json`.

    Raises StepError, also for a rule that cannot be applied.
    """
    settings = json.loads((INSIDE / "rules.json").read_text())
    stripped = [
        ledger.LedgerEntry(**entry) for entry in json.loads((UNPACKED / STRIPPED).read_text())
    ]
    before = {*tree(PREFIX)}
    new = merged(UNPACKED / "prefix", PREFIX)
    layer = rules.LayerFiles(PREFIX, new)
    result = optimised(layer, settings, stripped)
    compile_modules(layer.files.values())
    if settings["rules"]:
        link_identical(layer.files.values())
    write_ledger(settings["layer"], result)
    settle(before, new)


def install_local(_: Sequence[str] = ()) -> None:
    """The program `install-local`: install the packages of the repository, `own/*/`, over all that
    is locked.

    They have a layer of their own, without rules: an edit changes nothing else.
    Raises StepError.
    """
    before = {*tree(PREFIX)}
    unpack("", (), sorted(INSIDE.glob("own/*/*.whl")), LOCAL)
    new = merged(LOCAL, PREFIX)
    compile_modules(new)
    settle(before, new)


def optimised(
    layer: rules.LayerFiles,
    settings: Mapping[str, Any],
    stripped: Sequence[ledger.LedgerEntry] = (),
) -> ledger.Ledger:
    """Apply the rules to a layer; return what they did, and what was `stripped` before. Warns where code looks for files that a layer
    below is without. Raises StepError for a rule that cannot be applied.
    """
    requested = [rules.parse_rule(rule) for rule in settings["rules"]]
    ledgers = [
        ledger.read_ledger(path.read_bytes())
        for path in sorted((PREFIX / "ledger").glob("*.json.gz"))
    ]
    without = {suffix for record in ledgers for suffix in record.without}
    if lacking := sorted(suffix for suffix in without if layer.sought(suffix)):
        print(
            f"slimbake: warning: code of this layer looks for files *{', *'.join(lacking)},"
            " which the layers below are without: require its package in the base, or say"
            " `optimize: false` there"
        )
    sought_below = {suffix for record in ledgers for suffix in record.sought}
    entries = rules.apply_rules(layer, requested, sought_below)
    entries += (entry for entry in stripped if entry.path in layer.files)
    suffixes = [
        suffix
        for rule in requested
        if "unsought" in rule.conditions
        for suffix in rules.suffixes(rule)
    ]
    taken = {Path(entry.path).suffix for entry in entries if not entry.after}
    return ledger.Ledger(
        tuple(entries),
        sought=tuple(suffix for suffix in suffixes if layer.sought(suffix)),
        without=tuple(suffix for suffix in suffixes if suffix in taken),
    )


def unpack(lock: str, wheels: Sequence[Path], local: Sequence[Path], into: Path) -> None:
    """Install the wheels of a lock, and these local ones, below a folder. Raises StepError, also
    where they would write over each other's modules.
    """
    (into / SITE_HERE).mkdir(parents=True)  # a lock may have no wheel for this platform
    claims = [claim for wheel in (*wheels, *local) for claim in claimed(wheel, into)]
    contested = refuse_collisions(claims, into)
    install_wheels(lock, local, into)
    remove_debris(into)
    for path, claim in contested.items():  # uv installs in parallel: the slowest would win
        path.write_bytes(claim.content())


def settle(before: Set[Path], new: Sequence[Path]) -> None:
    """Give what came into the prefix constant modes and times. `before`: what was there; `new`: what
    came, and may have gone again.
    """
    left = [path for path in tree(PREFIX) if path not in before]
    normalise(left)
    for folder in {PREFIX, *(path.parent for path in (*new, *left))} & before:
        os.utime(folder, (EPOCH, EPOCH))


def claimed(wheel: Path, into: Path) -> list[Claim]:
    """The files that a wheel installs. Raises StepError also for what is no wheel."""
    try:
        return list(claims_of(wheel, into))
    except (zipfile.BadZipFile, EOFError, zlib.error, configparser.Error) as error:
        raise StepError(f"{wheel.name} is damaged: {error}") from None


def install_wheels(lock: str, local: Sequence[Path], into: Path) -> None:
    """Have uv install the wheels that a lock names, then these local ones, below a folder."""
    arguments = ("pip", "install", "--python", str(PREFIX / "bin" / "python"), "--no-deps")
    cache = into / ".uv"  # on the same file system: uv links what it unpacked, and copies nothing
    LOCK.write_text(lock)
    locked = re.search(r"^[A-Za-z0-9][\w.-]*==", lock, re.MULTILINE)
    for sources in (
        [*OFFLINE, "--require-hashes", "--requirements", str(LOCK)] if locked else [],
        ["--no-index", *map(str, local)] if local else [],
    ):
        if sources:
            to = ("--prefix", str(into), "--no-build")
            run_uv(*arguments, *to, *sources, cache=cache, UV_LINK_MODE="hardlink")
    shutil.rmtree(cache, ignore_errors=True)


def write_ledger(name: str, result: ledger.Ledger) -> None:
    """Leave the ledger in the layer, and the hook by which a failed import names the rule."""
    if result == ledger.Ledger():
        return
    folder = PREFIX / "ledger"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json.gz").write_bytes(ledger.ledger_bytes(result))
    module = next(PREFIX.glob(SITE)) / "_slimbake_ledger.py"
    if not module.exists():  # a layer below may have it
        module.write_bytes(pkgutil.get_data(__package__, "explain.py") or b"")
        module.with_suffix(".pth").write_text("import _slimbake_ledger\n")
        compile_modules([module])


def remove_debris(root: Path) -> None:
    """Remove uv's lock, and its cache records with their rows in RECORD."""
    (root / ".lock").unlink(missing_ok=True)
    for record in root.glob(f"{SITE}/*.dist-info/uv_cache.json"):
        listed = record.with_name("RECORD")
        lines = listed.read_text().splitlines(keepends=True)
        listed.write_text("".join(line for line in lines if "/uv_cache.json," not in line))
        record.unlink()
