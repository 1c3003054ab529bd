"""Debian packages of a layer: what comes with them, and which do not exist."""

import json
import re
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.ran import ran

from slimbake.inside import debs
from slimbake.inside.budget import Budget
from slimbake.inside.check import contents
from slimbake.inside.make import dpkg, ldconfig, system
from slimbake.inside.make.system import Installed

# Of each package: what it depends on, and its files; `.so` and those of NEEDS are native.
FLEET: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "client": ("client-17", ()),
    "client-17": ("client-common, libc6, libclient (>= 5)", ("/usr/lib/client/17/bin/client",)),
    "client-common": ("perl, sensible | nothing", ("/usr/bin/client",)),
    "libclient": ("libauth, libauth-plugins", ("/usr/lib/libclient.so.5",)),
    "libauth": ("libauth-data", ("/usr/lib/libauth.so.1",)),
    "libauth-data": ("", ("/usr/share/auth/words",)),
    "libauth-plugins": ("", ("/usr/lib/auth/plugin.so",)),
    "libgl1": ("libgl-drivers", ("/usr/lib/libGL.so.1",)),
    "libgl-drivers": ("", ("/usr/lib/dri/driver.so",)),
    "perl": ("libc6", ("/usr/share/perl/modules.pm",)),
    "perl-base": ("libc6", ("/usr/bin/perl",)),
    "sensible": ("", ("/usr/bin/sensible",)),
    "libc6": ("", ("/usr/lib/libc.so.6",)),
    "dash": ("", ("/usr/share/dash/data",)),
    "default-java": ("java, java-desktop", ()),
    "java": ("", ("/usr/lib/jvm/bin/java", "/usr/lib/jvm/lib/libjava.so")),
    "java-desktop": ("java, libgl1", ("/usr/lib/jvm/lib/libdesktop.so",)),
    "blas-pthread": ("libc6", ("/usr/lib/libblas.so.3",)),
    "blas": ("blas-pthread | blas-other", ()),
}
NEEDS = {
    "/usr/lib/client/17/bin/client": {"/usr/lib/libclient.so.5"},
    "/usr/lib/libclient.so.5": {"/usr/lib/libauth.so.1", "/usr/lib/libc.so.6"},
    "/usr/lib/jvm/bin/java": set(),
}
SCRIPTS = {"/usr/bin/client": "/usr/bin/perl", "/usr/bin/sensible": "/bin/sh"}


@pytest.fixture(autouse=True)
def fleet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    packages = {
        name: Installed(
            "required" if name in ("perl-base", "libc6") else "optional",
            ("blas.so.3",) if name == "blas-pthread" else (),
            tuple(tuple(system._names(each, "|")) for each in depends.split(",") if each),
        )
        for name, (depends, _) in FLEET.items()
    }
    files = {name: {*map(Path, paths)} for name, (_, paths) in FLEET.items() if paths}
    owners = {path: name for name, paths in files.items() for path in paths}
    monkeypatch.setattr(system, "installed", lambda: packages)
    monkeypatch.setattr(system, "own_files", lambda: files)
    monkeypatch.setattr(system, "debian_owners", lambda: owners)
    monkeypatch.setattr(system, "is_elf", lambda p: ".so" in p.name or str(p) in NEEDS)
    monkeypatch.setattr(
        system, "libraries", lambda path: ({*map(Path, NEEDS.get(str(path), ()))}, [])
    )
    monkeypatch.setattr(
        system,
        "interpreter_of",
        lambda path: Path(SCRIPTS[str(path)]) if str(path) in SCRIPTS else None,
    )
    monkeypatch.setattr(system, "is_executable", lambda path: ".so" not in path.name)
    system._program_or_data.cache_clear()
    yield
    system._program_or_data.cache_clear()


WHOLE = (
    *("client", "client-17", "client-common", "perl", "perl-base", "sensible"),
    *("libclient", "libauth", "libauth-data"),
)


