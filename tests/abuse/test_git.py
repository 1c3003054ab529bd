"""Git runs no program of a repository, reaches no network and ends, for any file in `.git`."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.ran import ran

from slimbake.errors import SetupError, SlimbakeError
from slimbake.host.git import GitRepository, export, revision

WHO = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
ALONE = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0", **dict.fromkeys(WHO, "a@b")}


def git(root: Path, *words: str, check: bool = True) -> str:
    """What Git prints in a folder, without its last line end."""
    variables = {**os.environ, **ALONE}
    return ran(["git", "-C", root, *words], check=check, timeout=60, env=variables).stdout.strip()


@dataclass(frozen=True)
class Place:
    """A repository that lacks the file of its first commit, and a program that leaves a mark."""

    root: Path
    program: Path
    mark: Path

    def set(self, settings: Mapping[str, str]) -> None:
        for pair in settings.items():
            words = [word.replace("PROGRAM", str(self.program)) for word in pair]
            git(self.root, "config", *(word.replace("ROOT", str(self.root)) for word in words))

    def commit(self) -> str:
        """Commit what is there; the commit."""
        git(self.root, "add", ".")
        git(self.root, "commit", "--quiet", "-m", "x")
        return git(self.root, "rev-parse", "HEAD")

    def link(self, name: str, commit: str) -> None:
        """Have the index name a submodule."""
        git(self.root, "update-index", "--add", "--cacheinfo", f"160000,{commit},{name}")

    def lack(self) -> None:
        """Take the file of the first commit out of the repository; the program has not run."""
        blob = "78981922613b2afb6025042ff6bd878ac1994e85"  # "a" and the end of a line
        path = self.root / ".git/objects" / blob[:2] / blob[2:]
        path.chmod(0o644)
        path.unlink()
        self.mark.unlink(missing_ok=True)

    def read(self, into: Path) -> None:
        """All that slimbake asks Git, by which no program runs."""
        assert revision(self.root).endswith("-dirty")
        repository = GitRepository(self.root)
        head = repository.commit("HEAD")
        repository.snapshot(head, into / "head")
        assert (into / "head/a.bin").read_text() == "b\n"
        first = repository.commit("HEAD~1")
        with pytest.raises(SetupError, match="cannot write the files"):
            repository.snapshot(first, into / "first")
        assert not self.mark.exists()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository, before a test changes it: its last commit says that it is signed."""
    root = tmp_path_factory.mktemp("template") / "repository"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main", "--template=")
    (root / ".gitattributes").write_text("*.bin filter=a\n*.dat filter=a=b\n*.txt diff=d merge=m\n")
    for text in ("a\n", "b\n"):
        for name in ("a.bin", "a.dat", "a.txt"):
            (root / name).write_text(text)
        git(root, "add", ".")
        git(root, "commit", "--quiet", "-m", text)
    for name in ("a.bin", "a.dat", "a.txt"):
        (root / name).write_text("c\n")
    head, _, message = git(root, "cat-file", "commit", "HEAD").partition("\n\n")
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n -----END PGP SIGNATURE-----"
    signed = _object(root, "commit", f"{head}\n{signature}\n\n{message}\n".encode())
    git(root, "update-ref", "HEAD", signed)
    return root


