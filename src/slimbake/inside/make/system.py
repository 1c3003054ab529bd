"""Carries Debian packages into an image, on top of its runtime; runs in the external Python image.

    python3.11 /make.pyz carry-debs /out libpq5 libgomp1

Carried are the files of each package and those that it cannot work without, where the runtime
lacks them: see `companions`.
"""

from __future__ import annotations

import contextlib
import email
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..debs import LOCK, apt, debs_of, verify_debs
from ..elf import LIBRARIES, is_elf, needed
from ..step import EPOCH, INSIDE, StepError
from .dpkg import (
    ROOT,
    STATUS_D,
    alternative_links,
    debian_owners,
    is_installed,
    made_beside,
    paragraphs,
    require_dpkg,
)
from .runtime import (
    cached_libraries,
    copyrights,
    dpkg_records,
    lay_out,
    libraries,
    library_owners,
    links_to,
    set_times,
    within,
)
from .tree import same_file

DOCUMENTATION = re.compile(
    r"/usr/share/(doc|doc-base|man|info|locale|lintian|linda|bug)/|/.*/man/man\d[^/]*/"
)
STARTS_SHELL = re.compile(rb"\0(?:/bin/sh|popen|system)\0")  # its own text, or glibc's functions
PROGRAM = re.compile(r"(/usr)?(/local)?/s?bin/[^/]+")
SHELLS = frozenset(("sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"))
# What installing leaves that says when it was.
RECORDS = re.compile(
    r"/var/log/.*|/var/cache/(?:apt/.*[.]bin|ldconfig/aux-cache)|/var/lib/dpkg/.*-old"
)
# Debian's own words for what every installation has: their dependents name them for the sake of
# scripts that run when a package is installed.
EVERYWHERE = frozenset(("required", "important"))


@dataclass(frozen=True)
class Installed:
    """A package of this image."""

    priority: str
    provides: tuple[str, ...]
    depends: tuple[tuple[str, ...], ...]  # names, any of which will do


def install_debs(_: Sequence[str] = ()) -> None:
    """The program `install-debs`: install the packages of the lock that the image lacks, from the
    mounted files, without a network.

    The image's own packages stay; only where something then does not fit are they replaced by the
    locked versions.
    """
    debs = debs_of(LOCK)
    paths = verify_debs(debs, INSIDE / "debs")
    present = {name for name, paragraph in paragraphs().items() if is_installed(paragraph)}
    # Slim images lack these folders, in which scripts of packages make links.
    for section in range(1, 9):
        (ROOT / f"usr/share/man/man{section}").mkdir(parents=True, exist_ok=True)
    command = ["apt-get", "install", "--yes", "--no-install-recommends", "--allow-downgrades"]
    lacking = []
    for deb, path in zip(debs, paths, strict=True):
        if deb.name not in present:
            lacking.append(str(path))
    if lacking:
        try:
            apt(*command, *lacking)
        except StepError:
            apt(*command, *map(str, paths))


def install_system(_: Sequence[str]) -> None:
    """The program `install-system`: install the packages of the lock in an image of the user's, as
    its own Dockerfile would have, but without a network.

    What changed gets one time, and apt's and dpkg's records of the installation go.
    """
    os.environ["SOURCE_DATE_EPOCH"] = str(EPOCH)  # of the day on which a user is made
    with one_time():
        install_debs()


def run_step(arguments: Sequence[str]) -> None:
    """The program `run-step USER:GROUP HOME VARIABLE=ARGUMENT ... -- COMMAND ...`: run a step of
    `build` in the image itself. A variable has the value of that build argument. What the step
    changes gets one time, and below the home it belongs to the service's user.
    """
    end = list(arguments).index("--")
    owner, home, *variables = arguments[:end]
    command = arguments[end + 1 :]
    environment = {**os.environ, "HOME": home}
    for pair in variables:
        name, _, argument = pair.partition("=")
        environment[name] = os.environ.get(argument, "")
    user, group = map(int, owner.split(":"))
    with one_time():
        Path(home).mkdir(parents=True, exist_ok=True)
        try:
            done = subprocess.run(command, cwd="/app", env=environment, check=False)
        except OSError as error:
            raise StepError(f"build: {command[0]} cannot be run: {error.strerror}") from None
        for folder, _, names in os.walk(home):
            for path in (folder, *(f"{folder}/{name}" for name in names)):
                if os.lstat(path).st_uid == 0:
                    os.chown(path, user, group, follow_symlinks=False)
    if done.returncode:
        raise StepError(f"build: {command[0]} ended with {done.returncode}")


