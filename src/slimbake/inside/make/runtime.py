"""Makes the runtime from the external Python image. It runs in that image.

python3.11 /make.pyz make-runtime /out
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import platform
import py_compile
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import translate
from itertools import chain
from pathlib import Path

from ..elf import LIBRARIES, is_elf
from ..step import EPOCH, NONROOT, PREFIX, StepError
from . import ldconfig
from .dpkg import ROOT, STATUS_D, copyright_file, debian_owners, paragraphs, require_dpkg
from .tree import link_identical, tree

PYTHON = Path(sys.executable).resolve()
STDLIB = Path(os.__file__).resolve().parent

# Names of files and folders of the standard library (in the last row: of the time zones) that the
# runtime does not get, by the reason.
LEFT_BEHIND: Mapping[str, tuple[str, ...]] = {
    "its own tests": ("test", "tests", "idle_test", "_test*", "_ctypes_test*", "_xxtestfuzz*"),
    "examples of extension modules": ("xxlimited*",),
    "there is no display": ("tkinter", "_tkinter*", "idlelib", "turtle.py", "turtledemo"),
    "there is no terminal with its terminfo; pdb works": ("curses", "_curses*", "readline.*"),
    "uv installs and builds": ("ensurepip", "venv", "lib2to3", "config-*"),
    "beside the code of distutils": ("README", "command_template"),
    "they belong to the image that it came from": (
        *("site-packages", "dist-packages", "sitecustomize.py", "EXTERNALLY-MANAGED"),
    ),
    "Berkeley DB, where dbm.dumb remains, and NIS, which 3.13 dropped": (
        *("_dbm.*", "_gdbm.*", "nis.*"),
    ),
    "another operating system's": ("msilib", "windows_*.py"),
    "the style of the web pages that pydoc serves": ("_pydoc.css",),
    "compiled again": ("__pycache__",),
    "the same time zones again, and once more with leap seconds": ("posix", "right"),
}

_LEFT_BEHIND = re.compile("|".join(map(translate, chain.from_iterable(LEFT_BEHIND.values()))))

# Modules and packages of the standard library that lie in the archive that Python looks into before
# it looks into the folder, with -S too: the same for every fleet. Not codecs: they are parts of a
# package. COLD are those that no server needs at its start: they have no bytecode. Some of PACKED
# a start may need, such as torch's.
PACKED = (
    *("argparse", "cProfile", "difflib", "filecmp", "getopt", "graphlib", "html", "netrc"),
    *("optparse", "pickletools", "profile", "pstats", "smtplib", "statistics", "stringprep"),
    *("tarfile", "timeit", "tomllib", "tracemalloc", "unittest", "xml"),
)
COLD = (
    # Formats and protocols of another time; twins of modules in C.
    *("aifc", "asynchat", "asyncore", "cgi", "cgitb", "chunk", "crypt", "distutils", "ftplib"),
    *("imaplib", "imghdr", "mailbox", "mailcap", "nntplib", "pipes", "poplib", "smtpd", "sndhdr"),
    *("sunau", "telnetlib", "uu", "wave", "wsgiref", "xdrlib", "xmlrpc"),
    *("_py_abc", "_pydatetime", "_pydecimal", "_pyio", "imp", "sre_compile", "sre_constants"),
    *("sre_parse", "dbm", "shelve", "sched", "fileinput", "plistlib", "nturl2path"),
    # Tools that a person starts, and the texts of help().
    *("__hello__", "__phello__", "antigravity", "bdb", "cmd", "code", "codeop", "compileall"),
    *("doctest", "modulefinder", "pdb", "pty", "py_compile", "pyclbr", "pydoc", "pydoc_data"),
    *("rlcompleter", "symtable", "tabnanny", "this", "trace", "tty", "webbrowser", "zipapp"),
    *("_aix_support", "_bootsubprocess", "_osx_support"),
)
# Parts of packages that get no bytecode: what serves another operating system.
FOREIGN = ("_aix", "popen_spawn_win32", "proactor_events", "wintypes")
# Codecs that get bytecode: Python loads them at its start, or for names of hosts and of files in
# archives. Of the other hundred, one takes a millisecond to compile.
CODECS = (
    *("__init__", "aliases", "ascii", "cp437", "idna", "latin_1", "punycode", "unicode_escape"),
    *("utf_8", "utf_8_sig", "utf_16", "utf_16_le"),
)

# Libraries that the loader cannot find from CPython: libgcc_s is opened when a thread is cancelled,
# and wheels expect the others of the system (PEP 600; torch, numpy, tokenizers link libstdc++). The
# loader skips those that are not there. What GCC has vectorised calls libmvec.
SONAMES = (
    *("libgcc_s.so.1", "libstdc++.so.6", "libz.so.1", "libexpat.so.1"),
    # From here on glibc's.
    *("libanl.so.1", "libdl.so.2", "libm.so.6", "libmvec.so.1", "libnsl.so.1"),
    *("libpthread.so.0", "libresolv.so.2", "librt.so.1", "libutil.so.1"),
)

DATA = {  # path in the external image: the package that puts it there
    "/etc/debian_version": "base-files",  # scanners detect the distribution by this and os-release
    "/etc/ld.so.conf": "libc-bin",
    "/etc/ld.so.conf.d": "libc-bin",
    "/etc/os-release": "base-files",
    "/etc/protocols": "netbase",
    "/etc/services": "netbase",
    "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
    "/usr/lib/locale/C.utf8": "libc-bin",
    "/usr/lib/ssl/certs": "openssl",
    "/usr/lib/ssl/openssl.cnf": "openssl",
    "/usr/share/common-licenses": "base-files",  # the copyright files refer to them
    "/usr/share/zoneinfo": "tzdata",
}
TEXTS = {
    "/etc/group": f"root:x:0:\nnonroot:x:{NONROOT}:\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "/etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\n"
    f"nonroot:x:{NONROOT}:{NONROOT}:nonroot:/home/nonroot:/sbin/nologin\n",
    f"{PREFIX}/pyvenv.cfg": f"home = {PYTHON.parent}\n"
    f"include-system-site-packages = false\nversion = {platform.python_version()}\n",
    # The engine mounts its own over these, and over dev, proc and sys. As they are made here, no
    # RUN step leaves them.
    **dict.fromkeys(("/etc/hostname", "/etc/hosts", "/etc/resolv.conf"), ""),
}
LINKS = {
    "/etc/localtime": "/usr/share/zoneinfo/Etc/UTC",
    # Where OpenSSL looks: no variable is needed.
    "/usr/lib/ssl/cert.pem": "/etc/ssl/certs/ca-certificates.crt",
    f"{PREFIX}/bin/python": str(PYTHON),
    f"{PREFIX}/bin/python3": "python",
    f"{PREFIX}/bin/{PYTHON.name}": "python",
}
PROGRAMS = {"/usr/sbin/ldconfig": f"#!{PYTHON} -ISB\n{inspect.getsource(ldconfig)}"}
FOLDERS = (
    *("/app", "/dev", "/home/nonroot", "/proc", "/root", "/run", "/sys", "/weights"),
    *("/usr/bin", "/usr/sbin", f"{PREFIX}/lib/{STDLIB.name}/site-packages"),
)
SCRATCH = ("/tmp", "/var/tmp")  # noqa: S108 - folders of the image, writable for all


def links_to(path: Path) -> Iterator[Path]:
    """Yield each link on the way to a path, then the file: all that has to exist to open it."""
    here = ROOT
    parts = [*path.parts]
    while parts:
        part = parts.pop(0)
        step = here.parent if part == ".." else here / part
        if step.is_symlink():
            yield step
            parts = [*step.readlink().parts, *parts]
        else:
            here = step
    if here.is_file():
        yield here


def kept_below(path: Path) -> Iterator[Path]:
    """Yield the files and links at or below a path that the runtime gets, and what links lead to."""
    if path.is_symlink() or not path.is_dir():
        yield from links_to(path)
        return
    for entry in path.iterdir():
        if not _LEFT_BEHIND.fullmatch(entry.name):
            yield from kept_below(entry)


@functools.cache
def libraries(elf: Path, *preload: str) -> tuple[set[Path], list[str]]:
    """The library files that the loader finds for `elf`, and the names that it does not find.

    Variants for newer processors are not among them: the image also runs on others than the machine
    that builds it.
    """
    maps = Path("/proc/self/maps").read_text()
    loader = re.findall(r"(?<!\S)(/\S*/ld(?:-linux[^/]*|64)?\.so\.\d)$", maps, re.MULTILINE)[0]
    options = ["--glibc-hwcaps-mask", "none", "--preload", " ".join(preload), "--list"]
    command = [loader, *options, elf]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    missing = re.findall(r"^\t(\S+) => not found", listed, re.MULTILINE)
    found: set[Path] = set()
    # Both paths of the loader itself count: programs name the left one.
    for line in re.findall(r"^\t(?:(\S+) => )?(/.+) \(0x", listed, re.MULTILINE):
        for path in line:
            if path.startswith("/"):
                found.update(links_to(Path(path)))
    return found, missing


@functools.cache
def cached_libraries() -> dict[str, Path]:
    """The shared libraries in the folders of the loader, by their names there."""
    entries = ldconfig.listed(Path(ldconfig.CACHE).read_bytes())
    # The loader takes the first of a name.
    return {name: Path(path).resolve() for name, _, path in reversed(entries)}


def library_owners() -> str:
    """The Debian package of every installed shared library, as lines NAME PACKAGE.

    The inventory of an image names the package of a library that the image lacks.
    """
    owners = debian_owners()
    lines = []
    for name, path in sorted(cached_libraries().items()):
        if path in owners:
            lines.append(f"{name} {owners[path]}\n")
    return "".join(lines)


def copyrights(paths: Iterable[Path]) -> set[Path]:
    """The copyright files, and links to them, of the packages that own `paths`."""
    owners = debian_owners()
    files: set[Path] = set()
    for package in {owners[path] for path in paths if path in owners}:
        files.update(links_to(copyright_file(package)))
    return files


def dpkg_records(paths: Iterable[Path], runtime: Path | None = None) -> dict[str, str]:
    """The dpkg records, path -> text, of the packages that own `paths`.

    They add to the records that `runtime` has of these packages. Their layout is that of distroless
    images, where trivy and syft look: status.d/NAME is the package's paragraph of dpkg's status,
    status.d/NAME.md5sums lists its files in the image. A field of ours says how many of its files
    these are.
    """
    status = paragraphs()
    owners = debian_owners()
    installed = Counter[str]()
    for path, package in owners.items():
        if path.is_file() and not path.is_symlink():
            installed[package] += 1
    sums_of: dict[str, dict[str, str]] = {}
    for path in paths:
        if path in owners and not path.is_symlink():
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            sums_of.setdefault(owners[path], {})[str(path).lstrip("/")] = digest
    texts = {}
    for package, own_sums in sums_of.items():
        record = f"{STATUS_D}/{package}"
        sums = own_sums
        if runtime:
            sums = _recorded_sums(within(runtime, f"{record}.md5sums")) | own_sums
        count = f"Slimbake-Carried: {len(sums)} of {installed[package]} files\n"
        texts[record] = f"{status[package]}\n{count}"
        lines = [f"{digest}  {path}\n" for path, digest in sorted(sums.items())]
        texts[f"{record}.md5sums"] = "".join(lines)
    return texts


def _recorded_sums(file: Path) -> dict[str, str]:
    """The files of a package, and their MD5, that a record lists; none where there is no record."""
    sums = {}
    if file.exists():
        for line in file.read_text().splitlines():
            digest, _, path = line.partition("  ")
            sums[path] = digest
    return sums


def within(root: Path, path: Path | str) -> Path:
    """The absolute `path` as it lies below `root`."""
    return root / str(path).lstrip("/")


def lay_out(
    out: Path, paths: Collection[Path], texts: Mapping[str, str], links: Mapping[str, str]
) -> None:
    """Copy `paths` of this image into `out`; `texts` and `links` replace some of them."""
    for path in sorted({*map(str, paths), *texts, *links}):
        target = within(out, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path in links:
            target.symlink_to(links[path])
        elif Path(path).is_symlink() and Path(path) in paths:
            target.symlink_to(Path(path).readlink())
        elif path in texts:
            target.write_text(texts[path])
        else:
            shutil.copyfile(path, target)
            is_program = Path(path).stat().st_mode & 0o100
            target.chmod(0o755 if is_program else 0o644)


def set_times(out: Path) -> None:
    """Give everything in `out` one time."""
    for path in tree(out):
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def runtime_files() -> set[Path]:
    """The interpreter, its kept library, the shared libraries of both, and the data they read.

    Raises StepError where the external image lacks some of it.
    """
    absent = sorted(path for path in DATA if not Path(path).exists())
    if absent:
        lines = [f"the Python image lacks {path}: install {DATA[path]} in it" for path in absent]
        raise StepError("\nslimbake: ".join(lines))
    paths = {PYTHON, *kept_below(STDLIB)}
    for path in DATA:
        paths.update(kept_below(Path(path)))
    for elf in sorted(filter(is_elf, paths)):
        preload = SONAMES if elf == PYTHON else ()
        linked, missing = libraries(elf, *preload)
        if missing:
            raise StepError(f"the Python image lacks {', '.join(missing)}, which {elf} needs")
        paths |= linked
    # Links such as /lib -> usr/lib.
    paths.update(path for path in ROOT.iterdir() if path.is_symlink())
    return paths


def compiled(module: Path, path: str) -> Path:
    """The bytecode of a module that lies at `path` in the image, valid whatever its time becomes."""
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    bytecode = py_compile.compile(
        str(module), dfile=path, doraise=True, invalidation_mode=unchecked
    )
    return Path(str(bytecode))


def archived(library: Path, paths: Iterable[Path]) -> set[str]:
    """The modules and packages of a standard library that go into its archive, by name.

    `paths`: files, of which those below `library` count. A package with other files than modules
    stays a folder: code that opens a file beside its module would not find it in an archive. Python
    3.13 has such a `tomllib`.
    """
    modules, with_data = set(), set()
    for path in paths:
        if path.is_relative_to(library) and path.is_file():
            name = _top_level(library, path)
            if path.suffix == ".py":
                modules.add(name)
            elif path.suffix != ".pyc":
                with_data.add(name)
    return (modules - with_data).intersection((*COLD, *PACKED))


def _top_level(library: Path, path: Path) -> str:
    """The name of the module or package of a library that a file belongs to."""
    return path.relative_to(library).parts[0].removesuffix(".py")


def archive_library(library: Path, path: str) -> None:
    """Move modules of a library into the archive before it, which is at `path` in the image."""
    names = archived(library, library.rglob("*"))
    with zipfile.ZipFile(library.parent / Path(path).name, "w") as archive:
        for module in sorted(library.rglob("*.py")):
            top_level = _top_level(library, module)
            if top_level not in names:
                continue
            name = str(module.relative_to(library))
            _add_member(archive, name, module.read_bytes())
            if top_level in PACKED:
                bytecode = compiled(module, f"{path}/{name}")
                _add_member(archive, f"{name}c", bytecode.read_bytes())
            module.unlink()
    shutil.rmtree(library / "__pycache__", ignore_errors=True)
    for name in names:
        shutil.rmtree(library / name, ignore_errors=True)


def _add_member(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    member.external_attr = 0o100644 << 16
    archive.writestr(member, content, zipfile.ZIP_DEFLATED, compresslevel=9)


def pack_library(library: Path, place: Path) -> None:
    """Archive and compile the modules of a standard library that is at `place` in the image."""
    version = f"{sys.version_info.major}{sys.version_info.minor}"
    archive_library(library, f"{place.parent}/python{version}.zip")
    for module in sorted(library.rglob("*.py")):
        in_encodings = module.parent.name == "encodings"
        if in_encodings and module.stem not in CODECS:
            continue
        if module.stem not in FOREIGN:
            compiled(module, f"{place}/{module.relative_to(library)}")


def make_runtime(arguments: Sequence[str]) -> None:
    """The program `make-runtime OUT`."""
    require_dpkg()
    out = Path(*arguments)
    paths = runtime_files()
    paths |= copyrights(paths)
    records = dpkg_records(_outside_archive(paths))
    texts = {**TEXTS, **PROGRAMS, **records, str(LIBRARIES): library_owners()}
    lay_out(out, paths, texts, LINKS)
    for program in PROGRAMS:
        within(out, program).chmod(0o755)
    for folder in (*FOLDERS, *SCRATCH):
        within(out, folder).mkdir(parents=True, exist_ok=True)
        within(out, folder).chmod(0o1777 if folder in SCRATCH else 0o755)
    os.chown(within(out, "/home/nonroot"), NONROOT, NONROOT)
    pack_library(within(out, STDLIB), STDLIB)
    subprocess.run(["/sbin/ldconfig", "-X", "-r", out], check=True)
    # ldconfig's own cache holds inode numbers, which differ from build to build.
    shutil.rmtree(within(out, "/var/cache"), ignore_errors=True)
    link_identical(tree(out))
    set_times(out)


def _outside_archive(paths: Iterable[Path]) -> set[Path]:
    """Of the runtime's files those that stay files: the others lie in the archive of the library."""
    in_archive = archived(STDLIB, paths)
    outside = set()
    for path in paths:
        if not path.is_relative_to(STDLIB) or _top_level(STDLIB, path) not in in_archive:
            outside.add(path)
    return outside
