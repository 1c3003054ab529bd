"""Commits of a repository, read without touching its index, its work tree or anything else."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from slimbake.errors import SetupError, UsageError
from slimbake.host import process

# Of what a repository's own configuration may say: programs that Git would start.
_OFF = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.sparseCheckout", "false"),
    ("log.showSignature", "false"),
    ("safe.bareRepository", "explicit"),
)
_FILTER = (("clean", ""), ("smudge", ""), ("process", ""), ("required", "false"))
_ELSEWHERE = ("system\t", "global\t", "command\t")  # not the repository's, whose filters stay
_GITLINK = "160000"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The files of one commit in a folder of their own."""

    root: Path  # what corresponds to the folder that was asked for
    submodules: dict[str, str]  # folder below it -> commit, of those whose files are not to be had


def settings(folder: Path, around: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables under which Git starts no program that the repository around a folder names: no hook,
    no monitor, and none of its own filters. Those of this user and this machine stay.

    `around`: the variables that Git gets beside them. Raises SetupError where there is no Git.
    """
    arguments = ("--includes", "--show-scope", "--name-only", "--get-regexp", r"^filter\.")
    listed = process.execute(["git", "-C", folder, "config", *arguments], env=around).stdout
    lines = (line for line in listed.splitlines() if not line.startswith(_ELSEWHERE))
    filters = {line.partition("\t")[2].rpartition(".")[0] for line in lines}
    off = [*_OFF, *((f"{name}.{key}", value) for name in filters for key, value in _FILTER)]
    before = int(around.get("GIT_CONFIG_COUNT") or 0)  # this user's
    variables = {"GIT_CONFIG_COUNT": str(before + len(off))}
    for number, (name, value) in enumerate(off, before):
        variables |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def _git(folder: Path, *arguments: str, env: Mapping[str, str] = {}) -> process.Completed:
    """Run Git: nothing else does."""
    variables = settings(folder, {**os.environ, **env})
    return process.execute(["git", "-C", folder, *arguments], env={**env, **variables})


def revision(folder: Path) -> str:
    """The commit of a folder, with `-dirty` where files differ; "" without Git or a repository."""
    with contextlib.suppress(SetupError):  # no Git
        arguments = ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
        return _git(folder, *arguments).stdout.strip()
    return ""


def export(address: str, commit: str, subfolder: str, target: Path) -> None:
    """Write the files of one commit of a repository elsewhere, with its submodules, as a .tar.gz.

    `subfolder`: a folder of it, "" for all. The same commit gives the same bytes. Raises SetupError
    where it cannot be had.
    """
    import gzip
    import tarfile

    with tempfile.TemporaryDirectory(prefix="slimbake-git-") as scratch:
        _fetch(address, commit, Path(scratch))
        root = Path(scratch, subfolder)
        with (
            target.open("wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for path in sorted(root.rglob("*")):
                inside = path.relative_to(root)
                if ".git" not in inside.parts and (path.is_symlink() or not path.is_dir()):
                    entry = archive.gettarinfo(path, f"source/{inside.as_posix()}")
                    entry.mtime = entry.uid = entry.gid = 0
                    entry.uname = entry.gname = ""
                    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
                    with contextlib.ExitStack() as stack:
                        content = stack.enter_context(path.open("rb")) if entry.isreg() else None
                        archive.addfile(entry, content)


def _fetch(address: str, commit: str, into: Path) -> None:
    """Check out a commit in an empty folder. A server may give branches and tags alone."""
    run = partial(_git, into, "-c", "protocol.file.allow=always")
    run("init", "--quiet")
    one = run("fetch", "--quiet", "--depth=1", "--", address, commit)
    every = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
    got = one if one.ok else run("fetch", "--quiet", "--", address, *every)
    for arguments in (
        ("checkout", "--quiet", "--detach", commit),
        ("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"),
    ):
        got = run(*arguments) if got.ok else got
    if not got.ok:
        raise SetupError(
            f"Git cannot get the commit {commit} of {address}\n{got.last_lines(3)}",
            f"`git ls-remote {address}` shows whether this machine reaches it; of a branch that was"
            " rewritten, `slimbake lock --upgrade PACKAGE` takes the newest commit",
        )


class GitRepository:
    """The Git repository around a folder."""

    def __init__(self, folder: Path) -> None:
        """Raises UsageError where there is none, SetupError where Git is missing or refuses it."""
        options = (
            "--show-toplevel",
            "--absolute-git-dir",
            "--is-shallow-repository",
            "--show-prefix",
        )
        completed = _git(folder, "rev-parse", *options)
        if not completed.ok:
            if "dubious ownership" in completed.stderr:
                raise SetupError(
                    f"Git refuses the repository {folder}: it belongs to another user",
                    completed.last_lines(),
                )
            raise UsageError(
                f"{folder} is in no Git repository",
                "commits are compared: git init, or leave out A..B",
            )
        top, directory, shallow, prefix = completed.stdout.split("\n")[:4]
        self._folder, self._top, self._directory = folder, Path(top), directory
        self._shallow = shallow == "true"
        self._prefix = prefix

    def commit(self, revision: str) -> str:
        """The full id of a commit. Raises UsageError, or SetupError where a clone is too shallow to
        know it.
        """
        completed = self._run(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
        )
        if completed.ok:
            return completed.stdout.strip()
        if self._shallow:
            raise SetupError(
                f"this clone is shallow, and does not hold '{revision}'",
                "fetch the commits that are missing: git fetch --unshallow (GitHub Actions: fetch-depth:"
                " 0)",
            )
        raise UsageError(
            f"Git knows no commit '{revision}'",
            "a branch, tag or commit: git log --oneline shows commits",
        )

    def text(self, commit: str, path: str) -> str | None:
        """A file of a commit, named from the folder that was asked for; None where there is none."""
        completed = self._run("show", f"{commit}:{self._prefix}{path}")
        return completed.stdout if completed.ok else None

    def snapshot(self, commit: str, into: Path) -> Snapshot:
        """Write the files of a commit, as a checkout would, into a folder that is empty. Raises
        SetupError.
        """
        submodules = dict(self._write(commit, self._prefix, into))
        root = into / self._prefix
        root.mkdir(parents=True, exist_ok=True)
        return Snapshot(
            root,
            {str(Path(p).relative_to(self._prefix or ".")): link for p, link in submodules.items()},
        )

    def _write(self, commit: str, prefix: str, into: Path) -> Iterator[tuple[str, str]]:
        """Write what lies below `prefix`; gives the submodules whose files are not to be had."""
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="slimbake-index-") as scratch:
            # An index and a work tree of its own: what the user's hold stays as it is.
            environment = {
                "GIT_DIR": self._directory,
                "GIT_WORK_TREE": str(into),
                "GIT_INDEX_FILE": f"{scratch}/index",
                "GIT_LITERAL_PATHSPECS": "1",
            }
            steps = (("read-tree", commit), ("checkout", "--quiet", "--", prefix or "."))
            where = ("--", prefix) if prefix else ()
            listed = _git(into, "ls-tree", "-r", "-z", commit, *where, env=environment)
            if not listed.ok:
                raise SetupError(f"Git cannot list {commit}", listed.last_lines())
            if not listed.stdout:
                return
            for step in steps:
                done = _git(into, *step, env=environment)
                if not done.ok:
                    raise SetupError(f"Git cannot write the files of {commit}", done.last_lines())
        for line in listed.stdout.split("\0"):
            head, _, path = line.partition("\t")
            if head.startswith(_GITLINK):
                yield from self._submodule(path, head.split()[2], into)

    def _submodule(self, path: str, commit: str, into: Path) -> Iterator[tuple[str, str]]:
        """Write a submodule's files where it has been fetched, with that commit."""
        there = self._top / path
        if (there / ".git").exists():
            inner = GitRepository(there)
            if inner._run("cat-file", "-e", f"{commit}^{{commit}}").ok:
                for subpath, link in inner._write(commit, "", into / path):
                    yield f"{path}/{subpath}", link
                return
        yield path, commit

    def _run(self, *arguments: str) -> process.Completed:
        return _git(self._folder, *arguments)
