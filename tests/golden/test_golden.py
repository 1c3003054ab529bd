"""Whole fleets: what is generated from them, and what buildx makes of it."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.golden.conftest import Print
from tests.golden.fleets import CASES, FLEETS, REPOSITORY, Fleet
from tests.golden.printed import printed
from tests.unit.programs import program

from slimbake.config.naming import DOCKERFILES, PROGRAMS, SCHEMA
from slimbake.project import load
from slimbake.render import BAKE_FILE, MARK
from slimbake.render.generated import drift

every_fleet = pytest.mark.parametrize("fleet", FLEETS, ids=str)
KINDS = ("make", "check", "export")


# Files of most fleets; VERSION is that of Python.
COMMON = {path.name: path.read_text("utf-8") for path in (CASES.parent / "common").iterdir()}


def _is_the_same_everywhere(path: str) -> bool:
    return path.startswith(f"{PROGRAMS}/") or path in (SCHEMA, "bake/README.md")


def own_files(fleet: Fleet) -> dict[str, str]:
    """What is generated for a fleet alone: path -> text.

    What every fleet has is left out: tests of their own hold the programs, the schema, the README;
    buildx agrees with the plan about the variables with which a bake file begins.
    """
    plan, found = fleet.plan, {}
    for file in fleet.files():
        text = file.text
        if file.path == BAKE_FILE:
            text = text[text.index('group "default"') :]
        common = COMMON.get(file.path.removeprefix(f"{DOCKERFILES}/"), "")
        if text != common.replace(
            "VERSION", plan.target("runtime").python.version
        ) and not _is_the_same_everywhere(file.path):
            found[file.path] = text
    return found


@pytest.mark.parametrize("fleet", FLEETS, ids=str)
def test_a_disk_that_folds_case_has_room_for_what_is_generated(fleet: Fleet) -> None:
    paths = [file.path for file in fleet.files()]
    assert len({path.casefold() for path in paths}) == len(paths)


@pytest.mark.parametrize("fleet", [fleet for fleet in FLEETS if fleet.root != REPOSITORY], ids=str)
def test_a_fleet_generates_the_expected_files(fleet: Fleet, request: pytest.FixtureRequest) -> None:
    expected = fleet.root / "expected"
    files = own_files(fleet)
    if request.config.getoption("--update-golden"):
        shutil.rmtree(expected, ignore_errors=True)
        for path, text in files.items():
            (expected / path).parent.mkdir(parents=True, exist_ok=True)
            (expected / path).write_text(text, "utf-8")
    lying = [path for path in expected.rglob("*") if path.is_file()]
    there = {path.relative_to(expected).as_posix(): path.read_text("utf-8") for path in lying}
    assert sorted(files) == sorted(there), "other files; --update-golden rewrites them"
    for path, text in files.items():
        assert text == there[path], f"{path} differs; --update-golden rewrites it"


def test_fleets_have_the_common_dockerfiles() -> None:
    for name in COMMON:
        path = f"{DOCKERFILES}/{name}"
        having = [fleet for fleet in FLEETS if path in {file.path for file in fleet.files()}]
        assert [fleet for fleet in having if path not in own_files(fleet)], name


def test_the_repository_s_own_generated_files_are_fresh() -> None:
    fleet = Fleet(REPOSITORY)
    found = drift(fleet.files(), REPOSITORY)
    assert ([file.path for file in found.write], found.remove) == ([], ()), "fix: slimbake generate"


@pytest.mark.parametrize(
    "fleet", [fleet for fleet in FLEETS if (fleet.root / "bake/locks").is_dir()], ids=str
)
def test_committed_locks_answer_their_manifests(fleet: Fleet) -> None:
    assert load(fleet.root / "services.yaml").stale_locks == ()


@every_fleet
def test_a_fleet_carries_the_programs_that_its_steps_mount_and_no_others(fleet: Fleet) -> None:
    files = {file.path: file for file in fleet.files()}
    dockerfiles = [file.text for path, file in files.items() if path.endswith(".Dockerfile")]
    steps = [step for text in dockerfiles for step in text.split("\nRUN ")[1:]]
    mounted: set[str] = set()
    for kind in KINDS:
        mounts, runs = f"from=inside,source={kind}.pyz,target=/{kind}.pyz ", f'"/{kind}.pyz", '
        assert [step for step in steps if (mounts in step) != (runs in step)] == []
        mounted |= {kind} if any(runs in step for step in steps) else set()
    found = {path: each.content for path, each in files.items() if path.startswith(f"{PROGRAMS}/")}
    assert found == {f"{PROGRAMS}/{kind}.pyz": program(kind) for kind in mounted}


@every_fleet
def test_every_generated_file_says_so_in_its_first_line(fleet: Fleet) -> None:
    assert [file.path for file in fleet.files() if MARK not in file.text.partition("\n")[0]] == []


@every_fleet
def test_buildx_and_plan_agree(fleet: Fleet, tmp_path: Path, print_bake: Print) -> None:
    plan, groups = fleet.plan, [group.name for group in fleet.plan.groups]
    assert print_bake(fleet.written(tmp_path), groups, {}) == printed(plan, groups, {})


@every_fleet
def test_the_bake_file_s_variables_reach_every_target(
    fleet: Fleet, tmp_path: Path, given: Mapping[str, str], print_bake: Print
) -> None:
    plan, groups = fleet.plan, [group.name for group in fleet.plan.groups]
    assert print_bake(fleet.written(tmp_path), groups, given) == printed(plan, groups, given)


@pytest.mark.parametrize(
    "variable",
    ["REGISTRY", "TAG", "PLATFORMS", "CACHE_FROM", "CACHE_TO", "COMPRESSION", "COMPRESSION_LEVEL"],
)
def test_each_variable_alone_changes_what_buildx_prints(
    variable: str, given: Mapping[str, str], tmp_path: Path, print_bake: Print
) -> None:
    fleet = Fleet(CASES / "no-base")
    one = {variable: given[variable]}
    result = print_bake(fleet.written(tmp_path), [], one)
    assert result == printed(fleet.plan, ["default"], one)
    assert result != printed(fleet.plan, ["default"], {})


@pytest.mark.parametrize(
    "service", [running.service for running in Fleet(REPOSITORY).plan.services]
)
def test_buildx_builds_for_one_service_what_the_plan_needs(service: str, print_bake: Print) -> None:
    plan = Fleet(REPOSITORY).plan
    result = print_bake(REPOSITORY, [service], {})
    assert result == printed(plan, [service], {})
    assert sorted(result["target"]) == sorted(target.name for target in plan.needed((service,)))


@every_fleet
def test_every_target_comes_after_what_it_needs_once(fleet: Fleet) -> None:
    seen: set[str] = set()
    for target in fleet.plan.targets:
        assert len(target.needs) == len(set(target.needs)), f"{target.name} has two links to one"
        # one service may stand on another that the manifest names later
        assert target.kind == "service" or seen.issuperset(target.needs), target.name
        seen.add(target.name)
    assert {"runtime", *fleet.plan.group("default")} <= seen
