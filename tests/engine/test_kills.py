"""kill -9 at moments of commands that work with the engine: no tag moves but to an image that holds,
and the same command goes on. An image without a name goes with the next build, or `prune`. What
else the campaign does is in tests/abuse.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.abuse.killed import __file__ as PROGRAM  # noqa: N812
from tests.abuse.machines import documented
from tests.engine.conftest import Toy, docker, fleet
from tests.engine.test_interrupt import in_environment
from tests.engine.toys import dangling, entry, held, write
from tests.index import serving
from tests.patience import wait_for
from tests.wheels import wheel_bytes

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
    done = baked.slimbake(*command)
    assert done.code == 0, done.stderr
    assert [path for path in baked.root.rglob(".*.*") if path.is_file()] == []
    assert baked.slimbake("generate", "--check").code == 0


def test_nothing_is_left_running(baked: Toy) -> None:
    assert baked.slimbake("down").code == 0
    assert baked.slimbake("prune").code == 0
    assert docker("ps", "--all", "--quiet", f"--filter=name={baked.project}-") == ""
    assert dangling(baked) == ""


TRIALS = {
    ("prove", "--pass", "toy.never"): 2,
    ("search", "one", "--least", "10000"): 2,
    ("verify",): 2,
}
MANY = {
    "toy_many/__init__.py": b"",
    "toy_many/needed.py": b"# needed\n" * 2000,
    "toy_many/never.py": b"# nobody asks for it\n" * 2000,
}
PASSES = """\
passes:
  toy.never:
    about: removes what nobody asks for
    why: Nobody asks for it.
    costs: it
    packages: {toy-many: ""}
    remove: [toy_many/never.py]
"""


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """A fleet with something to prove, to search and to verify, of which nothing is known yet."""
    folder = tmp_path_factory.mktemp("tried")
    root = folder / "fleet"
    (folder / "tmp").mkdir()
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch, serving() as index, fleet(root) as toy:
        patch.setenv("SLIMBAKE_WHEELHOUSE", str(folder / "wheelhouse"))
        patch.setenv("TMPDIR", str(folder / "tmp"))
        index.publish(
            "toy-many", "toy_many-1-py3-none-any.whl", wheel_bytes("toy-many", "1", files=MANY)
        )
        toy.write(
            "optimize: observed\nservices:\n"
            + entry("one", "    requirements: [toy-many]\n    verify: verify.py\n"),
            {
                "passes.yaml": PASSES,
                "one/app.py": f"import toy_many.needed  # {toy.project}\n",
                "one/smoke.py": "def load():\n    import app\n",
                "one/verify.py": "def verify(service):\n    assert service.run().code == 0\n",
            },
        )
        for command in ("lock", "fetch", "bake"):
            done = toy.slimbake(command, env={"UV_DEFAULT_INDEX": index.url})
            assert done.code == 0, done.stderr
        shutil.copytree(root, folder / "start", symlinks=True)
        yield toy


def again(toy: Toy) -> None:
    """The fleet as it was before anything was tried."""
    shutil.rmtree(toy.root)
    shutil.copytree(toy.root.parent / "start", toy.root, symlinks=True)


def verdicts(toy: Toy) -> dict[str, str]:
    """What the evidence says, from files of which each is whole."""
    said = [json.loads(path.read_text()) for path in (toy.root / "bake/evidence").glob("*.json")]
    found = [(name, each) for one in said for name, each in one.get("passes", {}).items()]
    return {name: each["verdict"] for name, each in found}


@pytest.mark.parametrize("command", TRIALS, ids=" ".join)
def test_a_command_that_tries_images_and_was_killed_goes_on(
    command: tuple[str, ...], tried: Toy
) -> None:
    again(tried)
    before = verdicts(tried)
    code, moments = run(tried, command, 0, 0)
    assert code == 0
    after = verdicts(tried)
    assert (after == before) == (command[0] != "prove")
    chance = random.Random(SEED)  # noqa: S311
    codes = set()
    for number in range(TRIALS[command]):
        again(tried)
        moment = 1 + int((number + chance.random()) / TRIALS[command] * moments)
        code, _ = run(tried, command, moment, chance.randrange(40))
        assert code in {-9, 0}, moment
        codes.add(code)
        wait_for(in_environment(f"TOY={tried.project}"), "the end of what it had started")
        assert verdicts(tried) in (before, after), moment
        done = tried.slimbake(*command)
        assert done.code == 0, (moment, done.stderr)
        assert verdicts(tried) == after, moment
        assert [path for path in tried.root.rglob(".*.*") if path.is_file()] == []
    assert -9 in codes
    assert tried.slimbake("prune").code == 0
    ours = f"--filter=label=slimbake.project={tried.project}"
    assert docker("ps", "--all", "--quiet", ours) == ""
    assert dangling(tried) == ""
    assert list((tried.root.parent / "tmp").iterdir()) == []
