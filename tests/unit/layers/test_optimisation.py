"""What becomes of each layer: which rules it gets, and what turns them off."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from slimbake.catalogue import rules
from slimbake.fleet import Fleet
from slimbake.layers import Optimisation
from slimbake.lock.locks import Locks
from slimbake.project import load

LOCKS = {"base-web": "fastapi", "base-ml": "onnxruntime", "api": "httpx"}
COMMON = tuple(rule for rule in rules() if not rule.packages)
ALL = tuple(rule.name for rule in COMMON)
WITH_COMPILER = tuple(rule.name for rule in COMMON if "no-compiler" not in rule.conditions)
LINE = "services.yaml: {0}.remove: {1}"


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Fleet]:
    """A fleet of two bases and two services, the upper base and one service with more keys."""

    def load_with(base: str = "", service: str = "", head: str = "") -> Fleet:
        (tmp_path / "services.yaml").write_text(
            f"project: x\npython: '3.11'\n{head}bases:\n  web: {{requirements: [fastapi]}}\n"
            f"  ml: {{extends: web, requirements: [onnxruntime]{base}}}\nservices:\n"
            f"  api: {{context: ., base: ml, requirements: [httpx], command: [a]{service}}}\n"
            "  own: {context: ., base: web, command: [a]}\n"
        )
        return load(tmp_path / "services.yaml").asked

    return load_with


def given(fleet: Fleet, **packages: str) -> Mapping[str, tuple[str, ...]]:
    """The names of the rules that each layer gets. `packages`: what is locked of layers instead."""
    texts = {f"{layer}.txt": lock(name) for layer, name in (LOCKS | packages).items()}
    found = Optimisation(fleet, Locks(texts)).rules
    return {layer: tuple(rule.name for rule in each) for layer, each in found.items()}


def lock(package: str) -> str:
    wheel = f"# {package}-1.20-py3-none-any.whl 5\n"
    return f"{wheel}{package}==1.20 \\\n    --hash=sha256:{'0' * 64}\n"


def test_each_layer_gets_all_rules_that_concern_its_packages(made: Callable[..., Fleet]) -> None:
    found = given(made())
    assert found == {"base-web": ALL, "base-ml": tuple(rule.name for rule in rules()), "api": ALL}


@pytest.mark.parametrize(
    ("how", "off"),
    [
        ({"head": "optimize: false\n"}, {"base-web", "base-ml", "api"}),
        ({"base": ", optimize: false"}, {"base-ml"}),
        ({"service": ", optimize: false"}, {"api"}),
        ({"head": "optimize: false\n", "service": ", optimize: true"}, {"base-web", "base-ml"}),
    ],
)
def test_optimisation_off(how: dict[str, str], off: set[str], made: Callable[..., Fleet]) -> None:
    assert {*LOCKS} - given(made(**how)).keys() == off


def test_what_the_manifest_removes_goes_first_and_always(made: Callable[..., Fleet]) -> None:
    more = ", remove: [a/**, '**/*.md'], keep: [a/b.py]"
    asked = (LINE.format("bases.ml", "a/**"), LINE.format("bases.ml", "**/*.md"))
    fleet = made(base=more)
    assert given(fleet)["base-ml"][:3] == (*asked, "symbols")
    assert fleet.removes == {"base-ml", "api"}, "what lies above has lost it, too"
    bare = made(base=f"{more}, optimize: false", service=", remove: [b.py]")
    assert given(bare)["base-ml"] == asked
    assert given(bare)["api"][0] == LINE.format("services.api", "b.py")


def test_what_compilers_read_stays_below_one_with_a_compiler(made: Callable[..., Fleet]) -> None:
    found = given(made(), api="ziglang")
    assert found == dict.fromkeys(LOCKS, WITH_COMPILER)
    assert "symbols" in WITH_COMPILER and "sources" not in WITH_COMPILER
