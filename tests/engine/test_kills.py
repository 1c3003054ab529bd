"""kill -9 at moments of commands that work with the engine: no tag moves but to an image that holds,
and the same command goes on. An image without a name goes with the next build, or `prune`. What
else the campaign does is in tests/abuse.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.abuse.killed import __file__ as PROGRAM  # noqa: N812
from tests.abuse.machines import documented
from tests.engine.conftest import Toy, docker, fleet
from tests.engine.test_interrupt import in_environment
from tests.engine.toys import code as code_of
from tests.engine.toys import dangling, entry, held, write
from tests.patience import wait_for
from tests.ran import ran

pytestmark = pytest.mark.slow

SEED = 20261127
ONCE = ("check --images", "sizes", "prune", "run one", "up", "down")
KILLS = {"bake": 5, **dict.fromkeys(ONCE, 1)}
CHANCE = random.Random(SEED)  # noqa: S311 - the same moments every time
CASES = [
    (tuple(command.split()), (number + CHANCE.random()) / kills, CHANCE.randrange(40))
    for command, kills in KILLS.items()
    for number in range(kills)
]


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """A fleet of one service that was baked."""
    with fleet(tmp_path_factory.mktemp("killed")) as toy:
        write(toy, "one")
        toy.done("bake")
        yield toy


def run(toy: Toy, words: tuple[str, ...], moment: int, steps: int) -> tuple[int, int]:
    """The exit code of a command that is killed at a moment, and how many moments it had by its
    end.
    """
    moments = toy.root.parent / "moments"
    argv: list[str | Path] = [sys.executable, PROGRAM, moments, str(moment), str(steps), *words]
    done = ran(argv, cwd=toy.root, env={**os.environ, "CI": "true", "TOY": toy.project})
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
        baked.file("one/app.py", f"print({text!r})  # {baked.project}\n")

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
    else:
        assert code == -9 or command != ("bake",)
    baked.done(*command)
    assert [path for path in baked.root.rglob(".*.*") if path.is_file()] == []
    assert baked.slimbake("check").code == 0


def test_nothing_is_left_running(baked: Toy) -> None:
    assert baked.slimbake("down").code == 0
    assert baked.slimbake("prune").code == 0
    assert docker("ps", "--all", "--quiet", f"--filter=name={baked.project}-") == ""
    assert dangling(baked) == ""


VERIFIED = ("check", "--images")
TIMES = 2


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """A fleet with something to verify, that was baked."""
    folder = tmp_path_factory.mktemp("verified")
    root = folder / "fleet"
    (folder / "tmp").mkdir()
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch, fleet(root) as toy:
        patch.setenv("TMPDIR", str(folder / "tmp"))
        toy.write(
            "services:\n" + entry("one", "    verify: verify.py\n"),
            {
                **code_of(toy, "one"),
                "one/verify.py": "def verify(service):\n    assert service.run().code == 0\n",
            },
        )
        toy.done("bake")
        shutil.copytree(root, folder / "start", symlinks=True)
        yield toy


def again(toy: Toy) -> None:
    """The fleet as it was after its bake."""
    shutil.rmtree(toy.root)
    shutil.copytree(toy.root.parent / "start", toy.root, symlinks=True)


def test_a_command_that_tries_images_and_was_killed_goes_on(verified: Toy) -> None:
    again(verified)
    code, moments = run(verified, VERIFIED, 0, 0)
    assert code == 0
    chance = random.Random(SEED)  # noqa: S311
    codes = set()
    for number in range(TIMES):
        again(verified)
        moment = 1 + int((number + chance.random()) / TIMES * moments)
        code, _ = run(verified, VERIFIED, moment, chance.randrange(40))
        assert code in {-9, 0}, moment
        codes.add(code)
        wait_for(in_environment(f"TOY={verified.project}"), "the end of what it had started")
        done = verified.slimbake(*VERIFIED)
        assert done.code == 0, (moment, done.stderr)
        assert [path for path in verified.root.rglob(".*.*") if path.is_file()] == []
    assert -9 in codes
    assert verified.slimbake("prune").code == 0
    ours = f"--filter=label=slimbake.project={verified.project}"
    assert docker("ps", "--all", "--quiet", ours) == ""
    assert dangling(verified) == ""
    assert list((verified.root.parent / "tmp").iterdir()) == []
