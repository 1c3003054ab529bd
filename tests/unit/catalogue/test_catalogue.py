"""The catalogue of passes: the shipped file, what is read of it, and what a glob means."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimbake.catalogue import globs, read, rules, show
from slimbake.catalogue.model import Pass
from slimbake.catalogue.read import PASSES_SCHEMA, SHIPPED, catalogue, checked, shipped
from slimbake.config.document import read_yaml
from slimbake.inside import passes as inside
from slimbake.inside.globs import matcher

SCHEMA: dict[str, Any] = json.loads(PASSES_SCHEMA.read_text("utf-8"))
TORCH = Pass(
    name="torch.x",
    about="",
    why="",
    costs="",
    packages=(("torch", ">=2.5,<3"),),
    remove=("torch/x/**",),
)
PINS = (("numpy", "2.4.6"), ("setuptools", "84.2.1"), ("torch", "2.13.0+cpu"))

OWN = """\
passes:
  torch.headers:
    about: removes no headers but those of pybind11
    why: we compile
    packages: {Torch: ">=2"}
    remove: [torch/include/pybind11/**]
  ours.data:
    about: removes data
    why: it is for tests
    remove: [ours/data/**]
"""


def test_the_shipped_file_is_sound() -> None:
    checked(SHIPPED, shipped=True)  # raises ManifestError
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_shipped_file_is_sorted_and_every_entry_says_why() -> None:
    text = SHIPPED.read_text("utf-8")
    names = [each.name for each in shipped()]
    assert names == sorted(set(names)) == list(read_yaml(text).value["passes"])
    assert all(each.about and each.why for each in shipped())
    assert max(map(len, text.splitlines())) <= 120


def test_the_shipped_file_holds_no_figures_and_no_verdicts() -> None:
    assert not re.search(
        r"\d\s*MB|proven|refuted\b(?! too)",
        SHIPPED.read_text("utf-8").replace("100 MB", ""),
    )


def test_what_strips_is_part_of_what_a_pass_that_strips_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {each.name: each.digest for each in shipped()}
    (tmp_path / "elf.py").write_text("another\n")
    monkeypatch.setattr(read, "STRIPPER", tmp_path / "elf.py")
    read._stripper.cache_clear()
    try:
        after = {each.name: each.digest for each in read.shipped.__wrapped__()}
    finally:
        read._stripper.cache_clear()
    changed = {name for name, digest in before.items() if after[name] != digest}
    assert changed == {each.name for each in shipped() if each.strip} != set()


def test_the_schema_and_the_model_have_the_same_keys() -> None:
    entry = SCHEMA["$defs"]["pass"]
    fields = {field.name for field in dataclasses.fields(Pass)}
    assert set(entry["properties"]) == fields - {"name", "stripper"}
    assert entry["additionalProperties"] is False
    assert set(rules.KINDS) <= set(entry["properties"])


def test_passes_are_given_to_a_build_in_the_same_words() -> None:
    assert {field.name for field in dataclasses.fields(inside.LayerPass)} <= {
        f.name for f in dataclasses.fields(Pass)
    }


LICENCES = (
    "LICENSE",
    "licence.txt",
    "COPYING-3",
    "NOTICE.md",
    "ThirdPartyNotices.txt",
    "copyright",
    "notice.pyi",
)
MODULES = ("license.py", "notice.py", "licenses.pyc", "Copying.PY", "licensing.py")


@pytest.mark.parametrize(
    ("name", "licence"), [(n, True) for n in LICENCES] + [(n, False) for n in MODULES]
)
def test_a_licence_is_the_same_to_rules_and_builds(
    name: str, licence: bool, tmp_path: Path
) -> None:
    glob, site = f"a/{name}", tmp_path / "lib/python3.11/site-packages"
    for path, text in ((site / glob, ""), (site / "a-1.dist-info/RECORD", f"{glob},,\n")):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    packages = inside.LayerFiles(tmp_path, (path for path in tmp_path.rglob("*") if path.is_file()))
    expected = pytest.raises(inside.PassError) if licence else contextlib.nullcontext()
    with expected:
        assert inside.files_to_remove(
            packages, inside.LayerPass("x", ("a",), remove=(glob,)), compiled=True
        ) == [glob]
    assert bool(globs.protected(glob)) is licence


def test_a_folder_of_headers_is_no_licence() -> None:
    assert not globs.protected("torch/include/**")


def test_own_passes_are_added_and_win_over_shipped_ones(tmp_path: Path) -> None:
    assert catalogue(tmp_path) == shipped()
    (tmp_path / "passes.yaml").write_text(OWN)
    found = {each.name: each for each in catalogue(tmp_path)}
    assert list(found) == sorted({"ours.data", *(each.name for each in shipped())})
    assert found["torch.headers"].remove == ("torch/include/pybind11/**",)
    assert found["torch.headers"].packages == (("torch", ">=2"),)
    assert found["ours.data"].costs == ""


@pytest.mark.parametrize(
    "change",
    [
        {"packages": (("torch", ">=2.6,<3"),)},
        {"remove": ("torch/y/**",)},
        {"keep": ("torch/x/y",)},
        {"drop": ("torch",)},
        {"strip": "debug"},
        {"uncompiled": ("**",)},
        {"env": (("A", "1"),)},
    ],
)
def test_the_digest_changes_with_what_a_pass_does(change: dict[str, Any]) -> None:
    assert dataclasses.replace(TORCH, **change).digest != TORCH.digest


def test_the_digest_does_not_change_with_what_is_said() -> None:
    said = dataclasses.replace(TORCH, name="other", about="other", why="other", costs="other")
    assert said.digest == TORCH.digest


@pytest.mark.parametrize(
    ("specifier", "version", "applies"),
    [
        (">=2.5,<3", "2.13.0+cpu", True),
        (">=2.5,<3", "2.4.1", False),
        (">=2.5,<3", "3.0.0", False),
        (">=2.5,<3", "2.14.0.dev20261101", True),
        ("", "2.13.0+cpu", True),
        ("==2.13.0", "2.13.0+cpu", True),
    ],
)
def test_a_pass_applies_by_version(specifier: str, version: str, applies: bool) -> None:
    found = dataclasses.replace(TORCH, packages=(("torch", specifier),)).applies(
        (("torch", version),)
    )
    assert found == (("torch",) if applies else ())


def test_a_pass_without_packages_applies_to_all() -> None:
    assert dataclasses.replace(TORCH, packages=()).applies(PINS) == ("numpy", "setuptools", "torch")
    assert dataclasses.replace(TORCH, packages=()).applies(()) == ()


def test_a_pass_that_drops_applies_where_one_of_them_is() -> None:
    drops = dataclasses.replace(TORCH, packages=(), remove=(), drop=("pip", "setuptools"))
    assert drops.applies(PINS) == ("setuptools",)
    assert dataclasses.replace(drops, packages=(("setuptools", "<80"),)).applies(PINS) == ()
    assert dataclasses.replace(drops, packages=(("numpy", ""),)).applies(PINS) == (
        "numpy",
        "setuptools",
    )


def test_a_column_shows_where_a_pass_would_work() -> None:
    env = Pass(name="e", about="", why="", costs="", env=(("A", "1"),))
    setting = Pass(name="s", about="", why="", costs="", setting="torch")
    other = dataclasses.replace(TORCH, packages=(("scipy", ""),))
    listed = show.listed((TORCH, env, setting, other), {"base-ml": PINS, "api": (("h11", "1"),)})
    found = [show.where(each) for each in listed]
    assert found == ["base-ml", "`env` of the manifest", "`torch` of the manifest", "none here"]
    assert show.passes_json(listed)[0]["layers"] == {"base-ml": ["torch"]}
    assert [len(row) for row in show.pass_rows(listed)] == [len(show.HEADINGS)] * 4


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("torch/include/**", "torch/include/a/b.h", True),
        ("torch/include/**", "torch/include", False),
        ("torch/include/*", "torch/include/a/b.h", False),
        ("**/tests/**", "tests/a.py", True),
        ("**/tests/**", "numpy/lib/tests/data/a.csv", True),
        ("**/tests/**", "numpy/testsuite/a.py", False),
        ("**/*.h", "a.h", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "ab", False),
        ("/bin/*", "/bin/f2py", True),
        ("bin/*", "/bin/f2py", False),
        ("**", "/bin/f2py", False),
        ("/**", "/bin/f2py", True),
        ("**/f2py", "/bin/f2py", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a+.py", "aa.py", False),
    ],
)
def test_a_glob(glob: str, path: str, matches: bool) -> None:
    assert matcher([glob])(path) is matches


