"""Modules that some code finds by listing a folder stay on disk; all others may go."""

from __future__ import annotations

import pytest

from slimbake.inside.cold.listed import listings

ROOT = {
    "p/__init__.py": b"",
    "p/models/__init__.py": b"",
    "p/models/a.py": b"",
    "p/models/b/__init__.py": b"",
    "p/models/b/c.py": b"",
    "p/other.py": b"",
}
FLAT = {"p/models/__init__.py", "p/models/a.py", "p/models/b/__init__.py"}
DEEP = {*FLAT, "p/models/b/c.py"}


def kept(**modules: str) -> set[str]:
    """What stays on disk beside the modules that are given."""
    named = {f"p/{name}.py": text.encode() for name, text in modules.items()}
    sources = ROOT | named
    found = listings(sources, dict.fromkeys(sources, "p"))
    return {name for name in sources if name not in named and found.keeps(name, "p")}


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.listdir(os.path.join(os.path.dirname(__file__), 'models'))",
        "from os import scandir, path\nHERE = path.dirname(path.abspath(__file__))\n"
        "def f():\n    for each in scandir(HERE + '/models'):\n        pass",
        "from pathlib import Path\nHERE = Path(__file__).resolve().parent\n"
        "class A:\n    folder = HERE / 'models'\n    def f(self):\n        return [*(self.folder).iterdir()]"
        "\n    def __init__(self):\n        self.folder = HERE / 'models'",
        "import os\ndef names(folder):\n    return os.listdir(folder)\n"
        "def all(folder):\n    return names(folder)\nall(os.path.dirname(__file__) + '/models')",
        "import os\nfrom p import models\nos.listdir(models.__path__[0])",
        "from importlib.resources import files\n[*files('p.models').iterdir()]",
        "import os\nos.listdir(f'{os.path.dirname(__file__)}/models')",
    ],
)
def test_a_folder_that_code_lists_stays(text: str) -> None:
    assert kept(code=text) == FLAT


@pytest.mark.parametrize(
    "text",
    [
        "import os\nfor each in os.walk(os.path.join(os.path.dirname(__file__), 'models')):\n    pass",
        "from pathlib import Path\n[*(Path(__file__).parent / 'models').rglob('*.py')]"
        "\n[*(Path(__file__).parent / 'models').iterdir()]",
        "import os\nos.listdir(os.path.join(os.path.dirname(__file__), 'models', name))"
        "\nos.listdir(os.path.dirname(__file__) + '/models')",
        "import shutil, os\nshutil.copytree(os.path.dirname(__file__) + '/models', 'x')",
    ],
)
def test_a_folder_that_code_walks_stays_with_all_below(text: str) -> None:
    assert kept(code=text) == DEEP


@pytest.mark.parametrize(
    "text",
    [
        "import pkgutil\npkgutil.iter_modules(__path__)",
        "import os, glob\nglob.glob(os.path.dirname(__file__) + '/models/*.so')",
        "import ast\nast.walk(tree)",
        "import os\nos.listdir('/proc')",
        "import os\ndef names(folder, ignore):\n    return os.listdir(folder)\n"
        "names('/tmp', os.path.dirname(__file__))",
        "import os\nopen(os.path.dirname(__file__) + '/models/a.txt')",
        "import os; os.listdir(",
    ],
)
def test_what_lists_no_modules_keeps_none(text: str) -> None:
    assert kept(code=text) == set()


def test_a_package_that_hands_its_own_place_to_one_that_lists_stays() -> None:
    """As the models of transformers do."""
    sources = ROOT | {
        "p/tool.py": b"import os\ndef structure(path):\n    return os.listdir(os.path.dirname(path))\n",
        "p/models/b/__init__.py": b"from ...tool import structure\nstructure(globals()['__file__'])\n",
    }
    found = listings(sources, dict.fromkeys(sources, "p"))
    assert {name for name in ROOT if found.keeps(name, "p")} == {
        "p/models/b/__init__.py",
        "p/models/b/c.py",
    }


def test_a_file_that_code_names_stays() -> None:
    assert kept(code="import subprocess, sys\nsubprocess.run([sys.executable, 'other.py'])") == {
        "p/other.py"
    }


def test_the_tests_of_a_package_do_not_count() -> None:
    assert kept(test_style="import os\nos.walk(os.path.dirname(__file__))") == set()
