"""A full disk of the engine itself: a bake says so, moves no tag, and goes on once there is room. The
disks of the machine and of the repository are in tests/abuse.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.abuse.test_full_disks import mounted, resize, used
from tests.engine.conftest import Toy, call
from tests.engine.engines import bring_externals, own_engine
from tests.engine.toys import write

from slimbake.errors import BUILD_FAILED

pytestmark = pytest.mark.slow

ROOM = 4 << 30
STEP = 8 << 20


def test_a_bake_that_finds_the_disk_of_the_engine_full_says_so_and_goes_on(
    toy: Toy, tmp_path: Path
) -> None:
    write(toy, "one")
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, room=ROOM), own_engine(data=disk) as own:
        bring_externals(toy.root / "services.yaml", own.host)
        env = {"DOCKER_HOST": own.host, "XDG_STATE_HOME": str(tmp_path / "state"), "CI": "true"}
        bake = own.within(sys.executable, "-m", "slimbake", "bake")
        images = ("docker", "--host", own.host, "image", "ls", "--quiet", toy.image("one"))
        failed = []
        for more in range(ROOM // STEP):
            resize(disk, used(disk) + more * STEP)
            done = call(*bake, cwd=toy.root, env=env)
            if done.code == 0:
                break
            assert done.code == BUILD_FAILED, done.stderr
            failed.append(done.stderr)
            assert "`slimbake doctor` shows the disk" in done.stderr, done.stderr
            assert call(*images).stdout == ""
        assert done.code == 0, done.stderr
        assert len(failed) >= 3, "it was full in each of them: before, while and after it builds"
        resize(disk, ROOM)
        toy.file("one/app.py", f"print('more room')  # {toy.project}\n")
        done = call(*bake, cwd=toy.root, env=env)
        assert done.code == 0, done.stderr
        run = call("docker", "--host", own.host, "run", "--rm", toy.image("one"))
        assert run.stdout == "more room\n"
