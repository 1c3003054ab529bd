"""Requirements in the forms that people have them: each as the same few values."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.unit.config.test_requirements import PACKAGE, problem, read

from slimbake.config import manifest
from slimbake.config.model import Requirements

API = "services/api/"


def found(folder: Path, requirements: str, files: Mapping[str, str]) -> Requirements:
    """What is read; files without a folder lie in the service's."""
    placed = {name if "/" in name else API + name: text for name, text in files.items()}
    return read(folder, requirements, placed)


def reported(folder: Path, requirements: str, files: Mapping[str, str]) -> str:
    placed = {name if "/" in name else API + name: text for name, text in files.items()}
    return problem(folder, requirements, placed)


def pins(asked: Requirements) -> list[str]:
    return [each.spec for each in asked.constraints]


HASH = "0" * 64


def test_a_requirements_file_as_pip_compile_and_people_write_it(tmp_path: Path) -> None:
    lines = f"""
        -i https://user:word@index.example/simple
        --extra-index-url https://more.example/simple
        -f https://wheels.example/
        --trusted-host index.example
        -c limits.txt
        --pre
        --require-hashes
        httpx==0.27 ; python_version >= "3.9" --hash=sha256:{HASH}
        tool @ git+https://git.example/team/tool.git@v1.2#subdirectory=python
        git+https://git.example/team/other@main
        git+https://git.example/x.git@abc#egg=named
        -e git+ssh://git@git.example/team/ssh.git#egg=by-ssh
        https://files.example/far-1.5-py3-none-any.whl
        https://git.example/team/arch/archive/refs/tags/v2.tar.gz
        ../../libs/common[fast]
    """
    files = {
        "requirements.txt": "\n".join(line.strip() for line in lines.splitlines()),
        "limits.txt": "# why\nidna<4\n",
        "libs/common/pyproject.toml": (
            '[project]\nname = "Atlas_Common"\nversion = "1"\n'
            '[project.optional-dependencies]\nfast = ["uvloop"]\n'
        ),
    }
    asked = found(tmp_path, "requirements.txt", files)
    assert asked.specs == (
        'httpx==0.27 ; python_version >= "3.9"',
        "tool @ git+https://git.example/team/tool.git@v1.2#subdirectory=python",
        "other @ git+https://git.example/team/other@main",
        "named @ git+https://git.example/x.git@abc",
        "by-ssh @ git+ssh://git@git.example/team/ssh.git",
        "far @ https://files.example/far-1.5-py3-none-any.whl",
        "arch @ https://git.example/team/arch/archive/refs/tags/v2.tar.gz",
    )
    assert (asked.packages, asked.extras) == ((PACKAGE,), (("atlas-common", ("fast",)),))
    assert pins(asked) == ["idna<4"]
    assert asked.prereleases == (f"{API}requirements.txt",)
    assert [(h.name, h.file, h.sha256) for h in asked.hashes] == [
        ("httpx", f"{API}requirements.txt:9", (HASH,))
    ]
    assert [
        f"{line.where.rpartition(':')[2]} {line.said} {line.address}" for line in asked.indexes
    ] == [
        "2 -i https://index.example/simple",
        "3 --extra-index-url https://more.example/simple",
        "4 -f https://wheels.example/",
        "5 --trusted-host index.example",
    ]


def test_setuptools_takes_dependencies_from_files(tmp_path: Path) -> None:
    text = (
        '[project]\nname = "api"\ndynamic = ["dependencies"]\n'
        '[tool.setuptools.dynamic]\ndependencies = { file = ["base.txt"] }\n'
    )
    files = {"pyproject.toml": text, "base.txt": "httpx\n"}
    assert found(tmp_path, "pyproject.toml", files).specs == ("httpx",)


def test_extras_of_a_setup_cfg_are_those_of_the_package(tmp_path: Path) -> None:
    cfg = "[metadata]\nname = lib\n[options.extras_require]\nweb = flask\n"
    backend = '[build-system]\nrequires = ["setuptools"]\n'
    files = {
        f"{API}requirements.txt": "../lib[web]\n",
        "services/lib/setup.cfg": cfg,
        "services/lib/pyproject.toml": backend,
    }
    assert read(tmp_path, "requirements.txt", files).extras == (("lib", ("web",)),)


