"""Reads a repository once: which files it has, and the texts of those that say how it is built."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from slimbake.adopt.ignored import IGNORE
from slimbake.adopt.model import Repository
from slimbake.config.naming import BAKE, SCHEMA
from slimbake.render import MARK

# What a checkout has beside its sources.
_SKIPPED = frozenset(
    {
        *(
            "node_modules",
            "__pycache__",
            "dist",
            "site-packages",
            "bower_components",
        ),
        *("vendor", "target", "htmlcov"),
    }
)
_READ = re.compile(
    r"(?:Dockerfile|Containerfile)(?:\.[\w.-]+)?|[\w.-]+\.[dD]ockerfile|[\w.-]+\.ya?ml"
    r"|pyproject\.toml|[\w.-]*requirements[\w.-]*\.(?:txt|in)|[\w.-]+\.(?:sh|bash)|Pipfile"
    r"|docker-bake(?:\.override)?\.hcl|[\w.-]*entry-?point[\w.-]*|[\w.-]*\.env(?:\.[\w-]+)?|\.python-version|[\w.-]+\.(?:txt|in)"
    r"|README[\w.-]*|[\w.-]+\.mk"
)
_PATH = re.compile(r"(?<![\w./-])(?:\./)?([\w.-]+(?:/[\w.-]+)+)")
_UP = re.compile(r"^(?:\.\./)+")
_LARGEST = 256 * 1024
# Folders deep, at most, that a service's own modules are read for what they serve.
_PYTHON_DEPTH = 6


def survey(root: Path) -> Repository:
    """A repository's files. What Git ignores in folders of the usual names is left out."""
    files: set[str] = set()
    folders: set[str] = {"."}
    texts: dict[str, str] = {}
    hidden: set[str] = set()
    for where, inner, names in os.walk(root):
        relative = os.path.relpath(where, root).replace(os.sep, "/")
        prefix = "" if relative == "." else f"{relative}/"
        hidden.update(f"{prefix}{name}" for name in (*inner, *names) if name.startswith("."))
        inner[:] = sorted(
            name
            for name in inner
            if (name not in _SKIPPED or (name == "vendor" and _projects(Path(where, name))))
            and not name.startswith(".")
            and not name.endswith((".egg-info", ".dist-info"))
            and not _environment(Path(where, name))
            and not (relative == "." and name == BAKE and (root / SCHEMA).is_file())  # our own
        )
        folders.update(f"{prefix}{name}" for name in inner)
        for name in names:
            path = f"{prefix}{name}"
            if name.endswith(IGNORE) and (text := _text(Path(where, name))) is not None:
                texts[path] = text
            if name.startswith(".") and not name.startswith((".env", ".python-version")):
                continue
            files.add(path)
            python = name.endswith(".py") and prefix.count("/") < _PYTHON_DEPTH
            if _READ.fullmatch(name) or python or "." not in name:
                text = _text(Path(where, name))
                if text is not None:
                    texts[path] = text
    for path in sorted(_named(texts) - files):
        if ".." not in path.split("/") and os.path.isfile(root / path):  # noqa: PTH113 - never raises
            files.add(path)
            if (text := _text(root / path)) is not None:
                texts[path] = text
    ci = "github" if (root / ".github").is_dir() else ""
    ci = ci or ("gitlab" if (root / ".gitlab-ci.yml").is_file() else "")
    return Repository(
        root.resolve().name,
        frozenset(files),
        frozenset(folders),
        texts,
        ci,
        frozenset(hidden - {".git"}),
        dict(_pipelines(root)),
    )


def _pipelines(root: Path) -> Iterator[tuple[str, str]]:
    """The pipelines of GitHub and GitLab, without slimbake's own."""
    for path in sorted([*root.glob(".github/workflows/*.y*ml"), root / ".gitlab-ci.yml"]):
        text = _text(path)
        if text is not None and MARK not in text.partition("\n")[0]:
            yield path.relative_to(root).as_posix(), text


def _projects(folder: Path) -> bool:
    """Whether there are projects of Python in a folder."""
    return any(any(folder.glob(f"*/{name}")) for name in ("pyproject.toml", "setup.py"))


def _environment(folder: Path) -> bool:
    """Whether packages are installed in a folder: of venv, or of conda."""
    return (folder / "pyvenv.cfg").is_file() or (folder / "conda-meta").is_dir()


def _named(texts: Mapping[str, str]) -> set[str]:
    """Paths that YAML files have, such as those of Dockerfiles and of files of variables: these may lie
    in folders that are not read.
    """
    found = set()
    for file, text in texts.items():
        if file.endswith((".yml", ".yaml")):
            folder = posixpath.dirname(file)
            # a Dockerfile's path is relative to its context
            paths = (each for path in _PATH.findall(text) for each in (path, _UP.sub("", path)))
            found |= {posixpath.normpath(posixpath.join(folder, each)) for each in paths}
    return found


def _text(path: Path) -> str | None:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return None
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