@pytest.mark.parametrize(
    ("named", "below", "brought"),
    [
        ("client", "libc6", WHOLE),  # programs, their libraries, data and interpreters
        ("libgl1", "", ("libgl1",)),  # no drivers
        # Programs in another folder than /usr/bin, to which only links lead.
        ("default-java", "", ("default-java", "java", "java-desktop")),
        ("blas", "libc6", ("blas", "blas-pthread")),  # a metapackage of libraries
        ("blas.so.3", "libc6", ("blas-pthread",)),  # a name that one package provides
        ("libclient", "libc6 libauth", ("libclient",)),
        ("libc6", "libc6", ("libc6",)),  # what is below comes only when it is named
    ],
)
def test_a_package_brings_what_it_needs(named: str, below: str, brought: tuple[str, ...]) -> None:
    assert system.companions([named], below.split()) == {*brought}


def test_a_script_of_a_shell_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    system.companions(["client"], [])
    assert capsys.readouterr().err == ""
    system.companions(["sensible"], [])
    assert capsys.readouterr().err == (
        "slimbake: warning: system: the image has no shell for /usr/bin/sensible: if your code"
        " runs one of them, `shell: true` brings it\n"
    )


def test_a_program_that_starts_others_through_a_shell_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"own": b"\0/bin/sh\0", "glibc": b"\0free\0popen\0", "none": b"\0fpopen\0/bin/shell\0"}
    static = {"static": b"\0/bin/sh\0"}  # of its copy of libc
    for name, text in (known | static).items():
        (tmp_path / name).write_bytes(text)

    def needed(path: Path) -> tuple[str, ...]:
        return () if path.name in static else ("libc.so.6",)

    monkeypatch.setattr(system, "needed", needed)
    monkeypatch.setattr(system, "PROGRAM", re.compile(f"{re.escape(str(tmp_path))}/.*"))
    monkeypatch.setattr(system, "is_elf", Path.exists)
    for name in (*known, *static):
        monkeypatch.setattr(system, "own_files", lambda name=name: {"blas": {tmp_path / name}})
        system.companions(["blas"], [])
        warned = f"the image has no shell for {tmp_path / name}: if" in capsys.readouterr().err
        assert warned is (name in ("own", "glibc"))
    system.companions(["blas", "dash"], [])
    assert capsys.readouterr().err == ""


def test_what_an_installation_made_beside_a_package_s_files_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins, shared = tmp_path / "plugins", tmp_path / "shared"
    for folder in (plugins, shared, tmp_path / "info"):
        folder.mkdir()
    for path in (plugins / "a.so", plugins / "list", shared / "more"):
        path.write_text("")
    (tmp_path / "info/draw.list").write_text(f"{plugins}\n{plugins}/a.so\n{shared}\n")
    (tmp_path / "info/other:amd64.list").write_text(f"{shared}\n")
    monkeypatch.setattr(dpkg, "DPKG", tmp_path)
    monkeypatch.setattr(dpkg, "debian_owners", lambda: {plugins / "a.so": "draw"})
    assert dpkg.made_beside(["draw"]) == {plugins / "list"}
    assert dpkg.made_beside(["other"]) == set()
    assert dpkg.made_beside(["draw", "other"]) == {plugins / "list", shared / "more"}


def test_first_lines_name_interpreters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    script = tmp_path / "script"
    for line, expected in {
        "#!/usr/bin/perl -w": Path("/usr/bin/perl"),
        "#! /usr/bin/env -S nothing-that-is-there --x": Path("/usr/bin/nothing-that-is-there"),
        "plain": None,
        "#!": None,
    }.items():
        script.write_text(f"{line}\n")
        assert system.interpreter_of(script) == expected
    assert system.interpreter_of(tmp_path) is None


SEEN = {
    "policy": "libpq5:\n  Installed: (none)\n  Candidate: 17\n  Version table:\n"
    "awk:\n  Installed: (none)\n  Candidate: (none)\n"
    "libmagic1:\n  Installed: (none)\n  Candidate: (none)\n",
    "pkgnames": "libpq5\nlibpq-dev\nlibgl1\nlibgomp1\nlibasound2t64\n",
    "awk": "Package: awk\nReverse Provides: \nmawk 1 (= )\ngawk 5 (= )\n",
    "libmagic1": "Package: libmagic1\nReverse Provides: \nlibmagic1t64 5 (= 5)\n",
}


