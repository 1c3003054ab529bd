"""Repositories of Git, by somebody of no machine."""

import os
from collections.abc import Mapping
from pathlib import Path

from tests.ran import ran

_WHO = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
_NO_SETTINGS = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def git(folder: Path, *words: str) -> str:
    """What Git prints in a folder, in a home without any settings."""
    local = ("-c", "protocol.file.allow=always")
    env = {**os.environ, **_NO_SETTINGS}
    return ran(["git", *_WHO, *local, *words], cwd=folder, env=env, check=True).stdout.strip()


def commit(folder: Path, files: Mapping[str, str] = {}) -> str:
    """Commit all that lies in a folder, with these files, path -> text; the commit. It becomes a
    repository where it is none.
    """
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=x")
    return git(folder, "rev-parse", "HEAD")
