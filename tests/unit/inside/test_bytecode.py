"""Which modules of a wheel get bytecode, by the wheel alone."""

import pytest

from slimbake.inside.make import bytecode
from slimbake.inside.make.bytecode import compiled_modules


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wheel is one whose imports are followed."""
    monkeypatch.setattr(bytecode, "LARGE", -1)


def compiled(main: str = "", *empty: str, **sources: str) -> set[str]:
    """Those compiled of modules of the package `thing`; `main`: its `__init__.py`; `empty`: others, by
    their names without the suffix; `sources`: those with a text, in `thing/sub/`.
    """
    files = {"__init__": main, **dict.fromkeys(empty, "")}
    files |= {f"sub/{name}": text for name, text in sources.items()}
    chosen = compiled_modules({f"thing/{n}.py": text.encode() for n, text in files.items()})
    return {name.removeprefix("thing/").removesuffix(".py") for name in chosen} - {"__init__"}


def test_of_a_small_wheel_all_modules_but_its_tests() -> None:
    assert compiled("", "deep/er", "tests/test_a", "sub/test/b") == {"deep/er"}


@pytest.mark.usefixtures("large")
class TestALargeWheel:
    def test_what_lies_right_inside_a_package_is_imported_by_name(self) -> None:
        assert compiled("", "one", "sub/__init__", "sub/deep") == {"one", "sub/__init__"}

    @pytest.mark.parametrize(
        "statement",
        [
            "import thing.sub.deep",
            "from thing.sub import deep",
            "from thing.sub.deep import name",
            "from .sub import deep",
            "from . import sub\nfrom .sub.deep import name",
            "class A:\n    import thing.sub.deep",
            "try:\n    import thing.sub.deep\nexcept ImportError:\n    pass",
            "def later():\n    import thing.sub.deep",
            "if TYPE_CHECKING:\n    pass\nelse:\n    import thing.sub.deep",
            "LAZY = {'sub.deep': ['name']}",
            "LAZY = ['thing.sub.deep']",
            "LAZY = ['.sub.deep']",
        ],
    )
    def test_what_an_import_reaches(self, statement: str) -> None:
        assert compiled(statement, "sub/__init__", "sub/deep") >= {"sub/deep"}

    @pytest.mark.parametrize(
        "statement",
        [
            "if TYPE_CHECKING:\n    import thing.sub.deep",
            "if typing.TYPE_CHECKING:\n    import thing.sub.deep",
            "import other.sub.deep",
            "not Python",
        ],
    )
    def test_what_no_program_imports(self, statement: str) -> None:
        assert compiled(statement, "sub/__init__", "sub/deep") == {"sub/__init__"}

    def test_imports_in_functions_are_followed_one_step(self) -> None:
        later = "def later():\n    import thing.sub.{}"
        chosen = compiled(later.format("one"), "sub/two", one=later.format("two"))
        assert chosen == {"sub/one"}

    def test_what_an_imported_module_imports_in_turn(self) -> None:
        chosen = compiled("import thing.sub.one", "sub/two", "sub/three", one="from . import two")
        assert chosen == {"sub/one", "sub/two"}

    def test_packages_in_a_folder_without_init_are_outermost(self) -> None:
        names = ["google/cloud/thing/__init__.py", "google/cloud/thing/inside.py"]
        files = dict.fromkeys([*names, "google/cloud/thing/sub/deep.py"], b"")
        assert compiled_modules(files) == set(names)
