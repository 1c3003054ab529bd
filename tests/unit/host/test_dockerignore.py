"""`.dockerignore` as BuildKit reads it; the cases say what moby/patternmatcher says of them."""

import posixpath
import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from slimbake.host.dockerignore import Ignore, matches


def left_out(text: str, path: str) -> bool:
    return Ignore(text).leaves_out(path)


@pytest.mark.parametrize(
    ("text", "out", "kept"),
    [
        ("file", ["file"], ["folder/file"]),
        ("folder", ["folder/file"], []),
        ("/folder/", ["folder/file"], []),
        ("./folder/../other", ["other/x"], []),
        ("*", ["any", "folder/any"], []),
        ("*.txt", ["a.txt"], ["folder/a.txt"]),
        ("*/*.txt", ["folder/a.txt"], []),
        ("folder/*", ["folder/a"], ["folder"]),
        ("?.txt", ["a.txt"], ["ab.txt"]),
        ("**", ["a/b/c"], []),
        ("**/", ["a"], []),
        ("**/file", ["file", "a/b/file"], ["a/b/afile"]),
        ("**file", ["afile"], []),
        ("**/*.pyc", ["a/b.pyc"], []),
        ("**/.*", [".git", "a/.env/x"], ["a.b"]),
        ("a/**", ["a/b/c"], ["a"]),
        ("a**", ["abc/d"], []),
        ("a/**/b", ["a/b", "a/x/y/b"], ["a/x/y/bc"]),
        ("**/tests/**", ["x/tests/y"], []),
        ("[a-c].txt", ["b.txt"], []),
        ("[^a-c].txt", ["d.txt"], ["b.txt"]),
        ("[[a].txt", ["[.txt"], []),
        ("a\\*", ["a*"], ["ab"]),
        ("a.b", [], ["axb"]),
        ("a+(b)", ["a+(b)"], []),
        ("a b", ["a b"], []),
        ("  a  ", ["a"], []),
        ("# file", [], ["# file"]),
        (" #file", ["#file"], []),
        ("\ufeffa", ["a"], []),
        ("a\r\nb", ["a"], []),
        # only LF ends a line, and Go takes for space what Unicode does
        *((f"# a{end}b", [], ["b"]) for end in "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"),
        *((f"a{end}b", [f"a{end}b"], ["a", "b"]) for end in "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"),
        *((f"{space}a{space}", ["a"], []) for space in "\r\v\f\x85\xa0\u2028\u2029\u3000"),
        *((f"a{joint}", [f"a{joint}"], ["a"]) for joint in "\x1c\x1d\x1e\x1f\u200b"),
        ("ä*", ["äöü"], []),
        ("..", [], ["a"]),
        ("/", [], ["a"]),
        (".", [], ["a"]),
        # exceptions: the last that matches decides
        ("*\n!a", ["b"], ["a"]),
        ("!a\n*", ["a"], []),
        ("*\n!a\na/b", ["a/b"], ["a/c"]),
        ("folder\n!folder/kept", ["folder/other"], ["folder/kept", "folder/kept/below"]),
        ("**\n!**/*.py", ["a/b.txt"], ["a/b.py"]),
        ("! a\n", [], ["a"]),
        ("*\n! a", [], ["a"]),
        ("*.md\n!README*.md\nREADME-secret.md", ["README-secret.md"], ["README-more.md"]),
        ("*.md\nREADME-secret.md\n!README*.md", [], ["README-secret.md"]),
        ("a\n!a\nb", [], ["a/x"]),
    ],
)
def test_patterns_and_exceptions(text: str, out: list[str], kept: list[str]) -> None:
    assert [path for path in (*out, *kept) if left_out(text, path)] == out


@pytest.mark.parametrize("text", ["a[", "[]", "a\\", "!", "a]"])
def test_a_pattern_that_docker_refuses(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"^" + "".join(f"\\{c}" if c in "[]\\!" else c for c in text)
    ):
        Ignore(f"fine\n{text}\n")


pieces = ("a", "b", "*", "?", "/", "**", "/**/", "**/", "*a", "[ab]", "[^b]", "b*")
wild = {"**/": "(?:.*/)?", "**": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}


@given(
    st.lists(st.sampled_from(pieces), min_size=1, max_size=6).map("".join),
    st.lists(st.text("ab.", min_size=1, max_size=4), min_size=1, max_size=4).map("/".join),
)
@example("a**/b*[^b]b", "aa/b/bab")
@example("**/*a?/**/*b", "aa/ba/aab/b")
def test_a_pattern_matches_as_its_regular_expression_in_go_does(pattern: str, path: str) -> None:
    pattern = posixpath.normpath(pattern).lstrip("/")
    assume(pattern and not re.fullmatch(r"\*\*[^*?\[]*|[^*?\[]*\*\*", pattern))
    assume(pattern.count("*") < 6)  # of more, some are refused
    found = [match[0] for match in re.finditer(r"\*\*/?|\[.*?\]|.", pattern)]
    expression = [wild.get(piece, piece) for piece in found]
    if found[-1] == "**":
        expression[-1] = ".*"
    assert matches(pattern, path) is (re.fullmatch("".join(expression), path) is not None)


def test_a_pattern_that_takes_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a\*\[\^b\]"):
        Ignore("a*[^b]" + "*[^b]" * 6)


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
    assume(left_out("\n".join(lines), path))
    assert left_out("\n".join(lines), f"{path}/below")
    assert left_out("\n".join([*lines, "!never"]), f"{path}/below"), "by the longer way, too"


@given(st.lists(patterns, max_size=4), names)
def test_both_ways_agree(lines: list[str], path: str) -> None:
    assert left_out("\n".join(lines), path) == left_out("\n".join(["!never", *lines]), path)
