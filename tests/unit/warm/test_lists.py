"""Warm lists: what a layer needs of what was traced, the file, and which layers have one."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.golden.fleets import FLEETS

from slimbake.errors import UsageError
from slimbake.lock.text import lock_text
from slimbake.project import load
from slimbake.warm import read_warm
from slimbake.warm.lists import Traced, parse_warm, warm_lines, warm_text

API = Traced(
    service="api", modules={"torch/__init__.py": "torch", "torch/fx/": "torch", "six.py": "six"}
)
NLG = Traced(service="nlg", modules={"torch/fft/__init__.py": "torch"})
NAMES = st.from_regex(r"[\w][\w .+-]*(/[\w][\w +-]*)*(\.py|/)", fullmatch=True)


def test_a_layer_needs_what_any_of_its_services_uses_of_its_own_packages() -> None:
    torch = ("torch/__init__.py", "torch/fft/__init__.py", "torch/fx/")
    assert warm_lines([API, NLG], {"torch"}) == torch
    assert warm_lines([NLG, API], {"six"}) == ("six.py",)
    assert warm_lines([NLG], {"six"}) == ()
    assert warm_lines([API, replace(API, service="other")], {"six"}) == ("six.py",)


@given(st.sets(NAMES))
def test_a_list_is_read_as_it_was_written(lines: set[str]) -> None:
    assert parse_warm(warm_text("base-ml", lines)) == tuple(sorted(lines))


def test_a_list_says_what_it_is_and_how_it_is_refreshed() -> None:
    text = warm_text("base-ml", ["b.py", "a.py"])
    assert text.splitlines()[-2:] == ["a.py", "b.py"]
    assert "base-ml" in text and "slimbake lock --warm" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("a.py\nb.p", "it is cut off: its last line has no end"),
        (
            "<<<<<<< HEAD\na.py\n",
            "'<<<<<<< HEAD' is neither a module (.py, .py source, .py text) nor a folder/",
        ),
        ("/opt/a.py\n", "'/opt/a.py' is neither a module"),
        ("a/../b.py\n", "'a/../b.py' is neither a module"),
        ("a\\b.py\n", "'a\\b.py' is neither a module"),
        ("torch/lib.so.1\n", "'torch/lib.so.1' is neither a module"),
        ("torch/_C.so\n", "'torch/_C.so' is neither a module"),
    ],
)
def test_what_is_no_list_is_reported_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bake/warm").mkdir(parents=True)
    (tmp_path / "bake/warm/base-ml.txt").write_text(text)
    with pytest.raises(UsageError) as raised:
        read_warm(tmp_path, "base-ml")
    assert f"bake/warm/base-ml.txt: {said}" in str(raised.value)
    assert "slimbake lock --warm" in raised.value.hint


def test_a_layer_without_a_list_sends_nothing_to_a_cold_store() -> None:
    project = load(
        next(each.root for each in FLEETS if each.root.name == "local-packages") / "services.yaml"
    )
    assert project.optimisation.warm == {
        "base-web": ("fastapi/__init__.py",),
        "api": ("our_auth/__init__.py",),
    }
    installs = {t.name: t.recipe.install for t in project.plan.targets if t.recipe}
    warm = {name for name, install in installs.items() if install and install.warm}
    assert warm == {"base-web", "api"}


def test_a_layer_that_is_not_optimised_or_has_nothing_has_no_cold_store(tmp_path: Path) -> None:
    def layers(more: str) -> set[str]:
        file = tmp_path / "services.yaml"
        file.write_text(
            f"project: x\npython: '3.11'\n{more}bases:\n  web: {{requirements: [six]}}\n  bare: {{requirements:"
            " [idna], optimize: false}\nservices:\n  a: {context: ., base: web, command: [a]}\n"
            "  b: {context: ., base: bare, command: [b]}\n"
        )
        return {*load(file).optimisation.optimised}

    assert layers("") == {"base-web"}
    assert layers("optimize: false\n") == set()
    locks = tmp_path / "bake/locks"
    locks.mkdir(parents=True)
    (locks / "base-web.txt").write_text(lock_text(()))
    assert layers("") == set(), "its lock names nothing"
