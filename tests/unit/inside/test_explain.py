"""A failed import in an image, as a real Python of a prefix of its own tells it."""

import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.ran import ran

from slimbake.inside import FOLDER
from slimbake.inside.ledger import Ledger, LedgerEntry, ledger_bytes

Python = Callable[[str], subprocess.CompletedProcess[str]]

LINE = "services.yaml: bases.web.remove: thing/**"
ODD = 'services.yaml: services.api.remove: d*/"t\u00e9",{].py'
REMOVED = (
    LedgerEntry("gone.py", 9, 0, LINE, "thing", "1"),
    LedgerEntry("thing/sub/gone/__init__.py", 9, 0, LINE, "thing", "1"),
    LedgerEntry("thing/fast.cpython-311-x86_64-linux-gnu.so", 9, 0, "a-rule", "thing", "1"),
    LedgerEntry("thing/data.json", 9, 0, "a-rule", "thing", "1"),
    LedgerEntry("dropped/__init__.py", 9, 0, ODD, "dropped", "2"),
    LedgerEntry("stripped.so", 9, 5, "symbols", "thing", "1"),
)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prefix with a package, and the ledgers of two that say what they had."""
    root = tmp_path_factory.mktemp("image")
    venv.create(root, symlinks=True)
    site = next(root.glob("lib/python*/site-packages"))
    (site / "thing/sub").mkdir(parents=True)
    for name in ("thing/__init__.py", "thing/sub/__init__.py"):
        (site / name).touch()
    (site / "_slimbake_ledger.py").write_bytes((FOLDER / "make/explain.py").read_bytes())
    (site / "_slimbake_ledger.pth").write_text("import _slimbake_ledger\n")
    (root / "ledger").mkdir()
    for package, version in (("thing", "1"), ("dropped", "2")):
        entries = tuple(entry for entry in REMOVED if entry.package == package)
        ledger = Ledger(package, version, entries)
        (root / "ledger" / ledger.file).write_bytes(ledger_bytes(ledger))
    return root


@pytest.fixture
def python(image: Path) -> Python:
    def run(text: str) -> subprocess.CompletedProcess[str]:
        return ran([image / "bin/python", "-I", "-c", text])

    return run


def last(python: Python, text: str) -> str:
    done = python(text)
    assert done.returncode == 1, done
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("module", "by"),
    [("gone", LINE), ("thing.sub.gone", LINE), ("thing.fast", "a-rule"), ("dropped", ODD)],
)
def test_a_failed_import_names_what_removed_it(module: str, by: str, python: Python) -> None:
    named = f"ModuleNotFoundError: No module named '{module}'"
    said = f"{named}: {by} removed it; `slimbake why {module}` tells more"
    assert last(python, f"import {module}") == said


def test_a_module_of_a_package_asked_for_by_name_is_reported(python: Python) -> None:
    words = "No module named 'thing.fast': a-rule removed it; `slimbake why thing.fast` tells more"
    assert last(python, "from thing import fast").startswith(f"ModuleNotFoundError: {words}")
    assert "cannot import name 'never' from 'thing'" in last(python, "from thing import never")


@pytest.mark.parametrize(
    "module",
    ["never", "thing.never", "thing.data", "stripped"],  # the last two: no module, not removed
)
def test_what_was_never_there_is_reported_as_ever(module: str, python: Python) -> None:
    said = f"ModuleNotFoundError: No module named '{module}'"
    assert last(python, f"import {module}") == said


def test_whoever_only_looks_learns_that_it_is_not_there(python: Python) -> None:
    done = python(
        "import importlib.util as u\n"
        "print([u.find_spec(name) for name in ('gone', 'thing.fast', 'thing.sub.gone', 'dropped')])"
    )
    assert done.stdout == "[None, None, None, None]\n", done.stderr


def test_whoever_goes_on_without_it_does(python: Python) -> None:
    text = """
import importlib
found = []
try:
    import gone
except ImportError as error:
    found.append((type(error).__name__, error.name))
try:
    from thing import fast
except ImportError as error:
    found.append(error.name)
try:
    importlib.import_module("thing.sub.gone")
except ModuleNotFoundError as error:
    found.append(error.name)
import json, thing.sub
print(found)
"""
    done = python(text)
    assert done.stdout == "[('ModuleNotFoundError', 'gone'), 'thing', 'thing.sub.gone']\n", (
        done.stderr
    )


def test_code_without_a_name_is_reported_too(python: Python) -> None:
    assert f"{LINE} removed it" in last(python, "exec('import gone', {'__name__': None})")


def test_ledgers_are_read_once(image: Path, python: Python) -> None:
    text = f"""
from pathlib import Path
failed = []
for name in ("never", "gone", "thing.fast"):
    try:
        __import__(name)
    except ImportError as error:
        failed.append("removed it" in str(error))
    for file in Path({str(image / "ledger")!r}).iterdir():
        file.rename(file.with_suffix(".away"))
print(failed)
"""
    try:
        assert python(text).stdout == "[False, True, True]\n"
    finally:
        for file in (image / "ledger").iterdir():
            file.rename(file.with_suffix(".gz"))


def test_an_import_reads_no_ledger_and_a_broken_one_is_none(image: Path, python: Python) -> None:
    ledger = image / "ledger/a-broken-one.json.gz"
    ledger.write_bytes(b"no gzip")
    try:
        done = python(
            "import _slimbake_ledger as ledger, thing.sub; print(ledger._Removed.ledgers)"
        )
        assert (done.stdout, done.stderr) == ("None\n", "")
        assert last(python, "import never") == "ModuleNotFoundError: No module named 'never'"
        assert last(python, "import gone").startswith("ModuleNotFoundError: No module named 'gone'")
    finally:
        ledger.unlink()
