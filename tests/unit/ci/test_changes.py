"""What changed since a commit, from Git alone; nothing of the repository is touched."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.commits import commit as commit_all
from tests.commits import git
from tests.unit.fleets import pinned
from tests.unit.processes import faked

from slimbake.ci.changes import changed, unchanged_since
from slimbake.cli.plan import command
from slimbake.console import Console
from slimbake.errors import SetupError, UsageError
from slimbake.fingerprint.compare import TargetChange
from slimbake.lock.text import lock_text
from slimbake.project import load
from slimbake.render.generated import laid_out, update

MANIFEST = """\
project: atlas
python: "3.11"
bases:
  web: {requirements: [httpx]}
services:
  api: {context: services/api, base: web, smoke: smoke.py, command: [python, -m, api]}
  embed: {context: services/embed, command: [python, -m, embed]}
"""


NEWER = lock_text([pinned("httpx", "2")])


def commit(root: Path) -> str:
    """Generate what the manifest says, and commit everything."""
    update(laid_out(load(root / "services.yaml").plan, root), root)
    return commit_all(root)


@pytest.fixture
def root(committed: Path, tmp_path: Path) -> Path:
    """A repository with one commit."""
    return shutil.copytree(committed, tmp_path / "repository")


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every test has a copy of."""
    root = tmp_path_factory.mktemp("committed") / "repository"
    for name in ("api", "embed"):
        (root / "services" / name).mkdir(parents=True)
        (root / "services" / name / "main.py").write_text("print()\n")
    (root / "services/api/smoke.py").write_text("def imports(): ...\n")
    (root / "bake/locks").mkdir(parents=True)
    (root / "bake/locks/base-web.txt").write_text(lock_text([pinned("httpx")]))
    (root / "services.yaml").write_text(MANIFEST)
    commit(root)
    return root


def said(root: Path, before: str) -> dict[str, tuple[str, ...]]:
    """Why targets are built again or have gone; those that are the same left out."""
    found = changed(root / "services.yaml", before)
    return {each.target: (each.status, *each.reasons) for each in found if each.status != "same"}


EDITED = {
    "api": ("changed", "context services/api: main.py edited"),
    "api-smoke": ("changed", "context services/api: main.py edited", "api changed"),
}


def test_an_edit_rebuilds_its_service_alone(root: Path) -> None:
    (root / "services/api/main.py").write_text("print(1)\n")
    assert said(root, "HEAD") == EDITED
    commit(root)
    assert said(root, "HEAD") == {}
    assert said(root, "HEAD~1") == EDITED
    assert {each.target for each in changed(root / "services.yaml", "HEAD~1")} == {
        *("inside", "runtime", "layer_base-web", "base-web", "base-web-inventory", "embed", *EDITED)
    }


def test_a_file_that_is_not_committed_and_would_be_sent_counts(root: Path) -> None:
    (root / ".gitignore").write_text("*.bin\n")
    (root / "services/embed/x.bin").write_text("ignored by Git, and sent")
    assert said(root, "HEAD") == {"embed": ("changed", "context services/embed: x.bin added")}


API = {"api", "api-smoke"}


def test_what_stands_on_a_changed_target_says_so(root: Path) -> None:
    (root / "bake/locks/base-web.txt").write_text(NEWER)
    found = said(root, "HEAD")
    assert found.keys() == {"inside", "layer_base-web", "base-web", "base-web-inventory", *API}
    made_of = "bake/dockerfiles/layers/layer_base-web.json"
    assert found["layer_base-web"][:2] == ("changed", f"layer {made_of} changed")
    assert found["base-web"][:2] == ("changed", "layer_base-web changed")
    assert "base-web changed" in found["api"]


def test_another_budget_is_measured_against(root: Path) -> None:
    before = git(root, "rev-parse", "HEAD")
    text = (root / "services.yaml").read_text("utf-8")
    (root / "services.yaml").write_text(
        text.replace("smoke: smoke.py", "smoke: smoke.py, budget: {uncompressed: 1GB}")
    )
    assert said(root, before) == {"api": ("changed", "its budget changed")}


def test_many_files_are_counted(root: Path) -> None:
    for number in range(5):
        (root / f"services/embed/{number}.py").write_text("")
    (root / "services/embed/main.py").unlink()
    (root / os.fsdecode(b"services/embed/\xff.py")).write_text("")
    assert (
        said(root, "HEAD")["embed"][1]
        == "context services/embed: 0.py added, 1.py added, 2.py added, 4 more"
    )


def test_a_template_that_touches_no_text_rebuilds_nothing(root: Path) -> None:
    (root / "templates").mkdir()
    shipped = Path(__file__).parents[3] / "templates/base.Dockerfile.j2"
    (root / "templates/base.Dockerfile.j2").write_text("{# a remark #}" + shipped.read_text())
    assert said(root, "HEAD") == {}