@contextlib.contextmanager
def one_time() -> Iterator[None]:
    """Give all that changes in this image meanwhile one time, and remove records of the moment."""
    with tempfile.NamedTemporaryFile() as begun:
        yield
        moment = Path(begun.name).stat().st_ctime
    changed = [path for path in files_of_image() if path.lstat().st_ctime >= moment]
    for path in changed:
        if RECORDS.fullmatch(str(path)) and not path.is_dir():
            path.unlink()
    for path in changed:
        if os.path.lexists(path):
            os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def files_of_image() -> Iterator[Path]:
    """All files and folders of this image: nothing that is mounted."""
    for name, folders, files in os.walk(ROOT):
        folders[:] = [folder for folder in folders if not os.path.ismount(f"{name}/{folder}")]
        for entry in (*folders, *files):
            path = Path(name, entry)
            if not os.path.ismount(path):  # Path.is_mount of Python 3.11 knows folders alone
                yield path


@cache
def installed() -> dict[str, Installed]:
    """The packages of this image, by name."""
    packages: dict[str, Installed] = {}
    for name, text in paragraphs().items():
        fields = email.message_from_string(text)
        depends = []
        for clause in f"{fields.get('Pre-Depends', '')},{fields.get('Depends', '')}".split(","):
            if clause.strip():
                depends.append(tuple(_names(clause, "|")))
        provides = tuple(_names(fields.get("Provides", ""), ","))
        packages[name] = Installed(fields.get("Priority", ""), provides, tuple(depends))
    return packages


def _names(field: str, separator: str) -> Iterator[str]:
    for clause in field.split(separator):
        if clause.strip():
            yield clause.split()[0].partition(":")[0]


@cache
def own_files() -> dict[str, set[Path]]:
    """The files of each installed package, without its documentation."""
    files: dict[str, set[Path]] = {}
    for path, name in debian_owners().items():
        if (path.is_file() or path.is_symlink()) and not DOCUMENTATION.match(str(path)):
            files.setdefault(name, set()).add(path)
    return files


def companions(names: Collection[str], runtime: Collection[str]) -> set[str]:
    """These packages with those that they cannot work without. `runtime`: what is below has some
    files of these already, and gets no more of them.

    Of all that a package depends on: programs and data; libraries where a program or library needs
    one; all where it is a metapackage; the interpreters of its programs. So libgl1 brings no
    drivers, and no package brings what only its installation needs.
    """
    chosen: set[str] = set()
    requested = {_first((name,)) for name in names}
    waiting = [*requested]
    while waiting:
        name = waiting.pop()
        if name in chosen or name not in installed():
            continue
        chosen.add(name)
        files = own_files().get(name, set())
        dependencies = set(map(_first, installed()[name].depends)) - {""}
        is_metapackage = not files and name in requested
        if is_metapackage:
            requested |= dependencies
        found = _interpreters(files)
        for package in dependencies:
            if installed()[package].priority in EVERYWHERE:
                continue
            if is_metapackage or _program_or_data(package):
                found.add(package)
        for elf in filter(is_elf, files):
            for path in libraries(elf)[0]:
                found.add(debian_owners().get(path, ""))
        waiting += sorted(found - {"", *runtime})
    _warn_of_shells(requested & chosen)
    return chosen


def _warn_of_shells(requested: set[str]) -> None:
    """Warn of programs of these packages that need a shell, if the image gets none."""
    if SHELLS & requested or within(INSIDE / "base", "/usr/bin/sh").exists():
        return
    programs = set()
    for name in requested:
        for path in own_files().get(name, ()):
            if _needs_shell(path):
                programs.add(str(path))
    if programs:
        print(
            f"slimbake: warning: system: the image has no shell for {', '.join(sorted(programs))}: if"
            " your code runs one of them, `shell: true` brings it",
            file=sys.stderr,
        )


