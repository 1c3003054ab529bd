"""Makes layers of packages: installs wheels, makes them smaller by rules and compiles their modules.

What a layer holds depends on its wheels, the rules, the version of Python and the platform alone.
"""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import json
import os
import pkgutil
import re
import shutil
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import cache_from_source
from itertools import chain
from pathlib import Path

from ..fates import LOST_FILES, digests, fates
from ..globs import matcher
from ..ledger import FOLDER, Ledger, LedgerEntry, ledger_bytes
from ..lines import lines_of, some
from ..locked import lock_entries
from ..names import file_name, path_of
from ..records import Row, named, rows_of
from ..step import INSIDE, PREFIX, StepError, hashed
from .bytecode import compiled_modules
from .collisions import SITE_HERE, Claim, claims_of, refuse_collisions
from .compiler import compile_modules
from .rules import LayerRule, apply_rules, parse_rule
from .tree import link_identical, normalise, tree
from .uv import OFFLINE, TMP, run_uv
from .wheel import InstalledWheel

RECIPE = INSIDE / "layer.json"  # what the layer is made of, and how
PACKAGES = INSIDE / "packages"  # what is below a layer that has more bytecode
LOST = 12  # files that an error names; a bake's shows 20 lines
NAMED = 3  # modules that a message names


def make_layer(_: Sequence[str] = ()) -> None:
    """The program `make-layer`: lay out in the prefix what `layer.json` names.

    Its wheels are read from `wheels`, and uv verifies each by its hash; `own/*/` has those that were
    built from sources. Raises StepError, also for a rule that cannot be applied.
    """
    recipe = json.loads(RECIPE.read_text())
    rules = [parse_rule(rule) for rule in recipe["rules"]]
    requirements = "".join(f"{line}\n" for line in recipe["requirements"])
    machine = os.uname().machine
    # One that suits every platform may be another platform's version.
    elsewhere = set[str]()
    for entry in lock_entries(requirements, sizes=False):
        if not entry.on(machine):
            elsewhere.update(entry.hashes)
    here = re.compile(rf".*-(any|.*_{machine})\.whl")
    wheels = []
    for wheel in sorted(INSIDE.glob("wheels/*.whl")):
        if here.fullmatch(wheel.name) and not (elsewhere and hashed(wheel) in elsewhere):
            wheels.append(wheel)
    # Of a package that has a wheel for other machines, the one that is built is for the rest.
    machines_of = recipe.get("built for", {})
    own = []
    for wheel in sorted(INSIDE.glob("own/*/*.whl")):
        if machine in machines_of.get(wheel.parent.name, [machine]):
            own.append(wheel)
    lay_out(requirements, wheels, own, rules, recipe["bytecode"])


def install_local(_: Sequence[str] = ()) -> None:
    """The program `install-local`: install the packages of the repository, `own/*/`.

    They have a layer of their own, without rules: an edit changes nothing else.
    Raises StepError.
    """
    lay_out("", (), sorted(INSIDE.glob("own/*/*.whl")), (), "rule")


def compile_more(globs: Sequence[str]) -> None:
    """The program `compile-more GLOB ...`: compile the modules below `packages` that match, and have
    no bytecode yet, into the prefix.
    """
    site, into = PACKAGES / SITE_HERE, PREFIX / SITE_HERE
    into.mkdir(parents=True)
    names = {file_name(path, site): path for path in site.rglob("*.py")}
    modules: set[Path] = set()
    for glob in globs:
        matches = matcher([glob])
        matching = {path for name, path in names.items() if matches(name)}
        if not matching:
            print(f"slimbake: warning: bytecode: {glob} matches no module")
        modules |= matching
    lacking = [path for path in modules if not Path(cache_from_source(str(path))).is_file()]
    compile_into_prefix(lacking, PACKAGES)
    normalise(tree(PREFIX))


def lay_out(
    requirements: str,
    wheels: Sequence[Path],
    own: Sequence[Path],
    rules: Sequence[LayerRule],
    bytecode: str,
) -> None:
    """Make a layer in the prefix. `wheels`: what the requirements name; `own`: wheels without hashes;
    `bytecode`: which modules have it, `rule`, `all` or `none`. Raises StepError.
    """
    if any(PREFIX.parent.glob("*")):  # all of it is copied
        raise StepError(
            f"the builder image has files in {PREFIX.parent}: choose another as externals.builder"
        )
    site = PREFIX / SITE_HERE
    site.mkdir(parents=True)  # a layer may have no wheel for this platform
    claims_of_wheels = [claimed(wheel) for wheel in (*wheels, *own)]
    contested = refuse_collisions(chain.from_iterable(claims_of_wheels), PREFIX)
    with runtime_python():
        install_wheels(requirements, own)
    remove_debris(site)
    for path, claim in contested.items():  # uv installs in parallel: the slowest would win
        path.write_bytes(claim.content())
    rows: list[Row] = []
    entries_of_layer: list[LedgerEntry] = []
    modules: list[Path] = []
    for wheel, listed, unlisted in installed(claims_of_wheels, site):
        entries = apply_rules(wheel, rules)
        modules += to_compile(wheel, bytecode)
        if rules:
            link_identical(wheel.files.values())
        leave_ledger(Ledger(wheel.package, wheel.version, tuple(entries), unlisted))
        rows += listed
        entries_of_layer += entries
    refuse_losses(site, rows, entries_of_layer)
    if any(entry.requested for entry in entries_of_layer):
        modules.append(leave_hook(site))
    compile_into_prefix(modules, PREFIX)
    normalise(tree(PREFIX))


