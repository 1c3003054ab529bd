"""Locks that somebody has edited, with a record that agrees with them: none is taken for one of slimbake's own."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.abuse.conftest import Slimbake
from tests.abuse.machines import locked

from slimbake.errors import STALE
from slimbake.inside.locked import HEADER, Fault, lock_entries, source_line
from slimbake.lock.locks import EXTERNALS_HEADER, SYSTEM_HEADER, WEIGHTS_HEADER, Locks
from slimbake.lock.model import text_digest
from slimbake.lock.text import parse_pins, source_of

MANIFEST = """\
project: toys
python: "3.11"
bases: {web: {requirements: [core]}}
services:
  one: {context: one, requirements: requirements.txt, smoke: smoke.py}
  two: {context: two, base: web, requirements: requirements.txt, smoke: smoke.py}
"""
LOCK = "bake/locks/one.txt"
DIGEST = "0" * 64
HASHED = f"--hash=sha256:{DIGEST}"


def _added(*lines: str) -> Callable[[str], str]:
    return lambda text: text + "".join(f"{line}\n" for line in lines)


def _replaced(pattern: str, by: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        changed, times = re.subn(pattern, by, text, count=1, flags=re.MULTILINE)
        assert times
        return changed

    return change


HASH = r" \\\n +--hash=sha256:[0-9a-f]{64}"
EDITED: dict[str, Callable[[str], str]] = {
    "no hash at all": lambda text: re.sub(HASH, "", text),
    "one wheel without a hash": _replaced(HASH, ""),
    "a hash of MD5": _replaced("sha256:[0-9a-f]{64}", f"md5:{DIGEST[:32]}"),
    "a hash of SHA-1": _replaced("sha256:[0-9a-f]{64}", f"sha1:{DIGEST[:40]}"),
    "a hash that is cut": _replaced("(sha256:[0-9a-f]{60})[0-9a-f]{4}", r"\1"),
    "a hash in capitals": lambda text: text.replace("sha256:", "SHA256:"),
    "a hash of nothing": _replaced("sha256:[0-9a-f]{64}", "sha256:"),
    "a range": _replaced("==", ">="),
    "any version": _replaced(r"==\S+", ""),
    "a version of any end": _replaced(r"==(\S+)", r"==\1.*"),
    "an arbitrary version": _replaced(r"==(\S+)", r"===\1"),
    "a version that is an option": _replaced(r"==\S+", "==--pre"),
    "two versions": _replaced(r"==(\S+)", r"==\1,<9"),
    "another index": _added("--extra-index-url https://index.example/simple"),
    "an index instead": _added("-i https://index.example/simple"),
    "no index": _added("--no-index"),
    "wheels of a folder": _added("--find-links /tmp"),
    "a host without certificates": _added("--trusted-host index.example"),
    "versions before their release": _added("--pre"),
    "sources": _added("--no-binary :all:"),
    "no hash is required": _added("--no-require-hashes"),
    "another file": _added("--requirement other.txt"),
    "constraints": _added("-c other.txt"),
    "a folder": _added("./one"),
    "a folder to edit": _added("--editable=one"),
    "an address": _added(f"other @ https://h.example/other-1-py3-none-any.whl {HASHED}"),
    "an address alone": _added(f"https://h.example/other-1-py3-none-any.whl {HASHED}"),
    "a commit": _added("other @ git+https://git.example/other@main"),
    "a file of this machine": _added(f"other @ file:///etc/passwd --hash=sha256:{DIGEST}"),
    "an option behind a pin": _replaced(r"(==\S+) \\$", r"\1 --config-settings=a=b \\"),
    "an option behind a hash": _replaced("(sha256:[0-9a-f]{64})", r"\1 --global-option=a"),
    "two on a line": _replaced("(sha256:[0-9a-f]{64})", r"\1 other==1"),
    "a variable": _added(f"${{NAME}}==1 \\\n    --hash=sha256:{DIGEST}"),
    "a name that is a path": _added(f"../other==1 \\\n    --hash=sha256:{DIGEST}"),
    "a name of other letters": _added(f"c\u043ere==1 \\\n    --hash=sha256:{DIGEST}"),
    "a name that turns round": _added(f"core\u202e==1 \\\n    --hash=sha256:{DIGEST}"),
    "a line of a terminal": _added("\x1b[2Jcore==1"),
    "a marker that is none": _replaced(r"(==\S+) \\$", r"\1 ; import os \\"),
    "a marker that is never true": _replaced(r"(==\S+) \\$", r"\1 ; extra == 'a' or \\"),
    "a package that has gone": _replaced(rf"^core==\S+{HASH}\n", ""),
    "marks of a merge": _added("<<<<<<< HEAD"),
    "a line that goes on": _added("other==1 \\"),
    "a carriage return": _added(f"other==1 \\\r    --hash=sha256:{DIGEST}"),
    "nothing": lambda _: "",
    "words": lambda _: "core\n",
    "no first line": lambda text: text.partition("\n")[2],
    "the first line of another lock": lambda text: SYSTEM_HEADER + text.partition("\n")[2],
    "weights": lambda _: f"{WEIGHTS_HEADER}{DIGEST}  one\n",
    "another lock's first line, and an index": lambda _: f"{EXTERNALS_HEADER}--index-url a\n",
}


@pytest.fixture(scope="module")
def repository(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Locked."""
    files = {"services.yaml": MANIFEST}
    for name, requirements in (("one", "frame\ntool\n"), ("two", "leaf\n")):
        files |= {f"{name}/requirements.txt": requirements, f"{name}/smoke.py": "print(1)\n"}
    return locked(tmp_path_factory.mktemp("locks"), files)