def test_what_another_slimbake_generated_counts(root: Path) -> None:
    path = root / "bake/programs/make.pyz"
    path.write_bytes(path.read_bytes() + b"of an older slimbake")
    git(root, "commit", "--quiet", "--all", "--message", "x")
    assert "base-web" in said(root, "HEAD"), "a bake generates it again"


def test_a_service_that_comes_goes_or_is_renamed(root: Path) -> None:
    text = MANIFEST.replace("  embed:", "  vectors:") + "  more: {context: services/more}\n"
    (root / "services/more").mkdir()
    (root / "services/more/main.py").write_text("print(2)\n")
    (root / "services.yaml").write_text(text)
    found = said(root, "HEAD")
    assert found["vectors"] == ("new", "was not there before")
    assert found["embed"] == ("gone", "is no longer in the manifest")
    assert found["more"] == ("new", "was not there before")
    assert found.keys() == {"vectors", "embed", "more"}


def test_before_there_was_a_manifest_everything_is_new(root: Path) -> None:
    git(root, "mv", "services.yaml", "other.yaml")
    git(root, "commit", "--quiet", "--message", "x")
    git(root, "mv", "other.yaml", "services.yaml")
    assert {why for why, *_ in said(root, "HEAD").values()} == {"new"}


def test_nothing_of_the_repository_is_touched(root: Path) -> None:
    (root / "services/api/main.py").write_text("print(1)\n")
    git(root, "add", "--all")
    (root / "services/api/main.py").write_text("print(2)\n")

    def state() -> dict[str, tuple[int, bytes]]:
        files = (path for path in sorted(root.rglob("*")) if path.is_file())
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    hook = root / ".git/hooks/post-checkout"
    hook.write_text("#!/bin/sh\ntouch touched\n")
    hook.chmod(0o755)
    before = state()
    said(root, "HEAD")
    assert state() == before


def test_a_manifest_below_the_top(root: Path) -> None:
    (root / "fleet").mkdir()
    for name in ("services", "bake", "services.yaml", "docker-bake.hcl"):
        git(root, "mv", name, f"fleet/{name}")
    commit(root / "fleet")
    (root / "fleet/services/api/main.py").write_text("print(1)\n")
    assert said(root / "fleet", "HEAD") == EDITED


def test_what_git_writes_at_a_checkout_is_what_counts(root: Path) -> None:
    (root / ".gitattributes").write_text("*.py eol=crlf\n")
    for name in ("api", "embed"):
        (root / "services" / name / "main.py").write_bytes(b"print()\r\n")
    (root / "services/api/smoke.py").write_bytes(b"def imports(): ...\r\n")
    (root / ".gitattributes").write_text("services/**/*.py eol=crlf\n")
    commit(root)
    assert said(root, "HEAD") == {}


def test_a_shallow_clone_says_what_to_do(root: Path) -> None:
    (root / "services/api/main.py").write_text("print(1)\n")
    first = git(root, "rev-parse", "HEAD")
    commit(root)
    git(root.parent, "clone", "--quiet", "--depth", "1", root.as_uri(), "shallow")
    with pytest.raises(SetupError, match="this clone is shallow") as caught:
        said(root.parent / "shallow", first)
    assert "git fetch --unshallow" in caught.value.hint
    with pytest.raises(SetupError, match="this clone is shallow"):
        said(root.parent / "shallow", "HEAD~1")
    jobs, _, doubt = since(root.parent / "shallow", first)
    assert jobs == ["api", "embed"] and "shallow" in doubt
    git(root.parent / "shallow", "fetch", "--quiet", "--unshallow")
    assert said(root.parent / "shallow", first) == EDITED


def test_a_folder_in_no_repository(tmp_path: Path, root: Path) -> None:
    (root / ".git").rename(tmp_path / "away")
    assert since(root, "HEAD")[0] == ["api", "embed"]
    with pytest.raises(UsageError, match="is in no Git repository"):
        said(root, "HEAD")


