"""What GitHub and pre-commit run of this repository's own, run as it stands there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.commits import commit
from tests.ran import ran

import slimbake

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
MANIFEST = "project: toy\npython: '3.11'\nservices: {}\n"

Done = subprocess.CompletedProcess[str]


def run(*words: str | Path, cwd: Path, **env: str) -> Done:
    return ran(words, cwd=cwd, env={**os.environ, **env})


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone of this repository with what is not committed yet, committed."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / "checkout" / name, follow_symlinks=False)
    commit(tmp_path / "checkout")
    return tmp_path / "checkout"


def build_job(checkout: Path, tag: str) -> list[Done]:
    """The scripts of the release's job `build`, up to the first that fails."""
    steps = yaml.safe_load((checkout / ".github/workflows/release.yml").read_text("utf-8"))["jobs"][
        "build"
    ]["steps"]
    temp = checkout.parent / "temp"
    temp.mkdir(exist_ok=True)
    done: list[Done] = []
    for step in steps:
        if "run" in step and not any(each.returncode for each in done):
            env = {"RUNNER_TEMP": str(temp), "GITHUB_REF_NAME": tag}
            done.append(run("bash", "-e", "-c", step["run"], cwd=checkout, **env))
    return done


def date_the_notes(checkout: Path) -> None:
    file = checkout / "CHANGELOG.md"
    head = f"## {slimbake.__version__} ("
    text = re.sub(
        rf"^{re.escape(head)}.*\)$", f"{head}2026-11-27)", file.read_text("utf-8"), flags=re.M
    )
    file.write_text(text, "utf-8")
    commit(checkout)


def test_a_tag_that_is_not_the_version_releases_nothing(checkout: Path) -> None:
    date_the_notes(checkout)
    *_, last = build_job(checkout, "v9.9.9")
    assert last.returncode == 1
    assert f"the tag is v9.9.9, and __version__ is {slimbake.__version__}" in last.stdout


def test_a_version_without_notes_is_not_released(checkout: Path) -> None:
    file = checkout / "CHANGELOG.md"
    file.write_text(file.read_text("utf-8").replace(f"## {slimbake.__version__} ", "## 0.0.1 "))
    *_, last = build_job(checkout, f"v{slimbake.__version__}")
    assert last.returncode == 1
    assert f"no '## {slimbake.__version__} (YYYY-MM-DD)'" in last.stdout


@pytest.mark.slow
def test_the_release_builds_wheel_and_sdist_twice_with_hashes(checkout: Path) -> None:
    date_the_notes(checkout)
    done = build_job(checkout, f"v{slimbake.__version__}")
    assert not done[-1].returncode, done[-1].stdout + done[-1].stderr
    temp = checkout.parent / "temp"
    assert len(list((temp / "dist").iterdir())) == 2
    checked = run("sha256sum", "--check", "--strict", temp / "SHA256SUMS", cwd=temp / "dist")
    assert checked.stdout.count(": OK\n") == 2
    notes = (temp / "notes.md").read_text("utf-8")
    assert notes.lstrip().startswith("- ")
    assert "## " not in notes


@pytest.mark.slow
def test_the_action_installs_slimbake_and_what_is_locked(checkout: Path, tmp_path: Path) -> None:
    (step,) = yaml.safe_load((checkout / "action.yml").read_text("utf-8"))["runs"]["steps"]
    files = {name: tmp_path / name for name in ("GITHUB_PATH", "GITHUB_OUTPUT")}
    env = {name: str(file) for name, file in files.items()}
    env |= {"RUNNER_TEMP": str(tmp_path), "GITHUB_ACTION_PATH": str(checkout)}
    done = run("bash", "-e", "-o", "pipefail", "-c", step["run"], cwd=tmp_path, **env)
    assert done.returncode == 0, done.stderr
    assert files["GITHUB_OUTPUT"].read_text() == f"version={slimbake.__version__}\n"
    program = Path(files["GITHUB_PATH"].read_text().strip(), "slimbake")
    assert slimbake.__version__ in run(program, "--version", cwd=tmp_path).stdout
    there = run(program.with_name("pip"), "freeze", "--all", cwd=tmp_path).stdout
    locked = {
        pin
        for file in ("requirements/runtime.txt", "requirements/build.txt")
        for pin in re.findall(r"^(\S+==\S+)", (ROOT / file).read_text("utf-8"), re.M)
    }
    installed = {
        re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() + "==" + line.partition("==")[2]
        for line in there.splitlines()
        if "==" in line and not line.startswith(("pip==", "setuptools==", "wheel=="))
    }
    assert installed <= locked


def test_the_manifest_of_hooks_is_one() -> None:
    done = run(BIN / "pre-commit", "validate-manifest", ".pre-commit-hooks.yaml", cwd=ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_hooks_find_faults_and_stale_files(checkout: Path, tmp_path: Path) -> None:
    toy = tmp_path / "toy"
    toy.mkdir()
    (toy / "services.yaml").write_text(MANIFEST)
    run(BIN / "slimbake", "generate", cwd=toy)
    revision = run("git", "rev-parse", "HEAD", cwd=checkout).stdout.strip()
    hooks = [{"id": "slimbake-lock"}, {"id": "slimbake-check"}]
    config = {"repos": [{"repo": str(checkout), "rev": revision, "hooks": hooks}]}
    (toy / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    commit(toy)

    def hook(name: str = "slimbake-check") -> str:
        words = ("run", name, "--all-files")
        home = str(tmp_path / "home")
        return run(BIN / "pre-commit", *words, cwd=toy, PRE_COMMIT_HOME=home).stdout

    assert "not locked yet" in hook()
    hook("slimbake-lock")
    assert (toy / "bake/locks/inputs.json").is_file()
    assert "Passed" in hook()
    (toy / "services.yaml").write_text(f"{MANIFEST}portt: 1\n")
    assert "portt" in hook()


LOCKS = ("requirements/runtime.txt", "requirements/build.txt")


@pytest.mark.parametrize("lock", LOCKS)
def test_what_is_shipped_is_what_tests_ran_with(lock: str) -> None:
    tested = (ROOT / "requirements/dev.txt").read_text("utf-8")
    pins = re.split(r"^(?=\S)", (ROOT / lock).read_text("utf-8").rstrip("\n"), flags=re.M)[2:]
    assert pins
    for pin in pins:
        wanted = pin.rstrip("\n")
        assert wanted in tested, f"{wanted.splitlines()[0]}: {lock} says how it is made"
