"""Fingerprints: one hash of all that a target's content depends on, to know what need not be built again.

Whatever is in doubt counts as a change: BuildKit then finds out, and takes what it can from its cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from slimbake.bake.command import Surroundings
from slimbake.manifest.rules import folder_context
from slimbake.plan.model import Plan
from slimbake.render import BAKE_FILE

FORMAT = "1"  # of what is hashed, and how
_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?|\bfrom=([^,\s]+)", re.MULTILINE | re.IGNORECASE)
_REMOTE = re.compile(r"^\s*(ADD\s|#\s*syntax\s*=)", re.MULTILINE | re.IGNORECASE)
_UNSENT = re.compile(r"\..*|__pycache__|.*\.pyc")  # what no generated .dockerignore lets through


def fingerprints(plan: Plan, root: Path, around: Surroundings, variables: Mapping[str, str]) -> dict[str, str]:
    """The fingerprint of each target by its name; a target that depends on what cannot be known here has none.

    Hashed are the bake file and those of the `variables` that it reads, Dockerfiles, the folders that are sent, with
    modes and links, externals by their digests, wheels of this machine by content, and the fingerprints of what
    a target stands on. No times and no absolute paths. Generated files are taken to be up to date. Raises OSError
    for a file that cannot be read. A Dockerfile of the user's own has none, nor has what stands on one: what it reads
    is for BuildKit to find out.
    """
    text = (root / BAKE_FILE).read_text("utf-8")
    read = {name: variables.get(name) for name in re.findall(r'^variable "([^"]+)"', text, re.MULTILINE)}
    common = [FORMAT, text, read, around.standins]
    folder = _Folders(root)
    found: dict[str, str] = {}
    for target in plan.targets:
        contexts = [_context(name, value, found, around, folder) for name, value in target.contexts]
        files = [_content(root / path) for path in (target.dockerfile, f"{target.dockerfile}.dockerignore")]
        if target.recipe is None or None in contexts or _reads_beyond(files[0] or "", dict(target.contexts)):
            continue
        # All are named after what is in them.
        brought = (around.wheels, around.debs, around.find_links)
        wheels = [Path(each[target.name]).name for each in brought if target.name in each]
        sent = folder(target.context, everything=False)
        found[target.name] = _digest([common, target.name, files, sent, contexts, wheels])
    return found


def _context(name: str, value: str, found: Mapping[str, str], around: Surroundings, folder: _Folders) -> str | None:
    """What stands behind a named context; None where that cannot be known here."""
    if name in around.digests:
        return around.digests[name]
    if value.startswith("target:"):
        return found.get(value.removeprefix("target:"))
    if folder_context(value):
        return (
            folder(value, everything=True) if Path(value) != Path() else None
        )  # a whole repository is too much to read
    return value if value.startswith("docker-image://") and "@sha256:" in value else None


def _reads_beyond(dockerfile: str, contexts: Mapping[str, str]) -> bool:
    """Whether a Dockerfile, which may come from a template of the user's, reads what is no context: an image, a URL."""
    found = _FROM.findall(dockerfile)
    known = {"scratch", *contexts, *(stage for _, stage, _ in found if stage)}
    return bool(_REMOTE.search(dockerfile)) or any((start or mount) not in known for start, _, mount in found)


class _Folders:
    """The digests of folders of the repository, each read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[tuple[str, bool], str] = {}

    def __call__(self, path: str, everything: bool) -> str:
        key = (path, everything)
        if key not in self._known:
            whole = hashlib.sha256()
            for entry in _entries(self._root / path, "", everything):
                whole.update(entry)
            self._known[key] = whole.hexdigest()
        return self._known[key]


def _entries(folder: Path, below: str, everything: bool) -> Iterator[bytes]:
    """A line for each thing in a folder, sorted: where, what, mode, and a hash of what is in it."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if not everything and _UNSENT.fullmatch(entry.name):
            continue
        path = f"{below}/{entry.name}"
        if entry.is_symlink():
            yield _line(path, "link", str(Path(entry).readlink()))
        elif entry.is_dir():
            yield _line(path, "folder", f"{entry.stat().st_mode:o}")
            yield from _entries(Path(entry), path, everything)
        elif entry.is_file():
            with Path(entry).open("rb") as file:
                yield _line(path, f"{entry.stat().st_mode:o}", hashlib.file_digest(file, "sha256").hexdigest())


def _line(*words: str) -> bytes:
    return json.dumps(words).encode() + b"\n"


def _content(path: Path) -> str | None:
    return path.read_text("utf-8", errors="surrogateescape") if path.is_file() else None


def _digest(value: object) -> str:
    return "sha256:" + hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
