"""The runtime that `make-runtime` makes and what `carry-debs` adds, on both layouts of
Python.
"""

import email
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from tests.engine.toys import text_of
from tests.unit.programs import written
from tools.bare.images import python_image
from uv import find_uv_bin

from slimbake.inside.make.runtime import CODECS, FOREIGN
from slimbake.inside.step import EPOCH, NONROOT

pytestmark = [pytest.mark.engine, pytest.mark.slow]

HERE = Path(__file__).parent

RUNTIME = text_of("runtime.Dockerfile")

SYSTEM = text_of("system.Dockerfile")


def docker(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done


def build(
    dockerfile: str, folder: Path, *options: str, check: bool = True, **contexts: str | Path
) -> subprocess.CompletedProcess[str]:
    """Build a Dockerfile without a context of its own; a named context is a folder or an image.

    `inside` is always one: a folder with make.pyz.
    """
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "programs").mkdir(exist_ok=True)
    written("make", folder / "programs")
    (folder / "Dockerfile").write_text(dedent(dockerfile))
    flags = [*options, "--provenance=false", "--progress=plain", f"--file={folder / 'Dockerfile'}"]
    for name, where in {"inside": folder / "programs", **contexts}.items():
        flags.append(
            f"--build-context={name}={where if isinstance(where, Path) else f'docker-image://{where}'}"
        )
    return docker("buildx", "build", *flags, folder / "empty", check=check)


@dataclass(frozen=True)
class Tree:
    """The contents of a tar file."""

    path: Path

    @cached_property
    def members(self) -> dict[str, tarfile.TarInfo]:
        with tarfile.open(self.path) as tar:
            return {member.name: member for member in tar}

    @cached_property
    def files(self) -> dict[str, bytes]:
        with tarfile.open(self.path) as tar:
            regular = [member for member in tar if member.isfile() or member.islnk()]
            return {
                member.name: file.read() for member in regular if (file := tar.extractfile(member))
            }

    def records(self) -> dict[str, str]:
        """The dpkg status paragraphs, by the name of their file."""
        folder = "var/lib/dpkg/status.d/"
        records = {
            name.removeprefix(folder): data
            for name, data in self.files.items()
            if name.startswith(folder)
        }
        return {
            name: data.decode() for name, data in records.items() if not name.endswith(".md5sums")
        }

    def sums(self, package: str) -> dict[str, str]:
        """The MD5 sums of a dpkg record, by path."""
        rows = self.files[f"var/lib/dpkg/status.d/{package}.md5sums"].decode().splitlines()
        return {path: digest for digest, path in (row.split("  ", 1) for row in rows)}


@dataclass(frozen=True)
class Runtime:
    python: str
    """The image that it was distilled from."""
    image: str
    tree: Tree

    def run(self, code: str, *options: str, image: str = "") -> str:
        """What Python in a container prints; without network, on a read-only root."""
        flags = ("--rm", "--network=none", "--read-only", "--tmpfs=/tmp", *options)
        return docker(
            "run", *flags, image or self.image, "python", "-c", dedent(code)
        ).stdout.strip()


@pytest.fixture(scope="session")
def python_images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The external Python image in Debian's layout and in the official one."""
    debian, official = (python_image("3.11"), "slimbake-test/python-official:3.11")
    dockerfile = (HERE / "official-layout.Dockerfile").read_text()
    build(dockerfile, tmp_path_factory.mktemp("official"), f"--tag={official}", python=debian)
    return {"debian": debian, "official": official}


