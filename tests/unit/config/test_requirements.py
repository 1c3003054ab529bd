"""Requirements, whichever way they are written."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from slimbake.config import manifest
from slimbake.config.model import LocalPackage, Requirements
from slimbake.errors import ManifestError

COMMON = {"libs/common/pyproject.toml": '[project]\nname = "Atlas_Common"\nversion = "1"\n'}
PACKAGE = LocalPackage("atlas-common", "libs/common", ("setuptools>=40.8.0",))


def read(folder: Path, requirements: str, files: Mapping[str, str]) -> Requirements:
    for name, content in {**COMMON, "services/api/app.py": "", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / "services.yaml").write_text(
        'project: atlas\npython: "3.11"\nservices:\n'
        f"  api:\n    context: services/api\n    command: [api]\n    requirements: {requirements}\n"
    )
    return manifest(folder / "services.yaml").services[0].requirements


def problem(folder: Path, requirements: str, files: Mapping[str, str]) -> str:
    with pytest.raises(ManifestError) as caught:
        read(folder, requirements, files)
    (only,) = caught.value.problems
    return str(only)


def test_a_list_holds_packages_and_folders_relative_to_the_manifest(tmp_path: Path) -> None:
    written = (
        '["httpx[http2]>=0.27,<1", libs/common, numpy==2.* , "tomli; python_version < \'3.12\'",'
        " ./libs/common]"
    )
    assert read(tmp_path, written, {}) == Requirements(
        specs=("httpx[http2]>=0.27,<1", "numpy==2.*", "tomli; python_version < '3.12'"),
        packages=(PACKAGE,),
    )


def test_a_file_holds_folders_relative_to_itself_and_includes_others(tmp_path: Path) -> None:
    files = {
        "services/api/requirements.txt": (
            "# what api needs\n"
            "fastapi>=0.115   # the framework\n"
            "\n"
            "-r ../shared/more.txt\n"
            "-e ../../libs/common\n"
            "uvicorn \\\n"
            "    >=0.30\n"
            "fastapi>=0.115\n"
        ),
        "services/shared/more.txt": "\ufeff../../libs/common\r\n--requirement=last.txt\r\n",
        "services/shared/last.txt": "numpy",
    }
    assert read(tmp_path, "requirements.txt", files) == Requirements(
        specs=("fastapi>=0.115", "numpy", "uvicorn >=0.30"),
        packages=(PACKAGE,),
        files=(
            "services/api/requirements.txt",
            "services/shared/more.txt",
            "services/shared/last.txt",
        ),
    )


def test_a_folder_may_be_relative_to_a_folder_above_as_where_pip_runs(tmp_path: Path) -> None:
    files = {"services/api/needs/all.txt": "./common\n-e ./libs/common\n"}
    assert "'./common' does not exist" in problem(tmp_path, "needs/all.txt", files)
    files["services/common/pyproject.toml"] = '[project]\nname = "near"\nversion = "1"\n'
    found = read(tmp_path, "needs/all.txt", files)
    assert [each.path for each in found.packages] == ["services/common", "libs/common"]


def test_a_list_takes_files_relative_to_the_manifest(tmp_path: Path) -> None:
    project = '[project]\nname = "p"\nversion = "1"\ndependencies = ["idna"]\n'
    files = {
        "services/api/needs.txt": "-c ../../limits.txt\nsix\n",
        "limits.txt": "six<2\n",
        "pyproject.toml": f'{project}[project.optional-dependencies]\nx = ["rich"]\n',
    }
    listed = "['services/api/needs.txt', './pyproject.toml[x]', httpx]"
    found = read(tmp_path, listed, files)
    assert set(found.specs) == {"six", "idna", "rich", "httpx"}
    assert [each.spec for each in found.constraints] == ["six<2"]
    assert "files and folders in a list are relative to the manifest" in (
        problem(tmp_path, "[needs.txt]", files)
    )


def test_a_hash_mark_inside_a_word_begins_no_comment(tmp_path: Path) -> None:
    text = problem(tmp_path, "requirements.txt", {"services/api/requirements.txt": "a#b\n"})
    assert text.startswith("services/api/requirements.txt:1:1: 'a#b' is no requirement")


@pytest.mark.parametrize("said", ["", "dependencies = []\n"])
def test_a_project_without_dependencies_requires_nothing(tmp_path: Path, said: str) -> None:
    files = {"services/api/pyproject.toml": f'[project]\nname = "api"\n{said}'}
    assert read(tmp_path, "pyproject.toml", files).specs == ()


def test_a_workspace_that_reaches_out_of_the_repository_is_refused(tmp_path: Path) -> None:
    table = "[tool.uv.sources]\natlas-common = { workspace = true }\n"
    files = {
        "services/api/pyproject.toml": (
            f'[project]\nname = "api"\ndependencies = ["atlas-common"]\n{table}'
        ),
        "pyproject.toml": '[tool.uv.workspace]\nmembers = ["../libs/*"]\n',
    }
    assert "'../libs/*' lies outside the repository" in problem(tmp_path, "pyproject.toml", files)


def test_a_base_finds_its_file_beside_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("./libs/common\nnumpy\n")
    (tmp_path / "libs" / "common").mkdir(parents=True)
    (tmp_path / "libs" / "common" / "pyproject.toml").write_text(
        COMMON["libs/common/pyproject.toml"]
    )
    (tmp_path / "services.yaml").write_text(
        'project: atlas\npython: "3.11"\nbases:\n  web: {requirements: base.txt}\nservices: {}\n'
    )
    (base,) = manifest(tmp_path / "services.yaml").bases
    assert base.requirements == Requirements(("numpy",), (PACKAGE,), ("base.txt",))


@pytest.mark.parametrize(
    "line", ["~/libs/common", "/libs/common", "file:../libs/common", "../../../libs/common"]
)
def test_nothing_outside_the_repository_can_be_required(tmp_path: Path, line: str) -> None:
    text = problem(tmp_path, "requirements.txt", {"services/api/requirements.txt": f"{line}\n"})
    assert text.startswith(f"services/api/requirements.txt:1:1: '{line}' ")


@pytest.mark.parametrize("line", ["-r", "-e", "-c", "--no-binary=:all:", "-", "-x y"])
def test_every_other_option_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    text = problem(
        tmp_path, "requirements.txt", {"services/api/requirements.txt": f"numpy\n{line}\n"}
    )
    assert text.startswith("services/api/requirements.txt:2:1: ")


def test_a_lock_that_lists_requirements_is_read_as_such(tmp_path: Path) -> None:
    text = (
        "# by rye\n-e file:../../libs/common\nnumpy==1.26.4\n    # via x\nuvicorn[standard]==0.30\n"
    )
    found = read(tmp_path, "requirements.lock", {"services/api/requirements.lock": text})
    assert found.specs == ("numpy==1.26.4", "uvicorn[standard]==0.30")
    assert found.packages == (PACKAGE,)