def claimed(wheel: Path) -> list[Claim]:
    """The files that a wheel installs. Raises StepError also for what is no wheel."""
    try:
        return list(claims_of(wheel, PREFIX))
    except (zipfile.BadZipFile, EOFError, zlib.error, configparser.Error) as error:
        raise StepError(f"{wheel.name} is damaged: {error}") from None


@contextlib.contextmanager
def runtime_python() -> Iterator[None]:
    """The prefix as the runtime makes it: a virtual environment of its Python. Scripts then name the
    prefix's own `python`, so that a layer fits any runtime of that Python.
    """
    python, settings = PREFIX / "bin" / "python", PREFIX / "pyvenv.cfg"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    settings.write_text(f"home = {Path(sys.executable).parent}\n")
    yield
    python.unlink()
    settings.unlink()
    if not any(python.parent.iterdir()):
        python.parent.rmdir()


def install_wheels(requirements: str, own: Sequence[Path]) -> None:
    """Have uv install what these requirements name, and these wheels, without dependencies."""
    cache = PREFIX / ".uv"  # on the same file system: uv links what it unpacked, and copies nothing
    arguments = ["pip", "install", "--python", str(PREFIX / "bin" / "python")]
    arguments += ["--no-deps", "--no-build"]
    if requirements:
        lock = TMP / "lock.txt"
        lock.write_text(requirements)
        locked = (*OFFLINE, "--require-hashes", "--requirements", str(lock))
        run_uv(*arguments, *locked, UV_CACHE_DIR=str(cache), UV_LINK_MODE="hardlink")
    if own:
        paths = map(str, own)
        run_uv(*arguments, "--no-index", *paths, UV_CACHE_DIR=str(cache), UV_LINK_MODE="hardlink")
    shutil.rmtree(cache, ignore_errors=True)


def remove_debris(site: Path) -> None:
    """Remove uv's lock, and its cache records with their rows in RECORD."""
    (PREFIX / ".lock").unlink(missing_ok=True)
    for record in site.glob("*.dist-info/uv_cache.json"):
        listed = record.with_name("RECORD")
        own = f"{record.parent.name}/{record.name},"
        lines = lines_of(listed.read_bytes().decode())
        kept = [f"{line}\n" for line in lines if not line.startswith(own)]
        listed.write_bytes("".join(kept).encode())
        record.unlink()


def installed(
    claims_of_wheels: Iterable[Sequence[Claim]], site: Path
) -> Iterator[tuple[InstalledWheel, list[Row], dict[str, str]]]:
    """The wheels that were installed, each with the rows of its RECORD, and the SHA-256 of the files
    that this does not list, or has no hash of: uv lists those that the wheel's does not.
    """
    for claims in claims_of_wheels:
        records = [claim.path for claim in claims if is_record(claim.path, site)]
        if not records or not records[0].is_file():  # of another Python or platform
            continue
        record = records[0]
        rows = list(rows_of(record))
        with_hash = {row.name for row in rows if row.digest}
        paths = {path_of(row.name, site) for row in rows}
        unlisted = {}
        for claim in claims:
            name = file_name(claim.path, site)
            if claim.member and claim.path != record and name not in with_hash:
                unlisted[name] = hashlib.sha256(claim.content()).hexdigest()
                paths.add(path_of(name, site))
        package, version = named(record.parent.name)
        yield InstalledWheel(package, version, PREFIX, site, paths), rows, unlisted


def is_record(path: Path, site: Path) -> bool:
    """Whether a path is the RECORD of a package."""
    return path.name == "RECORD" and path.parent.suffix == ".dist-info" and path.parents[1] == site


def to_compile(wheel: InstalledWheel, which: str) -> Iterable[Path]:
    """The modules of a wheel that get bytecode: `none`, `all`, or those of the `rule`."""
    if which == "all":
        return wheel.sources.values()
    if which == "rule":
        return [wheel.files[name] for name in compiled_modules(wheel.code)]
    return ()


def compile_into_prefix(modules: Iterable[Path], root: Path) -> None:
    """Compile modules below a root into the prefix; say which do not compile."""
    failed = compile_modules(modules, root, PREFIX, PREFIX)
    if failed:
        names = some([str(path.relative_to(root)) for path in failed], NAMED)
        print(f"slimbake: warning: {names} cannot be compiled: kept as source")


def leave_ledger(ledger: Ledger) -> None:
    """Leave a wheel's ledger in the layer, where there is anything to tell."""
    if ledger.entries or ledger.unlisted:
        folder = PREFIX / FOLDER
        folder.mkdir(exist_ok=True)
        (folder / ledger.file).write_bytes(ledger_bytes(ledger))


def refuse_losses(site: Path, rows: Sequence[Row], entries: Iterable[LedgerEntry]) -> None:
    """Print what became of the files that RECORDs list. Raises StepError where one is lost."""
    ledger = {(entry.package, entry.path): entry for entry in entries}
    result = fates(rows, digests(site, rows, ledger), ledger)
    print(f"inventory: {result}")
    if result.losses:
        lines = [f"lost: {loss}" for loss in result.losses[:LOST]]
        if len(result.losses) > LOST:
            lines.append(f"lost: {len(result.losses) - LOST} more")
        raise StepError(f"{LOST_FILES}\n" + "\n".join(lines))


def leave_hook(site: Path) -> Path:
    """Leave the hook by which a failed import names the line of the manifest: its module."""
    module = site / "_slimbake_ledger.py"
    module.write_bytes(pkgutil.get_data(__package__, "explain.py") or b"")
    module.with_suffix(".pth").write_text("import _slimbake_ledger\n")
    return module
