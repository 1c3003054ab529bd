"""Variables that make each other longer come to an end."""

from __future__ import annotations

import time

import pytest

from slimbake.adopt.shell import expand

GROWN = {
    "doubled": "${A%d}${A%d}",
    "as a default": "${NONE:-${A%d}}${A%d}",
    "as another": "${A%d:+${A%d}${A0}${A0}}",
    "many times": "${A%d}" * 500 + "${A%d}",
}


@pytest.mark.parametrize("grown", GROWN)
def test_variables_that_grow_end(grown: str) -> None:
    values = {"A0": "x" * 50}
    began = time.monotonic()
    for number in range(200):
        text = GROWN[grown].replace("%d", str(number))
        values[f"A{number + 1}"] = expand(text, values)
    assert max(map(len, values.values())) < 4_000_000
    assert time.monotonic() - began < 10


def test_a_long_text_of_one_variable_is_filled_in() -> None:
    assert expand("${A}/b", {"A": "a" * 1000}) == "a" * 1000 + "/b"


@pytest.mark.parametrize("piece", ["$", "${", "${A", "${A:-", "$A", "\\$", "}", "${A:-${", "a"])
def test_twice_the_length_takes_twice_the_time(piece: str) -> None:
    def seconds(count: int) -> float:
        began = time.perf_counter()
        expand(piece * count, {"A": "b"})
        return time.perf_counter() - began

    assert (
        min(seconds(40_000) for _ in range(3)) < 3 * min(seconds(20_000) for _ in range(3)) + 0.05
    )