GROUPS = """
[project]
name = "api"
dependencies = ["httpx"]
[project.optional-dependencies]
gpu = ["torch"]
all = ["api[gpu]", "rich"]
[dependency-groups]
base = ["idna"]
Serve = [{ include-group = "base" }, "uvicorn"]
"""


@pytest.mark.parametrize(
    ("written", "specs"),
    [
        ("pyproject.toml", ("httpx",)),
        ("pyproject.toml[gpu]", ("httpx", "torch")),
        ("pyproject.toml[all]", ("httpx", "rich", "torch")),
        ("pyproject.toml:serve", ("idna", "uvicorn")),
    ],
)
def test_extras_follow_the_file(tmp_path: Path, written: str, specs: tuple[str, ...]) -> None:
    assert found(tmp_path, written, {"pyproject.toml": GROUPS}).specs == specs


def test_a_requirements_file_may_name_several_groups(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": GROUPS,
        "requirements.txt": "-r pyproject.toml\n-r pyproject.toml:base\n",
    }
    assert found(tmp_path, "requirements.txt", files).specs == ("httpx", "idna")


POETRY = """
[tool.poetry]
name = "api"
version = "1"
[tool.poetry.dependencies]
python = "^3.11"
httpx = { version = "^0.27", extras = ["http2"] }
rich = "~13.2"
win = { version = "*", markers = "sys_platform == 'win32'" }
old = [{ version = "<2", python = "<3.12" }, { version = ">=2", python = ">=3.12" }]
tool = { git = "https://git.example/tool.git", tag = "v1" }
atlas-common = { path = "../../libs/common", develop = true }
redis = { version = "^5", optional = true }
[tool.poetry.extras]
cache = ["redis"]
[tool.poetry.group.dev.dependencies]
pytest = "*"
"""
POETRY_SPECS = (
    "httpx[http2]>=0.27,<0.28",
    "rich>=13.2,<13.3",
    'win ; sys_platform == "win32"',
    'old<2 ; python_version < "3.12"',
    'old>=2 ; python_version >= "3.12"',
    "tool @ git+https://git.example/tool.git@v1",
)
POETRY_LOCK = """
[[package]]
name = "httpx"
version = "0.27.2"
[[package]]
name = "forked"
version = "1"
markers = "python_version < '3.12'"
[[package]]
name = "forked"
version = "2"
markers = "python_version >= '3.12'"
[[package]]
name = "tool"
version = "1"
[package.source]
type = "git"
url = "https://git.example/tool.git"
"""


def test_poetry_s_own_table_is_read_with_its_extras_and_groups(tmp_path: Path) -> None:
    files = {"pyproject.toml": POETRY}
    asked = found(tmp_path, "pyproject.toml", files)
    assert (asked.specs, asked.packages) == (POETRY_SPECS, (PACKAGE,))
    assert found(tmp_path, "pyproject.toml[cache]", files).specs[-1] == "redis>=5,<6"
    assert found(tmp_path, "pyproject.toml:dev", files).specs == ("pytest",)


@pytest.mark.parametrize("named", ["pyproject.toml", "poetry.lock"])
def test_a_poetry_lock_pins_what_the_table_asks_for(tmp_path: Path, named: str) -> None:
    asked = found(tmp_path, named, {"pyproject.toml": POETRY, "poetry.lock": POETRY_LOCK})
    assert asked.specs == POETRY_SPECS
    assert pins(asked) == [
        "httpx==0.27.2",
        "forked==1 ; python_version < '3.12'",
        "forked==2 ; python_version >= '3.12'",
    ]
    assert f"{API}poetry.lock" in asked.files


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("Pipfile", "pipenv requirements"),
        ("Pipfile.lock", "pipenv requirements"),
        ("environment.yml", "pip list --format freeze"),
        ("setup.cfg", "uv pip compile setup.cfg"),
        ("pdm.lock", "pdm export"),
    ],
)
def test_other_forms_are_refused_with_a_command(tmp_path: Path, name: str, command: str) -> None:
    said = reported(tmp_path, name, {name: "[packages]\n"})
    assert said.startswith(f"{API}{name}: requirements are not read from this kind of file")
    assert command in said


