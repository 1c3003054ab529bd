"""Starts: what a manifest becomes for each side, what the kernel is asked, and what the table says."""

import copy
from pathlib import Path
from typing import Any

import pytest
from bench import container
from bench.starts import STACKS, in_turn
from bench.ways import DOCKERFILES, MANIFESTS, SIDES
from tools.docs import starts

from slimbake.errors import SetupError


def side(size: int, *cpu: float) -> dict[str, Any]:
    fast = [{"cpu": each, "seconds": 2 * each} for each in cpu]
    return {"bytes": size, "runs": {"1": fast, "0.2": [{"cpu": 1.0, "seconds": 9.0}]}}


SERVICES = {
    "api": {
        "slimbake": side(60_000_000, 1.0, 2.0, 3.0),
        "bytecode: all": side(70_000_000, 1.0, 1.9, 2.0),
    }
}


def test_a_start_is_compared_with_others_of_its_turn() -> None:
    ours, theirs = list(starts.rows(SERVICES))
    assert ours == ("api", "`slimbake`", "60.0", "2.00", "1.00", "4.00", "9.00")
    assert theirs == ("api", "`bytecode: all`", "70.0", "1.90", "0.95", "3.80", "9.00")


def test_a_start_that_compiles_too_much_is_a_fault() -> None:
    assert starts.faults(SERVICES) == ["api: a start takes 1.053 of one with all bytecode"]
    assert starts.faults({"api": {"slimbake": side(1, 1.03), "bytecode: all": side(1, 1.0)}}) == []
    assert starts.faults({"api": {"slimbake": side(1, 1.0)}}) == []


def test_each_side_changes_the_manifest_in_its_way() -> None:
    plain = {"bases": {"web": {}}, "services": {"api": {"base": "web"}}}
    found = {name: copy.deepcopy(plain) for name in MANIFESTS}
    for name, change in MANIFESTS.items():
        change(found[name])
    assert found == {
        "slimbake": plain,
        "optimize: false": {**plain, "optimize": False},
        "bytecode: all": {
            "bases": {"web": {"bytecode": "all"}},
            "services": {"api": {"base": "web", "bytecode": "all"}},
        },
    }


def test_sides_take_turns_and_fleets_are_there() -> None:
    assert list(in_turn(["a", "b"], 0)) == ["a", "b"]
    assert list(in_turn(["a", "b"], 1)) == ["b", "a"]
    assert (*MANIFESTS, *DOCKERFILES) == SIDES
    assert (STACKS / "services.yaml").is_file()


@pytest.mark.parametrize(
    ("groups", "file", "text"),
    [
        ("0::/docker/abc\n", "docker/abc/cpu.stat", "usage_usec 1500000\nuser_usec 1\n"),
        ("4:memory:/a\n2:cpu,cpuacct:/a\n0::/\n", "cpu,cpuacct/a/cpuacct.usage", "1500000000\n"),
    ],
)
def test_the_kernel_says_what_a_container_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: str, file: str, text: str
) -> None:
    process, counter = tmp_path / "proc/12", tmp_path / "cgroup" / file
    process.mkdir(parents=True)
    (process / "cgroup").write_text(groups)
    counter.parent.mkdir(parents=True)
    counter.write_text(text)
    monkeypatch.setattr(container, "CGROUPS", tmp_path / "cgroup")
    assert container._usage(container._processor(process)) == 1.5


def test_an_engine_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be seen from here"):
        container._processor(tmp_path / "proc/12")


def test_times_of_the_engine_are_read_to_the_microsecond() -> None:
    assert container._seconds_of("1970-01-01T00:01:00.25Z") == 60.25
    assert container._seconds_of("1970-01-01T00:01:00Z") == 60
