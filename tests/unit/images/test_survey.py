"""What is found in layers: whose the bytes are, and what rules took."""

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.images.conftest import Engine, Surveyed
from tests.unit.layouts import SITE, Made, Member, digest, folder, record, tar

from slimbake import docker
from slimbake.cli import slimbake
from slimbake.console.tables import WIDTH, readable
from slimbake.errors import UsageError
from slimbake.images import report, views
from slimbake.images.detail import Contents, Owner, Taken, owner, owners
from slimbake.images.streams import zstd
from slimbake.inside.ledger import Ledger, LedgerEntry, ledger_bytes

MINUTES = b"x" * 6300
STATUS = {
    "var/lib/dpkg/status.d/libfoo1": b"Package: libfoo1\nVersion: 1.2-3\n",
    "var/lib/dpkg/status.d/libfoo1.md5sums": (
        b"0123  lib/x86_64-linux-gnu/libfoo.so.1\n0123  usr/share/doc/libfoo1/x\n"
    ),
}
RUNTIME = tar(
    {
        **STATUS,
        "usr/lib/x86_64-linux-gnu/libfoo.so.1": b"f" * 100,
        "usr/share/doc/libfoo1/x": b"doc",
        "usr/local/bin/other": b"12345",
        "lonely": b"1",
    }
)
RECORD = record("some_pack.age", "2.0", "some/__init__.py", "../../../bin/some", "/etc/some.conf")
BASE = tar(
    {
        **RECORD,
        f"{SITE}/some/__init__.py": b"x" * 10,
        f"{SITE}/some/__pycache__/__init__.cpython-311.pyc": b"y" * 20,
        "opt/slimbake/bin/some": b"z",
        "etc/some.conf": b"c" * 3,
        f"{SITE}/stray.py": b"s" * 7,
    }
)


def image(name: str, *layers: bytes, **said: Any) -> Made:
    return Made(layers, name=f"registry.example.com/toys/{name}:latest", **said)


def test_only_a_folder_at_the_root_is_merged_into_usr() -> None:
    folder = "var/lib/dpkg/status.d/"
    sums = "0123  lib/foo.so\n0123  opt/foo/lib/bar.so"
    owned = owners({f"{folder}foo": "Version: 1\n", f"{folder}foo.md5sums": sums})
    assert {name for name in owned if "dpkg" not in name} == {
        *("usr/lib/foo.so", "opt/foo/lib/bar.so")
    }


def test_the_bytes_of_a_package_are_its_record_and_bytecode(surveyed: Surveyed) -> None:
    found = surveyed(image("one", RUNTIME, BASE))
    rows = {
        (row.kind, row.name, row.what): (row.uncompressed, row.files)
        for row in views.by_package(found)
    }
    written = len(RECORD[f"{SITE}/some_pack.age-2.0.dist-info/RECORD"])
    status = sum(map(len, STATUS.values()))
    assert rows == {
        ("python", "some-pack-age", "2.0"): (10 + 20 + 1 + 3 + written, 5),
        ("debian", "libfoo1", "1.2-3"): (103 + status, 4),
        ("directory", "/usr/local", ""): (5, 1),
        ("directory", "/opt/slimbake", ""): (7, 1),
        ("directory", "/", ""): (1, 1),
    }
    (one,) = found.measurement.images
    assert sum(size for size, _ in rows.values()) == one.uncompressed


@pytest.mark.parametrize(
    ("path", "whose"),
    [
        (f"{SITE}/mod.py", Owner("python", "mod", "1")),
        (f"{SITE}/__pycache__/mod.cpython-311.pyc", Owner("python", "mod", "1")),
        (f"{SITE}/__pycache__/mod.cpython-311.opt-1.pyc", Owner("python", "mod", "1")),
        (f"{SITE}/__pycache__/none.cpython-311.pyc", Owner("directory", "/opt/slimbake")),
        (f"{SITE}/mod-1.dist-info/INSTALLER", Owner("python", "mod", "1")),
        ("app/__pycache__/main.cpython-311.pyc", Owner("code", "/app")),
        ("weights/model.safetensors", Owner("weights", "/weights")),
        ("usr/lib/python311.zip", Owner("archive", "/usr/lib/python311.zip")),
        ("application/x", Owner("directory", "/application")),
    ],
)
def test_whose_a_file_is(path: str, whose: Owner) -> None:
    known = owners({f"{SITE}/mod-1.dist-info/RECORD": "mod.py,sha256=x,3\n"})
    assert owner(path, known) == whose


def test_what_rules_took_is_read_from_the_ledger_of_a_layer(surveyed: Surveyed) -> None:
    torch = (
        LedgerEntry("torch/a.h", 100, 0, "sources", "torch", "2.0"),
        LedgerEntry("torch/b.so", 100, 60, "sources", "torch", "2.0", "0" * 64),
    )
    numpy = (LedgerEntry("numpy/c.h", 5, 0, "sources", "numpy", "2.0"),)
    ledgers = (Ledger("torch", "2.0", torch), Ledger("numpy", "2.0", numpy))
    files = {f"opt/slimbake/ledger/{each.file}": ledger_bytes(each) for each in ledgers}
    layer = tar({**files, "other.json.gz": b"none"})
    found = surveyed(image("one", layer)).contents[digest(layer)]
    assert found.taken == (Taken("sources", "numpy", 5, 1), Taken("sources", "torch", 140, 2))
    assert Contents.of_json(json.loads(json.dumps(asdict(found)))) == found