def test_versions_that_a_pdm_lock_pins_are_missed_in_words(tmp_path: Path) -> None:
    found(tmp_path, "pyproject.toml", {"pyproject.toml": GROUPS, "pdm.lock": ""})
    assert "does not read it, so the newest versions are taken\n  pdm export" in str(
        manifest(tmp_path / "services.yaml").warnings[0]
    )


def test_a_uv_lock_stands_for_the_project_whose_versions_it_pins(tmp_path: Path) -> None:
    files = {"./pyproject.toml": WORKSPACE, "pyproject.toml": MEMBER, "./uv.lock": UV_LOCK}
    named = found(tmp_path, "../../uv.lock", files)
    assert named == found(tmp_path, "pyproject.toml", files)
    assert "torch==2.13.0" in pins(named)


def test_a_pylock_is_what_it_pins(tmp_path: Path) -> None:
    text = (
        '[[packages]]\nname = "httpx"\nversion = "0.27"\nmarker = "os_name == \'posix\'"\n'
        '[[packages]]\nname = "tool"\nvcs = { type = "git", url = "https://git.example/t.git",'
        ' commit-id = "abc" }\n'
    )
    assert found(tmp_path, "pylock.toml", {"pylock.toml": text}).specs == (
        "httpx==0.27 ; os_name == 'posix'",
        "tool @ git+https://git.example/t.git@abc",
    )


def test_the_indexes_of_a_project_are_kept_for_the_machine(tmp_path: Path) -> None:
    source = '[[tool.{0}]]\nname = "own"\nurl = "https://u:p@{1}.example/simple"\n'
    text = '[project]\nname = "api"\ndependencies = ["httpx"]\n' + "".join(
        source.format(*each) for each in (("uv.index", "a"), ("poetry.source", "b"))
    )
    asked = found(tmp_path, "pyproject.toml", {"pyproject.toml": text})
    assert [f"{line.where} {line.said} {line.address}" for line in asked.indexes] == [
        f"{API}pyproject.toml:{number} the index 'own' https://{host}.example/simple"
        for number, host in ((6, "a"), (9, "b"))
    ]


# uv workspaces

WORKSPACE = """
[project]
name = "whole"
dependencies = ["rich"]
[tool.uv.workspace]
members = ["services/*", "libs/*"]
[tool.uv.sources]
torch = { index = "pytorch" }
[[tool.uv.index]]
name = "pytorch"
url = "https://download.pytorch.org/whl/cpu"
explicit = true
"""
MEMBER = """
[project]
name = "api"
dependencies = ["torch", "atlas-common", "tool[x]", "far; os_name == 'posix'"]
[tool.uv.sources]
atlas-common = { workspace = true }
tool = { git = "https://git.example/tool.git", rev = "abc", subdirectory = "py" }
far = { url = "https://files.example/far-1-py3-none-any.whl" }
"""
UV_LOCK = """
version = 1
[manifest]
members = ["api", "whole"]
[[package]]
name = "torch"
version = "2.13.0+cpu"
source = { registry = "https://download.pytorch.org/whl/cpu" }
dependencies = [{ name = "forked", version = "1" }]
[[package]]
name = "forked"
version = "1"
source = { registry = "https://pypi.example/simple" }
resolution-markers = ["python_full_version < '3.12'", "os_name == 'nt'"]
[[package]]
name = "rich"
version = "13.9"
source = { registry = "https://pypi.example/simple" }
[[package]]
name = "tool"
version = "1"
source = { git = "https://git.example/tool.git?subdirectory=py&rev=abc#0123" }
[[package]]
name = "whole"
version = "0"
source = { virtual = "." }
dependencies = [{ name = "rich" }]
[[package]]
name = "api"
version = "0"
source = { virtual = "services/api" }
dependencies = [{ name = "torch" }, { name = "tool" }]
"""


def test_a_member_of_a_workspace_has_its_sources_and_pins(tmp_path: Path) -> None:
    files = {"./pyproject.toml": WORKSPACE, "pyproject.toml": MEMBER, "./uv.lock": UV_LOCK}
    asked = found(tmp_path, "pyproject.toml", files)
    assert asked.specs == (
        "torch",
        "tool[x] @ git+https://git.example/tool.git@abc#subdirectory=py",
        "far @ https://files.example/far-1-py3-none-any.whl ; os_name == 'posix'",
    )
    assert asked.packages == (PACKAGE,)
    assert pins(asked) == [
        "torch==2.13.0",
        "forked==1 ; (python_full_version < '3.12') or (os_name == 'nt')",
    ]
    (line,) = asked.indexes
    assert line.address == "https://download.pytorch.org/whl/cpu"


