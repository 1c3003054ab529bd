"""Wheels that would write over what other layers or packages have: the real uv, a prefix as an
image has it.
"""

import io
import shutil
import stat
import sys
import sysconfig
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.unit.trees import EPOCH, state
from tests.wheels import LONG_AGO, make_wheel, metadata

from slimbake.inside.make import install, layer
from slimbake.inside.make.tree import normalise, tree
from slimbake.inside.step import StepError

VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
SITE = f"lib/{VERSION}/site-packages"
ENTRY = "evil-1.dist-info/entry_points.txt"

Install = Callable[..., None]


@pytest.fixture
def install_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs wheels of the repository, as a layer's step does, into the prefix of a root."""

    def run(root: Path, *wheels: Path) -> None:
        inside = root / "inside"
        shutil.rmtree(inside, ignore_errors=True)
        inside.mkdir()
        (inside / "uv").symlink_to(Path(sysconfig.get_path("scripts")) / "uv")
        (inside / "lock.txt").write_text("")
        (inside / "rules.json").write_text('{"layer": "one", "rules": [], "compile": true}')
        for wheel in wheels:
            folder = inside / "own" / wheel.name.partition("-")[0]
            folder.mkdir(parents=True)
            shutil.copyfile(wheel, folder / wheel.name)
        for module in (install, layer):
            monkeypatch.setattr(module, "INSIDE", inside)
            monkeypatch.setattr(module, "TMP", tmp_path)
        monkeypatch.setattr(install, "PREFIX", root / "prefix")
        monkeypatch.setattr(install, "LOCK", root / "lock.txt")
        monkeypatch.setattr(install, "UNPACKED", inside / "unpacked")
        install.unpack_wheels([str(inside / "unpacked")])
        install.lay_packages()

    return run


@pytest.fixture
def root(tmp_path: Path, install_in: Install) -> Path:
    """A root with a prefix in which a layer below has installed `good`."""
    made = tmp_path / "root"
    python = Path(sys.executable).resolve()
    (made / "prefix" / SITE).mkdir(parents=True)
    (made / "prefix/bin").mkdir()
    (made / "prefix/bin/python").symlink_to(python)
    (made / "prefix/pyvenv.cfg").write_text(
        f"home = {python.parent}\ninclude-system-site-packages = false\n"
    )
    good = make_wheel(
        tmp_path / "below",
        "good",
        files={
            "good/__init__.py": b"version = 1\n",
            "good/data.txt": b"of good",
            "good-1.dist-info/entry_points.txt": b"[console_scripts]\ngood = good:main\n",
        },
    )
    install_in(made, good)
    normalise(tree(made / "prefix"))
    return made


OVERWRITES: Mapping[str, tuple[dict[str, bytes], str]] = {
    "the settings of Python": (
        {"evil-1.data/data/pyvenv.cfg": b"include-system-site-packages = true\n"},
        "pyvenv.cfg",
    ),
    "a script": ({ENTRY: b"[console_scripts]\ngood = evil:main\n"}, "bin/good"),
    "a module, as data": (
        {f"evil-1.data/data/{SITE}/good/__init__.py": b"evil = 1\n"},
        "good/__init__.py",
    ),
    "a module, as a library": (
        {"evil-1.data/purelib/good/__init__.py": b"evil = 1\n"},
        "good/__init__.py",
    ),
    "a module": ({"good/__init__.py": b"evil = 1\n"}, "good/__init__.py"),
    "data": ({"good/data.txt": b"of evil"}, "good/data.txt"),
    "bytecode": (
        {f"good/__pycache__/__init__.{sys.implementation.cache_tag}.pyc": b"evil"},
        "good/__pycache__",
    ),
    "the metadata of another package": ({"good-1.dist-info/METADATA": b"evil"}, ""),
}


@pytest.mark.parametrize("what", OVERWRITES)
def test_a_wheel_that_would_change_what_the_layers_below_have_is_refused_with_the_file(
    root: Path, tmp_path: Path, install_in: Install, what: str
) -> None:
    files, changed = OVERWRITES[what]
    wheel = make_wheel(tmp_path / "evil", "evil", files=files)
    with pytest.raises(StepError) as caught:
        install_in(root, wheel)
    assert changed in str(caught.value)
    assert ("evil-1" if changed else "uv pip failed") in str(caught.value)


@pytest.mark.parametrize(
    "files",
    [
        {"evil-1.data/data/bin/python": b"#!/bin/true\n"},
        {"evil-1.data/scripts/python": b"#!/bin/true\n"},
        {ENTRY: b"[console_scripts]\npython = evil:main\n"},
    ],
)
def test_no_wheel_becomes_the_interpreter(
    root: Path, tmp_path: Path, install_in: Install, files: dict[str, bytes]
) -> None:
    before = Path(sys.executable).resolve().stat()
    with pytest.raises(StepError):
        install_in(root, make_wheel(tmp_path / "evil", "evil", files=files))
    assert (root / "prefix/bin/python").resolve().stat() == before


