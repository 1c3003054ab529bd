"""Wheels that would write over what other wheels have, in one layer or in another of an image, or
where no wheel may: the real uv.
"""

import contextlib
import io
import shutil
import stat
import sys
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.unit.trees import EPOCH, state
from tests.wheels import LONG_AGO, make_wheel, metadata
from uv import find_uv_bin

from slimbake.inside.check import inventory
from slimbake.inside.check.inventory import missing
from slimbake.inside.make import packages
from slimbake.inside.make import uv as uv_step
from slimbake.inside.make.collisions import SITE_HERE as SITE
from slimbake.inside.records import rows_of
from slimbake.inside.step import StepError

ENTRY = "evil-1.dist-info/entry_points.txt"


class Layers:
    """Makes layers, and images of them."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self._monkeypatch = root, monkeypatch
        self.prefix = root / "opt/prefix"
        self.prefix.parent.mkdir()
        inside = root / "inside"
        inside.mkdir()
        (inside / "uv").symlink_to(find_uv_bin())
        monkeypatch.setattr(uv_step, "INSIDE", inside)
        monkeypatch.setattr(packages, "PREFIX", self.prefix)
        monkeypatch.setattr(packages, "TMP", root)

    def made(self, *wheels: Path) -> Path:
        """A layer of these wheels: its prefix."""
        shutil.rmtree(self.prefix, ignore_errors=True)
        packages.lay_out("", (), wheels, (), "rule")
        return self.prefix.rename(self.root / f"layer-{len([*self.root.glob('layer-*')])}")

    def lost(self, *layers: Path) -> str:
        """What the inventory of an image with these layers says that it has lost; "" where it holds."""
        image = self.root / "image"
        for layer in layers:
            shutil.copytree(layer, image, symlinks=True, dirs_exist_ok=True)
        self._monkeypatch.setattr(inventory, "PREFIX", image)
        self._monkeypatch.setattr(inventory, "ROOT", image)
        self._monkeypatch.setenv("CHECKED", "api")
        self._monkeypatch.setenv("PACKAGES", "evil good")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = inventory.take_inventory(())
        lines = [line for line in printed.getvalue().splitlines() if line.startswith("lost: ")]
        assert code == bool(lines)
        return "\n".join(lines)


@pytest.fixture
def layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layers:
    return Layers(tmp_path, monkeypatch)


@pytest.fixture
def good(layers: Layers, tmp_path: Path) -> Path:
    """A layer with an honest wheel."""
    files = {
        "good/__init__.py": b"version = 1\n",
        "good/data.txt": b"of good",
        "good-1.dist-info/entry_points.txt": b"[console_scripts]\ngood = good:main\n",
    }
    return layers.made(make_wheel(tmp_path / "below", "good", files=files))


SCRIPT = b"[console_scripts]\ngood = evil:main\n"
MODULE = "good/__init__.py"
BYTECODE = f"good/__pycache__/__init__.{sys.implementation.cache_tag}.pyc"
# A file of the wheel, what it holds, and what it changes of the other.
OVERWRITES = {
    "a script": (ENTRY, SCRIPT, "/bin/good"),
    "a module, as data": (f"evil-1.data/data/{SITE}/{MODULE}", b"evil = 1\n", MODULE),
    "a module, as a library": (f"evil-1.data/purelib/{MODULE}", b"evil = 1\n", MODULE),
    "a module": (MODULE, b"evil = 1\n", MODULE),
}


@pytest.mark.parametrize("what", OVERWRITES)
def test_a_wheel_that_changes_what_another_layer_has_is_found_in_the_image(
    layers: Layers, good: Path, tmp_path: Path, what: str
) -> None:
    file, content, changed = OVERWRITES[what]
    evil = layers.made(make_wheel(tmp_path / "evil", "evil", files={file: content}))
    lost = layers.lost(good, evil)
    assert f"lost: {changed} is, with other contents each, in evil 1 and good 1" in lost


def test_an_honest_wheel_beside_it_is_no_fault(layers: Layers, good: Path, tmp_path: Path) -> None:
    assert layers.lost(good, layers.made(make_wheel(tmp_path / "evil", "evil"))) == ""


def test_bytecode_of_another_wheel_s_module_is_found_in_the_image(
    layers: Layers, good: Path, tmp_path: Path
) -> None:
    evil = layers.made(make_wheel(tmp_path / "evil", "evil", files={BYTECODE: b"evil"}))
    assert f"lost: {BYTECODE} is, with other contents each" in layers.lost(good, evil)


def test_the_metadata_of_another_package_is_refused(layers: Layers, tmp_path: Path) -> None:
    files = {"good-1.dist-info/METADATA": b"evil"}
    with pytest.raises(StepError, match="uv pip failed"):
        layers.made(make_wheel(tmp_path / "evil", "evil", files=files))


def without_hashes(wheel: Path) -> Path:
    """The wheel with a RECORD that names no hashes."""
    with zipfile.ZipFile(wheel) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in content.items():
            record = "".join(f"{each},,\n" for each in content).encode()
            archive.writestr(name, record if name.endswith("/RECORD") else data)
    return wheel


def test_a_record_may_lack_hashes(layers: Layers, good: Path, tmp_path: Path) -> None:
    files = {"good/__init__.py": b"evil = 1\n"}
    evil = layers.made(without_hashes(make_wheel(tmp_path / "evil", "evil", files=files)))
    assert "lost: good/__init__.py is, with other contents each" in layers.lost(good, evil)


def same(tmp_path: Path) -> list[Path]:
    """Two wheels without hashes, with one module that differs."""
    places = {"evil": "same.py", "good": f"good-1.data/data/{SITE}/same.py"}
    return [
        without_hashes(make_wheel(tmp_path, name, files={path: name.encode()}))
        for name, path in places.items()
    ]


def test_two_wheels_without_hashes_collide(layers: Layers, tmp_path: Path) -> None:
    why = r"same\.py is in evil-1\S+ and, with other contents, in good-1"
    with pytest.raises(StepError, match=why):
        layers.made(*same(tmp_path))
    assert "same.py" in layers.lost(*(layers.made(wheel) for wheel in same(tmp_path)))


def test_scripts_of_one_name_collide(layers: Layers, tmp_path: Path) -> None:
    def wheel(name: str, target: str) -> Path:
        entry = f"[console_scripts]\ntool = {target}\n".encode()
        files = {f"{name}-1.dist-info/entry_points.txt": entry}
        return make_wheel(tmp_path / target, name, files=files)

    assert (layers.made(wheel("one", "x:main"), wheel("two", "x:main")) / "bin/tool").is_file()
    with pytest.raises(StepError, match=r"bin/tool is in three-1\S+ and, with other"):
        layers.made(wheel("three", "x:main"), wheel("four", "y:main"))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"evil-1.data/data/../../escaped": b""}, "would write outside of"),
        ({"../../../../escaped.py": b""}, "would write outside of"),
        ({"/escaped.py": b""}, "would write outside of"),
        ({"evil-1.data/data/ledger/base.json.gz": b""}, "would write what only slimbake writes"),
        ({"evil-1.data/data/pyvenv.cfg": b""}, "would write what only slimbake writes"),
        ({"evil-1.data/data/bin/python": b""}, "would write what only slimbake writes"),
        ({"evil-1.data/scripts/python3": b""}, "would write what only slimbake writes"),
        ({ENTRY: b"[console_scripts]\npython = evil:main\n"}, "uv pip failed|would write"),
    ],
)
def test_a_wheel_that_would_write_where_no_wheel_may_is_refused(
    layers: Layers, tmp_path: Path, files: dict[str, bytes], said: str
) -> None:
    before = Path(sys.executable).resolve().stat()
    with pytest.raises(StepError, match=said):
        layers.made(make_wheel(tmp_path / "evil", "evil", files=files))
    assert Path(sys.executable).resolve().stat() == before


def test_files_outside_of_site_packages_are_a_layer_s_too(layers: Layers, tmp_path: Path) -> None:
    files = {"evil-1.data/data/share/evil/notes.txt": b"text"}
    found = state(layers.made(make_wheel(tmp_path, "evil", files=files)))
    assert found["share/evil/notes.txt"] == ("-rw-r--r--", EPOCH, b"text")


ODD_NAMES = {
    **{f"U+{ord(end):04X}": f"a{end}b.py" for end in "\u2028\u2029\x85\x1c\x1d\x1e\x0b\x0c"},
    "LS and uv's own": "a\u2028b/uv_cache.json,c.py",
    "a comma": "a,b.py",
    "a quote": 'a"b.py',
    "a comma and LS": "a,\u2028b.py",
    "a space that does not break": "a\xa0b.py",
    "a right-to-left mark": "a\u202eb.py",
}


@pytest.mark.parametrize("kind", ODD_NAMES)
def test_a_file_whose_name_ends_a_line_for_some_is_a_file(
    layers: Layers, tmp_path: Path, kind: str
) -> None:
    name = f"odd/{ODD_NAMES[kind]}"
    wheel = make_wheel(tmp_path / "odd", "odd", files={name: b"x = 1\n"})
    try:
        made = layers.made(wheel)
    except StepError as error:  # uv refuses some
        assert "uv pip failed" in str(error)
        return
    (record,) = made.glob("lib/python*/site-packages/odd-1.dist-info/RECORD")
    site = record.parents[1]
    assert (site / name).read_bytes() == b"x = 1\n"
    assert name in {row.name for row in rows_of(record)}
    assert list(missing(site, rows_of(record))) == []


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
    "a script elsewhere": with_file(ENTRY, b"[console_scripts]\n../../escaped = evil:main\n"),
    "a script from the root": with_file(ENTRY, b"[console_scripts]\n/tmp/escaped = evil:main\n"),
    "a script that is no Python": with_file(ENTRY, b"[console_scripts]\nx = evil:main;import os\n"),
    "entry points that are no table": with_file(ENTRY, b"\xff[\n"),
    "scripts of the layers below": with_file(f"{INFO}/direct_url.json", b"{"),
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_a_wheel_that_no_honest_tool_makes_is_refused_or_harms_nothing(
    layers: Layers, good: Path, tmp_path: Path, what: str, capfd: pytest.CaptureFixture[str]
) -> None:
    wheel = make_wheel(tmp_path / "evil", "evil")
    wheel.write_bytes(ARCHIVES[what](wheel.read_bytes()))
    escaped = {*tmp_path.rglob("*escaped*"), *Path("/tmp").glob("*escaped*")}  # noqa: S108
    try:
        made = layers.made(wheel)
    except StepError as error:
        assert "evil" in str(error) + capfd.readouterr().err  # uv's own words
        made = layers.prefix
    there = {*tmp_path.rglob("*escaped*"), *Path("/tmp").glob("*escaped*")}  # noqa: S108
    assert there <= {*escaped, *made.rglob("*")}
    for path in made.rglob("*"):
        assert not path.lstat().st_mode & 0o6000, path
        if path.is_symlink() and path.name != "python":
            assert path.resolve().is_relative_to(tmp_path), path
