"""The inventory: every row of every RECORD has a fate, and all that is taken away is noticed."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from tests.wheels import wheel_bytes

from slimbake.inside.check import inventory
from slimbake.inside.check.inventory import Row, take_inventory
from slimbake.inside.ledger import Ledger, LedgerEntry, ledger_bytes

THING = {
    "thing/__init__.py": b"",
    "thing/module.py": b"value = 1\n",
    "thing/lib.so": b"\x7fELF code symbols",
    "thing/data.json": b"{}",
}
LOCK = "# asked for\nthing==1 \\\n    --hash=sha256:0\nelsewhere==1 ; sys_platform == 'win32' \\\n"


class Layer:
    """An image with one package, as the program finds it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.prefix, self.inside = root / "opt", root / "inside"
        self.site = self.prefix / "lib/python3.11/site-packages"
        self.site.mkdir(parents=True)
        self.inside.mkdir()
        (self.inside / "lock.txt").write_text(LOCK)
        self.install("thing", THING)
        monkeypatch.setattr(inventory, "PREFIX", self.prefix)
        monkeypatch.setattr(inventory, "ROOT", self.prefix)
        monkeypatch.setattr(inventory, "LOCK", self.inside / "lock.txt")
        monkeypatch.setattr(inventory, "OUT", root / "inventory.json")
        monkeypatch.setattr(inventory, "BELOW", self.inside / "below.json")
        monkeypatch.setenv("CHECKED", "base-web")

    def install(self, name: str, files: Mapping[str, bytes]) -> None:
        with zipfile.ZipFile(BytesIO(wheel_bytes(name, "1", files=files))) as archive:
            archive.extractall(self.site)

    def tell(self, *entries: LedgerEntry) -> None:
        (self.prefix / "ledger").mkdir()
        (self.prefix / "ledger/base-web.json.gz").write_bytes(ledger_bytes(Ledger(entries)))

    @property
    def found(self) -> dict[str, dict[str, int]]:
        return dict(json.loads(inventory.OUT.read_text())["counts"])


@pytest.fixture
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layer:
    return Layer(tmp_path, monkeypatch)


def test_a_whole_image_has_lost_nothing(layer: Layer, capsys: pytest.CaptureFixture[str]) -> None:
    assert take_inventory(()) == 0
    assert layer.found["files"] == {"disk": 7}
    assert capsys.readouterr().out == "inventory of base-web\ninventory: 7 files: 7 on disk\n"


def unlinked(name: str) -> Callable[[Layer], object]:
    return lambda layer: (layer.site / name).unlink()


def rewritten(name: str, content: bytes) -> Callable[[Layer], object]:
    return lambda layer: (layer.site / name).write_bytes(content)


def filed(layer: Layer) -> None:
    """Put a file in the place of a folder."""
    shutil.rmtree(layer.site / "thing")
    (layer.site / "thing").touch()


LOSSES: dict[str, tuple[Callable[[Layer], object], str]] = {
    "a module": (unlinked("thing/module.py"), "thing/module.py of thing 1 in base-web: it is not"),
    "a name": (unlinked("thing-1.dist-info/METADATA"), "METADATA of thing 1 in base-web: it is"),
    "a library": (unlinked("thing/lib.so"), "thing/lib.so of thing 1 in base-web: it is not"),
    "a data file": (unlinked("thing/data.json"), "thing/data.json of thing 1 in base-web: it is"),
    "a byte": (
        rewritten("thing/module.py", b"value = 2\n"),
        "thing/module.py of thing 1 in base-web: its",
    ),
    "a symbol": (
        rewritten("thing/lib.so", b"\x7fELF code"),
        "thing/lib.so of thing 1 in base-web: its",
    ),
    "a package": (
        lambda layer: shutil.rmtree(layer.site / "thing-1.dist-info"),
        "METADATA of thing in base-web: it is not in the image",
    ),
    "a file in place of a folder": (filed, "thing/module.py of thing 1 in base-web: it is not"),
}


@pytest.mark.parametrize("what", LOSSES)
def test_all_that_is_taken_away_is_named_with_its_package_and_its_layer(
    what: str, layer: Layer, capsys: pytest.CaptureFixture[str]
) -> None:
    harm, named = LOSSES[what]
    harm(layer)
    assert take_inventory(()) == 1
    assert f"lost: {named}" in capsys.readouterr().out.replace("thing-1.dist-info/", "")


