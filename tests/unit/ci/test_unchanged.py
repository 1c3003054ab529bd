"""Which services need no job, from Git alone: `ci plan --since`."""

from pathlib import Path

import pytest
from tests.unit.ci.test_changes import commit, committed, git, root  # noqa: F401 - fixtures

from slimbake.ci.changes import unchanged_since
from slimbake.console import Console
from slimbake.project import load


def since(root: Path, revision: str) -> tuple[list[str], list[str], str]:  # noqa: F811
    """The services that need a job, those that need none, and what is said."""
    lines: list[str] = []
    same = unchanged_since(load(root / "services.yaml"), revision, Console(lines.append))
    return [name for name in ("api", "embed") if name not in same], list(same), "".join(lines)


def test_nothing_that_changed_needs_no_job(root: Path) -> None:  # noqa: F811
    assert since(root, "HEAD") == ([], ["api", "embed"], "")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("services/api/main.py", "print('edited')\n"),
        ("services/api/smoke.py", "def imports(): 1 / 1\n"),
        ("bake/locks/base-web.txt", "httpx==2\n"),
    ],
)
def test_an_edit_gives_its_services_a_job(
    root: Path,  # noqa: F811
    path: str,
    text: str,
) -> None:
    (root / path).write_text(text)
    assert since(root, "HEAD") == (["api"], ["embed"], "")
    commit(root)
    assert since(root, "HEAD~1") == (["api"], ["embed"], "")


def test_a_base_that_is_rebuilt_with_its_lock_says_why(root: Path) -> None:  # noqa: F811
    shipped = Path(__file__).parents[3] / "templates/base.Dockerfile.j2"
    (root / "templates").mkdir()
    (root / "templates/base.Dockerfile.j2").write_text(f"{shipped.read_text()}# edited\n")
    jobs, _, said = since(root, "HEAD")
    assert jobs == ["api"]
    assert said.startswith("base-web is rebuilt without a change of its lock: Dockerfile ")
    (root / "bake/locks/base-web.txt").write_text("httpx==2\n")
    assert since(root, "HEAD") == (jobs, ["embed"], "")


@pytest.mark.parametrize("revision", ["0" * 40, "no-such-branch", "--output=/tmp/x"])
def test_a_commit_that_is_not_here_is_a_doubt_and_all_is_built(root: Path, revision: str) -> None:  # noqa: F811
    jobs, unchanged, said = since(root, revision)
    assert (jobs, unchanged) == (["api", "embed"], [])
    assert said.startswith("all are built, to be sure: ")


def test_a_shallow_clone_is_a_doubt(root: Path, tmp_path: Path) -> None:  # noqa: F811
    first = git(root, "rev-parse", "HEAD")
    (root / "services/api/main.py").write_text("print('edited')\n")
    commit(root)
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{root}", "shallow")
    jobs, _, said = since(tmp_path / "shallow", first)
    assert jobs == ["api", "embed"]
    assert "shallow" in said


def test_outside_a_repository_all_is_built(root: Path, tmp_path: Path) -> None:  # noqa: F811
    (root / ".git").rename(tmp_path / "elsewhere")
    assert since(root, "HEAD")[0] == ["api", "embed"]
