"""buildx 0.13 is the floor; the newest reads the same bake files and means the same by them."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.golden.conftest import Print
from tests.golden.fleets import FLEETS, Fleet
from tests.golden.newest_buildx import Unavailable, newest_buildx
from tests.golden.printed import newest_reads, printed, structured
from tests.ran import ran

# no engine is needed, but the network is
pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture(scope="session")
def newest() -> Path:
    try:
        return newest_buildx()
    except Unavailable as reason:
        pytest.skip(f"no newer buildx to be had: {reason}")


def version(*words: str | Path) -> tuple[int, int]:
    said = subprocess.run([*words, "version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"\b(\d+)\.(\d+)\.", said)
    assert match, said
    return int(match[1]), int(match[2])


def test_the_newest_is_newer_than_the_floor(newest: Path) -> None:
    assert version(newest) > (0, 13)


@pytest.mark.parametrize("fleet", FLEETS, ids=str)
@pytest.mark.parametrize("which", ["defaults", "all variables given"])
def test_both_read_the_same_from_every_golden_bake_file(
    which: str,
    fleet: Fleet,
    given: Mapping[str, str],
    newest: Path,
    print_bake: Print,
    tmp_path: Path,
) -> None:
    root, plan, variables = (
        fleet.written(tmp_path),
        fleet.plan,
        given if which != "defaults" else {},
    )
    names = [group.name for group in plan.groups]
    done = ran(
        [newest, "bake", "--file", "docker-bake.hcl", "--print", *names],
        cwd=root,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, done.stderr
    assert structured(newest_reads(done.stdout)) == structured(printed(plan, names, variables))
    assert structured(newest_reads(done.stdout)) == structured(print_bake(root, names, variables))
