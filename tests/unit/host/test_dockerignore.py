"""`.dockerignore` as BuildKit reads it; the cases say what moby/patternmatcher says of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimbake.host.dockerignore import Ignore


def left_out(text: str, path: str) -> bool:
    return Ignore(text).leaves_out(path)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("file", "file", True),
        ("file", "folder/file", False),
        ("folder", "folder/file", True),
        ("/folder/", "folder/file", True),
        ("./folder/../other", "other/x", True),
        ("*", "any", True),
        ("*", "folder/any", True),
        ("*.txt", "a.txt", True),
        ("*.txt", "folder/a.txt", False),
        ("*/*.txt", "folder/a.txt", True),
        ("folder/*", "folder/a", True),
        ("folder/*", "folder", False),
        ("?.txt", "a.txt", True),
        ("?.txt", "ab.txt", False),
        ("**", "a/b/c", True),
        ("**/", "a", True),
        ("**/file", "file", True),
        ("**/file", "a/b/file", True),
        ("**/file", "a/b/afile", False),
        ("**file", "afile", True),
        ("**/*.pyc", "a/b.pyc", True),
        ("**/.*", ".git", True),
        ("**/.*", "a/.env/x", True),
        ("**/.*", "a.b", False),
        ("a/**", "a", False),
        ("a/**", "a/b/c", True),
        ("a**", "abc/d", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "a/x/y/bc", False),
        ("**/tests/**", "x/tests/y", True),
        ("[a-c].txt", "b.txt", True),
        ("[^a-c].txt", "b.txt", False),
        ("[^a-c].txt", "d.txt", True),
        ("[[a].txt", "[.txt", True),
        (r"a\*", "a*", True),
        (r"a\*", "ab", False),
        ("a.b", "axb", False),
        ("a+(b)", "a+(b)", True),
        ("a b", "a b", True),
        ("  a  ", "a", True),
        ("# file", "# file", False),
        (" #file", "#file", True),
        ("\ufeffa", "a", True),
        ("a\r\nb", "a", True),
        ("ä*", "äöü", True),
        ("..", "a", False),
        ("/", "a", False),
        (".", "a", False),
    ],
)
def test_a_pattern(pattern: str, path: str, expected: bool) -> None:
    assert left_out(pattern, path) is expected


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("*\n!a", "a", False),
        ("*\n!a", "b", True),
        ("!a\n*", "a", True),  # the last that matches decides
        ("*\n!a\na/b", "a/b", True),
        ("*\n!a\na/b", "a/c", False),
        ("folder\n!folder/kept", "folder/kept", False),
        ("folder\n!folder/kept", "folder/other", True),
        ("folder\n!folder/kept", "folder/kept/below", False),
        ("**\n!**/*.py", "a/b.py", False),
        ("**\n!**/*.py", "a/b.txt", True),
        ("! a\n", "a", False),
        ("*\n! a", "a", False),
        ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", True),
        ("*.md\n!README*.md\nREADME-secret.md", "README-more.md", False),
        ("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", False),
        ("a\n!a\nb", "a/x", False),
    ],
)
def test_exceptions_and_their_order(text: str, path: str, expected: bool) -> None:
    assert left_out(text, path) is expected


@pytest.mark.parametrize("text", ["a[", "[]", "a\\", "!", "a]"])
def test_a_pattern_that_docker_refuses(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"^" + "".join(f"\\{c}" if c in "[]\\!" else c for c in text)
    ):
        Ignore(f"fine\n{text}\n")


names = st.lists(st.sampled_from(["a", "b", "ab", ".c"]), min_size=1, max_size=4).map("/".join)
patterns = st.lists(
    st.sampled_from(["a", "*", "?", "**", ".*", "ab", "*b"]), min_size=1, max_size=3
).map("/".join)


@given(st.lists(patterns, max_size=4), names)
def test_without_an_exception_order_does_not_matter(lines: list[str], path: str) -> None:
    assert left_out("\n".join(lines), path) == left_out("\n".join(reversed(lines)), path)


@given(st.lists(patterns, max_size=4), names)
def test_an_exception_for_everything_leaves_nothing_out(lines: list[str], path: str) -> None:
    assert not left_out("\n".join([*lines, "!**"]), path)


@given(st.lists(patterns, min_size=1, max_size=4), names)
def test_what_lies_in_a_folder_that_is_left_out_is(lines: list[str], path: str) -> None:
    if left_out("\n".join(lines), path):
        assert left_out("\n".join(lines), f"{path}/below")
        assert left_out("\n".join([*lines, "!never"]), f"{path}/below"), "by the longer way, too"


@given(st.lists(patterns, max_size=4), names)
def test_both_ways_agree(lines: list[str], path: str) -> None:
    assert left_out("\n".join(lines), path) == left_out("\n".join(["!never", *lines]), path)
