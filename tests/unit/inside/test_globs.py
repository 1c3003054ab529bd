"""Globs of files, held against all ways in which one could match."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from slimbake.inside.globs import matcher

GLOBS = st.lists(
    st.sampled_from(("a", "b", "*", "?", "/", "**", "/**/", ".", "\\", "[")), min_size=1, max_size=8
).map("".join)
# No path has an empty part.
PATHS = st.text("ab/.\\[", min_size=1, max_size=8).filter(lambda path: "//" not in path)


def fits(glob: str, path: str) -> bool:
    def parts(globs: list[str], names: list[str]) -> bool:
        if not globs or not names:
            return not globs and not names
        if globs[0] == "**":
            if len(globs) == 1:
                return names != [""]
            return parts(globs[1:], names) or (names[0] != "" and parts(globs, names[1:]))
        wild = {"*": "[^/]*", "?": "[^/]"}
        pattern = "".join(wild.get(letter, re.escape(letter)) for letter in globs[0])
        return re.fullmatch(pattern, names[0]) is not None and parts(globs[1:], names[1:])

    if glob.startswith("/") != path.startswith("/"):
        return False
    return parts(glob.removeprefix("/").split("/"), path.removeprefix("/").split("/"))


@given(GLOBS, PATHS)
@example("**/a*b/**/*a", "a/ab/b/ba")
@example("*a*a*b", "aaaab")
@example("**/a/b/**/b", "a/a/b/b")
def test_a_glob_matches_what_fits_in_any_way(glob: str, path: str) -> None:
    assert matcher([glob])(path) is fits(glob, path)
