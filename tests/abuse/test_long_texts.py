"""Long texts: no regular expression goes back and forth over one, and no expansion has no end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from tests.abuse.patterns import Use, texts, uses
from tests.unit.adopt.repositories import written

from slimbake.config import manifest
from slimbake.config.files import ManifestFolder
from slimbake.config.report import RefusedError
from slimbake.errors import SlimbakeError
from slimbake.host.dockerignore import Ignore, matches
from slimbake.inside.globs import matcher

LENGTH = 75_000  # characters: what takes a step for each pair of them takes minutes


# No time is compared: one that goes back and forth does not end within this.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("use", [*uses()], ids=str)
def test_a_regular_expression_reads_a_long_text_once(use: Use) -> None:
    for text in texts(use, LENGTH):
        use(text)


# What a manifest, a .dockerignore or a COPY may hold, and paths that fit nearly.
GLOBS = (
    *("a*" * 30 + "b", "*a" * 20 + "*b", "*?" * 20 + "b", "a?*" * 9 + "/b", "**/a*a*a*a*/**/a*b"),
    *(
        "**/a/" * 12 + "b",
        "**/" * 20 + "b",
        "**/*/" * 12 + "b",
        "**/*a*a/" * 9 + "*b",
        "a**a**a**b",
    ),
    *("[ab]*" * 20 + "c", "*[^b]" * 20 + "*c", "**/[a]*/" * 12 + "b", "a**/" * 12 + "b"),
    "***" * 9 + "/b",
)
PATHS = (
    "a" * 4000,
    "a/" * 2000 + "a",
    ("a" * 200 + "/") * 20 + "a",
    "ab" * 2000,
    "a/aa/aaa/" * 400,
)
READERS: dict[str, Callable[[str, str], object]] = {
    "of files to remove": lambda glob, path: matcher([glob])(path),
    "of files to keep, beside others": lambda glob, path: matcher(["x*", glob, "b/**"])(path),
    "of a context": lambda glob, path: Ignore(glob).leaves_out(path),
    "of a context, with exceptions": lambda glob, path: Ignore(f"*x\n!{glob}").leaves_out(path),
    "of a COPY": matches,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("glob", GLOBS)
@pytest.mark.parametrize("reader", READERS)
def test_a_glob_reads_a_long_path_once(reader: str, glob: str) -> None:
    for path in PATHS:
        try:
            READERS[reader](glob, path)
        except ValueError as refused:  # what BuildKit refuses, and what takes too long
            assert refused.args[0].removeprefix("!") == glob


@pytest.mark.timeout(60)
@pytest.mark.parametrize("glob", ["**/a/**/a/**/b", "**/**/**/**/b", "**/*/**/*/b", "*/*/*/**/b"])
def test_a_glob_of_folders_lists_each_once(glob: str, tmp_path: Path) -> None:
    (tmp_path / "/".join("a" * 300)).mkdir(parents=True)
    try:
        assert ManifestFolder(str(tmp_path)).folders(glob) == []
    except RefusedError as error:
        assert "more than once" in error.message


# What names itself, or twice the next one: 60 of them are a million million million.
GROWING = {
    "extras of a project": (
        "[project]\nname = 'a'\nversion = '1'\n[project.optional-dependencies]\n"
        + "".join(f"e{n} = ['a[e{n + 1}]', 'A[e{n + 1},e{n}]']\n" for n in range(60))
        + "e60 = ['x']\n",
        "[e0]",
    ),
    "extras of Poetry": (
        "[tool.poetry]\nname = 'a'\nversion = '1'\n[tool.poetry.dependencies]\n"
        + "".join(f"p{n} = {{version = '1', optional = true}}\n" for n in range(60))
        + f"[tool.poetry.extras]\ne0 = {[f'p{n}' for n in range(60)] * 99}\n",
        "[e0]",
    ),
    "groups": (
        "[project]\nname = 'a'\nversion = '1'\n[dependency-groups]\n"
        + "".join(f"g{n} = [{{include-group = 'g{n + 1}'}}] \n" for n in range(60))
        + "g60 = ['x']\n",
        ":g0",
    ),
}


def read(root: Path, files: Mapping[str, str], requirements: str) -> None:
    """Read the manifest of a service with these requirements."""
    entry = f"{{context: api, requirements: '{requirements}', command: [a]}}"
    text = f"project: toys\npython: '3.11'\nservices: {{api: {entry}}}\n"
    written(root, {**files, "services.yaml": text})
    with suppress(SlimbakeError):
        manifest(root / "services.yaml")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", GROWING)
def test_what_names_the_next_twice_is_read_once(kind: str, tmp_path: Path) -> None:
    text, extras = GROWING[kind]
    read(tmp_path, {"api/pyproject.toml": text}, f"pyproject.toml{extras}")


@pytest.mark.timeout(60)
def test_requirements_that_name_the_next_twice_are_read_once(tmp_path: Path) -> None:
    files = {"api/r60.txt": "x\n"}
    for number in range(60):
        following = f"r{number + 1}.txt"
        files[f"api/r{number}.txt"] = f"-r {following}\n-r ./{following}\n-c {following}\n"
    read(tmp_path, files, "r0.txt")
