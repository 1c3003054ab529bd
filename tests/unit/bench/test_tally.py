"""Two censuses are compared: what is gone is a loss, unless a rule lists it."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench.counting import images as counting
from bench.counting.tally import Census, compared_imports, package_keys, tally

from slimbake.host.workspace import Workspace

MARKERS = {"python_version": "3.11", "sys_platform": "linux"}
WHOLE: dict[str, Any] = {
    "inventory": {"files": {"disk": 9}, "losses": []},
    "ledger": [],
    "modules": {"a": "package", "a.b": "module", "a.random": "package"},
    "listings": {"a": ["b", "random."]},
    "entry_points": {"a: console_scripts: run": ["a.b", "module"]},
    "requires": {"a": ["c>=1", "d; sys_platform == 'win32'", "e; extra == 'more'", "absent"]},
    "versions": {"a": "1", "c": "1.5"},
    "markers": MARKERS,
    "unresolved": {"/lib/x.so": ["libgpu.so.1"]},
    "find_library": {"z": "libz.so.1", "q": None},
    "stale_imports": [],
}


def harmed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    after = copy.deepcopy(WHOLE)
    change(after)
    return after


def test_a_namespace_of_which_a_rule_took_all_is_explained_by_it() -> None:
    """numpy names its folder of pkg-config's files as an entry point."""
    before = copy.deepcopy(WHOLE)
    before["entry_points"] = {"a: pkg_config: a": ["a.lib.pc", "namespace"]}
    after = copy.deepcopy(before)
    after["entry_points"] = {"a: pkg_config: a": ["a.lib.pc", ""]}
    assert [each.by for each in tally(before, after).differences] == [""]
    after["ledger"] = [["a/lib/pc/a.pc", "sources"]]
    assert [each.by for each in tally(before, after).differences] == ["sources"]


MISSING = {"name": "a/data.json", "package": "a", "why": "it is not in the image"}
# A key of the census, what changes in it (nothing: all of it goes), and the loss.
LOSSES: dict[str, tuple[str, dict[str, Any], str]] = {
    "a module": ("modules", {"a.b": ""}, "module a.b: module before, not there"),
    "a package's own code": (
        "modules",
        {"a.random": "namespace"},
        "module a.random: package before, namespace now",
    ),
    "a name": ("listings", {"a": ["b"]}, "listing a.random: listed before"),
    "an entry point": ("entry_points", {}, "entry point a: console_scripts: run"),
    "a requirement": ("versions", {}, "requirement c>=1 of a: met before"),
    "an older requirement": ("versions", {"a": "1", "c": "0.9"}, "requirement c>=1 of a: met"),
    "a library": (
        "unresolved",
        {"/lib/x.so": ["libb.so", "libgpu.so.1"]},
        "library libb.so of /lib/x.so: found before",
    ),
    "a system library": (
        "find_library",
        {"z": None},
        "find_library z: libz.so.1 before, not there now",
    ),
    "a file": ("inventory", {"losses": [MISSING]}, "a/data.json of a: it is not in the image"),
}


@pytest.mark.parametrize("what", LOSSES)
def test_all_that_is_taken_away_is_a_loss(what: str) -> None:
    key, change, words = LOSSES[what]
    after = copy.deepcopy(WHOLE)
    after[key] = {**WHOLE[key], **change} if change else {}
    (loss,) = tally(WHOLE, after).losses
    assert loss.startswith(words)


def test_what_a_rule_lists_is_a_difference_and_no_loss() -> None:
    def take(after: dict[str, Any]) -> None:
        after["ledger"] = [
            ["a/random/__init__.py", "numpy.random"],
            ["c-1.5.dist-info/METADATA", "without.c"],
            ["a/libb.so", "libraries"],
        ]
        after["modules"]["a.random"] = ""
        after["listings"]["a"] = ["b"]
        after["versions"].pop("c")
        after["unresolved"]["/lib/x.so"] = ["libb.so", "libgpu.so.1"]
        after["stale_imports"] = [["a", "a.random", "numpy.random", "at import"]]

    found = tally(WHOLE, harmed(take))
    assert found.losses == () and (found.modules, found.found) == (3, 2)
    assert {(each.kind, each.by) for each in found.differences} == {
        ("module", "numpy.random"),
        ("listing", "numpy.random"),
        ("requirement", "without.c"),
        ("library", "libraries"),
    }
    assert found.stale_imports == {"numpy.random": 1}


def test_imports_are_compared_with_what_came_of_them_before() -> None:
    before = {"a": "imported", "b": "ImportError: no c", "d": "signal 6", "e": "imported"}
    after = {"a": "imported", "b": "ImportError: no c", "d": "imported"}
    assert list(compared_imports(before, after)) == [
        ("d", "signal 6", "imported"),
        ("e", "imported", "it is not there"),
    ]


CONTENTS = {"a": "1", "c": "1", "e": "1", "user": "1", "alone": "1"}
OFFERED: Census = {
    **WHOLE,
    "contents": CONTENTS,
    "requires": {**WHOLE["requires"], "user": ["A"], "c": ["user; extra == 'circle'"]},
}


@pytest.mark.parametrize(
    ("bumped", "asked"),
    [
        ("alone", {"alone"}),
        ("e", {"e", "a", "user", "c"}),  # an extra of a, which user requires, and c of that
        ("user", {"user", "c", "a"}),
    ],
)
def test_a_bump_asks_about_a_package_and_what_requires_it(bumped: str, asked: set[str]) -> None:
    before = package_keys(OFFERED, b"")
    after = package_keys({**OFFERED, "contents": {**CONTENTS, bumped: "2"}}, b"")
    assert {name for name in CONTENTS if before[name] != after[name]} == asked


def test_other_programs_or_another_python_ask_about_all() -> None:
    before = package_keys(OFFERED, b"")
    markers = {**MARKERS, "python_version": "3.12"}
    for other in (package_keys(OFFERED, b"x"), package_keys({**OFFERED, "markers": markers}, b"")):
        assert not {*before.items()} & {*other.items()}


def test_imports_are_kept_by_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def in_image(_: str, program: str, said: Any) -> dict[str, dict[str, str]]:
        asked.append(said["packages"])
        found = {name: {f"{name}.m": "imported"} for name in said["packages"]}
        found.pop("e", None)  # which asks for nothing at its imports
        return found

    monkeypatch.setattr(counting, "in_image", in_image)
    workspace = Workspace(tmp_path)
    first = counting._outcomes("image", OFFERED, "optimised", workspace)
    assert first == {f"{name}.m": "imported" for name in CONTENTS if name != "e"}
    bumped = {**OFFERED, "contents": {**CONTENTS, "alone": "2"}}
    assert counting._outcomes("another", bumped, "optimised", workspace) == first
    assert asked == [sorted(CONTENTS), ["alone"]]
    counting._outcomes("bare", OFFERED, "bare", workspace)
    assert asked[2:] == [sorted(CONTENTS)], "an answer of one side is none of the other"
