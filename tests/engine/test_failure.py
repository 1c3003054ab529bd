"""What fails moves no tag, pushes nothing, and says which target and step it was."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from tests.engine.conftest import Ended, Toy, call, docker, fetch, fleet, inspected
from tests.engine.registries import Pushed
from tests.engine.toys import BROKEN, SMOKE, dangling, held, write

from slimbake.inside.check.smoke import EMPTY

GOOD = ("good: copy-code /app", "good-smoke: smoke --as-nonroot")  # steps of a service


def pushed(registry: str, toy: Toy) -> list[str]:
    """The repositories of this fleet that the registry has."""
    names = json.loads(fetch(f"http://{registry}/v2/_catalog?n=1000")[1])["repositories"]
    return [name for name in names if name.startswith(toy.project)]


def test_nothing_is_tagged_or_pushed_until_the_smoke_holds(toy: Toy, registry: str) -> None:
    to = ("--push", "--registry", f"{registry}/{toy.project}")
    image = f"{registry}/{toy.project}/one:latest"
    write(toy, "one")
    assert toy.slimbake("bake", "--registry", f"{registry}/{toy.project}").code == 0
    before = held(image)
    toy.file("one/app.py", f"print('edited')  # {toy.project}\n")
    toy.file("one/smoke.py", BROKEN)

    done = toy.slimbake("bake", *to)
    assert (done.code, done.stdout) == (6, "")
    assert held(image) == before != ""
    assert pushed(registry, toy) == []
    assert dangling(toy) == ""
    first = "slimbake: the smoke of one failed (exit code: 1); its tag stays where it was"
    assert done.reported[0] == first
    assert "  ValueError: the weights are wrong" in done.reported
    assert done.reported[-2:] == [
        "  smoke: load failed",
        "  `slimbake debug one` gives a shell in the image",
    ]

    toy.file("one/smoke.py", SMOKE)
    done = toy.done("bake", "--json", *to)
    digest = done.json()["images"]["one"]["digest"]
    assert held(image) == digest != before
    assert Pushed(registry, toy, "one").manifest("latest")[0] == digest
    assert pushed(registry, toy) == [f"{toy.project}/one"], "neither bases nor the runtime"


@pytest.mark.slow
def test_stand_ins_are_not_pushed_beyond_loopback(toy: Toy) -> None:
    write(toy, "one")
    assert toy.slimbake("bake").code == 0
    labels = inspected(toy.image("one"), ".Config.Labels")
    if "slimbake.standin" not in labels:
        pytest.skip("this machine reaches the externals' registries: nothing is stood in for")
    for host in (
        "registry.example.com/toys",
        "127.0.0.1.example.com/toys",
        "localhost.example.com",
    ):
        done = toy.slimbake("bake", "--push", "--registry", host)
        assert done.code == 2
        assert done.stderr.startswith(
            "slimbake: images made with stand-ins (python, builder, uv) are not pushed to " + host
        )
        assert held(f"{host}/one:latest") == ""


@pytest.mark.slow
def test_a_step_that_fails_is_named_with_its_last_lines(toy: Toy) -> None:
    write(toy, "one", "two")
    said = "import sys; [print('line', n, file=sys.stderr) for n in range(40)]; sys.exit('no luck')"
    step = ["python", "-c", said]
    toy.file("one/Dockerfile", f"FROM base\n# {toy.project}\nRUN {json.dumps(step)}\n")
    toy.edit("services:", "services:\n  three: {context: one, dockerfile: one/Dockerfile}")
    done = toy.slimbake("bake", "--json")
    assert done.code == 5
    assert [*done.json()["failed"]] == ["three"] and [*done.json()["tagged"]] == ["one", "two"]
    assert done.reported[0].startswith('slimbake: three does not build: RUN ["python", "-c", ')
    assert done.reported[0].endswith(": exit code: 1")
    assert done.reported[1:] == [
        *(f"  line {number}" for number in range(21, 40)),
        "  no luck",
        "  tagged all the same: one, two",
        "  not tagged: three",
    ]
    assert [bool(held(toy.image(name))) for name in ("one", "two", "three")] == [True, True, False]


@pytest.mark.slow
def test_a_bake_leaves_out_what_fails_and_tags_the_rest(toy: Toy) -> None:
    write(toy, "good", "smokes", "breaks", "heavy")
    toy.file("smokes/smoke.py", BROKEN)
    toy.edit("context: heavy", "context: heavy\n    budget: {uncompressed: 1MB}")
    toy.edit("context: breaks", "context: breaks\n    requirements: [./libs/faulty]")
    backend = '[build-system]\nrequires = ["uv_build"]\nbuild-backend = "uv_build"\n'
    toy.file("libs/faulty/pyproject.toml", f'[project]\nname = "faulty"\nversion = "1"\n{backend}')
    done = toy.slimbake("bake")
    assert done.code in (5, 6), done.stderr
    assert [name for name in ("good", "smokes", "breaks", "heavy") if held(toy.image(name))] == [
        "good"
    ]
    assert "the smoke of smokes failed" in done.stderr
    assert "wheel-faulty does not build: build-wheel /wheel" in done.stderr
    assert "heavy: uncompressed 4" in done.stderr, done.stderr
    assert "tagged all the same: good\n" in done.stderr
    assert "not tagged: smokes, breaks, heavy\n" in done.stderr
    assert done.stderr.count("the smoke of smokes failed") == 1


@pytest.mark.slow
def test_a_bake_with_a_failure_repeats_nothing_that_held(toy: Toy) -> None:
    write(toy, "good", "fails")
    toy.file("fails/smoke.py", f"import time\ntime.sleep(8)\n{BROKEN}")  # after the other one
    done = toy.slimbake("bake")
    assert done.code == 6, done.stderr
    assert held(toy.image("good")) and not held(toy.image("fails"))
    assert done.stderr.count("ValueError: the weights are wrong") == 1, done.stderr
    assert [done.stderr.count(f"{step} (") for step in GOOD] == [1, 1], done.stderr
    again = toy.slimbake("bake")
    assert again.code == 6
    assert "unchanged: good\n" in again.stderr
    assert not any(step in again.stderr for step in GOOD)
    assert "starting" not in again.stderr, "the start check held before"


@pytest.mark.slow
def test_what_a_smoke_says_is_recorded_for_parity(toy: Toy) -> None:
    write(toy, "one")
    toy.file(
        "one/smoke.py",
        "import app, os\ndef reference():\n"
        "    return {'user': os.getuid(), 'words': ['grün', 1]}\n"
        "def parity(stored):\n    assert stored == reference(), stored\n",
    )
    (toy.root / "one" / "smoke.py").chmod(0o600)
    missing = toy.slimbake("bake")
    assert missing.code == 6
    assert "parity has no reference.json: `slimbake check --reference SERVICE`" in missing.stderr
    recorded = toy.slimbake("check", "--reference", "one")
    assert (recorded.code, recorded.stdout) == (0, "one/reference.json\n"), recorded.stderr
    assert json.loads(Path(toy.root / "one/reference.json").read_text()) == {
        "user": 65532,
        "words": ["grün", 1],
    }
    assert toy.slimbake("bake").code == 0
    toy.file("one/reference.json", '{"user": 0}')
    wrong: Ended = toy.slimbake("check", "--images", "one")
    assert (wrong.code, wrong.stdout) == (6, "")
    assert "AssertionError: {'user': 0}" in wrong.stderr


@pytest.mark.slow
def test_a_smoke_that_another_machine_ran_is_run_for_a_check(toy: Toy) -> None:
    write(toy, "one")
    toy.file("one/smoke.py", f"def load(): print('{EMPTY}as if', {toy.project!r})\n")
    assert toy.slimbake("bake").code == 0
    shutil.rmtree(toy.root / ".slimbake")
    assert toy.slimbake("bake").code == 0  # all of it is in the builder's cache
    done = toy.slimbake("check", "--images", "one")
    assert (done.code, done.stdout) == (6, "smoke: empty: one\n"), done.stderr


@pytest.mark.slow
def test_a_secret_that_is_not_there_ends_the_bake_before_it_begins(toy: Toy) -> None:
    write(toy, "one")
    toy.file("one/Dockerfile", "FROM base\n")
    secrets = "{token: {env: TOY_TOKEN}, key: {file: keys/private}}"
    toy.edit(
        "context: one", f"context: one\n    dockerfile: one/Dockerfile\n    secrets: {secrets}"
    )
    done = toy.slimbake("bake")
    assert done.code == 7
    assert done.stderr.splitlines()[-3:] == [
        "slimbake: the build wants secrets that are not there",
        "  token of one: the variable TOY_TOKEN is not set",
        "  key of one: there is no file keys/private",
    ]


@pytest.mark.slow
def test_a_read_only_repository_bakes_what_is_fresh_and_says_what_it_cannot_write(
    toy: Toy, tmp_path: Path
) -> None:
    namespace = ("unshare", "--mount", "--map-root-user")
    if call(*namespace, "true").code:
        pytest.skip("this user may not mount")
    write(toy, "one")
    assert toy.slimbake("bake").code == 0
    image = held(toy.image("one"))
    docker("image", "rm", toy.image("one"))
    mounted = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && cd "$1" && shift && "$@"'
    bake = [*namespace, "sh", "-c", mounted, "sh", str(toy.root)]
    bake += [sys.executable, "-m", "slimbake", "bake"]
    done = call(*bake, env={"CI": "true"})
    assert done.code == 0, done.stderr
    assert held(toy.image("one")) == image
    toy.edit("context: one", "context: one\n    env: {A: b}")
    done = call(*bake, env={"CI": "true"})
    assert done.code == 7
    assert "read-only file system" in done.stderr and "make it writable" in done.stderr


@pytest.mark.slow
def test_a_repository_may_lie_in_a_folder_whose_name_is_punctuation(tmp_path: Path) -> None:
    with fleet(tmp_path / 'one: two, "three"') as toy:
        toy.root.mkdir()
        write(toy, "one")
        toy.done("bake")


@pytest.mark.slow
def test_what_is_neither_file_nor_link_is_not_sent_to_a_build(toy: Toy) -> None:
    write(toy, "one")
    os.mkfifo(toy.root / "one/pipe")
    done = toy.slimbake("bake")
    assert done.code == 2
    assert "one/pipe is a FIFO, and lies in a build context" in done.stderr


@pytest.mark.slow
def test_what_a_smoke_writes_is_no_command_of_a_terminal_or_a_runner(toy: Toy) -> None:
    write(toy, "one")
    toy.file(
        "one/smoke.py",
        "def load():\n"
        "    print('\\x1b]0;title\\x07\\x9b2J\\n::error::forged\\n##[error]forged')\n"
        "    raise ValueError('::warning::\\x1b[31m')\n",
    )
    done = toy.slimbake("bake", env={"GITHUB_ACTIONS": "true"})
    assert done.code == 6
    assert "forged" in done.stderr
    assert not [each for each in done.stderr if not each.isprintable() and each != "\n"]
    assert not re.search(r"^\s*::|##\[", done.stderr, re.MULTILINE)
