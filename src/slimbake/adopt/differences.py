"""What a program may miss in slimbake's image, and no check of a bake shows: notes. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

from slimbake.adopt.code import APP, IGNORE, Code, line_of, sources
from slimbake.adopt.files import below, joined
from slimbake.adopt.model import Build, Entry, Note, Place, Repository
from slimbake.host.dockerignore import Ignore

# What Python writes below its working folder: a file by its name, or a folder.
_WRITES = re.compile(
    r"""\bopen\(\s*f?["'](?P<file>[^"'/~\n][^"'\n]{0,200})["'],\s*(?:mode=)?["'][wax]"""
    r"""|sqlite[\w+]{0,40}:///(?P<database>[^"'/\n][^"'\n]{0,200})"""
    r"""|\b(?:makedirs|mkdir|FileHandler)\((?!\s*f?["'][/~])"""
)


def differences(code: Code, build: Build, entry: Entry, repository: Repository) -> Iterator[Note]:
    """Notes on files with a dot that the program reads, and on where it writes. `entry`: the service's."""
    texts = dict(sources(code.files, repository))
    for name, file in _hidden(code, build, repository).items():
        word = re.escape(name.removeprefix("."))
        named = re.compile(rf"(?m)[\"'/]\.{word}[\"'/]|^(?:import|from) {word}\b")
        is_read = name == ".env" or any(map(named.search, texts.values()))
        if is_read and file not in entry.get("env_file", ()):
            what = f"{name} is copied today, and slimbake leaves out what begins with a dot"
            advice = f"`!{name}` in {IGNORE} copies it; variables may be an `env_file`"
            yield Note("breaks", Place(file), what, advice)
    for place in _written(texts, entry):
        what = "it writes files, and slimbake's image is read-only"
        advice = "name the folder in `volumes`, or in `tmpfs` if a restart may empty it"
        yield Note("breaks", place, what, advice)


def _written(texts: Mapping[str, str], entry: Entry) -> Iterator[Place]:
    """Where a program writes, and nothing is mounted. A folder of a variable's name may be any that is
    mounted in the code.
    """
    mounts = [*entry.get("volumes", {}).values(), *entry.get("tmpfs", ())]
    in_code = any(below(mount, APP) for mount in mounts)
    for file, text in texts.items():
        for match in _WRITES.finditer(text) if file.endswith(".py") else ():
            is_mounted = in_code
            if name := match["file"] or match["database"]:
                path = joined(entry.get("workdir", APP), name)
                is_mounted = any(below(path, mount) for mount in mounts)
            line = line_of(text, match.start())
            if line and not is_mounted:
                yield Place(file, line)


def _hidden(code: Code, build: Build, repository: Repository) -> dict[str, str]:
    """What Docker copies today and slimbake does not, since its name begins with a dot: the name, and
    one of its files.
    """
    text = repository.text(joined(build.context, IGNORE)) or ""
    today, hidden = Ignore(text), dict[str, str]()
    for file in code.files:
        parts = posixpath.relpath(file, code.context).split("/")
        name = next((part for part in parts if part.startswith(".")), "")
        if not name or today.leaves_out(posixpath.relpath(file, build.context)):
            continue
        if not re.search(rf"(?m)^!.*{re.escape(name)}", text):
            hidden.setdefault(name, file)
    return hidden
