"""The inventory of an image: what no layer shows alone."""

import json
import shutil
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.wheels import wheel_bytes

from slimbake.inside.check import inventory
from slimbake.inside.check.inventory import take_inventory
from slimbake.inside.check.libraries import Unanswered
from slimbake.inside.ledger import Ledger, LedgerEntry, ledger_bytes

THING = {"thing/__init__.py": b"", "thing/data.json": b"{}"}
LINE = "services.yaml: bases.web.remove: thing/*.json"


class Image:
    """An image with one package, as the program finds it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.prefix = root / "opt"
        self.site = self.prefix / "lib/python3.11/site-packages"
        self.site.mkdir(parents=True)
        self.lacks: list[Unanswered] = []
        self.install("thing", THING)
        monkeypatch.setattr(inventory, "PREFIX", self.prefix)
        monkeypatch.setattr(inventory, "unanswered", lambda _: self.lacks)
        monkeypatch.setenv("CHECKED", "base-web")
        monkeypatch.setenv("PACKAGES", "thing")

    def install(self, name: str, files: Mapping[str, bytes]) -> None:
        with zipfile.ZipFile(BytesIO(wheel_bytes(name, "1", files=files))) as archive:
            archive.extractall(self.site)

    def tell(self, ledger: Ledger) -> None:
        (self.prefix / "ledger").mkdir(exist_ok=True)
        (self.prefix / "ledger" / ledger.file).write_bytes(ledger_bytes(ledger))

    def removed(self, name: str, by: str) -> None:
        """Remove a file of the package, by a rule."""
        (self.site / name).unlink(missing_ok=True)
        self.tell(Ledger("thing", "1", (LedgerEntry(name, 9, 0, by, "thing", "1"),)))


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Image:
    return Image(tmp_path, monkeypatch)


def faults(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What an image has lost, by the lines of its inventory, which fails then."""
    code = take_inventory(())
    lines = capsys.readouterr().out.splitlines()
    lost = [line.removeprefix("lost: ") for line in lines if line.startswith("lost: ")]
    assert code == bool(lost)
    return lost