@pytest.fixture(scope="session", params=["debian", "official"])
def runtime(
    request: pytest.FixtureRequest,
    python_images: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Runtime:
    folder = tmp_path_factory.mktemp("runtime")
    python, image = python_images[request.param], f"slimbake-test/runtime-{request.param}"
    build(RUNTIME, folder, f"--tag={image}", python=python)
    build(RUNTIME, folder, f"--output=type=tar,dest={folder / 'root.tar'}", python=python)
    return Runtime(python, image, Tree(folder / "root.tar"))


def test_weighs_at_most_45_mb(runtime: Runtime) -> None:
    assert sum(len(data) for data in runtime.tree.files.values()) <= 45_000_000


def test_has_no_program_but_python(runtime: Runtime) -> None:
    executable = {
        name
        for name, member in runtime.tree.members.items()
        if member.isfile() and member.mode & 0o111
    }
    executable.remove("usr/sbin/ldconfig")  # a script
    (program,) = {name for name in executable if not re.search(r"\.(so|py)\b", name)}
    assert program in {"usr/bin/python3.11", "usr/local/bin/python3.11"}
    assert runtime.tree.files["usr/sbin/ldconfig"].startswith(b"#!/usr")
    in_bin = {name for name in runtime.tree.members if re.search(r"(^|/)s?bin/[^/]+$", name)}
    assert in_bin - {program, "usr/sbin/ldconfig"} == {
        f"opt/slimbake/bin/{name}" for name in ("python", "python3", "python3.11")
    }


def test_has_no_tests_windows_or_parts_for_development(runtime: Runtime) -> None:
    unwanted = re.compile(
        r"(^|/)(tests?|idlelib|tkinter|turtle\.py|ensurepip|pip|dist-packages|.+\.(a|h))(/|$)"
    )
    assert len(runtime.tree.members) > 500, "the image was read"
    assert [name for name in runtime.tree.members if unwanted.search(name)] == []


def test_has_modes_of_git_and_one_time(runtime: Runtime) -> None:
    modes = {
        name: member.mode for name, member in runtime.tree.members.items() if not member.issym()
    }
    assert {modes.pop("tmp"), modes.pop("var/tmp")} == {0o1777}
    assert {*modes.values()} == {0o644, 0o755}
    assert {member.mtime for member in runtime.tree.members.values()} == {EPOCH}


def test_is_root_owned_but_for_the_home_of_nonroot(runtime: Runtime) -> None:
    owners = {
        name: member.uid
        for name, member in runtime.tree.members.items()
        if member.uid or member.gid
    }
    assert owners == {"home/nonroot": NONROOT}
    user = (
        "import os, pwd; print(os.getuid(), pwd.getpwuid(os.getuid()).pw_name,"
        " os.path.expanduser('~'))"
    )
    assert runtime.run(user) == "65532 nonroot /home/nonroot"


def test_is_the_same_in_every_build(runtime: Runtime, tmp_path: Path) -> None:
    again = tmp_path / "root.tar"
    uncached = ("--no-cache-filter=distil", f"--output=type=tar,dest={again}")
    build(RUNTIME, tmp_path, *uncached, python=runtime.python)
    assert Tree(again).files == runtime.tree.files
    assert again.read_bytes() == runtime.tree.path.read_bytes()


def test_keeps_no_trace_of_a_run_step(runtime: Runtime, tmp_path: Path) -> None:
    step = """
        FROM runtime
        USER 0:0
        RUN --mount=type=bind,from=runtime,target=/run/mounted ["python", "-c", "import ssl, unittest.mock"]
    """
    build(step, tmp_path, f"--output=type=tar,dest={tmp_path / 'root.tar'}", runtime=runtime.image)
    assert Tree(tmp_path / "root.tar").members.keys() == runtime.tree.members.keys()


def test_imports_every_module_that_it_keeps(runtime: Runtime) -> None:
    failures = """
        import importlib, os, pkgutil, sys, warnings
        warnings.simplefilter("ignore")
        path = [entry for entry in sys.path if "site-packages" not in entry]
        names = {module.name for module in pkgutil.iter_modules(path)}
        assert {"aifc", "pdb", "unittest", "xml", "pydoc_data", "_pydecimal", "_pyio"} <= names
        assert {"ssl", "sqlite3", "ctypes", "lzma", "bz2", "zoneinfo", "uuid", "_uuid", "_decimal"} <= names
        sys.stdout = open(os.devnull, "w")
        for name in sorted(names - {"antigravity"}):  # that one opens a browser
            try:
                importlib.import_module(name)
            except ImportError as error:
                print(name, error, file=sys.__stdout__)
    """
    # Debian's Python has a module of its own that needs another package.
    of_python = runtime.run(failures, image=runtime.python).splitlines()
    assert [line for line in runtime.run(failures).splitlines() if line not in of_python] == []


def test_reads_bytecode_that_does_not_depend_on_times(runtime: Runtime) -> None:
    modules = {name for name in runtime.tree.members if name.endswith(".py")}
    codecs = {name for name in modules if "/encodings/" in name}
    codecs -= {name for name in codecs if Path(name).stem in CODECS}
    foreign = {name for name in modules if Path(name).stem in FOREIGN}
    compiled = {name: data for name, data in runtime.tree.files.items() if name.endswith(".pyc")}
    assert compiled.keys() == {
        re.sub(r"([^/]+)\.py$", r"__pycache__/\1.cpython-311.pyc", name)
        for name in modules - codecs - foreign
    }
    unchecked_hash = b"\x01\x00\x00\x00"  # PEP 552
    assert {data[4:8] for data in compiled.values()} == {unchecked_hash}
    library = next(name for name in modules if name.endswith("/ssl.py"))
    assert (
        runtime.run("import ssl; print(ssl.create_default_context.__code__.co_filename)")
        == f"/{library}"
    )


def test_finds_archived_modules_without_site_too(runtime: Runtime) -> None:
    text = """
        import subprocess, sys
        text = "import pdb, xml.dom, inspect; print(len(inspect.getsource(pdb)) > 9000, pdb.__file__)"
        for option in "-S", "-I", "-E":
            print(subprocess.check_output([sys.executable, option, "-c", text], text=True).split())
    """
    lines = runtime.run(text).splitlines()
    assert len(lines) == 3
    for line in lines:
        assert line.startswith("['True', '") and line.endswith("/python311.zip/pdb.py']")


def test_sees_only_its_own_packages(runtime: Runtime) -> None:
    path = runtime.run("import sys; print(*sys.path[1:])").split()
    assert path[-1] == "/opt/slimbake/lib/python3.11/site-packages"
    assert not any(folder.endswith("-packages") for folder in path[:-1])


SAYS = {
    "certificates": (
        "import ssl; print(len(ssl.create_default_context().get_ca_certs()) > 100)",
        "True",
    ),
    "libraries by the loader's cache": (
        "from ctypes.util import find_library as f; print(f('z'), f('mvec'), f('pq'))",
        "libz.so.1 libmvec.so.1 None",
    ),
    "UTF-8": (
        "import locale; print(locale.setlocale(locale.LC_ALL, ''), 'grün €')",
        "C.UTF-8 grün €",
    ),
    "time zones": (
        """
        import datetime, time, zoneinfo
        berlin = datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
        print(berlin.utcoffset(), berlin.tzname(), time.tzname[0])
        """,
        "2:00:00 CEST UTC",
    ),
    "extensions of SQLite": (
        """
        import sqlite3
        database = sqlite3.connect(":memory:")
        database.enable_load_extension(True)
        try:
            database.load_extension("/absent")
        except sqlite3.OperationalError as error:
            print("cannot open shared object file" in str(error))
        """,
        "True",
    ),
}


@pytest.mark.parametrize("what", SAYS)
def test_knows(what: str, runtime: Runtime) -> None:
    code, answer = SAYS[what]
    assert runtime.run(code) == answer


def test_resolves_names_by_file_and_by_dns(runtime: Runtime) -> None:
    resolve = """
        import socket, threading
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 53))
        def answer():
            while True:
                query, sender = server.recvfrom(512)
                name_end = query.index(b"\\0", 12) + 1
                question, wants_ipv4 = query[12:name_end + 4], query[name_end:name_end + 2] == b"\\0\\1"
                header = query[:2] + b"\\x81\\x80\\0\\1" + (b"\\0\\1" if wants_ipv4 else b"\\0\\0") + bytes(4)
                record = b"\\xc0\\x0c\\0\\1\\0\\1" + bytes(4) + b"\\0\\4" + bytes([192, 0, 2, 7])
                server.sendto(header + question + (record if wants_ipv4 else b""), sender)
        threading.Thread(target=answer, daemon=True).start()
        for name in "localhost", "storage.test":
            print(socket.getaddrinfo(name, "https", socket.AF_INET, socket.SOCK_STREAM)[0][4])
    """
    sysctl = "--sysctl=net.ipv4.ip_unprivileged_port_start=0"
    assert runtime.run(resolve, "--dns=127.0.0.1", sysctl).splitlines() == [
        "('127.0.0.1', 443)",
        "('192.0.2.7', 443)",
    ]


def test_records_each_package_whose_files_it_carries(runtime: Runtime) -> None:
    tree = runtime.tree
    recorded: set[str] = set()
    assert len(tree.records()) > 10
    for name, paragraph in tree.records().items():
        fields = email.message_from_string(paragraph)
        assert (fields["Package"], fields["Status"]) == (name, "install ok installed")
        assert fields["Version"] and fields["Architecture"] and fields["Maintainer"]
        sums = tree.sums(name)
        assert fields["Slimbake-Carried"].startswith(f"{len(sums)} of ")
        assert sums == {path: hashlib.md5(tree.files[path]).hexdigest() for path in sums}  # noqa: S324
        recorded |= sums.keys()
        assert (
            f"usr/share/doc/{name}/copyright" in tree.members
            or tree.members[f"usr/share/doc/{name}"].issym()
        )
    shared_folders = {
        member.linkname
        for name, member in tree.members.items()
        if name.startswith("usr/share/doc/")
    }
    documents_only = {
        name for name in tree.records() if all("/doc/" in path for path in tree.sums(name))
    }
    assert documents_only <= shared_folders
    libraries = {name for name, data in tree.files.items() if data.startswith(b"\x7fELF")}
    assert {name for name in libraries - recorded if not name.startswith("usr/local/")} == set()
    assert {
        "libc6",
        "libssl3t64",
        "libsqlite3-0",
        "tzdata",
        "ca-certificates",
    } <= tree.records().keys()


def test_takes_packages_from_uv(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "uv").mkdir()
    shutil.copy(find_uv_bin(), tmp_path / "uv")
    authority = os.environ.get("SSL_CERT_FILE")
    secret = [f"--secret=id=authority,src={authority}"] if authority else []
    trust = "ENV SSL_CERT_FILE=/run/authority.pem" if authority else ""
    steps = """
        FROM runtime
        USER 0:0
        TRUST
        RUN --mount=type=bind,from=uv,target=/uv --mount=type=tmpfs,target=/tmp \\
            --mount=type=secret,id=authority,target=/run/authority.pem \\
            ["/uv/uv", "pip", "install", "--no-cache", "--python", "/opt/slimbake/bin/python", "numpy"]
        USER 65532:65532
        RUN ["python", "-c", "import numpy; assert (numpy.eye(9) @ numpy.ones(9)).sum() == 9"]
        RUN ["python", "-c", "import numpy, sys; assert numpy.__file__.startswith(sys.prefix)"]
    """
    options = ("--output=type=cacheonly", *secret)
    build(
        steps.replace("TRUST", trust), tmp_path, *options, runtime=runtime.image, uv=tmp_path / "uv"
    )


@pytest.mark.parametrize("runtime", ["official"], indirect=True)
def test_carries_a_debian_package_and_what_it_links(runtime: Runtime, tmp_path: Path) -> None:
    packages = '"libpq5", "libblas3", "libgcc-s1", "postgresql-client", "libmagic1"'
    dockerfile = SYSTEM.replace("PACKAGES", packages)
    image, tar = f"{runtime.image}-system", tmp_path / "root.tar"
    contexts: dict[str, Any] = {"python": runtime.python, "runtime": runtime.image}
    build(dockerfile, tmp_path, f"--tag={image}", **contexts)
    build(dockerfile, tmp_path, "--target=carried", f"--output=type=tar,dest={tar}", **contexts)
    load = """
        import ctypes
        from ctypes.util import find_library
        names = [find_library(name) for name in ("pq", "blas", "z", "perl")]
        print(*names, *(ctypes.CDLL(name)._name for name in names[:2]))
    """
    found = "libpq.so.5 libblas.so.3 libz.so.1 libperl.so.5.40"
    assert runtime.run(load, image=image) == f"{found} libpq.so.5 libblas.so.3"
    psql = (
        "import subprocess as s; print(s.check_output(['/usr/bin/psql', '--version'], text=True))"
    )
    assert runtime.run(psql, image=image).startswith("psql (PostgreSQL) ")  # a script of perl
    carried = Tree(tar)
    names = {"libpq5", "libldap2", "libblas3", "perl-base", "libmagic-mgc"}
    assert names <= carried.records().keys()
    assert "libgcc-s1" not in carried.records()  # the runtime has all of it
    both = carried.files.keys() & runtime.tree.files.keys()
    assert both == {"etc/ld.so.cache", "opt/slimbake/libraries.txt"}
    assert not any("/man/" in name or "changelog" in name for name in carried.members)
    assert {member.mtime for member in carried.members.values()} == {EPOCH}


def test_names_the_debian_package_that_the_external_lacks(
    python_images: dict[str, str], tmp_path: Path
) -> None:
    lacking = 'RUN ["rm", "-r", "/usr/share/zoneinfo"]\n'
    poorer = RUNTIME.replace("RUN --mount", f"{lacking}RUN --mount")
    contexts: dict[str, Any] = {"python": python_images["debian"]}
    done = build(poorer, tmp_path, "--output=type=cacheonly", check=False, **contexts)
    assert done.returncode != 0
    assert (
        "slimbake: the Python image lacks /usr/share/zoneinfo: install tzdata in it" in done.stderr
    )