def _first(names: Sequence[str]) -> str:
    """The package of this image that answers a dependency, under its own name or another's."""
    packages = installed()
    for name in names:
        if name in packages:
            return name
    for name, package in packages.items():
        if not set(names).isdisjoint(package.provides):
            return name
    return ""


@cache
def _program_or_data(name: str) -> bool:
    """Whether a package has programs, in any folder, or no native code: else it is one of
    libraries.
    """
    native = False
    for path in own_files().get(name, ()):
        if _program(path):
            return True
        if is_elf(path):
            native = True
            if is_executable(path):
                return True
    return not native


def is_executable(path: Path) -> bool:
    """Whether a file may be run; Debian's libraries and plug-ins may not."""
    return os.access(path, os.X_OK)


def _interpreters(files: Collection[Path]) -> set[str]:
    """The packages of the interpreters of a package's programs that are scripts, less shells: an
    image has one only if its service asks for it.
    """
    packages = set()
    for path in filter(_program, files):
        interpreter = interpreter_of(path)
        if interpreter is None or interpreter.name in SHELLS:
            continue
        link = interpreter.parent.resolve() / interpreter.name
        packages.add(debian_owners().get(link, ""))
        packages.add(debian_owners().get(interpreter.resolve(), ""))
    return packages


def _needs_shell(path: Path) -> bool:
    """Whether a program is a script of a shell, or starts others through one, as git does to clone.
    Every program that is linked statically has the shell's name in it, of its copy of libc.
    """
    if not _program(path):
        return False
    interpreter = interpreter_of(path)
    if interpreter is not None:
        return interpreter.name in SHELLS
    return bool(needed(path)) and bool(STARTS_SHELL.search(path.read_bytes()))


def _program(path: Path) -> bool:
    return bool(PROGRAM.fullmatch(str(path)))


def interpreter_of(path: Path) -> Path | None:
    """What runs a script; None for what is none."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        line = file.readline(256)
    words = line[2:].decode(errors="replace").split()
    if not line.startswith(b"#!") or not words:
        return None
    if not words[0].endswith("/env"):
        return Path(words[0])
    program = ""
    for word in words[1:]:
        if not word.startswith("-") and "=" not in word:
            program = word
            break
    return Path(shutil.which(program) or f"/usr/bin/{program}")


def package_files(names: Collection[str]) -> set[Path]:
    """The files of the installed packages `names`, and the shared libraries that they need."""
    paths: set[Path] = set()
    for name in names:
        for path in own_files().get(name, ()):
            paths.update(links_to(path))
    owned = frozenset(paths)
    for link in alternative_links():
        if link.resolve() in owned:
            paths.update(links_to(link))
    for elf in sorted(filter(is_elf, paths)):
        linked, missing = libraries(elf)
        for name in missing:  # no error: a plug-in may rely on what its program has loaded
            print(
                f"slimbake: system: {elf} needs {name}, which the loader does not find",
                file=sys.stderr,
            )
        paths |= linked
    return paths | copyrights(paths)


def carry_debs(arguments: Sequence[str]) -> None:
    """The program `carry-debs OUT PACKAGE ...`: `debs` are the files, `base` is the runtime."""
    require_dpkg()
    out, runtime, packages = Path(arguments[0]), INSIDE / "base", arguments[1:]
    install_debs()
    cached_libraries.cache_clear()
    there = {path.stem for path in within(runtime, STATUS_D).glob("*.md5sums")}
    chosen = companions(packages, there)
    print(f"slimbake: system: {' '.join(sorted(chosen))}", file=sys.stderr)
    files = package_files(chosen) | made_beside(chosen)
    paths = {path for path in files if not same_file(path, within(runtime, path))}
    out.mkdir(exist_ok=True)
    texts = dpkg_records(paths, runtime) | {str(LIBRARIES): library_owners()}
    lay_out(out, paths, texts, {})
    # The loader's cache of the whole image: by it the loader finds what lies in other folders.
    with tempfile.TemporaryDirectory() as root:
        for tree in (runtime, out):
            shutil.copytree(tree, root, symlinks=True, dirs_exist_ok=True)
        subprocess.run(["/sbin/ldconfig", "-X", "-r", root], check=True)
        (out / "etc").mkdir(exist_ok=True)
        shutil.copyfile(Path(root, "etc/ld.so.cache"), out / "etc/ld.so.cache")
    set_times(out)
