"""The doctor's report: what facts mean and what to do."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.machines import CONTAINER, DEBIAN, ENGINE, PYTHON, SCANNER, UV, debian

from slimbake.docker.engine import Absent
from slimbake.externals.beside import BesideImage
from slimbake.externals.doctor import DoctorFacts, DoctorRow, merged, report
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
        *("engine", "image store", "buildx", "compose", "builder", "external python"),
        *("external uv", "uv", "disk", "package index", "find-links", "CA bundle", "proxies"),
    ]


AMD64, ARM64 = ("linux/amd64",), replace(ENGINE, platform="linux/arm64")
NEEDS = "`up`, `run` and `logs` need 2.26.0 or newer"


@pytest.mark.parametrize(
    ("facts", "check", "state", "found"),
    [
        ({"engine": replace(ENGINE, store="graph")}, "image store", "warn", "unmeasured"),
        ({"platforms": AMD64}, "platforms", "ok", "linux/amd64"),
        ({"platforms": AMD64, "engine": ARM64}, "platforms", "warn", "emulated on linux/arm64"),
        (
            {"platforms": AMD64, "engine": replace(ARM64, builds_for=frozenset({"linux/arm64"}))},
            "platforms",
            "fail",
            "the builder runs linux/arm64 and not linux/amd64",
        ),
        ({"engine": CONTAINER}, "builder", "warn", ""),
        ({"engine": replace(ENGINE, compose=None)}, "compose", "warn", f"not installed: {NEEDS}"),
        ({"engine": replace(ENGINE, compose=(2, 25, 9))}, "compose", "warn", f"2.25.9: {NEEDS}"),
        ({"engine": replace(ENGINE, compose=(2, 26, 1))}, "compose", "ok", "2.26.1"),
        ({"here": debian(disk_free=80 * 10**9)}, "disk", "ok", "80.0 GB free"),
        ({"here": debian(disk_free=8 * 10**9)}, "disk", "warn", "8.0 GB free"),
        ({"here": debian(disk_free=10**9)}, "disk", "fail", "1.0 GB free"),
        ({"missing_folders": ("/gone",)}, "find-links", "warn", "no such folder: /gone"),
        ({"externals": ((PYTHON, "registry"),)}, "external python", "ok", ""),
        ({"externals": ((PYTHON, "engine"),)}, "external python", "ok", ""),
        (
            {"externals": ((PYTHON, "no such"),)},
            "external python",
            "fail",
            f"{PYTHON.reference} no",
        ),
        ({"externals": ((UV, UNREACHED),)}, "external uv", "fail", ""),
        ({"externals": ((SCANNER, UNREACHED),)}, "external scanner", "fail", ""),
    ],
)
def test_a_fact_has_a_state(facts: dict[str, Any], check: str, state: str, found: str) -> None:
    shown = row(replace(FACTS, **facts), check)
    assert shown.state == state and found in shown.found
    assert report(replace(FACTS, **facts)).healthy == (state != "fail")


def test_an_absent_engine_fails_and_says_what_to_do() -> None:
    facts = replace(FACTS, engine=Absent("client", "Docker is not installed"))
    found = row(facts, "engine")
    assert (found.state, found.found) == ("fail", "Docker is not installed")
    assert "apt-get install docker.io" in found.advice
    assert not report(facts).healthy


def test_the_index_is_shown_without_credentials_and_proxies_by_name_only() -> None:
    index = "https://ann:secret@pip.example/simple"
    packages = PackageSources(index_url=index, find_links=("/srv/wheels",))
    proxies = (("HTTPS_PROXY", "http://ann:secret@proxy"),)
    here = debian(packages=packages, proxies=proxies, ca_bundle=Path("/ca.pem"))
    found: dict[str, Any] = {row.check: row.found for row in report(replace(FACTS, here=here)).rows}
    assert found["package index"] == "https://pip.example/simple"
    assert found["find-links"] == "/srv/wheels"
    assert found["CA bundle"] == "/ca.pem"
    assert found["proxies"] == "HTTPS_PROXY"


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