def without_hashes(wheel: Path) -> Path:
    """The wheel with a RECORD that names no hashes."""
    with zipfile.ZipFile(wheel) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in content.items():
            record = "".join(f"{each},,\n" for each in content).encode()
            archive.writestr(name, record if name.endswith("/RECORD") else data)
    return wheel


def test_a_record_may_lack_hashes(root: Path, tmp_path: Path, install_in: Install) -> None:
    files = {"good/__init__.py": b"evil = 1\n"}
    wheel = without_hashes(make_wheel(tmp_path / "evil", "evil", files=files))
    with pytest.raises(StepError, match=r"good/__init__\.py"):
        install_in(root, wheel)


def test_two_wheels_without_hashes_collide(root: Path, tmp_path: Path, install_in: Install) -> None:
    wheels = [
        without_hashes(make_wheel(tmp_path, name, files={path: name.encode()}))
        for name, path in (("one", "same.py"), ("two", f"two-1.data/data/{SITE}/same.py"))
    ]
    with pytest.raises(
        StepError, match=r"same\.py is in one-1\S+ and, with other contents, in two-1"
    ):
        install_in(root, *wheels)


def test_scripts_of_one_name_collide(root: Path, tmp_path: Path, install_in: Install) -> None:
    def wheel(name: str, target: str, script: str = "tool") -> Path:
        entry = f"[console_scripts]\n{script} = {target}\n".encode()
        files = {f"{name}-1.dist-info/entry_points.txt": entry}
        return make_wheel(tmp_path / target, name, files=files)

    install_in(root, wheel("one", "x:main"), wheel("two", "x:main"))
    assert (root / "prefix/bin/tool").is_file()
    with pytest.raises(StepError, match=r"bin/tool is in four-1\S+ and, with other"):
        install_in(root, wheel("three", "x:main"), wheel("four", "y:main"))
    with pytest.raises(StepError, match=r"bin/new is in five-1\S+ and, with other"):
        install_in(root, wheel("five", "x:main", "new"), wheel("six", "y:main", "new"))


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ("evil-1.data/data/../../escaped", "would write outside of"),
        ("../../../../escaped.py", "would write outside of"),
        ("/escaped.py", "would write outside of"),
        ("evil-1.data/data/ledger/base.json.gz", "would write into a folder of slimbake's"),
    ],
)
def test_a_wheel_that_would_write_where_no_wheel_may_is_refused(
    root: Path, tmp_path: Path, install_in: Install, member: str, said: str
) -> None:
    wheel = make_wheel(tmp_path / "evil", "evil", files={member: b""})
    with pytest.raises(StepError, match=said):
        install_in(root, wheel)


def test_equal_bytes_give_the_same_layer(root: Path, tmp_path: Path, install_in: Install) -> None:
    same = {
        f"twin-1.data/data/{SITE}/good/__init__.py": b"version = 1\n",
        "good/data.txt": b"of good",
        "twin-1.dist-info/entry_points.txt": b"[console_scripts]\ngood = good:main\n",
        "twin-1.data/data/share/twin/notes.txt": b"new files may lie outside of site-packages",
    }
    wheel = make_wheel(tmp_path / "twin", "twin", files=same)
    layers = []
    for _ in range(2):
        backup = tmp_path / "backup"
        shutil.copytree(root, backup, symlinks=True)
        install_in(root, wheel)
        layers.append(state(root / "prefix"))
        shutil.rmtree(root)
        backup.rename(root)
    assert layers[0] == layers[1]
    assert layers[0]["share/twin/notes.txt"][1] == EPOCH
    assert {layers[0][f"{SITE}/good/{name}"][1] for name in ("__init__.py", "data.txt")} == {EPOCH}


def member(name: str, content: bytes = b"", mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    """A member of an archive as no honest tool writes it. `content` lies in its comment."""
    made = zipfile.ZipInfo("placeholder", LONG_AGO)
    made.filename, made.external_attr, made.comment = name, mode << 16, content
    return made


def with_members(*members: zipfile.ZipInfo) -> Callable[[bytes], bytes]:
    """The wheel with these members, no matter what was there."""

    def change(wheel: bytes) -> bytes:
        packed = io.BytesIO(wheel)
        with warnings.catch_warnings(), zipfile.ZipFile(packed, "a") as archive:
            warnings.simplefilter("ignore")  # of names that are there twice
            for each in members:
                content, each.comment = each.comment, b""
                archive.writestr(each, content)
                each.comment = content
        return packed.getvalue()

    return change


def with_file(name: str, content: bytes) -> Callable[[bytes], bytes]:
    """The wheel with another content of one of its files, or with one more."""

    def change(wheel: bytes) -> bytes:
        packed = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(wheel)) as old, zipfile.ZipFile(packed, "w") as new:
            for each in old.namelist():
                if each != name:
                    new.writestr(each, old.read(each))
            new.writestr(name, content)
        return packed.getvalue()

    return change


