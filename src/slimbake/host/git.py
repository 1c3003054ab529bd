"""The only module that starts Git. Of a repository its data counts, and none of its settings: Git
reads objects that are here, runs no program that the repository names and reaches no network. What
has to reach one, `export`, works in a repository of its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from slimbake.errors import SetupError, SlimbakeError, UsageError
from slimbake.host import kernel, process
from slimbake.host.files import content

# The settings of a repository that are data. All others, known or not, are left out: most name
# programs that Git would start.
_DATA = re.compile(
    r"core\.(repositoryformatversion|autocrlf|eol|safecrlf|filemode|symlinks|ignorecase)"
    r"|extensions\.(objectformat|refstorage)"
    r"|remote\..*\.(url|fetch)|branch\..*\.(remote|merge)",
    re.DOTALL,
)
_REPLACED = {"HEAD", "config", "config.worktree", "hooks", "commondir", "gitdir"}
# Of what this user's own settings may say.
_OFF = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.sparseCheckout": "false",
    "log.showSignature": "false",
    "safe.bareRepository": "explicit",
}
_LOCAL = {
    "GIT_NO_LAZY_FETCH": "1",
    # Unlike protocol.allow, no setting of a single protocol is stronger.
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
}
_REMOTE = {"GIT_TERMINAL_PROMPT": "0"}
_PROTOCOLS = "https:http:ssh:git"  # of a submodule, whose address the user did not write
SECONDS = 120.0  # for an answer: on a busy machine some need ten
_WRITING = 15.0  # times as long: the files of one commit, written or compared
_FETCHING = 30.0  # times as long
_MEMORY = {kernel.DATA: 4 << 30}  # bytes
_NAMES = 1000  # in Git's folder; it itself makes a few dozen
_GITLINK = "160000"
_HANG = "`git status` there shows whether Git hangs: one of its files may be a FIFO"
_LACKING = (
    "slimbake fetches nothing. Where the clone was made with --filter, get what it lacks: git fetch"
    " --refetch --no-filter"
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The files of one commit in a folder of their own."""

    root: Path  # what corresponds to the folder that was asked for
    submodules: dict[str, str]  # folder below it -> commit, of those whose files are not to be had


def _git(
    folder: Path, *arguments: str, env: Mapping[str, str], patience: float = 1.0
) -> process.Completed:
    """Run Git in a folder: nothing else does. Raises SetupError where it does not end in time."""
    variables = {**_settings(_OFF), **env}
    seconds = SECONDS * patience
    command: list[str | Path] = ["git", "-C", folder, *arguments]
    done = process.execute(command, env=variables, timeout=seconds, limits=_MEMORY)
    if done.code == process.TIMED_OUT:
        raise SetupError(f"Git gives no answer within {seconds:g} s in {folder}", _HANG)
    return done


def _settings(values: Mapping[str, str]) -> dict[str, str]:
    """Variables that give Git these settings, beside those that this process's variables give."""
    number = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    variables = {}
    for key, value in values.items():
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
        number += 1
    return {**variables, "GIT_CONFIG_COUNT": str(number)}


def revision(folder: Path) -> str:
    """The commit of a folder, with `-dirty` where files differ, those of submodules included; ""
    without Git or a repository.
    """
    with contextlib.suppress(SlimbakeError):
        return GitRepository(folder).revision()
    return ""


def tracked(folder: Path) -> list[str]:
    """The files below a folder that Git has, sorted; none without Git or a repository."""
    with contextlib.suppress(SlimbakeError):
        return GitRepository(folder).tracked()
    return []


