"""YAML text to plain values: aliases and merges, hostile texts, where things stand."""

import pytest

from slimbake.config.document import MAX_DEPTH, Position, read_yaml


def fault(text: str) -> str:
    (only,) = read_yaml(text).faults
    return only.message


MERGED = {
    "a": {"x": "A", "y": "A"},
    "b": {"y": "B", "z": "B"},
    "c": {"x": "own", "y": "A", "z": "B"},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('["no", \'3.10\', !!str 8000, ""]', ["no", "3.10", "8000", ""]),
        (
            "a: &x {k: [v]}\nb: *x\nc: &k key\n*k : d\n",
            {"a": {"k": ["v"]}, "b": {"k": ["v"]}, "c": "key", "key": "d"},
        ),
        ("&x a: &y b\ne: [*x, *y]\n", {"a": "b", "e": ["a", "b"]}),
        ("a: &a {x: A, y: A}\nb: &b {y: B, z: B}\nc: {<<: [*a, *b], x: own}\n", MERGED),
        ('"<<": {a: b}', {"<<": {"a": "b"}}),
    ],
    ids=["texts", "aliases", "anchors at keys", "merges, where the first wins", "a quoted merge"],
)
def test_a_text_has_these_values(text: str, value: object) -> None:
    found = read_yaml(text)
    assert (found.value, found.complete, found.faults) == (value, True, ())


def test_of_two_equal_keys_the_first_is_kept_and_both_are_named() -> None:
    found = read_yaml("a: first\nb: x\na: second\n")
    assert found.value == {"a": "first", "b": "x"}
    assert [(each.place, each.twin) for each in found.faults] == [(Position(3, 1), True)]


def test_nesting_is_counted_through_aliases() -> None:
    half = MAX_DEPTH // 2 + 1
    deep = "[" * half + "]" * half
    assert read_yaml(f"{deep}\n").faults == ()
    assert (
        fault(f"- &a {deep}\n- {'[' * half}*a{']' * half}\n") == "nested more than 50 levels deep"
    )


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 5_000, 100_000])
def test_absurd_nesting_is_refused_before_it_costs_anything(depth: int) -> None:
    assert "nest" in fault("[" * depth + "]" * depth)
    assert "nest" in fault(
        "".join(f"{' ' * level}k:\n" for level in range(min(depth, 900))) + " " * 900 + "x"
    )


def test_many_honest_aliases_are_no_bomb() -> None:
    text = "d: &d {a: b, c: d}\n" + "".join(f"k{n}: *d\n" for n in range(30_000))
    assert len(read_yaml(text).value) == 30_001


def test_every_key_and_value_has_its_place() -> None:
    found = read_yaml("services:\n  api:\n    platforms: [a, b]\n    env:\n      X: y\n").places
    assert found.key(("services", "api")) == (2, 3)
    assert found.value(("services", "api", "platforms", 1)) == (3, 20)
    assert found.value(("services", "api", "env", "X")) == (5, 10)


def test_a_place_that_is_not_in_the_text_is_that_of_what_is_around_it() -> None:
    found = read_yaml("a: &a {x: y}\nb: *a\n").places
    assert found.value(("b", "x")) == (1, 11)  # where the anchor is
    assert found.key(("b", "y", 3)) == (2, 1)
