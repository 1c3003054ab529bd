"""No variable of a service's `env` changes how the programs run that try passes on its image: they
are for the smoke alone, which the program starts as the image would.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from slimbake.inside import zipapp
from slimbake.plan.model import Target
from slimbake.proof.trial import Subject, words

SMOKE = Target(
    name="one-smoke", kind="smoke", service="one", context="one", dockerfile="", recipe=None
)
KNOWN = sorted(
    {
        *re.findall(
            r"^(PYTHON[A-Z0-9]+)",
            subprocess.run(
                [sys.executable, "--help-env"], capture_output=True, text=True, check=True
            ).stdout,
            re.MULTILINE,
        )
    }
)
LOADER = ("LD_BIND_NOW", "LD_DEBUG", "LD_PRELOAD", "LD_SHOW_AUXV", "LD_VERBOSE", "LD_WARN")


def called(tmp_path: Path, variables: dict[str, str]) -> tuple[int, str]:
    """How the words that follow the image end, and the last line that they say; the program is one
    that is not there, so that all that was asked for is named.
    """
    program = tmp_path / "check.pyz"
    program.write_bytes(zipapp("check"))
    given = words(Subject("one", "IMAGE", SMOKE, tmp_path), "nothing")
    arguments = [each.replace("/check.pyz", str(program)) for each in given]
    done = subprocess.run(
        [sys.executable, *arguments[arguments.index("IMAGE") + 1 :]],
        cwd=tmp_path,  # PYTHONPYCACHEPREFIX may be a folder of it
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
        input="",
    )
    return done.returncode, done.stderr if not variables else done.stderr.splitlines()[-1]


def test_python_tells_its_variables() -> None:
    assert len(KNOWN) > 15 and "PYTHONINSPECT" in KNOWN and "PYTHONPATH" in KNOWN


@pytest.mark.parametrize("value", ["1", "/nowhere", "import-error"])
@pytest.mark.parametrize("name", KNOWN)
def test_no_variable_of_python_changes_a_trial(tmp_path: Path, name: str, value: str) -> None:
    code, said = called(tmp_path, {})
    assert code == 2 and said.startswith("usage: ")
    assert called(tmp_path, {name: value}) == (2, said.rstrip("\n"))


def test_no_module_on_a_path_of_the_service_is_run_in_a_trial(tmp_path: Path) -> None:
    for module in ("sitecustomize", "json", "slimbake"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('taken')\n")
    assert called(tmp_path, {"PYTHONPATH": str(tmp_path)})[0] == 2


@pytest.mark.parametrize("name", LOADER)
def test_no_variable_of_the_loader_changes_what_a_trial_answers(tmp_path: Path, name: str) -> None:
    values = {"LD_DEBUG": "libs", "LD_PRELOAD": "/nowhere.so"}
    assert called(tmp_path, {name: values.get(name, "1")})[0] == 2
