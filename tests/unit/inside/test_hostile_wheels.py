"""Wheels that would write over what other layers or packages have: the real uv, a prefix as an
image has it.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.unit.trees import EPOCH, state
from tests.wheels import make_wheel

from slimbake.inside.build import install, layer
from slimbake.inside.build.layer import LayerError, normalise, tree

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
        (inside / "passes.json").write_text(
            '{"about": "", "layer": "one", "explain": false, "passes": [], "warm": false}'
        )
        for wheel in wheels:
            folder = inside / "own" / wheel.name.partition("-")[0]
            folder.mkdir(parents=True)
            shutil.copyfile(wheel, folder / wheel.name)
        for module in (install, layer):
            monkeypatch.setattr(module, "INSIDE", inside)
            monkeypatch.setattr(module, "TMP", tmp_path)
        monkeypatch.setattr(install, "PREFIX", root / "prefix")
        monkeypatch.setattr(install, "LOCK", root / "lock.txt")
        install.install_layer()

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
    "the metadata of another package": ({"good-1.dist-info/METADATA": b"evil"}, "METADATA"),
}


@pytest.mark.parametrize("what", OVERWRITES)
def test_a_wheel_that_would_change_what_the_layers_below_have_is_refused_with_the_file(
    root: Path, tmp_path: Path, install_in: Install, what: str
) -> None:
    files, changed = OVERWRITES[what]
    wheel = make_wheel(tmp_path / "evil", "evil", files=files)
    with pytest.raises(LayerError) as caught:
        install_in(root, wheel)
    assert changed in str(caught.value) and "evil-1-py3-none-any.whl" in str(caught.value)


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
    with pytest.raises(LayerError):
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


def test_a_record_without_hashes_hides_nothing(
    root: Path, tmp_path: Path, install_in: Install
) -> None:
    files = {"good/__init__.py": b"evil = 1\n"}
    wheel = without_hashes(make_wheel(tmp_path / "evil", "evil", files=files))
    with pytest.raises(LayerError, match=r"good/__init__\.py"):
        install_in(root, wheel)


def test_two_wheels_of_a_layer_whose_records_have_no_hashes_collide_all_the_same(
    root: Path, tmp_path: Path, install_in: Install
) -> None:
    wheels = [
        without_hashes(make_wheel(tmp_path, name, files={path: name.encode()}))
        for name, path in (("one", "same.py"), ("two", f"two-1.data/data/{SITE}/same.py"))
    ]
    with pytest.raises(
        LayerError, match=r"same\.py is in one-1\S+ and, with other contents, in two-1"
    ):
        install_in(root, *wheels)


def test_two_scripts_of_one_name_collide_and_equal_ones_do_not(
    root: Path, tmp_path: Path, install_in: Install
) -> None:
    def wheel(name: str, target: str) -> Path:
        entry = f"[console_scripts]\ntool = {target}\n".encode()
        files = {f"{name}-1.dist-info/entry_points.txt": entry}
        return make_wheel(tmp_path / target, name, files=files)

    install_in(root, wheel("one", "x:main"), wheel("two", "x:main"))
    assert (root / "prefix/bin/tool").is_file()
    with pytest.raises(LayerError, match=r"bin/tool is in four-1\S+ and, with other"):
        install_in(root, wheel("three", "x:main"), wheel("four", "y:main"))


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ("evil-1.data/data/../../escaped", "would write outside of"),
        ("../../../../escaped.py", "would write outside of"),
        ("/escaped.py", "would write outside of"),
        ("evil-1.data/data/ledger/base.json.gz", "would write into a folder of slimbake's"),
        ("evil-1.data/data/cold/base.cold", "would write into a folder of slimbake's"),
    ],
)
def test_a_wheel_that_would_write_where_no_wheel_may_is_refused(
    root: Path, tmp_path: Path, install_in: Install, member: str, said: str
) -> None:
    wheel = make_wheel(tmp_path / "evil", "evil", files={member: b""})
    with pytest.raises(LayerError, match=said):
        install_in(root, wheel)


def test_the_same_bytes_once_more_pass_and_give_the_same_layer_each_time(
    root: Path, tmp_path: Path, install_in: Install
) -> None:
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
