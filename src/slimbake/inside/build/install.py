"""Makes a layer of packages: installs locked wheels and applies rules, without a network."""

from __future__ import annotations

import csv
import io
import json
import os
import pkgutil
import re
import shutil
import zipfile
import zlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import ledger, rules
from ..cold.pack import go_cold
from ..cold.select import select, warm_modules
from ..step import EPOCH, INSIDE, PREFIX, SITE
from .collisions import Claim, claims_of, layers_below, refuse_collisions
from .layer import OFFLINE, TMP, compile_modules, link_identical, run_uv
from .settle import LayerError, normalise, tree

LOCK = TMP / "lock.txt"


def install_layer(_: Sequence[str] = ()) -> None:
    """The program `install`: install the wheels of `lock.txt` without dependencies, and those of
    `own/*/`, which were built from sources that it pins.

    All are read from `wheels`, and uv verifies each by the lock's hash. The rules of `rules.json`
    are applied before anything is compiled. With `warm.txt`, the layer's warm list, warm modules
    alone are compiled, and what no start reads goes to its cold store. Raises LayerError, and
    RuleError for a rule that cannot be applied.
    """
    settings = json.loads((INSIDE / "rules.json").read_text())
    own = sorted(INSIDE.glob("own/*/*.whl"))
    # There may be wheels for other platforms, too.
    here = re.compile(rf".*-(any|.*_{os.uname().machine})\.whl")
    wheels = [each for each in sorted(INSIDE.glob("wheels/*.whl")) if here.fullmatch(each.name)]
    done = installed((INSIDE / "lock.txt").read_text(), wheels, own)
    layer = rules.LayerFiles(PREFIX, done.new)
    entries = optimised(layer, settings)
    modules = list(layer.files.values())
    if settings.get("warm"):
        warm = (INSIDE / "warm.txt").read_text().splitlines()
        stays = warm_modules(warm)
        compiled = compile_modules(path for path in modules if layer.name(path) in stays)
        modules = go_cold(layer, select(layer, warm, {*map(layer.name, compiled)}), settings)
    compile_modules(modules)
    if settings["rules"] or settings.get("warm"):
        link_identical(layer.files.values())
    write_ledger(settings["layer"], entries)
    settle(done)


def optimised(layer: rules.LayerFiles, settings: Mapping[str, Any]) -> ledger.Ledger:
    """Apply the rules to a layer; return what they did. Warns where code looks for files that a layer
    below is without. Raises RuleError.
    """
    asked = [rules.parse_rule(each) for each in settings["rules"]]
    below = [
        ledger.read_ledger(path.read_bytes())
        for path in sorted((PREFIX / "ledger").glob("*.json.gz"))
    ]
    without = {suffix for each in below for suffix in each.without}
    if lacking := sorted(suffix for suffix in without if layer.sought(suffix)):
        print(
            f"slimbake: warning: code of {settings['layer']} looks for files *{', *'.join(lacking)},"
            " which the layers below are without: require its package in the base, or say"
            " `optimize: false` there"
        )
    sought_below = {suffix for each in below for suffix in each.sought}
    entries = rules.apply_rules(layer, asked, sought_below)
    for rule in asked:
        entries += rules.strip_symbols(layer, rule) if rule.strip else ()
    suffixes = [
        each for rule in asked if "unsought" in rule.conditions for each in rules.suffixes(rule)
    ]
    taken = {Path(entry.path).suffix for entry in entries if not entry.after}
    return ledger.Ledger(
        tuple(entries),
        sought=tuple(each for each in suffixes if layer.sought(each)),
        without=tuple(each for each in suffixes if each in taken),
    )


def install_local(_: Sequence[str] = ()) -> None:
    """The program `install-local`: install the packages of the repository, `own/*/`, over all that
    is locked.

    They have a layer of their own, without rules and cold store: an edit changes nothing else.
    Raises LayerError.
    """
    done = installed("", (), sorted(INSIDE.glob("own/*/*.whl")))
    compile_modules(done.new)
    settle(done)