INFO = "evil-1.dist-info"
LINK = stat.S_IFLNK | 0o777
ARCHIVES: Mapping[str, Callable[[bytes], bytes]] = {
    "no archive": lambda _: b"x" * 1000,
    "nothing": lambda _: b"",
    "cut off": lambda wheel: wheel[:-30],
    "cut in half": lambda wheel: wheel[: len(wheel) // 2],
    "damaged": lambda wheel: wheel[:40] + bytes(40) + wheel[80:],
    "a list of members that lies": lambda wheel: wheel[:-60] + b"\xff" * 8 + wheel[-52:],
    "a link to a file of the machine": with_members(member("evil/l.txt", b"/etc/passwd", LINK)),
    "a link to a folder, and a file through it": with_members(
        member("evil/out", b"../../../../..", LINK), member("evil/out/escaped.py")
    ),
    "a link in place of the interpreter": with_members(
        member("evil-1.data/data/bin/python", b"/bin/true", LINK)
    ),
    "a device": with_members(member("evil/zero", b"", stat.S_IFCHR | 0o666)),
    "a program that becomes root": with_members(member("evil/s", b"x", stat.S_IFREG | 0o6755)),
    "one name twice": with_members(member("evil/a.py", b"a = 1"), member("evil/a.py", b"a = 2")),
    "a name with a line end": with_members(member("evil/a\nb.py")),
    "a name that a terminal obeys": with_members(member("evil/\x1b[2J.py")),
    "a name of Windows": with_members(member("evil\\..\\..\\escaped.py")),
    "a drive of Windows": with_members(member("C:/escaped.py")),
    "a name too long": with_members(member(f"evil/{'x' * 300}.py")),
    "a path too long": with_members(member(f"{'a/' * 2500}x.py")),
    "a folder in place of a module": with_members(member("good/__init__.py/x.py")),
    "a module in place of a folder": with_members(member("good", b"x")),
    "nothing of itself": with_file(f"{INFO}/METADATA", b""),
    "another name": with_file(f"{INFO}/METADATA", metadata("good", "1")),
    "another format": with_file(f"{INFO}/WHEEL", b"Wheel-Version: 99.0\nTag: py3-none-any\n"),
    "no record": with_file(f"{INFO}/RECORD", b""),
    "a record of others' files": with_file(
        f"{INFO}/RECORD", b"good/__init__.py,,\n/etc/passwd,,\n"
    ),
    "a record that is no table": with_file(f"{INFO}/RECORD", b'"\xff\0'),
    "a script elsewhere": with_file(
        f"{INFO}/entry_points.txt", b"[console_scripts]\n../../escaped = evil:main\n"
    ),
    "a script with an absolute path": with_file(
        f"{INFO}/entry_points.txt", b"[console_scripts]\n/tmp/escaped = evil:main\n"
    ),
    "a script that is no Python": with_file(
        f"{INFO}/entry_points.txt", b"[console_scripts]\nx = evil:main;import os\n"
    ),
    "entry points that are no table": with_file(f"{INFO}/entry_points.txt", b"\xff[\n"),
    "scripts of the layers below": with_file(f"{INFO}/direct_url.json", b"{"),
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_a_wheel_that_no_honest_tool_makes_is_refused_or_harms_nothing(
    root: Path, tmp_path: Path, install_in: Install, what: str, capfd: pytest.CaptureFixture[str]
) -> None:
    wheel = make_wheel(tmp_path / "evil", "evil")
    wheel.write_bytes(ARCHIVES[what](wheel.read_bytes()))
    before = {path: held for path, held in state(root / "prefix").items() if held[0][0] != "d"}
    around = {*tmp_path.rglob("*escaped*"), *Path("/tmp").glob("*escaped*")}  # noqa: S108
    try:
        install_in(root, wheel)
    except StepError as error:
        assert "evil" in str(error) + capfd.readouterr().err  # uv's own words
    after = state(root / "prefix")
    assert {path: after.get(path) for path in before} == before
    assert {*tmp_path.rglob("*escaped*"), *Path("/tmp").glob("*escaped*")} <= {  # noqa: S108
        *around,
        *(root / "prefix").rglob("*"),
        *(root / "inside/unpacked/prefix").rglob("*"),
    }
    laid = [*(root / "prefix").rglob("*")]
    assert len(laid) > 5
    for path in laid:
        assert not path.lstat().st_mode & 0o6000, path
        if path.is_symlink() and path.relative_to(root / "prefix").as_posix() not in before:
            assert path.resolve().is_relative_to(root), path
