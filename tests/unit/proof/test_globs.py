"""Lists of files as few globs: exactly these files."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from slimbake.inside.globs import matcher
from slimbake.proof.globs import Globs, compact

PARTS = st.sampled_from(["a", "b", "models", "x.py", "y.py", "z.pyi", "LICENSE", "c.so.1", "d-e+f"])
NAMES = st.builds(
    lambda prefix, parts: prefix + "/".join(parts),
    st.sampled_from(["", "/"]),
    st.lists(PARTS, min_size=1, max_size=4),
)


def removed(globs: Globs, names: set[str]) -> set[str]:
    removes, keeps = matcher(globs.remove), matcher(globs.keep)
    return {name for name in names if removes(name) and not keeps(name)}


@given(st.dictionaries(NAMES, st.booleans(), max_size=40))
@settings(max_examples=500)
def test_globs_remove_exactly_the_files_that_are_meant(files: dict[str, bool]) -> None:
    names = set(files)
    gone = {name for name in files if files[name]}
    assert removed(compact(names, gone), names) == gone


@given(st.dictionaries(NAMES, st.booleans(), max_size=40))
def test_globs_are_no_more_than_the_files(files: dict[str, bool]) -> None:
    gone = {name for name in files if files[name]}
    globs = compact(files, gone)
    assert len(globs.remove) + len(globs.keep) <= len(gone)


def test_a_folder_of_which_little_is_needed_is_a_keep_set() -> None:
    models = {
        f"t/models/{name}/modeling.py" for name in ("auto", "bert", "gpt", "llama", "t5", "vit")
    }
    needed = {"t/models/auto/modeling.py", "t/models/bert/modeling.py"}
    globs = compact(models | {"t/core.py"}, models - needed)
    assert globs == Globs(("t/models/**",), ("t/models/auto/**", "t/models/bert/**"))


def test_a_folder_of_which_little_goes_is_a_removal_list() -> None:
    names = {f"t/{name}.py" for name in "abcdefg"} | {"t/test/a.py", "t/test/b.py"}
    assert compact(names, {"t/a.py", "t/test/a.py", "t/test/b.py"}) == Globs(
        ("t/a.py", "t/test/**"), ()
    )


def test_a_kind_of_file_that_a_package_needs_nowhere_is_one_glob() -> None:
    names = {f"t/{folder}/{name}" for folder in "abc" for name in ("m.py", "m.pyi")}
    stubs = {name for name in names if name.endswith(".pyi")}
    assert compact(names, stubs) == Globs(("**/*.pyi",), ())
    assert compact(names | {"u/needed.pyi"}, stubs) == Globs(("t/**/*.pyi",), ())


def test_a_folder_that_is_called_alike_everywhere_is_one_glob() -> None:
    names = {
        f"t/{folder}/{name}" for folder in "abc" for name in ("m.py", "tests/a.py", "tests/b.json")
    }
    tests = {name for name in names if "tests" in name}
    assert compact(names, tests) == Globs(("**/tests/**",), ())
    assert compact(names | {"u/tests/needed.py"}, tests) == Globs(("t/**/tests/**",), ())


def test_modules_are_never_named_by_their_kind() -> None:
    names = {f"t/{folder}/{name}" for folder in "abc" for name in ("m.py", "data.json")}
    assert (
        "t/**/*.py" not in compact(names, {name for name in names if name.endswith(".py")}).remove
    )
