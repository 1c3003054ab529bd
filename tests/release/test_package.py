"""slimbake's own wheel and sdist: the same bytes wherever they are built, and all that is needed."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from tests.golden.fleets import Fleet
from tests.ran import ran
from tests.unit.programs import program as packed

import slimbake
from slimbake.config.naming import PROGRAMS
from slimbake.render.workflow import ACTION

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/golden"
EXPORT = "libs/slimbake-export/src"
BIN = Path(sys.executable).parent
NAME = f"slimbake-{slimbake.__version__}"
WHEEL, SDIST = f"{NAME}-py3-none-any.whl", f"{NAME}.tar.gz"
EPOCH = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "1767323046")), UTC)


def run(*words: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = ran(words, cwd=cwd, env={**kept, **env})
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def build(checkout: Path, into: Path, **env: str) -> Path:
    """Build wheel and sdist as the release workflow does, with the locked hatchling alone."""
    env = {"SOURCE_DATE_EPOCH": str(int(EPOCH.timestamp())), **env}
    run(BIN / "hatchling", "build", "-d", into, cwd=checkout, **env)
    assert {each.name for each in into.iterdir()} == {WHEEL, SDIST}
    return into


def digests(folder: Path) -> dict[str, str]:
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in folder.iterdir()}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of both; SLIMBAKE_DIST: those of a release, in place of new ones."""
    if given := os.environ.get("SLIMBAKE_DIST"):
        return Path(given)
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def unpacked(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lies in the sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(dist / SDIST) as archive:
        archive.extractall(folder, filter="data")
    return folder / NAME


def test_the_sdist_builds_the_same_files(dist: Path, unpacked: Path, tmp_path: Path) -> None:
    """At another path, later, without Git, with another umask, time zone and compiled leftovers."""
    for package in ("src/slimbake", "libs/slimbake-export/src/slimbake_export"):
        leftover = unpacked / package / "__pycache__/errors.cpython-311.pyc"
        leftover.parent.mkdir()
        leftover.write_bytes(b"what an import left")
    before = os.umask(0o077)
    try:
        again = build(unpacked, tmp_path / "again", TZ="Asia/Tokyo", LC_ALL="C")
    finally:
        os.umask(before)
    assert digests(again) == digests(dist)


def test_archives_have_the_time_that_is_asked_for(dist: Path) -> None:
    with zipfile.ZipFile(dist / WHEEL) as wheel:
        # a zip counts in steps of two seconds
        assert {each.date_time[:5] for each in wheel.infolist()} == {EPOCH.timetuple()[:5]}
    with tarfile.open(dist / SDIST) as sdist:
        assert {each.mtime for each in sdist} == {EPOCH.timestamp()}


def files(folder: Path) -> set[str]:
    return {
        each.relative_to(folder).as_posix()
        for each in folder.rglob("*")
        if each.is_file() and "__pycache__" not in each.parts
    }


def test_the_wheel_holds_the_package_its_templates_and_nothing_else(dist: Path) -> None:
    with zipfile.ZipFile(dist / WHEEL) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == {
        *(f"slimbake/{name}" for name in files(ROOT / "src/slimbake")),
        *(f"slimbake/_data/templates/{name}" for name in files(ROOT / "templates")),
        *(f"slimbake/_data/{EXPORT}/{name}" for name in files(ROOT / EXPORT)),
        "slimbake/_data/docker-bake.hcl.j2",
        "slimbake/_data/requirements/runtime.txt",
    }


def test_the_sdist_holds_what_builds_the_wheel_and_nothing_else(unpacked: Path) -> None:
    kept = ".gitignore CHANGELOG.md LICENSE PKG-INFO README.md docker-bake.hcl.j2 pyproject.toml"
    folders = {
        f"{folder}/{name}"
        for folder in ("src", "templates", "libs/slimbake-export")
        for name in files(ROOT / folder)
        if ".egg-info/" not in name
    }
    assert files(unpacked) == {*kept.split(), "requirements/runtime.txt", *folders}


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel and what it requires, and nothing else."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    run(BIN / "uv", "venv", "--quiet", "--python", sys.executable, venv, cwd=venv.parent)
    run(
        *(BIN / "uv", "pip", "install", "--quiet", "--python", venv),
        *("--constraint", ROOT / "requirements/dev.txt", dist / WHEEL),
        cwd=venv.parent,
    )
    return venv / "bin"


@pytest.mark.slow
def test_the_installed_wheel_says_its_version(installed: Path, tmp_path: Path) -> None:
    said = run(installed / "slimbake", "--version", cwd=tmp_path).stdout
    assert said == f"slimbake, version {slimbake.__version__}\n"


@pytest.mark.slow
def test_the_installed_wheel_writes_a_valid_manifest(installed: Path, tmp_path: Path) -> None:
    shop = tmp_path / "django-shop"
    shutil.copytree(ROOT / "tests/fixtures/repositories/django-shop", shop)
    run(installed / "slimbake", "init", cwd=shop)
    expected = GOLDEN / "repositories/django-shop/services.yaml"
    assert (shop / "services.yaml").read_text("utf-8") == expected.read_text("utf-8")
    run(installed / "slimbake", "plan", cwd=shop)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["variants", "inference"])
def test_the_installed_wheel_generates_as_a_checkout(
    name: str, installed: Path, tmp_path: Path
) -> None:
    fleet, case = tmp_path / "fleet", GOLDEN / "cases" / name
    shutil.copytree(case, fleet, ignore=shutil.ignore_patterns("expected"))
    run(installed / "slimbake", "generate", cwd=fleet)
    for file in Fleet(case).files():
        assert (fleet / file.path).read_bytes() == file.content, file.path
    programs = [*(fleet / PROGRAMS).iterdir()]
    assert "export.pyz" in {program.name for program in programs} or name == "variants"
    for program in programs:
        assert program.read_bytes() == packed(program.stem), "what runs in images"
    assert ": 0 written" in run(installed / "slimbake", "generate", cwd=fleet).stdout


@pytest.mark.slow
def test_the_installed_wheel_adds_a_service(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text("project: toy\npython: '3.11'\nservices: {}\n")
    run(installed / "slimbake", "add", "search", cwd=tmp_path)
    run(installed / "slimbake", "plan", cwd=tmp_path)
    assert list(tmp_path.rglob("smoke.py"))


@pytest.mark.slow
def test_a_pipeline_installs_the_named_wheel(dist: Path, installed: Path, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    (fleet / "vendor").mkdir(parents=True)
    wheel = shutil.copy(dist / WHEEL, fleet / "vendor")
    said = f"ci: {{slimbake: vendor/{WHEEL}}}\nservices: {{}}\n"
    (fleet / "services.yaml").write_text(f"project: toy\npython: '3.11'\n{said}")
    for words in (("lock",), ("generate",), ("check",)):
        run(installed / "slimbake", *words, cwd=fleet)
    action = yaml.safe_load((fleet / ACTION).read_text("utf-8"))
    scripts = [step.get("run", "") for step in action["runs"]["steps"]]
    (script,) = [script for script in scripts if "pip install" in script]
    env = {"RUNNER_TEMP": str(tmp_path), "GITHUB_PATH": str(tmp_path / "path")}
    run("bash", "-e", "-c", script, cwd=fleet, **env)
    program = Path((tmp_path / "path").read_text().strip(), "slimbake")
    run(program, "check", cwd=fleet)

    with Path(wheel).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(AssertionError, match="DO NOT MATCH THE HASHES"):
        run("bash", "-e", "-c", script, cwd=fleet, **env)
