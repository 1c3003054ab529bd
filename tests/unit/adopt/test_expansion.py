"""Variables that make each other longer come to an end."""

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
    for number in range(200):
        text = GROWN[grown].replace("%d", str(number))
        values[f"A{number + 1}"] = expand(text, values)
    assert max(map(len, values.values())) < 4_000_000


# Long enough that a step for each pair of characters takes hours: no time is compared.
@pytest.mark.timeout(120)
@pytest.mark.parametrize("piece", ["$", "${", "${A", "${A:-", "$A", "\\$", "}", "${A:-${", "a"])
def test_a_long_text_is_read_once(piece: str) -> None:
    expand(piece * 400_000, {"A": "b"})