def _edit(root: Path, edit: Callable[[str], str], lock: str = LOCK) -> None:
    """Change a lock, and the record with it."""
    before = (root / lock).read_text()
    after = edit(before)
    assert after != before
    (root / lock).write_text(after, "utf-8", newline="")
    record = root / "bake/locks/inputs.json"
    said = record.read_text()
    assert text_digest(before) in said
    record.write_text(said.replace(text_digest(before), text_digest(after)))


def _refused(
    repository: Path, root: Path, slimbake: Slimbake, edit: Callable[[str], str], lock: str = LOCK
) -> None:
    """A lock so edited is refused in a copy of a repository."""
    shutil.copytree(repository, root)
    _edit(root, edit, lock)
    ended = slimbake("lock", "--check", at=root)
    assert ended.code == STALE and lock in ended.stderr, ended


@pytest.mark.parametrize("kind", EDITED)
def test_an_edited_lock_is_refused_though_its_record_agrees(
    kind: str, repository: Path, slimbake: Slimbake, tmp_path: Path
) -> None:
    _refused(repository, tmp_path / "repository", slimbake, EDITED[kind])


# What ends a line for `str.splitlines`, for uv, for pip or for a terminal, or is no end but looks like one.
ENDS = {
    **{name: chr(number) for number, name in enumerate(("FS", "GS", "RS", "US"), 0x1C)},
    "CR": "\r",
    "VT": "\v",
    "FF": "\f",
    "NUL": "\0",
    "BS": "\b",
    "TAB": "\t",
    "ESC": "\x1b",
    "DEL": "\x7f",
    "NEL": "\x85",
    "a space that does not break": "\xa0",
    "LS": "\u2028",
    "PS": "\u2029",
    "a mark of the order": "\ufeff",
    "a letter that turns lines round": "\u202e",
    "a letter": "\xe9",
}
FORGED = f"other==1 --hash=sha256:{DIGEST}"
HIDDEN: dict[str, Callable[[str], Callable[[str], str]]] = {
    "in what needs it": lambda end: _replaced(r"^(# asked for)$", rf"\1, via a{end}{FORGED}"),
    "in a wheel's name": lambda end: _replaced(
        r"^# (\S+)\.whl", rf"# a{end}{FORGED.replace(' ', '')}.whl"
    ),
    "in the sources": lambda end: (
        lambda text: text.replace(HEADER, f'{HEADER}# source {{"a": "{end}{FORGED}"}}\n')
    ),
    "after all": lambda end: lambda text: text + end,
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("place", HIDDEN)
def test_no_comment_of_a_lock_hides_a_requirement(place: str, end: str, repository: Path) -> None:
    text = (repository / LOCK).read_text()
    forged = HIDDEN[place](ENDS[end])(text)
    assert forged != text
    with pytest.raises(Fault):
        parse_pins(forged)
    with pytest.raises(Fault):
        [*lock_entries(forged, sizes=False)]  # in a container
    assert parse_pins(text)


def _pin(name: str, version: str, marker: str = "") -> str:
    where = f" ; {marker}" if marker else ""
    wheel = f"# {name}-{version}-py3-none-any.whl 9\n"
    return f"{wheel}{name}=={version}{where} \\\n    {HASHED}"


def _machine(*names: str) -> str:
    return " or ".join(f'platform_machine == "{name}"' for name in names)


def _marked(marker: str) -> Callable[[str], str]:
    return _replaced(r"^(core==\S+) \\$", rf"\1 ; {marker} \\")


# What a lock pins that no `uv` would resolve so.
UNRESOLVED: dict[str, Callable[[str], str]] = {
    "a machine that is none": _marked(_machine("none")),
    "a machine of no platform": _marked(_machine("aarch64")),
    "a machine in capitals": _marked(_machine("X86_64")),
    "a machine by Docker's name": _marked(_machine("amd64")),
    "an empty machine": _marked(_machine("")),
    "a contradiction": _marked(f"{_machine('x86_64')} and {_machine('aarch64')}"),
    "a marker that is negated": _marked('platform_machine != "x86_64"'),
    "a marker in brackets": _marked(f"({_machine('x86_64')})"),
    "another Python": _marked('python_version == "2.7"'),
    "another system": _marked('sys_platform == "win32"'),
    "the name again": _added(_pin("core", "1")),
    "another version": _added(_pin("core", "2")),
    "a name in capitals": _added(_pin("Core", "2")),
    "another name in capitals": _added(_pin("LEAF", "1")),
    "a version that is longer": _added(_pin("core", "1.0")),
    "a local version": _added(_pin("core", "1+evil")),
    "a name with other joints": _added(_pin("a-b", "1"), _pin("a_b", "2")),
    "a name with a point": _added(_pin("a-b", "1"), _pin("a.b", "2")),
    "a name with more joints": _added(_pin("a-b", "1"), _pin("a--b", "2")),
    "one that is built, again": _added(f"# built from core-2.tar.gz#sha256={DIGEST}: core==2"),
    "a size of 16 digits": _replaced(r"\.whl \d+$", f".whl {'9' * 16}"),
    "a size of 5,000 digits": _replaced(r"\.whl \d+$", f".whl {'9' * 5000}"),
    "a size in other digits": _replaced(r"\.whl \d+$", ".whl \u0661\u0662"),
    "a size below nothing": _replaced(r"\.whl \d+$", ".whl -1"),
}
# And in a fleet of two platforms.
UNRESOLVED_ON_BOTH: dict[str, Callable[[str], str]] = {
    "a machine by another name": _marked(_machine("arm64")),
    "one machine that is none": _marked(_machine("x86_64", "none")),
    "no machine of two": _marked(_machine("riscv64")),
    "the name again for a machine": _added(_pin("core", "2", _machine("aarch64"))),
    "two for one machine": _added(
        _pin("other", "1", _machine("aarch64", "x86_64")), _pin("other", "2", _machine("x86_64"))
    ),
}


@pytest.fixture(scope="module")
def on_both(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, locked for two platforms."""
    root = shutil.copytree(repository, tmp_path_factory.mktemp("both") / "repository")
    on_both = "smoke: smoke.py, platforms: [linux/amd64, linux/arm64]"
    return locked(root, {"services.yaml": MANIFEST.replace("smoke: smoke.py", on_both)})


@pytest.mark.parametrize("kind", UNRESOLVED)
def test_a_lock_pins_what_a_resolution_may_pin(
    kind: str, repository: Path, slimbake: Slimbake, tmp_path: Path
) -> None:
    assert slimbake("lock", "--check", at=repository).code == 0
    _refused(repository, tmp_path / "repository", slimbake, UNRESOLVED[kind])


@pytest.mark.parametrize("kind", UNRESOLVED_ON_BOTH)
def test_a_lock_of_two_platforms_pins_what_a_resolution_may_pin(
    kind: str, on_both: Path, slimbake: Slimbake, tmp_path: Path
) -> None:
    assert slimbake("lock", "--check", at=on_both).code == 0
    _refused(on_both, tmp_path / "repository", slimbake, UNRESOLVED_ON_BOTH[kind])


@pytest.mark.parametrize("name", ["core", "Core", "CORE"])
def test_no_lock_pins_what_the_base_below_has(
    name: str, repository: Path, slimbake: Slimbake, tmp_path: Path
) -> None:
    pinned = _added(_pin(name, "2"))
    _refused(repository, tmp_path / "repository", slimbake, pinned, "bake/locks/two.txt")


def test_a_package_of_one_machine_is_a_package_of_the_fleet(
    on_both: Path, slimbake: Slimbake, tmp_path: Path
) -> None:
    root = shutil.copytree(on_both, tmp_path / "repository")
    names = ("aarch64", "x86_64")
    pins = [_pin("other", str(number), _machine(name)) for number, name in enumerate(names)]
    _edit(root, _added(*pins))
    assert slimbake("lock", "--check", at=root).code == 0


def test_no_command_takes_an_edited_lock(
    repository: Path, slimbake: Slimbake, tmp_path: Path
) -> None:
    root = shutil.copytree(repository, tmp_path / "repository")
    _edit(root, EDITED["no hash at all"])
    for command in (("check",), ("lock", "--fetch"), ("ci", "plan"), ("bake", "--frozen")):
        ended = slimbake(*command, at=root)
        # There is no engine here, which a bake says first.
        assert ended.code == STALE or (command[0] == "bake" and ended.code), ended


DEB = f"libpq5 15.1-1+b2 amd64 libpq5_15.1-1+b2_amd64.deb 5 {DIGEST}\n"
DEBIAN = {
    "nothing": "",
    "words": "libpq5\n",
    "no first line": DEB,
    "the first line of another lock": WEIGHTS_HEADER + DEB,
    "a comment within": SYSTEM_HEADER + DEB + "# more\n" + DEB,
    "no end of the last line": SYSTEM_HEADER + DEB.rstrip("\n"),
    **{
        name: SYSTEM_HEADER + DEB.replace(old, new)
        for name, old, new in (
            ("no hash", f" {DIGEST}", ""),
            ("a hash that is none", DIGEST, "none"),
            ("a hash that is cut", DIGEST, DIGEST[1:]),
            ("no size", " 5 ", " x "),
            ("a size of 5,000 digits", " 5 ", f" {'5' * 5000} "),
            ("a file elsewhere", "libpq5_", "../../libpq5_"),
            ("a file from the root", "libpq5_", "/etc/libpq5_"),
            ("a version with an end of a line", "-1+b2 ", "-1+b2\u2028a "),
            ("an end of a line in a file's name", "_amd64", "\x85_amd64"),
            ("a carriage return", "\n", "\r\n"),
            ("no package", ".deb", ".sh"),
            ("an option", "libpq5 ", "--allow-unauthenticated "),
            ("a name of a terminal", "libpq5 ", "\x1b[2J "),
        )
    },
}


@pytest.mark.parametrize("kind", DEBIAN)
def test_an_edited_lock_of_debian_s_packages_is_refused(kind: str) -> None:
    def locks(text: str) -> Locks:
        record = {"api.system": {"asked": "asked", "lock": text_digest(text)}}
        return Locks({"api.system.txt": text, "inputs.json": json.dumps(record)})

    assert locks(SYSTEM_HEADER + DEB).compared("api.system", "asked") is None
    assert len(locks(SYSTEM_HEADER + DEB).debs("api.system")) == 1
    found = locks(DEBIAN[kind]).compared("api.system", "asked")
    assert found and found.damaged
    assert locks(DEBIAN[kind]).debs("api.system") == ()


BUILT = {"name": "core", "version": "1", "file": "core-1.tar.gz", "sha256": DIGEST}
# What a lock says that a wheel is built from, and slimbake never writes.
SOURCES: dict[str, Any] = {
    "a path": {"file": "../../../.bashrc"},
    "a path from the root": {"file": "/etc/cron.d/a"},
    "the folder around": {"file": ".."},
    "a file that is hidden": {"file": ".bashrc"},
    "another system's path": {"file": "..\\a"},
    "an end of a line in a file's name": {"file": "core-1\na"},
    "NUL in a file's name": {"file": "core-1\0"},
    "half a character": {"file": "core-\ud800"},
    "a letter of others": {"file": "c\u043ere-1.tar.gz"},
    "no file's name": {"file": ""},
    "a hash that is a path": {"sha256": "../.."},
    "a hash that is cut": {"sha256": DIGEST[1:]},
    "a hash in a list": {"sha256": [DIGEST]},
    "a name that is an option": {"name": "--index-url"},
    "a name in a list": {"name": ["core"]},
    "two requirements in one": {"requires": ["setuptools\n--index-url http://a"]},
    "a requirement alone": {"requires": "setuptools"},
    "a requirement in lists": {"requires": [["setuptools"]]},
    "a file of this machine": {"address": "file:///etc/shadow"},
    "a path for an address": {"address": "/etc/shadow"},
    "a program of Git's": {"address": f"git+ext::sh -c id@{DIGEST[:40]}"},
    "a repository by its path": {"address": f"git+/etc@{DIGEST[:40]}"},
    "a repository of a short address": {"address": f"git+h:x@{DIGEST[:40]}"},
    "an option for an address": {"address": f"git+--upload-pack=id@{DIGEST[:40]}"},
    "an option for a commit": {"address": "git+https://h/x@--pathspec-from-file=/etc/a"},
    "a branch for a commit": {"address": "git+https://h/x@main"},
    "no commit": {"address": "git+https://h/x"},
    "a commit that is cut": {"address": f"git+https://h/x@{DIGEST[:39]}"},
    "another system of versions": {"address": f"hg+https://h/x@{DIGEST[:40]}"},
    "another scheme": {"address": "ftp://h/x.tar.gz"},
    "an address with a space": {"address": "https://h/x y"},
    "an address with an end of a line": {"address": "https://a/b\u2028"},
    "a version of two lines": {"version": "1\n2"},
    "a size below nothing": {"bytes": -1},
    "a size without end": json.dumps({**BUILT, "bytes": 9}).replace("9", "1e999"),
    "a truth": {"bytes": True},
    "another key": {"found": "file:///etc/passwd"},
    "no name": '{"file": "core-1.tar.gz"}',
    "a list": json.dumps([BUILT]),
    "no number": "NaN",
    "no JSON": "{",
    "a list in lists": "[" * 100_000,
}


@pytest.mark.parametrize(
    "address",
    [
        "https://h/x.tar.gz#subdirectory=y",
        f"git+https://h/x.git@{DIGEST[:40]}",
        f"git+ssh://git@h/x.git@{DIGEST}#subdirectory=y",
        f"git+file:///srv/x.git@{DIGEST[:40]}",
    ],
)
def test_a_lock_names_an_address_as_a_user_may(address: str) -> None:
    found = source_of(f"{HEADER}# source {json.dumps({**BUILT, 'address': address})}\n")
    assert found and found.address == address


@pytest.mark.parametrize("kind", SOURCES)
def test_a_lock_names_sources_as_slimbake_writes_them(kind: str) -> None:
    change = SOURCES[kind]
    text = change if isinstance(change, str) else json.dumps({**BUILT, **change})

    def lock(source: str) -> str:
        built = f"# built from core-1.tar.gz#sha256={DIGEST}: core==1\n"
        return f"{HEADER}# source {source}\n{built}"

    assert source_of(lock(json.dumps(BUILT))) and parse_pins(lock(json.dumps(BUILT)))
    assert source_of(lock(text)) is None
    with pytest.raises(Fault):
        parse_pins(lock(text))
    with pytest.raises(Fault):
        source_line(lock(text))  # in a container
