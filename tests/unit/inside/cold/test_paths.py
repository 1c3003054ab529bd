"""What the code of a package reaches by paths stays on disk, and nothing else."""

import pytest

from slimbake.inside.cold.paths import reached

HEAD = "import glob, inspect, os, pathlib, pkgutil, subprocess\nfrom pathlib import Path\n"
NAMES = ("a.py", "b.py", "sub/c.py", "sub/deep/d.py", "other/e.py")
OWN = {"pkg/a.py", "pkg/b.py", "pkg/user.py"}
SUB, DEEP = {"pkg/sub/c.py"}, {"pkg/sub/deep/d.py"}
ALL = {*OWN, *SUB, *DEEP, "pkg/other/e.py"}


def kept(code: str, **more: str) -> set[str]:
    """The modules below `pkg` that stay, when one of them has this code."""
    files = {f"pkg/{name}": b"" for name in NAMES} | {"pkg/user.py": f"{HEAD}{code}\n".encode()}
    files |= {f"pkg/{name}.py": text.encode() for name, text in more.items()}
    return reached(files, [*files])


@pytest.mark.parametrize(
    ("code", "stay"),
    [
        ("os.listdir(os.path.dirname(__file__))", OWN),
        ("os.listdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'sub'))", SUB),
        ("here = Path(__file__).resolve().parent\nfor x in (here / 'sub').iterdir(): pass", SUB),
        ("os.walk(Path(__file__).parent)", ALL),
        ("here = os.path.dirname(__file__)\nlist(Path(here, 'sub').rglob('*.py'))", SUB | DEEP),
        ("glob.glob(os.path.dirname(__file__) + '/sub/*.py')", SUB),
        ("glob.glob(f'{os.path.dirname(__file__)}/**/*.py', recursive=True)", ALL),
        ("list(Path(__file__).parent.glob('sub/*/*.py'))", SUB | DEEP),
        ("open(os.path.join(os.path.split(__file__)[0], 'b.py'))", {"pkg/b.py"}),
        ("open(__file__)", {"pkg/user.py"}),
        ("Path(__file__).with_name('a.py').read_text()", {"pkg/a.py"}),
        ("os.path.exists(Path(__file__).parent / 'sub' / 'c.py')", SUB),
        ("os.path.isdir(Path(__file__).parent / 'sub')", set()),
        ("open(Path(__file__).parents[0] / 'sub' / 'data.json')", set()),
        (
            "def f(name): return open(os.path.join(os.path.dirname(__file__), f'{name}.json'))",
            set(),
        ),
        ("def f(name): return open(os.path.join(os.path.dirname(__file__), name))", OWN),
        ("def f(name): return open(os.path.join(os.path.dirname(__file__), 'sub', name))", SUB),
        ("os.listdir(__path__[0])", OWN),
        (
            "subprocess.run(['python', os.path.join(os.path.dirname(__file__), 'a.py')])",
            {"pkg/a.py"},
        ),
        ("file = inspect.getfile(inspect.currentframe())\nos.scandir(os.path.dirname(file))", OWN),
        ("os.listdir(os.path.dirname(os.path.dirname(__file__)))", set()),
        ("unknown(Path(__file__).parent / 'sub')", SUB),
    ],
)
def test_a_path_that_is_built_of_file_keeps_what_it_means(code: str, stay: set[str]) -> None:
    assert kept(code) == stay


@pytest.mark.parametrize(
    "code",
    [
        "list(pkgutil.walk_packages(__path__, 'pkg.'))",
        "print(__file__), logging.getLogger(__file__)",
        "raise ValueError(f'{__file__} is wrong')",
        "os.path.relpath('x', os.path.dirname(__file__)).startswith(__file__)",
        "import sys\nsys.path.insert(0, os.path.dirname(__file__))",
        "ctypes.CDLL(os.path.join(os.path.dirname(__file__), 'lib.so'))",
        "open(name), os.listdir('sub'), os.walk(path)",
        "def f(name): return os.path.isfile(os.path.join(os.path.dirname(__file__), name))",
        "def f(lib): return ctypes.CDLL(os.path.join(os.path.dirname(__file__), lib))",
    ],
)
def test_what_needs_no_file_on_disk_keeps_nothing(code: str) -> None:
    assert kept(code) == set()


@pytest.mark.parametrize(
    ("code", "stay"),
    [
        ("class A:\n  def __init__(self): self.here = Path(__file__).parent\n"
         "  def go(self): return os.listdir(self.here / 'sub')", SUB),
        ("def here(): return os.path.dirname(__file__)\nos.listdir(here())", OWN),
        ("def files(at):\n  for n in os.listdir(at): files(os.path.join(at, n))\n"
         "files(Path(__file__).parent / 'sub')", SUB | DEEP),
        ("def read(roots):\n  for lib in pkgutil.iter_modules(roots):\n"
         "    spec = lib.module_finder.find_spec(lib.name)\n    open(spec.origin)\n"
         "read([os.path.dirname(__file__)])", OWN),
        ("places = []\nplaces.append(Path(__file__).parent / 'sub')\nfor x in places: os.listdir(x)", SUB),
        ("def go(at):\n  with os.scandir(at) as found:\n    for each in found: go(each.path)\n"
         "go(Path(__file__).parent / 'sub')", SUB | DEEP),
        ("NAME = 'c.py'\nopen(os.path.join(os.path.dirname(__file__), 'sub', NAME))", SUB),
    ],
)  # fmt: skip
def test_paths_are_followed_through_functions_and_lists(code: str, stay: set[str]) -> None:
    assert kept(code) == stay


def test_paths_are_followed_into_other_modules_of_the_layer() -> None:
    constants = "import os\nROOT = os.path.dirname(__file__)\ndef root(): return ROOT\n"
    for taken in ("from .consts import ROOT as R", "from pkg import consts\nR = consts.root()"):
        code = f"{taken}\n__path__\nos.listdir(os.path.join(R, 'sub'))"
        assert kept(code, consts=constants) == SUB
    helper = "def listed(where, *, below='sub'):\n  return os.listdir(os.path.join(where, below))\n"
    code = "from pkg.helper import listed\nlisted(os.path.dirname(__file__))"
    assert kept(code, helper=helper) == SUB
    assert kept("import pkg.a\nopen(pkg.a.__file__)") == {"pkg/a.py"}


def test_only_code_that_counts_reaches_anything() -> None:
    files = {"pkg/__init__.py": b"import os\n\nos.listdir(__path__[0])\n", "pkg/a.py": b""}
    assert reached(files, [*files]) == {*files}
    assert reached(files, ["pkg/a.py"]) == set()


def test_more_names_than_are_followed_are_any_name() -> None:
    names = ", ".join(f"'x{number}'" for number in range(40))
    code = f"A = [{names}]\nfor a in A:\n  for b in A: open(f'{{os.path.dirname(__file__)}}/{{a}}{{b}}.py')"
    assert kept(code, x39x39="") == {"pkg/x39x39.py"}


def test_code_that_is_not_of_this_python_is_left_alone() -> None:
    assert kept("print __file__") == set()
