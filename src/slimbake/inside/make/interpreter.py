"""Makes a Python that runs in another image: the runtime's own, in a folder that can lie in any image
with a glibc that is new enough. It runs in the external Python image.

python3.11 /make.pyz make-interpreter /out
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..elf import is_elf
from ..step import INTERPRETER, StepError
from .dpkg import debian_owners, require_dpkg
from .prefix import CERTIFICATES, ZONES
from .rpath import with_rpath
from .runtime import (
    PYTHON,
    SONAMES,
    STDLIB,
    copyrights,
    kept_below,
    lay_out,
    libraries,
    pack_library,
    set_times,
    within,
)
from .tree import link_identical, tree

GLIBC = "libc6"  # the Debian package of the libraries that belong to the loader


def make_interpreter(arguments: Sequence[str]) -> None:
    """The program `make-interpreter OUT`: lay out the interpreter, its library, and the shared
    libraries of both but glibc's, for which it uses those of the image.

    Certificates and time zones lie beside it, for images that have none.
    """
    require_dpkg()
    out = Path(*arguments)
    home = within(out, INTERPRETER)
    shared = shared_libraries()
    modules = {path for path in kept_below(STDLIB) if path.is_relative_to(STDLIB)}
    lay_out(out, modules, {}, {})
    (home / "lib").mkdir(parents=True)
    within(out, STDLIB).rename(home / "lib" / STDLIB.name)
    for folder in within(out, STDLIB).parents:
        if folder.is_relative_to(out) and folder != out and not any(folder.iterdir()):
            folder.rmdir()
    pack_library(home / "lib" / STDLIB.name, INTERPRETER / "lib" / STDLIB.name)
    (home / "bin").mkdir()
    program = home / "bin" / PYTHON.name
    program.write_bytes(with_rpath(PYTHON.read_bytes(), b"$ORIGIN/../lib"))
    for name, path in shared.items():
        shutil.copyfile(path, home / "lib" / name)
    (home / "share").mkdir()
    shutil.copyfile(CERTIFICATES, home / "share" / CERTIFICATES.name)
    shutil.copytree(
        ZONES, home / "share" / ZONES.name, ignore=shutil.ignore_patterns("posix", "right")
    )
    copy_copyrights([PYTHON, *modules, *shared.values()], home / "share/doc")
    for path in tree(out):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path == program else 0o644)
    link_identical(tree(out))
    set_times(out)


def shared_libraries() -> dict[str, Path]:
    """The shared libraries of the interpreter and its library, by the names that they are asked for
    by. Raises StepError where this image lacks one.
    """
    found: dict[str, Path] = {}
    for elf in (PYTHON, *filter(is_elf, kept_below(STDLIB))):
        sonames = SONAMES if elf == PYTHON else ()
        linked, missing = libraries(elf, *sonames)
        if missing:
            raise StepError(f"the Python image lacks {', '.join(missing)}, which {elf} needs")
        for path in linked:
            if debian_owners().get(path.resolve()) != GLIBC and ".so" in path.name:
                found[path.name] = path.resolve()
    return found


def copy_copyrights(paths: Iterable[Path], target: Path) -> None:
    """Copy what says whose these files are, a folder for each Debian package."""
    for path in copyrights(paths):
        if path.name == "copyright":
            folder = target / path.parent.name
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / path.name)
