"""The doctor's report: what facts mean and what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.machines import CONTAINER, DEBIAN, ENGINE, PYTHON, SCANNER, UV, debian

from slimbake.docker.engine import Absent
from slimbake.externals.beside import BesideImage
from slimbake.externals.doctor import DoctorFacts, DoctorRow, merged, report
from slimbake.fleet.model import External
from slimbake.host.pip import PackageSources

FACTS = DoctorFacts(
    here=DEBIAN,
    engine=ENGINE,
    externals=((PYTHON, "registry"), (UV, "engine")),
    missing_folders=(),
    uv="0.9.9",
)


UNREACHED = "cannot be reached"


def row(facts: DoctorFacts, check: str) -> DoctorRow:
    (found,) = [row for row in report(facts).rows if row.check == check]
    return found


def test_a_machine_with_everything_is_healthy_and_gets_no_advice() -> None:
    healthy = report(FACTS)
    assert healthy.healthy
    assert {row.state for row in healthy.rows} == {"ok"}
    assert not [row for row in healthy.rows if row.advice]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (FACTS, "A bake can work here. Next: `slimbake bake`"),
        (
            replace(FACTS, engine=replace(ENGINE, store="graph")),
            "A bake can work here. Warnings, explained above: image store. Next: `slimbake bake`",
        ),
        (
            replace(FACTS, externals=((SCANNER, UNREACHED),)),
            f"A bake cannot work here until this is fixed: external {SCANNER.name}. The lines above"
            " say how; then run `slimbake doctor` again.",
        ),
    ],
)
def test_the_last_line_says_whether_a_bake_can_work(facts: DoctorFacts, words: str) -> None:
    assert report(facts).conclusion("`slimbake bake`") == words


def test_all_that_a_bake_needs_is_looked_at() -> None:
    assert [row.check for row in report(FACTS).rows] == [
        "engine",
        "image store",
        "buildx",
        "compose",
        "builder",
        "external python",
        "external uv",
        "uv",
        "disk",
        "package index",
        "find-links",
        "CA bundle",
        "proxies",
    ]


def test_an_absent_engine_fails_and_says_what_to_do() -> None:
    facts = replace(FACTS, engine=Absent("client", "Docker is not installed"))
    found = row(facts, "engine")
    assert (found.state, found.found) == ("fail", "Docker is not installed")
    assert "apt-get install docker.io" in found.advice
    assert not report(facts).healthy


def test_the_graph_store_is_a_warning_since_it_bakes() -> None:
    facts = replace(FACTS, engine=replace(ENGINE, store="graph"))
    assert row(facts, "image store").state == "warn"
    assert "unmeasured" in row(facts, "image store").found
    assert report(facts).healthy


def test_a_builder_of_its_own_is_a_warning() -> None:
    assert row(replace(FACTS, engine=CONTAINER), "builder").state == "warn"


@pytest.mark.parametrize(
    ("external", "where", "state"),
    [
        (PYTHON, "registry", "ok"),
        (PYTHON, "engine", "ok"),
        (UV, UNREACHED, "fail"),
        (SCANNER, UNREACHED, "fail"),
    ],
)
def test_an_external_is_there_or_missing(external: External, where: str, state: str) -> None:
    assert (
        row(replace(FACTS, externals=((external, where),)), f"external {external.name}").state
        == state
    )


@pytest.mark.parametrize(("gigabytes", "state"), [(80, "ok"), (8, "warn"), (1, "fail")])
def test_little_disk_is_a_warning_and_almost_none_a_failure(gigabytes: int, state: str) -> None:
    facts = replace(FACTS, here=debian(disk_free=gigabytes * 10**9))
    assert row(facts, "disk").state == state
    assert row(facts, "disk").found.startswith(f"{gigabytes}.0 GB free")


def test_the_index_is_shown_without_credentials_and_proxies_by_name_only() -> None:
    packages = PackageSources(
        index_url="https://ann:secret@pip.example/simple", find_links=("/srv/wheels",)
    )
    here = debian(
        packages=packages,
        proxies=(("HTTPS_PROXY", "http://ann:secret@proxy"),),
        ca_bundle=Path("/ca.pem"),
    )
    found: dict[str, Any] = {row.check: row.found for row in report(replace(FACTS, here=here)).rows}
    assert found["package index"] == "https://pip.example/simple"
    assert found["find-links"] == "/srv/wheels"
    assert found["CA bundle"] == "/ca.pem"
    assert found["proxies"] == "HTTPS_PROXY"


def test_a_folder_of_packages_that_is_missing_is_a_warning() -> None:
    assert (
        row(replace(FACTS, missing_folders=("/gone",)), "find-links").found
        == "no such folder: /gone"
    )


def test_compose_is_missing_too_old_or_there() -> None:
    needs = "`up`, `run` and `logs` need 2.26.0 or newer"
    for compose, state, found in (
        (None, "warn", f"not installed: {needs}"),
        ((2, 25, 9), "warn", f"2.25.9: {needs}"),
        ((2, 26, 1), "ok", "2.26.1"),
    ):
        shown = row(replace(FACTS, engine=replace(ENGINE, compose=compose)), "compose")
        assert (shown.state, shown.found) == (state, found)


def test_a_compose_file_that_bake_would_merge_is_named(tmp_path: Path) -> None:
    targets = ("api", "runtime", "job")
    assert merged(tmp_path, targets) == ()
    text = "services:\n  db: {image: postgres}\n  job: {image: job}\n  api: {build: .}\n  web: {build: .}\n"
    (tmp_path / "docker-compose.yml").write_text(text)
    found = merged(tmp_path, targets)
    assert found == ("docker-compose.yml", "api"), "bake makes targets of what is built alone"
    shown = row(replace(FACTS, merged=found), "compose file")
    assert shown.state == "warn" and shown.found.endswith("are bake targets, too: api")
    assert "--file docker-bake.hcl" in shown.advice
    for broken in ("services: [", "[]", "x: y", "services:", "\0", "services: {api: build}"):
        (tmp_path / "docker-compose.yml").write_text(broken)
        assert merged(tmp_path, targets) == (), broken


def test_a_registry_that_lacks_an_image_is_another_thing_than_one_that_is_not_reached() -> None:
    for said in (UNREACHED, "has no such image"):
        shown = row(replace(FACTS, externals=((PYTHON, said),)), "external python")
        assert (shown.state, shown.found) == ("fail", f"{PYTHON.reference} {said}")


def test_images_that_starts_need_are_there_or_missing_with_who_needs_them() -> None:
    redis = BesideImage("redis:7", "compose.yaml:4", "redis", ("api", "job"))
    for where, state, found in (
        ("engine", "ok", "in the engine"),
        ("registry", "ok", "in the registry"),
        (UNREACHED, "warn", "not in the engine, and cannot be reached"),
    ):
        shown = row(replace(FACTS, beside=((redis, where),)), "image redis:7")
        reported = f"{found}; api, job start with it (compose.yaml:4)"
        assert (shown.state, shown.found, bool(shown.advice)) == (state, reported, state == "warn")
    broken = replace(FACTS, unreadable="yaml: line 3")
    assert row(broken, "start: with").state == "fail"
