"""The census: what an image offers, found without running any of it; and imports, each in a fork."""

import os
import sys
import time
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from bench.counting.images import archive
from bench.counting.programs import imports
from bench.counting.programs.census import Specs, module_name, removed_modules, stale_imports
from tests.ran import ran

from slimbake.inside.ledger import LedgerEntry


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that would fail if one of them were run."""
    for name in ("thing/__init__", "thing/sub/__init__", "thing/sub/a", "space/inner/b"):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("raise SystemExit('it was run')\n")
    (tmp_path / "thing/data").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_modules_are_found_without_running_their_packages(site: Path) -> None:
    specs = Specs()
    kinds = {
        **dict.fromkeys(("thing", "thing.sub"), "package"),
        **dict.fromkeys(("thing.sub.a", "space.inner.b"), "module"),
        **dict.fromkeys(("thing.data", "space", "space.inner"), "namespace"),
        **dict.fromkeys(("thing.gone", "gone.at.all"), ""),
    }
    assert {name: specs.kind(name) for name in kinds} == kinds
    assert specs.listing("thing") == ["sub."] and specs.listing("thing.sub") == ["a"]
    assert specs.listing("space.inner") == ["b"]
    assert not {"thing", "space"} & sys.modules.keys()


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a/b.py", "a.b"),
        ("a/__init__.py", "a"),
        (f"a/c{EXTENSION_SUFFIXES[0]}", "a.c"),
        ("a/libc.so.1", ""),
        ("a/data.json", ""),
        ("a-1.dist-info/b.py", ""),
        ("/bin/a.py", ""),
    ],
)
def test_a_file_is_a_module_under_the_name_that_imports_it(file: str, name: str) -> None:
    assert module_name(file) == name


def test_import_statements_that_point_at_what_a_rule_took_are_found() -> None:
    gone = LedgerEntry("a/gone.py", 1, 0, "rule", "a", "1")
    stripped = LedgerEntry("a/lib.so", 2, 1, "strip", "a", "1")
    whole = LedgerEntry("b/__init__.py", 1, 0, "other", "b", "1")
    removed = removed_modules([gone, stripped, whole])
    assert removed == {"a.gone": "rule", "b": "other"}
    sources = [
        ("a.__init__", "from . import gone\n"),
        ("a.x", "def f():\n    from .gone import y\n"),
        ("a.y", "try:\n    import a.gone\nexcept ImportError:\n    pass\n"),
        ("a.sub.z", "from ..gone import y\nimport b\n"),
        ("a.other", "gone = 1\nimport os\n"),
        ("a.broken", "import gone ("),
    ]
    assert sorted(stale_imports(sources, removed)) == [
        ("a", "a.gone", "rule", "at import"),
        ("a.sub.z", "a.gone", "rule", "at import"),
        ("a.sub.z", "b", "other", "at import"),
        ("a.x", "a.gone", "rule", "inside a function"),
        ("a.y", "a.gone", "rule", "optional"),
    ]
    assert list(stale_imports(sources, {})) == []


@pytest.mark.parametrize("program", ["calls", "census", "imports"])
def test_an_image_gets_all_that_a_program_imports(program: str, tmp_path: Path) -> None:
    file = tmp_path / "programs.zip"
    file.write_bytes(archive())
    code = f"import sys; sys.path[:0] = [{str(file)!r}]; import programs.{program}"
    done = ran([sys.executable, "-ISB", "-c", code], cwd=tmp_path)
    assert not done.returncode, done.stderr


# --- imports


def crash() -> str:
    os.abort()


def leave() -> str:
    os._exit(0)


def hang() -> str:
    time.sleep(60)
    return "never"


def hoard() -> str:
    return str(len(bytearray(2 * imports.MEMORY)))


def fail() -> str:
    raise ValueError(object)


def fork() -> str:
    more = bytearray(10_000_000)
    return f"{imports.in_child(write, 20)} in a fork with {len(more)} bytes more"


def write() -> str:
    Path("file").write_text("in the scratch folder")
    return str(sorted(path.name for path in Path().iterdir()))


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        (crash, "signal 6"),
        (leave, "it exited with 0"),
        (hang, "no end within 0.5 s"),
        (hoard, "MemoryError: "),
        (fail, "ValueError: <class 'object'>"),
        (write, "['file']"),
        (fork, "['file'] in a fork with 10000000 bytes more"),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
def test_no_matter_what_a_module_does_is_an_outcome(action: object, outcome: str) -> None:
    before = sorted(Path().iterdir())
    assert imports.in_child(action, 0.5 if action is hang else 20) == outcome  # type: ignore[arg-type]
    assert sorted(Path().iterdir()) == before


LINGERS = (
    "import os, time\nif not os.fork():\n    os.setsid()\n    time.sleep(30)\n    os._exit(0)\n"
)


def test_a_harmful_module_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = {
        "__init__": "",
        "fine": "",
        "kills": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nraise KeyError(1)\n",
        "lingers": LINGERS,
        "wrong": "import harmful.gone\n",
    }
    for name, text in modules.items():
        path = tmp_path / f"harmful/{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(imports, "SECONDS", 5.0)
    names = [f"harmful.{name}" for name in modules if name != "__init__"]
    assert dict(imports._outcomes(names)) == {
        "harmful.fine": "imported",
        "harmful.kills": "signal 9",
        "harmful.lingers": "imported",
        "harmful.wrong": "ModuleNotFoundError: No module named 'harmful.gone'",
    }
    names.remove("harmful.kills")
    assert imports.in_child(lambda: imports._warm("harmful", names), 4.0).startswith("{")