def _object(root: Path, kind: str, content: bytes) -> str:
    """Write an object that Git itself would not, and give its id."""
    words = ["git", "-C", str(root), "hash-object", "-t", kind, "-w", "--stdin", "--literally"]
    done = subprocess.run(words, input=content, capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.fixture
def place(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name, value in ALONE.items():
        monkeypatch.setenv(name, value)
    root = tmp_path / "repository"
    shutil.copytree(template, root, symlinks=True)
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
    program.chmod(0o755)
    return Place(root, program, tmp_path / "ran")


PARTIAL = {
    "core.repositoryFormatVersion": "1",
    "extensions.partialClone": "x",
    "remote.x.promisor": "true",
    "remote.x.partialCloneFilter": "blob:none",
}
LAZY = "cat-file -e HEAD~1:a.bin"
SHOW = "log --show-signature -1"
ALWAYS = {"protocol.ext.allow": "always"}
SSH = {"core.sshCommand": "PROGRAM"}
Key = tuple[dict[str, str], str]


def _lazily(url: str, settings: Mapping[str, str]) -> Key:
    """A partial clone, whose remote Git asks for what is missing."""
    return {**PARTIAL, "remote.x.url": url, **settings}, LAZY


# The settings, and a command by which Git itself runs the program; "" where it takes a terminal or
# a network.
KEYS: dict[str, Key] = {
    "fsmonitor": ({"core.fsmonitor": "PROGRAM"}, "status"),
    "clean": ({"filter.a.clean": "PROGRAM"}, "status"),
    "smudge": ({"filter.a.smudge": "PROGRAM"}, "checkout -f HEAD"),
    "process": ({"filter.a.process": "PROGRAM"}, "status"),
    "clean, required": ({"filter.a.clean": "PROGRAM", "filter.a.required": "true"}, "status"),
    "clean, a name with =": ({"filter.a=b.clean": "PROGRAM"}, "status"),
    "hooks elsewhere": ({"core.hooksPath": "ROOT/../hooks"}, "checkout -f HEAD"),
    "ext": _lazily("ext::PROGRAM", ALWAYS),
    "ext, all": _lazily("ext::PROGRAM", {"protocol.allow": "always"}),
    "ssh": _lazily("ssh://h/x", SSH),
    "ssh, short": _lazily("h:x", SSH),
    "ssh, always": _lazily("ssh://h/x", {**SSH, "protocol.ssh.allow": "always"}),
    "proxy": _lazily("git://h/x", {"core.gitProxy": "PROGRAM"}),
    "upload pack": _lazily("ROOT", {"remote.x.uploadpack": "PROGRAM"}),
    "upload pack, file": _lazily("file://ROOT", {"remote.x.uploadpack": "PROGRAM"}),
    "foreign": _lazily("h", {"remote.x.vcs": "program"}),
    "foreign address": _lazily("program::h", {}),
    "another address": _lazily("x:y", {**ALWAYS, "url.ext::PROGRAM .insteadOf": "x:y"}),
    "not the extension": ({**SSH, "remote.x.promisor": "true", "remote.x.url": "h:x"}, LAZY),
    "a push address": ({"remote.x.pushurl": "h:x", **SSH}, "push x HEAD:y"),
    "receive pack": ({"remote.x.url": "ROOT", "remote.x.receivepack": "PROGRAM"}, "push x HEAD:y"),
    "diff": ({"diff.external": "PROGRAM"}, "diff --ext-diff"),
    "diff of a kind": ({"diff.d.command": "PROGRAM"}, "diff"),
    "text": ({"diff.d.textconv": "PROGRAM"}, "show HEAD:a.txt --textconv"),
    "diff tool": ({"diff.tool": "t", "difftool.t.cmd": "PROGRAM"}, "difftool -y HEAD"),
    "pager": ({"core.pager": "PROGRAM", "pager.config": "true", "pager.rev-parse": "true"}, ""),
    "pager, named": ({"pager.status": "PROGRAM", "pager.config": "PROGRAM"}, ""),
    "editor": ({"core.editor": "PROGRAM"}, "commit --amend"),
    "signature": ({"gpg.program": "PROGRAM", "log.showSignature": "true"}, SHOW),
    "signature, openpgp": ({"gpg.openpgp.program": "PROGRAM"}, SHOW),
    "credentials": ({"credential.https://h.helper": "!PROGRAM"}, ""),
    "password": ({"core.askPass": "PROGRAM"}, ""),
    "alias": ({"alias.y": "!PROGRAM"}, "y"),
    "alias of a command": ({f"alias.{each}": "!PROGRAM" for each in ("status", "config")}, ""),
    "alternate refs": ({"core.alternateRefsCommand": "PROGRAM"}, ""),
    "pack": ({"uploadpack.packObjectsHook": "PROGRAM"}, ""),
    "archive": ({"tar.t.command": "PROGRAM"}, "archive --format=t HEAD"),
    "trailer": ({"trailer.t.command": "PROGRAM"}, "interpret-trailers --trailer t=x"),
    "browser": ({"web.browser": "b", "browser.b.cmd": "PROGRAM"}, "web--browse http://h"),
    "template": ({"init.templateDir": "ROOT/../hooks"}, ""),
    "submodule": ({"submodule.s.update": "!PROGRAM"}, ""),
    "a hook of the settings": ({"hook.h.command": "PROGRAM", "hook.h.event": "post-checkout"}, ""),
    "included": ({"include.path": "more"}, "status"),
    "included, if": ({"includeIf.gitdir:**.path": "more"}, "status"),
    "included, a branch": ({"includeIf.onbranch:main.path": "more"}, "status"),
    "a work tree's": ({"extensions.worktreeConfig": "true"}, "status"),
}
HOOKS = ("post-checkout", "post-index-change", "reference-transaction")


@pytest.mark.parametrize("key", KEYS)
def test_no_setting_of_a_repository_starts_a_program(
    key: str, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it by what slimbake asks, though Git itself runs it by another command."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "hooks").mkdir()
    for path in (tmp_path / "git-remote-program", *(tmp_path / "hooks" / name for name in HOOKS)):
        path.symlink_to(place.program)
    more = f'[core]\nfsmonitor = {place.program}\n[filter "a"]\nclean = {place.program}\n'
    (place.root / ".git/more").write_text(more)
    (place.root / ".git/config.worktree").write_text(more)
    settings, command = KEYS[key]
    place.set(settings)
    place.lack()
    place.read(tmp_path)
    if command:
        git(place.root, *command.split(), check=False)
        assert place.mark.exists()


def _hooks(place: Place) -> None:
    (place.root / ".git/hooks").mkdir(exist_ok=True)
    for name in HOOKS:
        shutil.copy(place.program, place.root / ".git/hooks" / name)


def _submodule(place: Place) -> None:
    """One with a filter of its own, which `git status` of the repository around would run."""
    inner = place.root / "inner"
    git(place.root, "init", "--quiet", "inner")
    (inner / ".gitattributes").write_text("* filter=z\n")
    (inner / "file").write_text("a\n")
    git(inner, "add", ".")
    git(inner, "commit", "--quiet", "-m", "a")
    git(inner, "config", "filter.z.clean", str(place.program))
    git(inner, "config", "core.fsmonitor", str(place.program))
    (inner / "file").write_text("b\n")
    said = '[submodule "inner"]\n path = inner\n url = ./inner\n ignore = none\n update = !echo\n'
    (place.root / ".gitmodules").write_text(said)
    place.link("inner", git(inner, "rev-parse", "HEAD"))


def _quoted(place: Place) -> None:
    """A value and a name that end their line and go on."""
    evil = f'x"\n[core]\nfsmonitor = {place.program}\n[a "'
    git(place.root, "config", "remote.x.url", evil)
    git(place.root, "config", 'remote.a"]b\\.url', evil)
    git(place.root, "config", "core.eol", f'lf\\\n[filter "a"]\nclean = {place.program}')


WAYS: dict[str, Callable[[Place], None]] = {
    "hooks": _hooks,
    "a submodule": _submodule,
    "values that break out": _quoted,
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_else_of_a_repository_starts_a_program(
    way: str, place: Place, tmp_path: Path
) -> None:
    WAYS[way](place)
    place.lack()
    place.read(tmp_path)


def test_a_linked_work_tree_is_read_without_settings(place: Place, tmp_path: Path) -> None:
    git(place.root, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "tree"))
    place.set({"core.fsmonitor": "PROGRAM", "filter.a.clean": "PROGRAM"})
    (tmp_path / "tree/a.bin").write_text("changed\n")
    place.mark.unlink(missing_ok=True)
    assert revision(tmp_path / "tree").endswith("-dirty")
    repository = GitRepository(tmp_path / "tree")
    assert repository.commit("other") == repository.commit("main") == repository.commit("HEAD")
    repository.snapshot(repository.commit("HEAD"), tmp_path / "snapshot")
    assert (tmp_path / "snapshot/a.bin").read_text() == "b\n"
    assert not place.mark.exists()


def test_a_submodule_that_differs_counts(place: Place) -> None:
    git(place.root, "checkout", "--quiet", "-f", "HEAD")
    assert not revision(place.root).endswith("-dirty")
    _submodule(place)
    place.commit()
    assert revision(place.root).endswith("-dirty")


def test_a_submodule_that_is_the_repository_itself_ends(place: Place) -> None:
    place.link("inner", git(place.root, "rev-parse", "HEAD"))
    (place.root / "inner").symlink_to(".")
    assert revision(place.root).endswith("-dirty")
    (place.root / "inner").unlink()
    (place.root / "inner/.git").mkdir(parents=True)
    assert revision(place.root).endswith("-dirty")


FIFOS = (
    *("HEAD", "config", "index", "packed-refs", "refs/heads/main", "objects/info/alternates"),
    *("info/attributes", "info/exclude", "shallow", "commondir", "config.worktree", "more"),
    *("objects/info/commit-graph", "logs/HEAD", "info/grafts", "../.gitattributes"),
    *("../.gitmodules", "../a.txt", "refs/heads", "objects/pack/multi-pack-index"),
)


@pytest.mark.parametrize("name", FIFOS)
def test_a_fifo_in_a_repository_ends(
    name: str, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.set({"include.path": "more", "extensions.worktreeConfig": "true"})
    place.set({"core.repositoryFormatVersion": "1"})
    path = place.root / ".git" / name
    if path.is_dir():
        path.rename(tmp_path / "away")
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    monkeypatch.setattr("slimbake.host.git.SECONDS", 0.3)
    monkeypatch.setattr("slimbake.host.git._WRITING", 1.0)
    revision(place.root)
    try:
        repository = GitRepository(place.root)
        repository.snapshot(repository.commit("HEAD"), tmp_path / "snapshot")
    except SlimbakeError as error:
        assert error.message.count("\n") < 10


def test_a_head_that_is_a_fifo_has_an_error_that_says_so(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.root / ".git/HEAD").unlink()
    os.mkfifo(place.root / ".git/HEAD")
    monkeypatch.setattr("slimbake.host.git.SECONDS", 0.5)
    with pytest.raises(SetupError) as raised:
        GitRepository(place.root)
    assert raised.value.message == f"Git gives no answer within 0.5 s in {place.root}"
    assert "FIFO" in raised.value.hint


def test_a_folder_of_git_with_many_names_is_refused(place: Place) -> None:
    for number in range(1001):
        (place.root / f".git/{number}").touch()
    with pytest.raises(SetupError, match="names, and slimbake takes 1,000 at most"):
        GitRepository(place.root).commit("HEAD")


def _entry(mode: str, name: bytes, object_id: str) -> bytes:
    return mode.encode() + b" " + name + b"\0" + bytes.fromhex(object_id)


def _one(mode: str, name: bytes) -> Callable[[Path], bytes]:
    """A tree of one file."""
    return lambda root: _entry(mode, name, _object(root, "blob", b"x"))


def _link_and_folder(root: Path) -> bytes:
    """A link out and a folder, of one name."""
    link = _object(root, "blob", str(root.parent).encode())
    return _entry("120000", b"a", link) + _entry("40000", b"a", _object(root, "tree", b""))


def _many(root: Path) -> bytes:
    """A tree of 10 trees of 10 trees: a million million files."""
    tree = _one("100644", b"a")(root)
    for _ in range(12):
        inner = _object(root, "tree", tree)
        tree = b"".join(_entry("40000", b"%d" % number, inner) for number in range(10))
    return tree


TREES: dict[str, Callable[[Path], bytes]] = {
    "the folder around": _one("100644", b".."),
    "a file around": _one("100644", b"../evil"),
    "a file from the root": _one("100644", b"/tmp/slimbake-evil"),
    "Git's settings": _one("100644", b".git/config"),
    "Git's settings in capitals": _one("100644", b".GIT"),
    "modules that are a link": _one("120000", b".gitmodules"),
    "a link and a folder": _link_and_folder,
    "an end of a line": _one("100644", b"a\nb\x1b[2J"),
    "no text": _one("100644", b"\xff\xfe"),
    "a mode that is none": _one("177777", b"a"),
    "a submodule that is none": _one("160000", b"a"),
    "no name": _one("100644", b""),
    "a tree that is cut off": lambda root: _one("100644", b"a")(root)[:-3],
    "a tree that is none": lambda _: b"x",
    "a tree that is missing": lambda _: _entry("40000", b"a", "1" * 40),
    "a file that is missing": lambda _: _entry("100644", b"a", "1" * 40),
    "a file that is a tree": lambda root: _entry("100644", b"a", _object(root, "tree", b"")),
    "a million million files": _many,
}


@pytest.mark.parametrize("kind", TREES)
def test_no_tree_of_a_commit_leads_elsewhere(
    kind: str, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = _object(place.root, "tree", TREES[kind](place.root))
    who = "a <a@example> 0 +0000"
    text = f"tree {tree}\nauthor {who}\ncommitter {who}\n\nx\n"
    commit = _object(place.root, "commit", text.encode())
    git(place.root, "update-ref", "refs/heads/main", commit)
    monkeypatch.setattr("slimbake.host.process.MOST", 1 << 20)
    monkeypatch.setattr("slimbake.host.git.SECONDS", 1.0)
    monkeypatch.setattr("slimbake.host.git._WRITING", 1.0)
    before = sorted(tmp_path.iterdir())
    repository = GitRepository(place.root)
    try:
        assert revision(place.root) in ("", f"{commit}-dirty")
        repository.snapshot(repository.commit("HEAD"), tmp_path / "snapshot")
    except SlimbakeError as error:
        assert error.message.count("\n") < 10
    assert {*tmp_path.iterdir()} - {*before} <= {tmp_path / "snapshot"}
    assert not Path("/tmp/slimbake-evil").exists()  # noqa: S108


def _alternates(root: Path) -> None:
    (root / ".git/objects/info").mkdir(exist_ok=True)
    (root / ".git/objects/info/alternates").write_text("/etc\n/proc/self/root\n")


def _endless(name: str) -> Callable[[Path], None]:
    def place(root: Path) -> None:
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to("/dev/zero")

    return place


def _says(name: str, text: str) -> Callable[[Path], None]:
    def place(root: Path) -> None:
        if (root / name).is_dir():
            shutil.rmtree(root / name)
        (root / name).unlink(missing_ok=True)
        (root / name).write_text(text)

    return place


def _configured(**settings: str) -> Callable[[Path], None]:
    def place(root: Path) -> None:
        for name, value in settings.items():
            git(root, "config", name.replace("__", "."), value)

    return place


def _extended(**settings: str) -> Callable[[Path], None]:
    return _configured(core__repositoryFormatVersion="1", **settings)


FORMATS: dict[str, Callable[[Path], None]] = {
    "a format of the future": _configured(core__repositoryFormatVersion="99"),
    "an extension that nobody knows": _extended(extensions__evil="true"),
    "another store of references": _extended(extensions__refStorage="reftable"),
    "another hash": _extended(extensions__objectFormat="sha256"),
    "a work tree elsewhere": _configured(core__worktree="/etc"),
    "no work tree": _configured(core__bare="true"),
    "objects elsewhere": _alternates,
    "settings without an end": _endless(".git/config"),
    "references without an end": _endless(".git/packed-refs"),
    "an index without an end": _endless(".git/index"),
    "a HEAD without an end": _endless(".git/HEAD"),
    "attributes without an end": _endless(".gitattributes"),
    "settings that include themselves": _configured(include__path="config"),
    "settings that include a device": _configured(include__path="/dev/zero"),
    "a HEAD that leads out": _says(".git/HEAD", "ref: refs/heads/../../../../etc/passwd\n"),
    "a HEAD of a megabyte": _says(".git/HEAD", f"ref: refs/heads/{'a' * 1_000_000}\n"),
    "an index that is none": _says(".git/index", "DIRC\0\0\0\2" + "\x7f" * 99),
    "a folder of a process": _says(".git", "gitdir: /proc/self/root\n"),
    "a folder that is itself": _says(".git", "gitdir: .git\n"),
    "a folder with a long name": _says(".git", f"gitdir: {'x' * 1_000_000}"),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_no_form_of_a_repository_hangs_or_breaks_git(
    kind: str, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FORMATS[kind](place.root)
    monkeypatch.setattr("slimbake.host.git.SECONDS", 1.0)
    revision(place.root)
    try:
        repository = GitRepository(place.root)
        repository.tracked()
        repository.snapshot(repository.commit("HEAD"), tmp_path / "snapshot")
    except SlimbakeError as error:
        assert len(error.message) < 2000 and error.message.count("\n") < 10


@pytest.mark.parametrize(
    "word", ["--output=x", "a\0b", "@{" + "9" * 999 + "}", ":/(a*)*b", "\udcff"]
)
def test_no_word_is_a_commit(word: str, place: Place) -> None:
    with pytest.raises(SlimbakeError):
        GitRepository(place.root).commit(word)


@pytest.mark.parametrize(
    "folder",
    [
        *("out", "within", "around/secret", "../secret", "real/../../secret", "/etc", ".git"),
        *("real/file", "none"),
    ],
)
def test_export_takes_no_folder_elsewhere(folder: str, place: Place, tmp_path: Path) -> None:
    for path in (tmp_path / "secret/key", place.root / "real/file"):
        path.parent.mkdir()
        path.write_text("secret")
    for name, to in (("out", tmp_path / "secret"), ("around", tmp_path), ("within", "real")):
        (place.root / name).symlink_to(to)
    with pytest.raises(SetupError) as raised:
        export(f"file://{place.root}", place.commit(), folder, tmp_path / "archive.tar.gz")
    assert f"has no folder '{folder}'" in raised.value.message
    assert not (tmp_path / "archive.tar.gz").exists()


@pytest.mark.parametrize("address", ["file://ROOT/other", "ROOT/other", "../other", "ext::PROGRAM"])
def test_export_takes_no_submodule_of_this_machine(
    address: str, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(place.root.parent, "clone", "--quiet", str(place.root), "other")
    url = address.replace("ROOT", str(tmp_path)).replace("PROGRAM", str(place.program))
    (place.root / ".gitmodules").write_text(f'[submodule "s"]\n path = s\n url = {url}\n')
    place.link("s", git(place.root, "rev-parse", "HEAD"))
    git(place.root, "add", ".gitmodules")
    git(place.root, "commit", "--quiet", "-m", "s")
    commit = git(place.root, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file:ext")
    place.mark.unlink(missing_ok=True)
    with pytest.raises(SetupError, match=r"transport .* not allowed"):
        export(f"file://{place.root}", commit, "", tmp_path / "archive.tar.gz")
    assert not place.mark.exists()