class GitRepository:
    """The Git repository around a folder."""

    def __init__(self, folder: Path) -> None:
        """Raises UsageError where there is none, SetupError where Git is missing or refuses it."""
        options = (
            "--show-toplevel",
            "--absolute-git-dir",
            "--git-common-dir",
            "--is-shallow-repository",
            "--show-prefix",
        )
        completed = _git(folder, "rev-parse", *options, env=_LOCAL)
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
        top, directory, common, shallow, prefix = completed.stdout.split("\n")[:5]
        self._folder, self._top = folder, Path(top)
        self._directory, self._common = Path(directory), folder / common
        self._shallow = shallow == "true"
        self._prefix = prefix
        listed = _git(folder, "config", "--list", "--includes", "--show-scope", "-z", env=_LOCAL)
        self._data = _data(listed.stdout)

    @contextlib.contextmanager
    def shield(self) -> Iterator[dict[str, str]]:
        """Variables under which Git sees the repository without its settings and hooks. Raises
        SetupError.
        """
        with tempfile.TemporaryDirectory(prefix="slimbake-git-") as scratch:
            own, common = Path(scratch, "own"), Path(scratch, "common")
            _link(self._directory, own)
            _link(self._common, common)
            (own / "commondir").write_text(str(common))
            (common / "config").write_text(self._data, "utf-8", "surrogateescape")
            yield {"GIT_DIR": str(own), "GIT_WORK_TREE": str(self._top)}

    def _run(
        self,
        *arguments: str,
        env: Mapping[str, str] = {},
        at: Path | None = None,
        patience: float = 1.0,
    ) -> process.Completed:
        with self.shield() as variables:
            together = {**_LOCAL, **variables, **env}
            return _git(at or self._folder, *arguments, env=together, patience=patience)

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

    def revision(self) -> str:
        """The commit that is checked out, with `-dirty` where files differ from it."""
        commit = self.commit("HEAD")
        # Of submodules Git itself would ask their own Git, with all that their settings say.
        options = ("--porcelain", "--untracked-files=no", "--ignore-submodules=dirty")
        changes = self._run("status", *options, patience=_WRITING)
        # Of a commit that Git cannot compare nobody knows that the files are the same.
        if not changes.ok or changes.stdout:
            return f"{commit}-dirty"
        if any(each.endswith("-dirty") for each in self._submodule_revisions()):
            return f"{commit}-dirty"
        return commit

    def tracked(self) -> list[str]:
        """The files below the folder, sorted."""
        return list(filter(None, self._run("ls-files", "-z").stdout.split("\0")))

    def _submodule_revisions(self) -> Iterator[str]:
        listed = self._run("ls-files", "--stage", "-z", at=self._top).stdout
        for line in listed.split("\0"):
            head, _, path = line.partition("\t")
            if not head.startswith(_GITLINK):
                continue
            if submodule := self._submodule(path):
                yield submodule.revision()

    def _submodule(self, path: str) -> GitRepository | None:
        """A submodule, where it has been fetched."""
        there = self._top / path
        if not (there / ".git").exists():
            return None
        submodule = GitRepository(there)
        # Where Git takes `.git` for none, it finds the repository around it.
        if submodule._top == self._top.resolve() / path:
            return submodule
        return None

    def snapshot(self, commit: str, into: Path) -> Snapshot:
        """Write the files of a commit, as a checkout would, into a folder that is empty. Raises
        SetupError.
        """
        submodules = {}
        for path, link in self._write(commit, self._prefix, into):
            submodules[str(Path(path).relative_to(self._prefix or "."))] = link
        root = into / self._prefix
        root.mkdir(parents=True, exist_ok=True)
        return Snapshot(root, submodules)

    def _write(self, commit: str, prefix: str, into: Path) -> Iterator[tuple[str, str]]:
        """Write what lies below `prefix`; gives the submodules whose files are not to be had."""
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="slimbake-index-") as scratch:
            # An index and a work tree of its own: what the user's hold stays as it is.
            environment = {
                "GIT_WORK_TREE": str(into),
                "GIT_INDEX_FILE": f"{scratch}/index",
                "GIT_LITERAL_PATHSPECS": "1",
            }
            steps = (("read-tree", commit), ("checkout", "--quiet", "--", prefix or "."))
            where = ("--", prefix) if prefix else ()
            listed = self._run("ls-tree", "-r", "-z", commit, *where, env=environment, at=into)
            if not listed.ok:
                raise SetupError(f"Git cannot list {commit}\n{listed.last_lines()}", _LACKING)
            if not listed.stdout:
                return
            for step in steps:
                done = self._run(*step, env=environment, at=into, patience=_WRITING)
                if not done.ok:
                    message = f"Git cannot write the files of {commit}\n{done.last_lines()}"
                    raise SetupError(message, _LACKING)
        for line in listed.stdout.split("\0"):
            head, _, path = line.partition("\t")
            if head.startswith(_GITLINK):
                yield from self._write_submodule(path, head.split()[2], into)

    def _write_submodule(self, path: str, commit: str, into: Path) -> Iterator[tuple[str, str]]:
        """Write a submodule's files where it has been fetched, with that commit."""
        submodule = self._submodule(path)
        if submodule and submodule._run("cat-file", "-e", f"{commit}^{{commit}}").ok:
            for subpath, link in submodule._write(commit, "", into / path):
                yield f"{path}/{subpath}", link
        else:
            yield path, commit