def test_links_and_folders_hold_no_bytes_and_a_whiteout_is_no_file(surveyed: Surveyed) -> None:
    layer = tar(
        [
            folder("a"),
            Member("a/b", b"x" * 9),
            Member("a/c", type=b"1", link="a/b"),
            Member("a/d", type=b"2", link="b"),
            Member("a/.wh.gone"),
            Member("e/.wh..wh..opq"),
        ]
    )
    found = surveyed(image("one", layer))
    contents = found.contents[digest(layer)]
    assert (contents.uncompressed, contents.files) == (9, 1)


def test_a_layer_counts_by_blob_on_a_registry_and_by_chain_on_a_host(surveyed: Surveyed) -> None:
    shared = tar({"opt/x": MINUTES})
    below = {"one": RUNTIME, "two": BASE, "three": RUNTIME}
    found = surveyed(*(image(name, layer, shared) for name, layer in below.items()))
    row = next(row for row in views.by_layer(found) if row.name == digest(shared))
    two = next(image for image in found.measurement.images if image.name == "two")
    assert (row.uncompressed, row.on_host) == (6300, 12600)
    assert row.on_registry == len(zstd.compress(shared))
    assert set(row.images) == {"one", "two", "three"}
    assert found.measurement.own_on_registry(two) == len(zstd.compress(BASE))


def test_what_was_not_measured_is_none_and_says_so(surveyed: Surveyed) -> None:
    found = surveyed(image("one", BASE, compression=""))
    (row,) = views.by_layer(found)
    assert row.on_registry is None
    assert "unmeasured" in report.sizes_text(found, "layer", WIDTH)
    made = report.sizes_json(found)
    assert made["images"]["one"]["compressed"] is made["unique_on_registry"] is None


@pytest.mark.parametrize("by", ["image", "layer", "package"])
def test_each_table_comes_as_text(surveyed: Surveyed, by: str) -> None:
    found = surveyed(image("one", RUNTIME, BASE), image("two", RUNTIME))
    lines = report.sizes_text(found, by, WIDTH).splitlines()
    assert lines[0].startswith(by)
    assert "together:   0.0 MB on a host, 0.0 MB on a registry" in lines


def test_packages_show_bytes_first_and_only_measured_columns(surveyed: Surveyed) -> None:
    found = surveyed(image("one", RUNTIME, BASE), image("two", RUNTIME))
    shown = report.sizes_text(found, "package", WIDTH).splitlines()[0].split("  ")
    assert [word.strip() for word in shown if word] == [
        *("package", "version", "uncompressed", "on a host", "files", "images")
    ]


@pytest.mark.parametrize(
    ("size", "text", "change"),
    [
        (None, "unmeasured", "unmeasured"),
        (0, "0 B", "+0 B"),
        (999, "999 B", "+999 B"),
        (-1500, "-1.5 kB", "-1.5 kB"),
        (12_345_678, "12.3 MB", "+12.3 MB"),
        (1_234_000_000, "1,234.0 MB", "+1,234.0 MB"),
    ],
)
def test_bytes_are_reported_in_a_fitting_unit(size: int | None, text: str, change: str) -> None:
    assert (readable(size), readable(size, signed=True)) == (text, change)


@pytest.mark.parametrize("manifest", [True, False])
def test_an_image_of_the_engine_needs_no_manifest_which_keeps_what_was_read(
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    manifest: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    if manifest:
        (tmp_path / "services.yaml").touch()
    ids = engine.hold(image("one", RUNTIME, BASE))
    monkeypatch.setattr(docker, "find_image", lambda _: SimpleNamespace(id=ids["one"]))
    name = "registry.example.com/toys/one:latest"
    for _ in range(2):
        slimbake.main(["sizes", name, "--json"], standalone_mode=False)
        assert [*json.loads(capsys.readouterr().out)["images"]] == [name]
    assert len(engine.saves) == (1 if manifest else 2)
    assert (tmp_path / ".slimbake").exists() == manifest


def test_images_of_one_repository_are_rows_of_their_own(
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    ids = engine.hold(image("one", RUNTIME), image("two", RUNTIME, BASE))
    held = {"toys/api:1": "one", "toys/api:2": "two", "other/api:1": "one"}
    monkeypatch.setattr(docker, "find_image", lambda name: SimpleNamespace(id=ids[held[name]]))
    slimbake.main(["sizes", *held, "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)["images"]
    assert {name: len(found[name]["layers"]) for name in found} == {
        "toys/api:1": 1,
        "toys/api:2": 2,
        "other/api:1": 1,
    }


def test_an_image_that_the_engine_does_not_have_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "find_image", lambda _: None)
    with pytest.raises(UsageError, match="no image 'a/b:1'"):
        slimbake.main(["sizes", "a/b:1"], standalone_mode=False)