def warnings(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What it warns of, and holds all the same."""
    assert take_inventory(()) == 0
    head = "slimbake: warning: base-web: "
    lines = capsys.readouterr().out.splitlines()
    return [line.removeprefix(head) for line in lines if line.startswith(head)]


Captured = pytest.CaptureFixture[str]


def test_a_whole_image_holds_and_is_named(image: Image, capsys: Captured) -> None:
    assert take_inventory(()) == 0
    assert capsys.readouterr().out == ("inventory of base-web\ninventory: 5 files of 1 packages\n")


@pytest.mark.parametrize(
    ("packages", "machine", "lost"),
    [
        ("other thing", "x86_64", ["other is not in the image"]),
        ("other@aarch64 thing@x86_64 thing@aarch64", "x86_64", []),
        ("other@aarch64 thing@x86_64", "aarch64", ["other is not in the image"]),
    ],
)
def test_a_package_has_to_be_there_on_the_machines_that_it_is_for(
    packages: str,
    machine: str,
    lost: list[str],
    image: Image,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(machine=machine))
    monkeypatch.setenv("PACKAGES", packages)
    assert faults(capsys) == lost


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("name", ["thing/data.json", "thing-1.dist-info/METADATA"])
def test_a_file_that_is_not_there_or_a_folder_is_a_fault(
    image: Image, capsys: Captured, name: str, folder: bool
) -> None:
    (image.site / name).unlink()
    if folder:
        (image.site / name).mkdir()
    assert faults(capsys) == [f"{name} of thing 1 is not in the image"]


@pytest.mark.parametrize("by", ["a-rule", LINE])
def test_what_a_rule_removed_is_no_fault(image: Image, capsys: Captured, by: str) -> None:
    image.removed("thing/data.json", by)
    assert faults(capsys) == []


def test_a_file_that_no_record_lists_has_to_be_there_too(image: Image, capsys: Captured) -> None:
    image.tell(Ledger("thing", "1", unlisted={"thing/more.py": "0" * 64}))
    assert faults(capsys) == ["thing/more.py of thing 1 is not in the image"]


BYTECODE = "thing/__pycache__/__init__.cpython-311.pyc"


@pytest.mark.parametrize("name", ["thing/__init__.py", "thing/lib.so", "thing.pth", BYTECODE])
def test_two_packages_with_one_module_are_a_fault(
    image: Image, capsys: Captured, name: str
) -> None:
    if name != BYTECODE:  # of the other package alone: it compiles thing's module
        image.install("thing", {**THING, name: b"1"})
    image.install("other", {name: b"2"})
    assert take_inventory(()) == 1
    *_, found, advice = capsys.readouterr().out.split("\n", 3)
    assert found == f"lost: {name} is, with other contents each, in other 1 and thing 1"
    assert "override-dependencies" in advice


def test_bytecode_that_a_wheel_brings_of_its_own_module_is_none(
    image: Image, capsys: Captured
) -> None:
    own = {"own.py": b"", "__pycache__/own.cpython-311.pyc": b"1"}
    image.install("own", own)
    assert faults(capsys) == []


def test_files_without_a_hash_are_what_ledgers_say(image: Image, capsys: Captured) -> None:
    for package, digest in {"one": "1", "other": "2"}.items():
        image.install(package, {f"{package}.py": b""})
        with (image.site / f"{package}-1.dist-info/RECORD").open("a") as record:
            record.write("same.py,,\n")
        image.tell(Ledger(package, "1", unlisted={"same.py": digest * 64}))
    (image.site / "same.py").touch()
    assert faults(capsys) == ["same.py is, with other contents each, in one 1 and other 1"]


def test_two_packages_with_one_file_of_data_that_differs_are_a_warning(
    image: Image, capsys: Captured
) -> None:
    image.install("other", THING)
    assert warnings(capsys) == []
    image.install("other", {"thing/data.json": b"[]"})
    assert warnings(capsys) == [
        "thing/data.json is, with other contents each, in other 1 and thing 1"
    ]


def test_a_library_that_the_image_lacks_is_a_warning(image: Image, capsys: Captured) -> None:
    needs = str(image.site / "thing/lib.so")
    image.lacks.append(Unanswered("libGL.so.1", (needs,), "libgl1"))
    assert warnings(capsys) == [
        f"{needs} needs libGL.so.1, which the image lacks: `system: [libgl1]` brings it"
    ]


def test_what_only_packages_below_need_was_said_there(
    image: Image, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    image.install("thing", {**THING, "thing/lib.so": b"1"})
    image.install("own", {"own.so": b"1"})
    monkeypatch.setenv("PACKAGES", "own")
    below, own = str(image.site / "thing/lib.so"), str(image.site / "own.so")
    image.lacks += [Unanswered("libx.so", (below,), ""), Unanswered("liby.so", (below, own), "")]
    assert [line.partition(", which")[0] for line in warnings(capsys)] == [
        f"{below}, {own} need liby.so"
    ]


TAKEN = "thing/libthing.so of thing 1, which /opt/own.so needs: a-rule removed it"


@pytest.mark.parametrize(("by", "lost"), [("a-rule", [TAKEN]), (LINE, [])])
def test_a_library_that_a_rule_took_from_another_package_is_a_fault(
    image: Image, capsys: Captured, by: str, lost: list[str]
) -> None:
    image.removed("thing/libthing.so", by)
    image.lacks.append(Unanswered("libthing.so", ("/opt/own.so",), ""))
    assert faults(capsys) == lost


def test_a_line_of_the_manifest_that_removes_nothing_is_a_warning(
    image: Image, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    image.removed("thing/data.json", LINE)
    other = "services.yaml: bases.web.remove: thign/**"
    monkeypatch.setenv("REMOVES", json.dumps([LINE, other]))
    assert warnings(capsys) == [f"{other} matches no file"]


def test_a_build_prints_a_few_faults(image: Image, capsys: Captured) -> None:
    image.install("many", {f"many/{number}.py": b"" for number in range(40)})
    shutil.rmtree(image.site / "many")
    lost = faults(capsys)
    assert (len(lost), lost[-1]) == (13, "28 more")
