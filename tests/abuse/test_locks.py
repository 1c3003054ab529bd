"""Locks that somebody has edited, with a record that agrees with them: none is taken for one of slimbake's own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.abuse.conftest import Slimbake

from slimbake.errors import STALE
from slimbake.lock.locks import EXTERNALS_HEADER, SYSTEM_HEADER, WEIGHTS_HEADER, Locks
from slimbake.lock.model import text_digest

MANIFEST = """\
project: toys
python: "3.11"
services: {one: {context: one, requirements: requirements.txt, smoke: smoke.py}}
"""
LOCK = "bake/locks/one.txt"
DIGEST = "0" * 64


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
    "an address": _added(
        f"other @ https://index.example/other-1-py3-none-any.whl --hash=sha256:{DIGEST}"
    ),
    "an address alone": _added(
        f"https://index.example/other-1-py3-none-any.whl --hash=sha256:{DIGEST}"
    ),
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
    root = tmp_path_factory.mktemp("locks")
    (root / "one").mkdir()
    (root / "services.yaml").write_text(MANIFEST)
    (root / "one/requirements.txt").write_text("frame\ntool\n")
    (root / "one/smoke.py").write_text("import frame\n")
    for command in ("lock", "generate"):
        words = [sys.executable, "-m", "slimbake", command]
        done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return root


def _edit(root: Path, edit: Callable[[str], str]) -> None:
    """Change the lock, and the record with it."""
    before = (root / LOCK).read_text()
    after = edit(before)
    assert after != before
    (root / LOCK).write_text(after, newline="")
    record = root / "bake/locks/inputs.json"
    said = record.read_text()
    assert text_digest(before) in said
    record.write_text(said.replace(text_digest(before), text_digest(after)))


@pytest.mark.parametrize("kind", EDITED)
def test_an_edited_lock_is_refused_though_its_record_agrees(
    kind: str, repository: Path, slimbake: Slimbake, tmp_path: Path
) -> None:
    root = shutil.copytree(repository, tmp_path / "repository")
    _edit(root, EDITED[kind])
    ended = slimbake("lock", "--check", at=root)
    assert ended.code == STALE and LOCK in ended.stderr, ended


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
    "no hash": SYSTEM_HEADER + DEB.replace(f" {DIGEST}", ""),
    "a hash that is none": SYSTEM_HEADER + DEB.replace(DIGEST, "none"),
    "a hash that is cut": SYSTEM_HEADER + DEB.replace(DIGEST, DIGEST[1:]),
    "no size": SYSTEM_HEADER + DEB.replace(" 5 ", " x "),
    "a file elsewhere": SYSTEM_HEADER + DEB.replace("libpq5_", "../../libpq5_"),
    "a file from the root": SYSTEM_HEADER + DEB.replace("libpq5_", "/etc/libpq5_"),
    "no package": SYSTEM_HEADER + DEB.replace(".deb", ".sh"),
    "an option": SYSTEM_HEADER + DEB.replace("libpq5 ", "--allow-unauthenticated "),
    "a name of a terminal": SYSTEM_HEADER + DEB.replace("libpq5 ", "\x1b[2J "),
    "a comment within": SYSTEM_HEADER + DEB + "# more\n" + DEB,
    "no end of the last line": SYSTEM_HEADER + DEB.rstrip("\n"),
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
