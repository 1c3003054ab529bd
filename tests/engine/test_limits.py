"""What a workload opens and touches of its image, seen from a real container; how a final image
starts.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from tests.engine.conftest import Toy, docker, fleet
from tests.engine.registries import free_port
from tests.engine.toys import entry

from slimbake.checks.start import NotStarted, started
from slimbake.config.model import Budget, StartCheck
from slimbake.plan.model import Running

pytestmark = pytest.mark.slow

MB = 1_000_000
SMOKE = """
import mmap, pathlib, time

def load():
    with open("mapped.bin", "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        sum(data[place] for place in range(0, 1_000_000, 4096))
        time.sleep(0.5)
    pathlib.Path("read.bin").read_bytes()
"""


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A fleet of one service with large files of which its smoke needs little."""
    with fleet(tmp_path_factory.mktemp("limits")) as made:
        made.write(
            f"services:\n{entry('one')}",
            {"one/app.py": f"print('{made.project}')\n", "one/smoke.py": SMOKE},
        )
        content = random.Random(made.project)  # noqa: S311 - bytes that no other fleet has
        for name, size in {"mapped.bin": 10, "read.bin": 2, "untouched.bin": 5}.items():
            (made.root / "one" / name).write_bytes(content.randbytes(size * MB))
        done = made.slimbake("bake")
        assert done.code == 0, done.stderr
        yield made


def observed(toy: Toy) -> dict[str, Any]:
    done = toy.slimbake("limits", "--json", "--record")
    assert done.code == 0, done.stderr
    assert (toy.root / "bake/evidence/limits.json").read_text() == done.stdout
    return dict(done.json()["one"])


def test_opened_touched_and_used_are_distinguished(one: Toy) -> None:
    found = observed(one)
    (kept,) = (one.root / ".slimbake" / "limits").glob("observed-*.json")
    files = {path: each for path, *each in json.loads(kept.read_text())["files"]}
    size, opened, touched, *_ = files["app/mapped.bin"]
    assert (size, opened) == (10 * MB, True)
    # What is around a page that is touched comes with it, 64 kB; what was read ahead does not
    # count.
    assert 1 * MB <= touched < 1.3 * MB
    assert files["app/read.bin"][:2] == [2 * MB, True]
    # a busy machine has let go of a page or two by then
    assert 1.95 * MB <= files["app/read.bin"][2] < 2.01 * MB
    assert "app/untouched.bin" not in files
    assert found["opened"] < found["image"] - 5 * MB
    assert found["touched"] < found["opened"] - 8 * MB
    assert found["smallest"] == found["image"]
    assert 17 * MB < found["above"] < 17.1 * MB
    assert found["used"] == 12 * MB
    assert found["resident"] >= found["touched"]
    assert {"kind": "prune", "bytes": found["above"] - found["used"], "what": ""} in found["left"]


def test_a_ratio_above_the_one_allowed_ends_with_exit_code_6(one: Toy) -> None:
    done = one.slimbake("limits", "--at-most", "1.15", "--wide")
    assert done.code == 6
    assert done.stdout.splitlines()[1].startswith("one ")
    assert (
        "slimbake: one: 17.0 MB above the runtime are 1.42x the 12.0 MB that are used, 1.15x at"
        " most\n" in done.stderr
    )
    assert one.slimbake("limits", "--at-most", "1.5").code == 0


def test_an_image_is_started_as_it_is_run_and_nothing_is_left_of_it(one: Toy) -> None:
    image = docker("image", "inspect", "--format={{.Id}}", one.image("one")).strip()
    command = Running(
        service="one",
        host="one",
        variant="",
        port=None,
        volumes=(("data", "/data"),),
        verify="",
        budget=Budget(),
        start=StartCheck("runs"),
    )
    found = started(image, command, runs=2, environment={"PYTHONDEVMODE": "1"})
    assert found.runs == 2
    assert found.startup > 0
    assert 4 * MB < found.rss < 100 * MB
    listening = Running(
        service="one",
        host="one",
        variant="",
        port=free_port(),
        volumes=(),
        verify="",
        budget=Budget(),
        start=StartCheck("runs"),
    )
    with pytest.raises(
        NotStarted, match="one: its command ended with exit code 0 before it listened on port"
    ) as caught:
        started(image, listening, runs=1)
    assert caught.value.message.endswith(f"\n  {one.project}")
    assert (
        docker(
            "ps", "--all", "--quiet", "--filter=name=slimbake-start-", f"--filter=ancestor={image}"
        )
        == ""
    )