def test_what_only_lies_below_a_workspace_has_none_of_its_pins(tmp_path: Path) -> None:
    aside = '[tool.poetry]\nname = "aside"\n[tool.poetry.dependencies]\nrich = "^13"\n'
    files = {"./pyproject.toml": WORKSPACE, "pyproject.toml": aside, "./uv.lock": UV_LOCK}
    files["./uv.lock"] = UV_LOCK.replace("services/api", "services/other")
    assert pins(found(tmp_path, "pyproject.toml", files)) == []


def test_a_package_of_the_repository_in_a_list_has_the_pins_of_its_lock(tmp_path: Path) -> None:
    files = {"./pyproject.toml": WORKSPACE, "pyproject.toml": MEMBER, "./uv.lock": UV_LOCK}
    asked = found(tmp_path, "[./services/api]", files)
    assert "torch==2.13.0" in pins(asked)
    files["./uv.lock"] = UV_LOCK.replace("services/api", "services/other")
    assert pins(found(tmp_path, "[./services/api]", files)) == []


def test_a_lock_pins_for_a_member_what_its_extras_and_groups_need_too(tmp_path: Path) -> None:
    more = (
        '[package.optional-dependencies]\nfast = [{ name = "rich" }]\n'
        '[package.dev-dependencies]\nserve = [{ name = "tool" }, { name = "whole" }]\n'
    )
    files = {"./pyproject.toml": WORKSPACE, "pyproject.toml": MEMBER, "./uv.lock": UV_LOCK + more}
    assert "rich==13.9" in pins(found(tmp_path, "pyproject.toml", files))


@pytest.mark.parametrize(
    ("own", "kept"),
    [
        ("torch==2.12", False),
        ("torch[x] <2.13 ; os_name == 'posix'", False),
        ("torch==2.12.0+cpu", False),
        ("torch!=2.13.*", False),
        ("torch", True),
        ("torch>=2,<3", True),
        ("torch @ https://files.example/torch-2-py3-none-any.whl", True),
        ("rich==1", True),
    ],
)
def test_a_service_comes_before_the_lock_of_a_library(own: str, kept: bool, tmp_path: Path) -> None:
    files = {"./pyproject.toml": WORKSPACE, "pyproject.toml": MEMBER, "./uv.lock": UV_LOCK}
    files["pinned.txt"] = f"{own}\n"
    asked = found(tmp_path, "[./services/api, services/api/pinned.txt]", files)
    assert ("torch==2.13.0" in pins(asked)) == kept
    assert len(pins(asked)) == 1 + kept


@pytest.mark.parametrize(
    "address",
    [
        "file:../../libs/common",
        "file:///${PROJECT_ROOT}/../../libs/common",
        "{root:uri}/../../libs/common",
    ],
)
def test_a_folder_as_pip_pdm_and_hatch_write_it(tmp_path: Path, address: str) -> None:
    text = f'[project]\nname = "api"\ndependencies = ["atlas-common @ {address}"]\n'
    asked = found(tmp_path, "pyproject.toml", {"pyproject.toml": text})
    assert asked.packages == (PACKAGE,)


# refused

PROJECT = '[project]\nname = "{0}"\nversion = "1"\ndependencies = ["{1}"]\n'


def test_packages_that_need_each_other_are_refused_with_the_circle(tmp_path: Path) -> None:
    source = "[tool.uv.sources]\n{0} = {{ path = '../{0}' }}\n"
    files = {
        "libs/one/pyproject.toml": PROJECT.format("one", "two") + source.format("two"),
        "libs/two/pyproject.toml": PROJECT.format("two", "one") + source.format("one"),
    }
    assert reported(tmp_path, "[libs/one]", files) == (
        "libs/two/pyproject.toml:4:18: '../one' needs itself: libs/one -> libs/two -> libs/one\n"
        "  each local package is built after those that it needs: move what both use into a third"
    )
