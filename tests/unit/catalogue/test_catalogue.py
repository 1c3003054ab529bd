"""The rules: the shipped file, what a layer gets of it, and what a glob means."""

import dataclasses
import re

from hypothesis import given
from hypothesis import strategies as st

from slimbake.catalogue import FILE, Rule, requested, rules
from slimbake.config.document import read_yaml
from slimbake.config.model import Removal
from slimbake.inside.globs import matcher
from slimbake.inside.make.rules import LayerRule, parse_rule

CONDITIONS = {"no-compiler", "unnamed", "stub"}
KEYS = {"about", "why", "conditions", "packages", "remove", "keep", "strip"}


def test_the_shipped_file_is_sound() -> None:
    entries = read_yaml(FILE.read_text("utf-8")).value["rules"]
    assert len(rules()) == len(entries) >= 5
    for rule in rules():
        assert {*entries[rule.name]} <= KEYS
        assert rule.about and rule.why.endswith(".")
        assert bool(rule.remove) != rule.strip
        assert {*rule.conditions} <= CONDITIONS and bool(rule.conditions) == bool(rule.remove)
        by_ending = all(re.fullmatch(r"\*\*/\*(\.\w+)", glob) for glob in rule.remove)
        assert by_ending or "stub" not in rule.conditions


def test_rules_are_given_to_a_build_in_the_same_words() -> None:
    fields = {field.name for field in dataclasses.fields(LayerRule)}
    assert fields <= {field.name for field in dataclasses.fields(Rule)}
    for rule in rules():
        given_to_it = parse_rule(rule.as_json())
        assert all(getattr(given_to_it, name) == getattr(rule, name) for name in fields)


def test_a_rule_concerns_the_versions_that_it_names() -> None:
    rule = Rule(name="x", packages=(("thing", ">=2,<3"),), remove=("thing/**",))
    assert rule.concerns((("thing", "2.1"),))
    assert not rule.concerns((("thing", "3.0"), ("other", "2.1")))
    assert Rule(name="x", strip=True).concerns(())


def test_a_requested_rule_is_called_after_its_line() -> None:
    removal = Removal(("a/**", "b/*.py"), ("a/keep.py",))
    first, second = requested(removal, "services.yaml", "bases.ml")
    assert first.name == "services.yaml: bases.ml.remove: a/**"
    assert (second.remove, second.keep, second.requested) == (("b/*.py",), ("a/keep.py",), True)


GLOBS = (
    ("torch/include/**", "torch/include/a/b.h", True),
    ("torch/include/**", "torch/include", False),
    ("**/*.h", "x.h", True),
    ("**/*.h", "a/b/x.h", True),
    ("*.h", "a/x.h", False),
    ("a/?.py", "a/b.py", True),
    ("a/?.py", "a/bc.py", False),
    ("a/**/z.py", "a/z.py", True),
    ("a/**/z.py", "a/b/c/z.py", True),
    ("/bin/*", "/bin/x", True),
    ("bin/*", "/bin/x", False),
    ("**", "/bin/x", False),
    ("a.b", "axb", False),
)


def test_what_globs_mean() -> None:
    for glob, path, means in GLOBS:
        assert matcher([glob])(path) is means, (glob, path)
    assert not matcher([])("anything")


@given(st.lists(st.text("ab./", min_size=1, max_size=6), min_size=1, max_size=3))
def test_a_path_matches_itself(parts: list[str]) -> None:
    path = "/".join(parts)
    assert matcher([path])(path)