def reference(glob: str, path: str) -> bool:
    """What the documentation says of globs, word for word."""
    if glob.startswith("/") != path.startswith("/"):
        return False
    return folders(glob.removeprefix("/").split("/"), path.removeprefix("/").split("/"))


def folders(parts: list[str], path: list[str]) -> bool:
    match parts:
        case []:
            return not path
        case ["**"]:
            return bool(path)
        case ["**", *rest]:
            return any(folders(rest, path[count:]) for count in range(len(path)))
    return bool(path) and letters(parts[0], path[0]) and folders(parts[1:], path[1:])


def letters(part: str, name: str) -> bool:
    if not part:
        return not name
    if part[0] == "*":
        return any(letters(part[1:], name[count:]) for count in range(len(name) + 1))
    return bool(name) and part[0] in ("?", name[0]) and letters(part[1:], name[1:])


NAMES = st.text("ab.", min_size=1, max_size=3)
PATHS = st.tuples(st.sampled_from(["", "/"]), st.lists(NAMES, min_size=1, max_size=5)).map(
    lambda p: p[0] + "/".join(p[1])
)
PARTS = st.one_of(
    st.just("**"), st.text("ab.*?", min_size=1, max_size=3).filter(lambda part: "**" not in part)
)
GLOBS = st.tuples(st.sampled_from(["", "/"]), st.lists(PARTS, min_size=1, max_size=4)).map(
    lambda p: p[0] + "/".join(p[1])
)


@given(st.lists(GLOBS, max_size=3), PATHS)
def test_globs_match_what_the_documentation_says(given_globs: list[str], path: str) -> None:
    assert matcher(given_globs)(path) is any(reference(glob, path) for glob in given_globs)


@given(GLOBS, PATHS)
def test_rules_fix_globs_for_good(glob: str, path: str) -> None:
    reported = globs.fault(glob)
    for _ in range(3):
        if reported is None or "did you mean '" not in reported[1]:
            break
        reported = globs.fault(reported[1].partition("did you mean '")[2].removesuffix("'?"))
    assert reported is None or "did you mean" not in reported[1]