def test_a_repository_of_somebody_else(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processes = faked(monkeypatch)
    processes.answer(
        "git", stderr="fatal: detected dubious ownership in repository at '/x'\n", code=128
    )
    with pytest.raises(SetupError, match="belongs to another user"):
        said(root, "HEAD")


def test_a_faulty_manifest_of_a_commit(root: Path) -> None:
    (root / "services.yaml").write_text("project: [\n")
    git(root, "commit", "--quiet", "--all", "--message", "x")
    (root / "services.yaml").write_text(MANIFEST)
    with pytest.raises(UsageError, match=r"services\.yaml as of HEAD: 1 problem"):
        said(root, "HEAD")


@pytest.fixture
def with_submodule(root: Path) -> Path:
    """The repository with a submodule in the folder of a service."""
    library = root.parent / "library"
    library.mkdir()
    (library / "lib.py").write_text("one\n")
    commit_all(library)
    git(root, "submodule", "--quiet", "add", str(library), "services/embed/lib")
    commit(root)
    return root


def test_a_submodule_counts_with_its_files(with_submodule: Path) -> None:
    inner = with_submodule / "services/embed/lib"
    assert said(with_submodule, "HEAD") == {}
    (inner / "lib.py").write_text("two\n")
    edited = {"embed": ("changed", "context services/embed: lib/lib.py edited")}
    assert said(with_submodule, "HEAD") == edited
    git(inner, "commit", "--quiet", "--all", "--message", "x")
    commit(with_submodule)
    assert said(with_submodule, "HEAD~1") == edited


def test_a_submodule_that_is_not_here_counts(with_submodule: Path) -> None:
    inner = with_submodule / "services/embed/lib"
    (inner / "lib.py").write_text("two\n")
    git(inner, "commit", "--quiet", "--all", "--message", "x")
    commit(with_submodule)
    git(with_submodule.parent, "clone", "--quiet", str(with_submodule), "clone")
    clone = with_submodule.parent / "clone"
    assert "embed" in said(clone, "HEAD"), "the empty folder is what would be sent"


def without_submodule(repository: Path) -> None:
    git(repository, "submodule", "--quiet", "deinit", "--force", "services/embed/lib")
    (repository / ".git/modules/services/embed/lib").rename(repository.parent / "away")


def test_a_manifest_that_needs_a_file_of_a_submodule_that_is_not_here(with_submodule: Path) -> None:
    (with_submodule / "services.yaml").write_text(
        MANIFEST.replace("services/embed,", "services/embed, requirements: lib/lib.txt,")
    )
    git(with_submodule, "commit", "--quiet", "--all", "--message", "x")
    without_submodule(with_submodule)
    (with_submodule / "services.yaml").write_text(MANIFEST)
    with pytest.raises(UsageError, match="as of HEAD") as caught:
        said(with_submodule, "HEAD")
    assert (
        "the submodule services/embed/lib is not here: git submodule update --init"
        in caught.value.hint
    )


@pytest.fixture
def called(root: Path) -> Callable[..., str]:
    """What the command prints."""

    def call(*words: str) -> str:
        result = CliRunner().invoke(
            command, ["-f", str(root / "services.yaml"), *words], catch_exceptions=False
        )
        assert result.exit_code == 0
        return result.stdout

    return call


def test_the_command_prints_a_table(called: Callable[..., str], root: Path) -> None:
    (root / "services/embed/main.py").write_text("print(1)\n")
    lines = called("--since", "HEAD", "embed").splitlines()
    assert lines[0] == "target   state    why"
    assert lines[-1] == "embed    changed  context services/embed: main.py edited"
    assert not [line for line in lines if line.startswith("api")]
    found = json.loads(called("--since", "HEAD", "--json"))
    assert [name for name, each in found.items() if each["rebuilt"]] == ["embed"]


def test_only_what_differs_or_is_not_known_is_rebuilt() -> None:
    rebuilt = {
        status: TargetChange("x", "", status, ()).rebuilt
        for status in ("same", "changed", "new", "gone", "unknown")
    }
    assert rebuilt == {"same": False, "changed": True, "new": True, "gone": False, "unknown": True}


# --- which services need no job, from Git alone: `ci plan --since`


def since(root: Path, revision: str) -> tuple[list[str], list[str], str]:
    """The services that need a job, those that need none, and what is said."""
    lines: list[str] = []
    same = unchanged_since(load(root / "services.yaml"), revision, Console(lines.append))
    return [name for name in ("api", "embed") if name not in same], list(same), "".join(lines)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("services/api/main.py", "print('edited')\n"),
        ("services/api/smoke.py", "def imports(): 1 / 1\n"),
        ("bake/locks/base-web.txt", NEWER),
    ],
)
def test_an_edit_gives_its_services_a_job(
    root: Path,
    path: str,
    text: str,
) -> None:
    assert since(root, "HEAD") == ([], ["api", "embed"], "")
    (root / path).write_text(text)
    assert since(root, "HEAD") == (["api"], ["embed"], "")
    commit(root)
    assert since(root, "HEAD~1") == (["api"], ["embed"], "")


def test_a_base_that_is_rebuilt_with_its_lock_says_why(root: Path) -> None:
    shipped = Path(__file__).parents[3] / "templates/base.Dockerfile.j2"
    (root / "templates").mkdir()
    (root / "templates/base.Dockerfile.j2").write_text(f"{shipped.read_text()}# edited\n")
    jobs, _, said = since(root, "HEAD")
    assert jobs == ["api"]
    assert said.startswith("base-web is rebuilt without a change of its lock: Dockerfile ")
    (root / "bake/locks/base-web.txt").write_text(NEWER)
    assert since(root, "HEAD") == (jobs, ["embed"], "")


@pytest.mark.parametrize("revision", ["0" * 40, "no-such-branch", "--output=/tmp/x"])
def test_a_commit_that_is_not_here_is_a_doubt_and_all_is_built(root: Path, revision: str) -> None:
    jobs, unchanged, said = since(root, revision)
    assert (jobs, unchanged) == (["api", "embed"], [])
    assert said.startswith(f"all are built, to be sure: Git knows no commit '{revision}'")
