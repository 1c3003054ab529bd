"""Carry Debian packages into an image, on top of its runtime; runs inside the external Python image.

    python3.11 -m inside.system /out --runtime /runtime --debs /inside/debs libpq5 libgomp1

Carried are the files of each package and the shared libraries that they need, where the runtime lacks them.
What else a package depends on (data, programs) is not: name it. Needs distil.py and debs.py beside it, else nothing.
"""

import argparse
import filecmp
import os
import re
import subprocess
import sys
from pathlib import Path

from .debs import Deb, apt, succeeds, verified, wanted
from .distil import DPKG, EPOCH, copyrights, is_elf, lay, libraries, owners, records, settle, steps, within

DOCUMENTATION = re.compile(r"/usr/share/(doc|doc-base|man|info|locale|lintian|linda|bug)/")


def install(debs: list[Deb], folder: Path) -> None:
    """Install from these files, without a network, what the image lacks of the packages of a lock.

    What it has stays as it is; only where something then does not fit does the lock's version replace it.
    """
    files = dict(zip(debs, verified(debs, folder), strict=True))
    listed = apt("dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n")
    there = {line.split()[0] for line in listed.splitlines() if line.endswith(" installed")}
    words = ["apt-get", "install", "--yes", "--no-install-recommends", "--allow-downgrades"]
    lacking = [str(path) for deb, path in files.items() if deb.name not in there]
    if lacking and not succeeds(*words, *lacking):
        apt(*words, *map(str, files.values()))


def alternatives(paths: set[Path]) -> set[Path]:
    """The links by which Debian's alternatives (say, of libblas.so.3) lead to `paths`."""
    heads = (file.read_text().split("\n\n")[0] for file in (DPKG / "alternatives").iterdir())
    links = [Path(line) for head in heads for line in head.splitlines() if line.startswith("/")]
    return {step for link in links if link.resolve() in paths for step in steps(link)}


def contents(names: list[str]) -> set[Path]:
    """The files of the installed packages `names`, and the shared libraries that they need."""
    own = (path for path, name in owners().items() if name in names and not DOCUMENTATION.match(str(path)))
    paths = {step for path in own for step in steps(path)}
    paths |= alternatives(paths)
    for elf in sorted(filter(is_elf, paths)):
        found, missing = libraries(elf)
        for name in missing:  # no error: a plug-in may rely on what its program has loaded
            print(f"slimbake: system: {elf} needs {name}, which the loader does not find", file=sys.stderr)
        paths |= found
    return paths | copyrights(paths)


def has(runtime: Path, path: Path) -> bool:
    """Whether `runtime` has the same file or link at `path` as this image."""
    there = within(runtime, path)
    if path.is_symlink() or there.is_symlink():
        return path.is_symlink() and there.is_symlink() and path.readlink() == there.readlink()
    return there.is_file() and filecmp.cmp(path, there, shallow=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--runtime", type=Path, required=True)
    parser.add_argument("--debs", type=Path, required=True)
    parser.add_argument("--epoch", type=int, default=int(os.environ.get("SOURCE_DATE_EPOCH") or EPOCH))
    parser.add_argument("packages", nargs="+")
    arguments = parser.parse_args()
    out: Path = arguments.out
    os.umask(0o022)
    install(wanted(), arguments.debs)
    paths = {path for path in contents(arguments.packages) if not has(arguments.runtime, path)}
    out.mkdir(exist_ok=True)
    lay(out, paths, records(paths, arguments.runtime), {})
    if any(path.match("/etc/ld.so.conf.d/*") for path in paths):
        # The loader passes over what the cache lists and the image does not have.
        subprocess.run(["/sbin/ldconfig", "-X", "-C", out / "etc/ld.so.cache"], check=True)
    settle(out, arguments.epoch)


if __name__ == "__main__":
    main()