def _link(directory: Path, into: Path) -> None:
    """Make a folder that Git takes for a repository's, with all that lies there but its settings and
    hooks. Raises SetupError.
    """
    into.mkdir()
    try:
        # Git takes no link for it.
        (into / "HEAD").write_bytes(content(directory, "HEAD"))
        names = os.listdir(directory)  # noqa: PTH208
        if len(names) > _NAMES:
            raise OSError(f"it has {len(names):,} names, and slimbake takes {_NAMES:,} at most")
    except OSError as error:
        raise SetupError(f"Git's folder {directory} cannot be read: {error}", _HANG) from None
    for name in names:
        if name not in _REPLACED:
            (into / name).symlink_to(directory / name)


def _data(listed: str) -> str:
    """The text of a configuration with what a repository's own has that is data.

    `listed`: of `git config --list --show-scope -z`.
    """
    words = listed.split("\0")
    lines = []
    for scope, entry in zip(words[::2], words[1::2], strict=False):
        key, has_value, value = entry.partition("\n")
        if scope in ("local", "worktree") and has_value and _DATA.fullmatch(key):
            lines.append(_line(key, value))
    return "".join(lines)


def _line(key: str, value: str) -> str:
    section, _, rest = key.partition(".")
    subsection, _, name = rest.rpartition(".")
    head = f'[{section} "{_quoted(subsection)}"]' if subsection else f"[{section}]"
    return f'{head}\n{name} = "{_quoted(value)}"\n'


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def export(address: str, commit: str, subfolder: str, target: Path) -> None:
    """Write the files of one commit of a repository elsewhere, with its submodules, as a .tar.gz.
    It is the one call that reaches the network, with this user's own settings.

    `subfolder`: a folder of it, "" for all. The same commit gives the same bytes. Raises SetupError
    where it cannot be had, or where the folder is none of it.
    """
    import gzip
    import tarfile

    with tempfile.TemporaryDirectory(prefix="slimbake-git-") as scratch:
        _fetch(address, commit, Path(scratch))
        root = _inside(Path(scratch).resolve(), subfolder, address)
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
                        source = stack.enter_context(path.open("rb")) if entry.isreg() else None
                        archive.addfile(entry, source)


def _inside(top: Path, subfolder: str, address: str) -> Path:
    """A folder of a checkout, which no link and no `..` leads out of. Raises SetupError."""
    folder = Path(f"{top}/{subfolder}")
    parts = folder.relative_to(top).parts
    if ".." in parts or ".git" in parts or folder.resolve() != folder or not folder.is_dir():
        raise SetupError(
            f"{address} has no folder '{subfolder}', or only a link of that name",
            "name a folder of the repository in `subdirectory=`",
        )
    return folder


def _fetch(address: str, commit: str, into: Path) -> None:
    """Check out a commit in an empty folder. A server may give branches and tags alone."""

    def run(*arguments: str, protocols: str = _PROTOCOLS) -> process.Completed:
        variables = {**_REMOTE, "GIT_ALLOW_PROTOCOL": protocols}
        return _git(into, *arguments, env=variables, patience=_FETCHING)

    named = f"{_PROTOCOLS}:file"  # an address that the user wrote
    every = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
    run("init", "--quiet", "--template=")
    run("config", "remote.origin.url", address)  # where relative addresses of submodules begin
    got = run("fetch", "--quiet", "--depth=1", "--", address, commit, protocols=named)
    if not got.ok:
        got = run("fetch", "--quiet", "--", address, *every, protocols=named)
    for arguments in (
        ("checkout", "--quiet", "--detach", commit),
        ("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"),
    ):
        if got.ok:
            got = run(*arguments)
    if not got.ok:
        raise SetupError(
            f"Git cannot get the commit {commit} of {address}\n{got.last_lines(3)}",
            f"`git ls-remote {address}` shows whether this machine reaches it; of a branch that was"
            " rewritten, `slimbake lock --upgrade PACKAGE` takes the newest commit",
        )
