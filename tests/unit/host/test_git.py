"""Git runs none of the programs that a repository's own configuration names."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from slimbake.errors import SetupError, SlimbakeError
from slimbake.host.git import GitRepository, revision

AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "a"), ("EMAIL", "a@example"))
}


def git(at: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(at), *words],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **AUTHOR, "GIT_CONFIG_GLOBAL": "/dev/null"},
    )
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "--quiet")
    (root / ".gitattributes").write_text(
        "*.bin filter=a filter=A.B\n*.dat filter=a=b\n*.txt diff=d\n"
    )
    for name in ("a.bin", "a.dat", "a.txt"):
        (root / name).write_text("a\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "a")
    return root


@pytest.fixture
def ran(tmp_path: Path) -> tuple[Path, str]:
    """A program, and the file that is there once it ran."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\ncat\n")
    program.chmod(0o755)
    return tmp_path / "ran", str(program)


def _included(root: Path, program: str) -> None:
    (root / ".git/more").write_text(f'[filter "a"]\n clean = {program}\n required = true\n')
    git(root, "config", "include.path", "more")


def _worktree(root: Path, program: str) -> None:
    git(root, "config", "extensions.worktreeConfig", "true")
    git(root, "config", "--worktree", "filter.a.clean", program)


def _hooks(root: Path, program: str) -> None:
    for name in ("post-checkout", "post-index-change", "reference-transaction"):
        (root / ".git/hooks").mkdir(exist_ok=True)
        (root / ".git/hooks" / name).write_bytes(Path(program).read_bytes())
        (root / ".git/hooks" / name).chmod(0o755)


def _signatures(root: Path, program: str) -> None:
    """Of a commit that says that it is signed."""
    git(root, "config", "log.showSignature", "true")
    git(root, "config", "gpg.program", program)
    unsigned = git(root, "cat-file", "commit", "HEAD")
    head, _, message = unsigned.partition("\n\n")
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n -----END PGP SIGNATURE-----"
    (root.parent / "signed").write_text(f"{head}\n{signature}\n\n{message}")
    signed = git(root, "hash-object", "-t", "commit", "-w", str(root.parent / "signed"))
    git(root, "update-ref", "HEAD", signed.strip())


def _set(*names: str) -> Callable[[Path, str], None]:
    def change(root: Path, program: str) -> None:
        for name in names:
            git(root, "config", name, program)

    return change


NAMED: dict[str, Callable[[Path, str], None]] = {
    "a monitor": _set("core.fsmonitor"),
    "a filter": _set("filter.a.clean", "filter.a.smudge", "filter.a.process"),
    "a filter of an included file": _included,
    "a filter of a work tree": _worktree,
    "hooks": _hooks,
    "a check of signatures": _signatures,
}
"""tests/abuse/test_git.py has every setting that names a program."""


@pytest.mark.parametrize("named", NAMED)
def test_no_program_of_a_repository_is_run(
    named: str, repository: Path, ran: tuple[Path, str], tmp_path: Path
) -> None:
    marker, program = ran
    NAMED[named](repository, program)
    for name in ("a.bin", "a.dat", "a.txt"):
        (repository / name).write_text("b\n")
    marker.unlink(missing_ok=True)  # Git itself may have run it by now
    assert revision(repository).endswith("-dirty")
    there = GitRepository(repository)
    commit = there.commit("HEAD")
    there.snapshot(commit, tmp_path / "snapshot")
    assert (tmp_path / "snapshot/a.bin").read_text() == "a\n"
    assert not marker.exists()


def test_a_program_of_a_repository_could_run(repository: Path, ran: tuple[Path, str]) -> None:
    """What the tests above stand on."""
    git(repository, "config", "filter.a=b.clean", ran[1])
    (repository / "a.dat").write_text("b\n")
    git(repository, "describe", "--always", "--dirty")
    assert ran[0].exists()


def test_filters_stay(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text('[filter "a"]\n smudge = sed s/a/user/\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    for name, value in (("COUNT", "1"), ("KEY_0", "user.name"), ("VALUE_0", "somebody")):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    there = GitRepository(repository)
    there.snapshot(there.commit("HEAD"), tmp_path / "snapshot")
    assert (tmp_path / "snapshot/a.bin").read_text() == "a\n"  # the last attribute is filter=A.B
    (tmp_path / "config").write_text('[filter "A.B"]\n smudge = sed s/a/user/\n')
    there.snapshot(there.commit("HEAD"), tmp_path / "other")
    assert (tmp_path / "other/a.bin").read_text() == "user\n"


def test_a_folder_that_is_a_repository_without_a_work_tree_is_none(tmp_path: Path) -> None:
    """Git takes a folder with HEAD, objects and refs for one: a commit may hold such a folder."""
    git(tmp_path, "init", "--quiet", "--bare", "bare")
    with pytest.raises(SlimbakeError):
        GitRepository(tmp_path / "bare")


@pytest.mark.parametrize("which", ["blob:none", "tree:0"])
def test_what_a_partial_clone_lacks_is_got_by_the_command_that_the_error_names(
    which: str, repository: Path, tmp_path: Path
) -> None:
    for text in ("b\n", "c\n"):
        (repository / "a.txt").write_text(text)
        git(repository, "commit", "--all", "--quiet", "-m", text)
    git(repository, "config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", f"--filter={which}", repository.as_uri(), str(clone))
    partial = GitRepository(clone)
    with pytest.raises(SetupError) as raised:
        partial.snapshot(partial.commit("HEAD~1"), tmp_path / "lacking")
    _, command = raised.value.hint.split(": git ")
    git(clone, *command.split())
    partial.snapshot(partial.commit("HEAD~1"), tmp_path / "whole")
    assert (tmp_path / "whole/a.txt").read_text() == "b\n"
