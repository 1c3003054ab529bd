"""Every row of every RECORD has a fate, and all that is taken away is noticed."""

import hashlib
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import pytest
from tests.wheels import wheel_bytes

from slimbake.inside.fates import ALTERED, LOST, Fates, digests, fates
from slimbake.inside.ledger import LedgerEntry
from slimbake.inside.records import Row, recorded

THING = {
    "thing/__init__.py": b"",
    "thing/module.py": b"value = 1\n",
    "thing/lib.so": b"\x7fELF code symbols",
    "thing/data.json": b"{}",
}


def install(site: Path, name: str, files: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(BytesIO(wheel_bytes(name, "1", files=files))) as archive:
        archive.extractall(site)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Site-packages with one wheel."""
    site = tmp_path / "lib/python3.11/site-packages"
    install(site, "thing", THING)
    return site


def found(site: Path, *entries: LedgerEntry) -> Fates:
    ledger = {(entry.package, entry.path): entry for entry in entries}
    rows = list(recorded(site))
    return fates(rows, digests(site, rows, ledger), ledger)


def losses(site: Path) -> dict[str, str]:
    return {loss.name: loss.why for loss in found(site).losses}


def test_a_whole_wheel_has_lost_nothing(site: Path) -> None:
    result = found(site)
    assert (result.files, result.losses) == ({"disk": 7}, ())
    assert str(result) == "7 files: 7 on disk"


def filed(path: Path) -> None:
    """Put a folder in the place of a file."""
    path.unlink()
    path.mkdir()


HARM: dict[str, tuple[Callable[[Path], object], str]] = {
    "removed": (lambda path: path.unlink(), LOST),
    "edited": (lambda path: path.write_bytes(b"else"), ALTERED),
    "a folder in its place": (filed, LOST),
}


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("name", [*THING, "thing-1.dist-info/METADATA"])
def test_any_harm_to_a_file_is_a_loss(site: Path, name: str, harm: str) -> None:
    do, why = HARM[harm]
    do(site / name)
    assert losses(site) == {name: why}


def test_what_rules_did_is_no_loss(site: Path) -> None:
    line = "services.yaml: bases.web.remove: thing/*.json"
    stripped = b"\x7fELF code"
    (site / "thing/module.py").unlink()
    (site / "thing/data.json").unlink()
    (site / "thing/lib.so").write_bytes(stripped)
    digest = hashlib.sha256(stripped).hexdigest()
    entries = (
        LedgerEntry("thing/lib.so", 18, 9, "symbols", "thing", "1", digest),
        LedgerEntry("thing/module.py", 10, 0, "modules", "thing", "1"),
        LedgerEntry("thing/data.json", 2, 0, line, "thing", "1"),
    )
    result = found(site, *entries)
    assert result.losses == ()
    assert str(result) == (
        "7 files: 4 on disk, 1 changed by rules, 1 removed by rules, 1 removed on request"
    )
    (site / "thing/lib.so").write_bytes(b"not what the rule left")
    assert [loss.name for loss in found(site, *entries).losses] == ["thing/lib.so"]


def test_rows_without_a_hash_are_held_to_being_there(site: Path) -> None:
    with (site / "thing-1.dist-info/RECORD").open("a") as record:
        record.write("../../../bin/thing,,\n")
    assert losses(site) == {"/bin/thing": LOST}
    (site.parents[2] / "bin").mkdir()
    (site.parents[2] / "bin/thing").touch()
    assert losses(site) == {}


def test_bytecode_of_a_wheel_may_be_compiled_again_unless_it_is_the_module(site: Path) -> None:
    compiled, module = "old/__pycache__/thing.cpython-311.pyc", "old/sourceless.pyc"
    install(site, "old", {"old/thing.py": b"", compiled: b"by another", module: b"bytecode"})
    (site / compiled).write_bytes(b"by this one")
    assert losses(site) == {}
    (site / module).write_bytes(b"else")
    assert losses(site) == {module: ALTERED}


def test_a_file_of_two_wheels_is_what_one_of_them_lists(site: Path) -> None:
    install(site, "other", {"other.py": b"", "thing/data.json": b"[]"})
    assert found(site).files["contested"] == 1
    (site / "thing/data.json").write_bytes(b"neither")
    assert losses(site) == {"thing/data.json": ALTERED}


def test_a_record_may_have_another_hash(site: Path) -> None:
    digest = hashlib.sha512(THING["thing/module.py"]).hexdigest()
    row = Row("thing/module.py", ("sha512", digest), "thing", "1")
    assert fates([row], digests(site, [row], {}), {}).files == {"disk": 1}