def test_what_rules_removed_is_no_loss(layer: Layer, capsys: pytest.CaptureFixture[str]) -> None:
    line = "services.yaml: bases.web.remove: thing/*.json"
    stripped = b"\x7fELF code"
    unlinked("thing/module.py")(layer)
    unlinked("thing/data.json")(layer)
    rewritten("thing/lib.so", stripped)(layer)
    digest = hashlib.sha256(stripped).hexdigest()
    layer.tell(
        LedgerEntry("thing/lib.so", 18, 9, "symbols", "thing", "1", digest),
        LedgerEntry("thing/module.py", 10, 0, "modules", "thing", "1"),
        LedgerEntry("thing/data.json", 2, 0, line, "thing", "1"),
    )
    assert take_inventory(()) == 0
    assert layer.found["files"] == {"disk": 4, "changed": 1, "removed": 1, "requested": 1}
    assert layer.found["rules"] == {"modules": 1, line: 1, "symbols": 1}
    assert capsys.readouterr().out.endswith(
        "inventory: 7 files: 4 on disk, 1 changed by rules, 1 removed by rules, 1 removed on request\n"
    )
    rewritten("thing/lib.so", b"\x7fELF cod")(layer)
    assert take_inventory(()) == 1, "it is not what the rule left"


def test_a_local_package_that_no_lock_has_must_be_there(
    layer: Layer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL", "Our_Own")
    assert take_inventory(()) == 1
    assert "METADATA of our-own in base-web" in capsys.readouterr().out
    layer.install("our_own", {"our_own/__init__.py": b""})
    assert take_inventory(()) == 0


def test_rows_without_a_hash_are_held_to_being_there(layer: Layer) -> None:
    with (layer.site / "thing-1.dist-info/RECORD").open("a") as record:
        record.write("thing/__pycache__/module.cpython-311.pyc,,\n../../../bin/thing,,\n")
    assert take_inventory(()) == 1, "a script is not there; bytecode need not be"
    (layer.prefix / "bin").mkdir()
    (layer.prefix / "bin/thing").touch()
    assert take_inventory(()) == 0
    assert layer.found["files"] == {"disk": 8, "bytecode": 1}


def test_bytecode_of_a_wheel_may_be_compiled_again_unless_it_is_the_module(layer: Layer) -> None:
    compiled, module = "old/__pycache__/thing.cpython-311.pyc", "old/sourceless.pyc"
    layer.install("old", {"old/thing.py": b"", compiled: b"by another", module: b"bytecode"})
    rewritten(compiled, b"by this one")(layer)
    assert take_inventory(()) == 0
    assert layer.found["files"]["bytecode"] == 1
    rewritten(module, b"else")(layer)
    assert take_inventory(()) == 1
    unlinked(module)(layer)
    assert take_inventory(()) == 1


def test_a_file_of_two_packages_is_what_one_of_them_lists(layer: Layer) -> None:
    layer.install("other", {"other.py": b"", "thing/data.json": b"[]"})
    assert take_inventory(()) == 0
    assert layer.found["files"]["contested"] == 1
    rewritten("thing/data.json", b"neither")(layer)
    assert take_inventory(()) == 1


def test_a_record_may_take_another_hash(layer: Layer) -> None:
    digest = hashlib.sha512(THING["thing/module.py"]).hexdigest()
    row = Row("thing/module.py", ("sha512", digest), "thing", "1")
    disk, _ = inventory.read_files(layer.site, [row], {}, {})
    assert inventory.inventory([row], disk, {}, {"thing": "x"}).files == {"disk": 1}


def test_what_the_layer_below_counted_is_not_read_again_unless_it_changed(
    layer: Layer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert take_inventory(()) == 0
    shutil.copy(inventory.OUT, inventory.BELOW)
    monkeypatch.setenv("CHECKED", "api")
    layer.install("own", {"own.py": b""})
    reads: list[Path] = []

    def read(file: BinaryIO, kind: str) -> Any:
        reads.append(Path(file.name))
        return hashlib.new(kind, file.read())

    monkeypatch.setattr("hashlib.file_digest", read)
    assert take_inventory(()) == 0
    assert {str(name.relative_to(layer.site)) for name in reads} == {
        "own.py",
        *(f"own-1.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL")),
    }
    rewritten("thing/module.py", b"value = 2\n")(layer)
    unlinked("own.py")(layer)
    assert take_inventory(()) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "lost: own.py of own 1 in api: it is not in the image, and no rule lists it",
        "lost: thing/module.py of thing 1 in base-web: its bytes are not the wheel's, and no rule"
        " lists it",
    ]
    shutil.rmtree(layer.site / "thing-1.dist-info")
    assert take_inventory(()) == 1
    assert "METADATA of thing in base-web" in capsys.readouterr().out, "the layer below had it"


def test_a_build_prints_a_few_losses(layer: Layer, capsys: pytest.CaptureFixture[str]) -> None:
    layer.install("many", {f"many/{number}.py": b"" for number in range(40)})
    shutil.rmtree(layer.site / "many")
    assert take_inventory(()) == 1
    lines = capsys.readouterr().out.splitlines()
    assert (len(lines), lines[-1]) == (15, "lost: 28 more")
