"""kill -9 at any moment: no file is half-written, and the same command goes on and leaves nothing
behind.
"""

import random
from collections.abc import Callable

import pytest
from tests.abuse.homes import BEFORE, GENERATE, LOCK, References, Words, goes_on, whole
from tests.patience import wait_for

SEED = 20261127
KILLS: dict[Words, int] = {
    **dict.fromkeys(BEFORE, 1),
    ("init",): 3,
    LOCK: 7,
    ("lock", "--upgrade"): 2,
    ("lock", "--fetch"): 6,
    GENERATE: 6,
    ("bake",): 3,
    ("add", "two", "--base", "web"): 3,
    ("doctor",): 2,
    ("prune",): 2,
}


def cases() -> list[tuple[Words, float, int]]:
    """Command, how far it gets, and the calls that it makes beyond that."""
    chance = random.Random(SEED)  # noqa: S311 - the same moments every time
    return [
        (command, (number + chance.random()) / kills, chance.randrange(40))
        for command, kills in KILLS.items()
        for number in range(kills)
    ]


@pytest.mark.parametrize(
    ("command", "part", "steps"),
    [pytest.param(*each, id=f"{' '.join(each[0])} at {each[1]:.0%}") for each in cases()],
)
def test_a_command_that_was_killed_goes_on(
    command: Words,
    part: float,
    steps: int,
    references: References,
    record_property: Callable[[str, object], None],
) -> None:
    known = references(command)
    home, moment = references.again(command), 1 + int(part * known.moments)
    record_property("killed at", f"moment {moment} of {known.moments}, {steps} calls on ({SEED})")
    code, _, _ = home.run(*command, moment=moment, steps=steps)
    assert code in {-9, known.ended.code}
    wait_for(home.quiet, "the end of what it had started")
    whole(home.left(), known)
    goes_on(home, command, known)