def test_unknown_packages_have_suggestions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def faked(*words: str, folder: Path | None = None) -> str:
        verb = next(each for each in words if each in ("update", "policy", "pkgnames", "showpkg"))
        return SEEN.get(words[-1] if verb == "showpkg" else verb, "")

    monkeypatch.setattr(debs, "apt", faked)
    out = tmp_path / "lock.txt"
    names = ["libpq-5", "libpq5", "awk", "libmagic1", "libasound2", "zzz"]
    debs.lock_debs([str(out), "amd64,arm64", *names])
    assert json.loads((tmp_path / debs.UNKNOWN).read_text()) == {
        "awk": ["gawk", "mawk"],
        "libasound2": ["libasound2t64"],
        "libpq-5": ["libpq5", "libpq-dev"],
        "zzz": [],
    }


def cache(*libraries: tuple[str, int, str]) -> bytes:
    """A cache as glibc's ldconfig writes it."""
    header = ldconfig.MAGIC + len(libraries).to_bytes(4, "little")
    strings, rows = b"", []
    start = ldconfig.HEADER + 24 * len(libraries)
    for name, flags, path in libraries:
        places = []
        for text in (name, path):
            places.append(start + len(strings))
            strings += text.encode() + b"\0"
        rows.append(struct.pack("<3I12x", flags, *places))
    return header.ljust(ldconfig.HEADER, b"\0") + b"".join(rows) + strings


def test_ldconfig_prints_the_libraries_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there, file = tmp_path / "libz.so.1", tmp_path / "ld.so.cache"
    there.touch()
    file.write_bytes(
        cache(("libz.so.1", 0x303, str(there)), ("libgone.so.1", 0x303, str(tmp_path / "gone")))
    )
    monkeypatch.setattr(ldconfig, "CACHE", str(file))
    assert ldconfig.main(["-p"]) == 0
    assert capsys.readouterr().out == (
        f"1 libs found in cache `{file}'\n\tlibz.so.1 (libc6,x86-64) => {there}\n"
    )
    file.write_bytes(b"another format")
    assert ldconfig.main(["-p"]) == 0
    assert capsys.readouterr().out.startswith("0 libs")
    assert ldconfig.main([]) == 1
    assert "only `ldconfig -p`" in capsys.readouterr().err


def test_ldconfig_is_a_program_of_its_own(tmp_path: Path) -> None:
    """The text that the runtime gets, run as there: isolated, without site."""
    program = tmp_path / "ldconfig"
    program.write_bytes(Path(ldconfig.__file__).read_bytes())
    done = ran([sys.executable, "-ISB", program, "-p"], check=True)
    assert " libs found in cache `/etc/ld.so.cache'" in done.stdout
    found = "libc.so.6 (libc6" if Path(ldconfig.CACHE).exists() else "0 libs found"
    assert found in done.stdout


ZLIB = """\
Package: zlib1g
Source: zlib (1:1.3-1)
Version: 1:1.3-1+b2
Architecture: amd64
Description: compression library
 of several lines
Slimbake-Carried: 2 of 5 files
"""
TZDATA = "Package: tzdata\nVersion: 2026f\nArchitecture: all\n"


def test_debian_packages_say_what_they_were_built_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {"zlib1g": ZLIB, "tzdata": TZDATA, "zlib1g.md5sums": "00  lib/x\n"}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(contents, "STATUS", tmp_path)
    tzdata, zlib = contents.debian_packages(Budget())
    assert (*tzdata.values(),) == ("tzdata", "2026f", "all", "tzdata", "2026f")
    assert zlib == {
        "name": "zlib1g",
        "version": "1:1.3-1+b2",
        "architecture": "amd64",
        "source": "zlib",
        "source_version": "1:1.3-1",
    }
