"""kill -9 at moments of commands that work with the engine: no tag moves but to an image that holds,
and the same command goes on. An image without a name goes with the next build, or `prune`. What
else the campaign does is in tests/abuse.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.abuse.killed import __file__ as PROGRAM  # noqa: N812
from tests.abuse.machines import documented
from tests.engine.conftest import Toy, docker, fleet
from tests.engine.test_interrupt import in_environment
from tests.engine.toys import dangling, held, write
from tests.patience import wait_for

pytestmark = pytest.mark.slow

SEED = 20261127
KILLS = {
    ("bake",): 5,
    ("smoke",): 1,
    ("sizes",): 1,
    ("prune",): 1,
    ("census",): 1,
    ("run", "one"): 1,
    ("up",): 1,
    ("down",): 1,
}
CHANCE = random.Random(SEED)  # noqa: S311 - the same moments every time
CASES = [
    (command, (number + CHANCE.random()) / kills, CHANCE.randrange(40))
    for command, kills in KILLS.items()
    for number in range(kills)
]


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """A fleet of one service that was baked."""
    with fleet(tmp_path_factory.mktemp("killed")) as toy:
        write(toy, "one")
        done = toy.slimbake("bake")
        assert done.code == 0, done.stderr
        yield toy


def run(toy: Toy, words: tuple[str, ...], moment: int, steps: int) -> tuple[int, int]:
    """The exit code of a command that is killed at a moment, and how many moments it had by its
    end.
    """
    moments = toy.root.parent / "moments"
    done = subprocess.run(
        [sys.executable, PROGRAM, moments, str(moment), str(steps), *words],
        cwd=toy.root,
        env={**os.environ, "CI": "true", "TOY": toy.project},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != -9:
        documented(done.returncode, done.stdout, done.stderr)
    return done.returncode, int(moments.read_text()) if moments.exists() else 0


@pytest.mark.parametrize(
    ("command", "part", "steps"),
    [pytest.param(*each, id=f"{' '.join(each[0])} at {each[1]:.0%}") for each in CASES],
)
def test_a_command_of_the_engine_that_was_killed_goes_on(
    command: tuple[str, ...], part: float, steps: int, baked: Toy
) -> None:
    def edit(text: str) -> None:
        baked.file("one/app.py", f"print({text!r})\n")

    edit(f"before {part}")
    assert baked.slimbake("bake").code == 0
    edit(f"counted {part}")
    code, moments = run(baked, command, 0, 0)
    assert code == 0
    edit(f"killed {part}")
    before = held(baked.image("one"))
    code, _ = run(baked, command, 1 + int(part * moments), steps)
    assert code in {-9, 0}
    wait_for(in_environment(f"TOY={baked.project}"), "the end of what it had started")
    if held(baked.image("one")) != before:
        assert docker("run", "--rm", baked.image("one")) == f"killed {part}\n"
    done = baked.slimbake(*command)
    assert done.code == 0, done.stderr
    assert [path for path in baked.root.rglob(".*.*") if path.is_file()] == []
    assert baked.slimbake("generate", "--check").code == 0


def test_nothing_is_left_running(baked: Toy) -> None:
    assert baked.slimbake("down").code == 0
    assert baked.slimbake("prune").code == 0
    assert docker("ps", "--all", "--quiet", f"--filter=name={baked.project}-") == ""
    assert dangling(baked) == ""