@dataclass(frozen=True)
class Installed:
    """What wheels put into the prefix."""

    before: Set[Path]  # what was there
    new: Sequence[Path]
    rewritten: Set[Path]  # with the bytes that they had


def installed(lock: str, wheels: Sequence[Path], own: Sequence[Path]) -> Installed:
    """Install the wheels of a lock, and these local ones. Raises LayerError, also where they would
    change what is there.
    """
    claims = [claim for wheel in (*wheels, *own) for claim in claimed(wheel)]
    contested = refuse_collisions(claims, PREFIX)
    below = layers_below(PREFIX, claims)
    install_wheels(lock, own)
    remove_debris(PREFIX)
    rewritten = below.rewritten(claims)
    settle_contest(contested)
    before = below.states.keys()
    return Installed(before, [path for path in tree(PREFIX) if path not in before], rewritten)


def settle(done: Installed) -> None:
    """Give what was installed, and what is made of it since, constant modes and times."""
    before = done.before
    normalise(path for path in tree(PREFIX) if path not in before or path in done.rewritten)
    # uv's lock came and went in the prefix; so did removed files, in folders of layers below.
    for folder in {PREFIX, *(path.parent for path in done.new)} & before:
        os.utime(folder, (EPOCH, EPOCH))


def claimed(wheel: Path) -> list[Claim]:
    """The files that a wheel installs. Raises LayerError also for what is no wheel."""
    try:
        return list(claims_of(wheel, PREFIX))
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise LayerError(f"{wheel.name} is damaged: {error}") from None


def install_wheels(lock: str, own: Sequence[Path]) -> None:
    """Have uv install the wheels that a lock names, then these local ones."""
    arguments = ("pip", "install", "--python", str(PREFIX / "bin" / "python"), "--no-deps")
    cache = PREFIX / ".uv"  # on the same file system: uv links what it unpacked, and copies nothing
    LOCK.write_text(lock)
    locked = re.search(r"^[A-Za-z0-9][\w.-]*==", lock, re.MULTILINE)
    for sources in (
        [*OFFLINE, "--requirements", str(LOCK)] if locked else [],
        ["--no-index", *map(str, own)] if own else [],
    ):
        if sources:
            run_uv(*arguments, "--no-build", *sources, cache=cache, UV_LINK_MODE="hardlink")
    shutil.rmtree(cache, ignore_errors=True)


def write_ledger(layer: str, found: ledger.Ledger) -> None:
    """Leave the ledger in the layer, and the hook by which a failed import names the rule."""
    if found == ledger.Ledger():
        return
    folder = PREFIX / "ledger"
    folder.mkdir(exist_ok=True)
    (folder / f"{layer}.json.gz").write_bytes(ledger.ledger_bytes(found))
    module = next(PREFIX.glob(SITE)) / "_slimbake_ledger.py"
    if not module.exists():  # a layer below may have it
        module.write_bytes(pkgutil.get_data(__package__, "explain.py") or b"")
        module.with_suffix(".pth").write_text("import _slimbake_ledger\n")
        compile_modules([module])


def settle_contest(contested: Mapping[Path, Claim]) -> None:
    """Write the files that several wheels have: uv installs in parallel, the slowest would win."""
    for path, claim in contested.items():
        path.write_bytes(claim.content())


def remove_debris(root: Path) -> None:
    """Remove uv's lock, and its cache records with their rows in RECORD."""
    (root / ".lock").unlink(missing_ok=True)
    for record in root.glob(f"{SITE}/*.dist-info/uv_cache.json"):
        listed = record.with_name("RECORD")
        rows = csv.reader(listed.read_text().splitlines())
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(
            row for row in rows if not row[0].endswith("/uv_cache.json")
        )
        listed.write_text(text.getvalue())
        record.unlink()
