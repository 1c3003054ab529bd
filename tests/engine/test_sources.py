"""Packages that no index has as a wheel: Git, sources alone, what lies in the repository, compiled."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.commits import commit
from tests.engine.conftest import Toy, python
from tests.engine.toys import code, entry

pytestmark = pytest.mark.slow

EXTENSION = """
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fast", "", -1, methods};
PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&module); }
"""
UPSTREAM = {
    "fast.c": EXTENSION,
    "setup.py": "from setuptools import Extension, setup\n"
    "setup(ext_modules=[Extension('fast', ['fast.c'])], py_modules=[], setup_requires=['idna'])\n",
    "pyproject.toml": '[build-system]\nrequires = ["setuptools>=70.1"]\n'
    'build-backend = "setuptools.build_meta"\n'
    '[project]\nname = "fast"\nversion = "1.0"\ndependencies = []\n',
}
SMOKE = """
def imports():
    import docopt, fast, low, mid
    assert fast.answer() == 42 and mid.low is low
"""


def library(name: str, *requires: str) -> dict[str, str]:
    sources = "".join(f"{each} = {{ path = '../{each}' }}\n" for each in requires)
    imports = "".join(f"import {each}\n" for each in requires)
    return {
        f"libs/{name}/{name}.py": imports,
        f"libs/{name}/pyproject.toml": '[build-system]\nrequires = ["setuptools>=70.1"]\n'
        'build-backend = "setuptools.build_meta"\n'
        f'[project]\nname = "{name}"\nversion = "1"\ndependencies = {list(requires)}\n'
        f'[tool.setuptools]\npy-modules = ["{name}"]\n[tool.uv.sources]\n{sources}',
    }


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A repository of Git with a package that a compiler builds."""
    commit(tmp_path / "upstream", UPSTREAM)
    return tmp_path / "upstream"


def test_what_has_no_wheel_is_built_in_a_stage_of_its_own_and_its_compiler_stays_there(
    toy: Toy, upstream: Path
) -> None:
    """`docopt` has sources alone, `fast` is in Git and compiled, `mid` needs `low`."""
    asked = f"[docopt, libs/mid, 'fast @ git+file://{upstream}']"
    more = f"    requirements: {asked}\n    wheels: {{system: [gcc]}}\n"
    files = code(toy, "one") | library("low") | library("mid", "low")
    toy.write("services:\n" + entry("one", more), files | {"one/smoke.py": SMOKE})
    toy.done("bake")
    shown = "import shutil, docopt, fast, mid; print(shutil.which('gcc'))"
    assert python(toy.image("one"), shown) == "None\n"


def test_sources_that_lack_a_compiler_learn_the_key(toy: Toy, upstream: Path) -> None:
    more = f"    requirements: ['fast @ git+file://{upstream}']\n"
    toy.write("services:\n" + entry("one", more), code(toy, "one"))
    done = toy.slimbake("bake")
    assert done.code == 5
    assert "the wheel of fast did not build" in done.stderr
    assert "wheels: {system: [gcc]}" in done.stderr
