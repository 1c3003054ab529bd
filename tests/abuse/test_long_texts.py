"""Long texts: no regular expression goes back and forth over one, and no expansion has no end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.abuse.patterns import Use, texts, uses

from slimbake.config.files import ManifestFolder
from slimbake.config.report import RefusedError
from slimbake.host.dockerignore import Ignore, matches
from slimbake.inside.globs import matcher

LENGTH = 150_000  # characters: what takes a step for each pair of them takes minutes


# No time is compared: one that goes back and forth does not end within this.
@pytest.mark.timeout(60)
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
    *(
        "[ab]*" * 20 + "c",
        "*[^b]" * 20 + "*c",
        "**/[a]*/" * 12 + "b",
        "a**/" * 12 + "b",
        "***" * 9 + "/b",
    ),
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
