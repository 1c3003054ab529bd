"""Carries Debian packages into an image, on top of its runtime; runs in the external Python image.

    python3.11 /build.pyz carry-debs /out libpq5 libgomp1

Carried are the files of each package and the shared libraries that they need, where the runtime
lacks them. Other dependencies of a package (data, programs) are not: name them.
"""

from __future__ import annotations

import filecmp
import re
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from ..debs import LOCK, Deb, DebsError, apt, debs_of, verify_debs
from ..step import INSIDE
from .runtime import (
    DPKG,
    copyrights,
    debian_owners,
    dpkg_records,
    is_elf,
    lay_out,
    libraries,
    links_to,
    set_times,
    within,
)

DOCUMENTATION = re.compile(r"/usr/share/(doc|doc-base|man|info|locale|lintian|linda|bug)/")


def install_debs(debs: Sequence[Deb], folder: Path) -> None:
    """Install the packages of a lock that the image lacks, from these files, without a network.

    The image's own packages stay; only where something then does not fit are they replaced by the
    locked versions.
    """
    files = dict(zip(debs, verify_debs(debs, folder), strict=True))
    listed = apt("dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n")
    there = {line.split()[0] for line in listed.splitlines() if line.endswith(" installed")}
    command = ["apt-get", "install", "--yes", "--no-install-recommends", "--allow-downgrades"]
    if lacking := [str(path) for deb, path in files.items() if deb.name not in there]:
        try:
            apt(*command, *lacking)
        except DebsError:
            apt(*command, *map(str, files.values()))


def alternatives(paths: set[Path]) -> set[Path]:
    """The links by which Debian's alternatives (say, of libblas.so.3) lead to `paths`."""
    heads = (file.read_text().split("\n\n")[0] for file in (DPKG / "alternatives").iterdir())
    links = [Path(line) for head in heads for line in head.splitlines() if line.startswith("/")]
    return {step for link in links if link.resolve() in paths for step in links_to(link)}


def package_files(names: Collection[str]) -> set[Path]:
    """The files of the installed packages `names`, and the shared libraries that they need."""
    own = (
        path
        for path, name in debian_owners().items()
        if name in names and not DOCUMENTATION.match(str(path))
    )
    paths = {step for path in own for step in links_to(path)}
    paths |= alternatives(paths)
    for elf in sorted(filter(is_elf, paths)):
        found, missing = libraries(elf)
        for name in missing:  # no error: a plug-in may rely on what its program has loaded
            print(
                f"slimbake: system: {elf} needs {name}, which the loader does not find",
                file=sys.stderr,
            )
        paths |= found
    return paths | copyrights(paths)


def has_same(runtime: Path, path: Path) -> bool:
    """Whether `runtime` has the same file or link at `path` as this image."""
    there = within(runtime, path)
    if path.is_symlink() and there.is_symlink():
        return path.readlink() == there.readlink()
    if path.is_symlink() or there.is_symlink():
        return False
    return there.is_file() and filecmp.cmp(path, there, shallow=False)


def install_locked(_: Sequence[str] = ()) -> None:
    """The program `install-debs`: install the packages of the lock here, for what builds a wheel."""
    install_debs(debs_of(LOCK), INSIDE / "debs")


def carry_debs(arguments: Sequence[str]) -> None:
    """The program `carry-debs OUT PACKAGE ...`: `debs` are the files, `base` is the runtime."""
    out, runtime, packages = Path(arguments[0]), INSIDE / "base", arguments[1:]
    install_debs(debs_of(LOCK), INSIDE / "debs")
    paths = {path for path in package_files(packages) if not has_same(runtime, path)}
    out.mkdir(exist_ok=True)
    lay_out(out, paths, dpkg_records(paths, runtime), {})
    if any(path.match("/etc/ld.so.conf.d/*") for path in paths):
        # The loader passes over what the cache lists and the image does not have.
        subprocess.run(["/sbin/ldconfig", "-X", "-C", out / "etc/ld.so.cache"], check=True)
    set_times(out)
