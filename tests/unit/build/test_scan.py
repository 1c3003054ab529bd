"""Scans: a release waits for a scanner of this machine, and no tag moves over what it finds.

The report of trivy is one that it wrote of an SBOM of ours, with a database of three made-up
vulnerabilities. That of grype is made by hand, as its documents and its own tests have it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.build.played import Played, play_here
from tests.unit.fleets import asks, fleet, service, unlocked
from tests.unit.registries import registry

from slimbake import docker
from slimbake.build.findings import (
    Finding,
    ScannedImage,
    counted,
    finding_words,
    judged,
    read_grype,
    read_trivy,
    upgradable,
)
from slimbake.build.place import BakeRequest
from slimbake.build.release import Released, release
from slimbake.build.sbom import MEDIA_TYPE
from slimbake.config.model import Scan, VexProduct, VexStatement
from slimbake.errors import CHECK_FAILED, SETUP, CheckError, SetupError
from slimbake.registry import ImageRepository
from slimbake.registry.documents import Descriptor
from slimbake.registry.errors import RegistryError

RECORDED = Path(__file__).parents[1] / "recorded"
GRYPE = (RECORDED / "grype-sbom.json").read_text()
TRIVY = (RECORDED / "trivy-0.76.0-sbom.json").read_text()
SERVICES = ("one", "two")
ZLIB = "1:1.3.dfsg+really1.3.1-1+deb13u1"

IDNA = Finding(
    name="GHSA-aaaa-bbbb-cccc",
    package="idna",
    version="3.20",
    severity="high",
    purl="pkg:pypi/idna@3.20",
    fixed="99",
    aliases=("CVE-2099-0001",),
)


def test_grype_s_report_is_read() -> None:
    found = {each.name: each for each in read_grype(GRYPE)}
    assert found["GHSA-aaaa-bbbb-cccc"] == IDNA
    assert [(n, e.package, e.severity, e.fixed) for n, e in found.items()] == [
        ("CVE-2099-0002", "zlib1g", "critical", "2:99"),
        ("CVE-2099-0004", "libgcc-s1", "negligible", ""),
        ("CVE-2099-0005", "CPython", "unknown", ""),
        ("GHSA-aaaa-bbbb-cccc", "idna", "high", "99"),
    ]


def test_trivy_s_report_is_read() -> None:
    found = [(e.name, e.package, e.severity, e.fixed, e.aliases) for e in read_trivy(TRIVY)]
    assert found == [
        ("CVE-2099-0001", "idna", "high", "99", ("GHSA-aaaa-bbbb-cccc",)),
        ("CVE-2099-0002", "zlib1g", "critical", "2:99", ()),
        ("CVE-2099-0003", "libssl3t64", "unknown", "99", ()),
        ("CVE-2099-0003", "openssl", "unknown", "99", ()),
        ("CVE-2099-0004", "gcc-14-base", "low", "", ()),
        ("CVE-2099-0004", "libgcc-s1", "low", "", ()),
        ("CVE-2099-0004", "libstdc++6", "low", "", ()),
    ]


@pytest.mark.parametrize("read", [read_grype, read_trivy])
@pytest.mark.parametrize("report", ["", "{}", "[]", '{"matches": []}', '{"SchemaVersion": 1}'])
def test_anything_else_is_no_report_without_findings(read: Any, report: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        read(report)


@pytest.mark.parametrize(
    ("gate", "over"),
    [
        ("critical", ["CVE-2099-0002"]),
        ("high", ["CVE-2099-0002", "GHSA-aaaa-bbbb-cccc"]),
        ("low", ["CVE-2099-0002", "GHSA-aaaa-bbbb-cccc"]),
    ],
)
def test_a_gate_stops_its_severity_and_those_above(gate: Any, over: list[str]) -> None:
    verdict = judged(read_grype(GRYPE), Scan(gate), ScannedImage("one", ""))
    assert [each.name for each in verdict.over] == over
    assert len(verdict.over) + len(verdict.below) == 4
    assert verdict.suppressed == ()


def said(
    name: str = "CVE-2099-0001",
    product: str = "pkg:pypi/idna",
    status: Any = "not_affected",
    parts: tuple[str, ...] = (),
    day: int = 1,
) -> VexStatement:
    products = (VexProduct(product, parts),)
    return VexStatement(frozenset((name,)), products, status, datetime(2026, 1, day, tzinfo=UTC))


@pytest.mark.parametrize(
    "statements",
    [
        [said()],
        [said("GHSA-aaaa-bbbb-cccc")],
        [said(status="fixed")],
        [said(product="pkg:pypi/idna@3.20")],
        [said(product="pkg:pypi/IDNA")],
        [said(product="pkg:oci/one")],
        [said(product="pkg:oci/one@sha256:1")],
        [said(product="pkg:oci/one", parts=("pkg:pypi/six", "pkg:pypi/idna"))],
        [said(status="affected"), said(day=2)],
        [said(status="under_investigation"), said()],
    ],
)
def test_a_statement_suppresses_what_it_is_about(statements: list[VexStatement]) -> None:
    scan = Scan("high", "vex.json", tuple(statements))
    verdict = judged([IDNA], scan, ScannedImage("one", "sha256:1"))
    assert (verdict.over, verdict.suppressed) == ((), (IDNA,))


@pytest.mark.parametrize(
    "statements",
    [
        [],
        [said("CVE-2099-0002")],
        [said(status="affected")],
        [said(status="under_investigation")],
        [said(product="pkg:pypi/idna@3.19")],
        [said(product="pkg:pypi/six")],
        [said(product="pkg:deb/debian/idna")],
        [said(product="pkg:pypi/idna?file_name=x")],
        [said(product="pkg:oci/two")],
        [said(product="pkg:oci/one@sha256:2")],
        [said(product="pkg:oci/one", parts=("pkg:pypi/six",))],
        [said(product="pkg:pypi/one", parts=("pkg:pypi/idna",))],
        [said(), said(status="affected", day=2)],
        [said(), said(status="affected")],
    ],
)
def test_a_statement_about_something_else_suppresses_nothing(
    statements: list[VexStatement],
) -> None:
    scan = Scan("high", "vex.json", tuple(statements))
    verdict = judged([IDNA], scan, ScannedImage("one", "sha256:1"))
    assert (verdict.over, verdict.suppressed) == ((IDNA,), ())


def test_a_finding_says_where_the_files_of_its_package_are() -> None:
    line = finding_words(IDNA, {"pypi/idna": [2, 1000, 0]})
    assert line == (
        "high GHSA-aaaa-bbbb-cccc (CVE-2099-0001): idna 3.20, fixed in 99;"
        " files: 2 warm, 1,000 cold"
    )
    bare = replace(IDNA, fixed="", aliases=(), purl="")
    assert finding_words(bare, {"pypi/idna": [2, 1, 0]}) == (
        "high GHSA-aaaa-bbbb-cccc: idna 3.20, no fix"
    )


def test_only_python_packages_with_a_fix_are_upgraded() -> None:
    assert upgradable([IDNA, replace(IDNA, fixed=""), *read_grype(GRYPE)]) == ("idna",)
    assert upgradable([replace(IDNA, fixed="")]) == ()
    assert counted([IDNA, IDNA]) == "2 high"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    """A release of two services with `scan: {gate: high}`, on a machine with no scanner yet."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(docker, "container_output", lambda *_, **__: '{"pypi/idna": [2, 10, 0]}')
    made = fleet(*(service(name, requirements=asks("six")) for name in SERVICES), scan=Scan("high"))
    with registry(referrers=True) as server:
        yield play_here(monkeypatch, tmp_path, unlocked(made), server)


def install(
    folder: Path, name: str, report: str, *, only: str = "", code: int = 0, empty: str = ""
) -> None:
    """A scanner on PATH that keeps what it was asked, and answers with a report.

    `only`: the service that it finds this in, in any other `empty`.
    """
    (folder / "bin").mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(report)
    (folder / "empty.json").write_text(empty)
    program = folder / "bin" / name
    program.write_text(
        "#!/bin/bash\n"
        f'echo "$0 $*" >> {folder}/asked\n'
        f'for file in *; do echo "$file: $(< "$file")" >> {folder}/given; done\n'
        f'case "$*" in *{only}*) report={folder}/{name}.json;; *) report={folder}/empty.json;; esac\n'
        'echo "$(< "$report")"\n'
        f'[ {code} = 0 ] || {{ echo "no database" >&2; exit {code}; }}\n'
    )
    program.chmod(0o755)


def run(machine: Played, **asked: Any) -> Released:
    request = BakeRequest(targets=SERVICES, registry=machine.server.name, tag="v2", push=True)
    return release(machine.project, replace(request, **asked), machine.console)


NOTHING = json.dumps({**json.loads(GRYPE), "matches": []})


def test_without_a_scanner_nothing_is_built(machine: Played) -> None:
    with pytest.raises(SetupError, match="neither grype nor trivy is on PATH") as caught:
        run(machine)
    assert caught.value.exit_code == SETUP
    assert "install grype" in caught.value.hint
    assert (machine.built, machine.tags, machine.pushed) == ([], [], {})


def test_without_scan_no_scanner_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    made = fleet(*(service(name, requirements=asks("six")) for name in SERVICES))
    with registry(referrers=True) as server:
        done = run(play_here(monkeypatch, tmp_path, unlocked(made), server))
    assert set(done.names) == set(SERVICES)
    assert done.checks["one"][0] == ("start", "inventory")


@pytest.mark.parametrize(("scanner", "report"), [("grype", GRYPE), ("trivy", TRIVY)])
def test_a_finding_keeps_every_tag_where_it_is(
    machine: Played, tmp_path: Path, scanner: str, report: str
) -> None:
    empty = NOTHING if scanner == "grype" else '{"SchemaVersion": 2}'
    install(tmp_path, scanner, report, only="two", empty=empty)
    with pytest.raises(CheckError) as caught:
        run(machine)
    assert caught.value.exit_code == CHECK_FAILED
    name = {"grype": "GHSA-aaaa-bbbb-cccc (CVE-2099-0001)"}.get(
        scanner, "CVE-2099-0001 (GHSA-aaaa-bbbb-cccc)"
    )
    assert caught.value.message.splitlines() == [
        "vulnerabilities stop the release; no tag has moved",
        f"  two: critical CVE-2099-0002: zlib1g {ZLIB}, fixed in 2:99",
        f"  two: high {name}: idna 3.20, fixed in 99; files: 2 warm, 10 cold",
        "    `slimbake lock --upgrade --only idna` takes newer versions",
    ]
    assert machine.built == list(SERVICES)
    assert (machine.tags, machine.tagged("v2"), machine.pushed) == ([], [], {})
    assert f"{scanner}: one: none at or above high" in machine.said


def test_a_scanner_reads_the_sbom_and_no_other_file(
    machine: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".grype.yaml").write_text("ignore: [{vulnerability: CVE-2099-0001}]\n")
    install(tmp_path, "grype", NOTHING)
    done = run(machine)
    assert set(done.names) == set(SERVICES)
    assert done.checks["one"][0] == ("start", "inventory", "scan")
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line.split("/")[-1] for line in asked] == [
        f"grype sbom:{name}.cdx.json --output json --quiet" for name in SERVICES
    ]
    assert (tmp_path / "given").read_text().splitlines() == [
        f"{name}.cdx.json: of {name}" for name in SERVICES
    ]


def test_of_two_scanners_grype_is_asked(machine: Played, tmp_path: Path) -> None:
    install(tmp_path, "trivy", TRIVY)
    install(tmp_path, "grype", NOTHING)
    assert set(run(machine).names) == set(SERVICES)


def test_a_scanner_that_fails_lets_nothing_pass(machine: Played, tmp_path: Path) -> None:
    install(tmp_path, "grype", NOTHING, code=1)
    with pytest.raises(SetupError, match="grype could not scan one") as caught:
        run(machine)
    assert caught.value.hint == "no database"
    assert (machine.tags, machine.pushed) == ([], {})


def test_a_report_that_cannot_be_read_lets_nothing_pass(machine: Played, tmp_path: Path) -> None:
    install(tmp_path, "trivy", "No vulnerabilities found")
    with pytest.raises(SetupError, match="its report cannot be read") as caught:
        run(machine)
    assert "'No vulnerabilities found" in caught.value.hint
    assert (machine.tags, machine.pushed) == ([], {})


def test_with_keep_going_the_others_are_released(machine: Played, tmp_path: Path) -> None:
    install(tmp_path, "grype", GRYPE, only="two", empty=NOTHING)
    done = run(machine, keep_going=True)
    assert (set(done.names), done.failed) == ({"one"}, ("two",))
    assert machine.tagged("v2") == ["one"]
    with pytest.raises(CheckError, match="two: critical CVE-2099-0002"):
        done.expect_all()


def test_openvex_suppresses_and_it_says_so(machine: Played, tmp_path: Path) -> None:
    install(tmp_path, "grype", GRYPE)
    statements = (said(), said("CVE-2099-0002", "pkg:deb/debian/zlib1g"))
    project = machine.project
    scan = Scan("high", "vex.json", statements)
    manifest = replace(project.manifest, scan=scan)
    machine.project = replace(project, asked=replace(project.asked, manifest=manifest))
    assert set(run(machine).names) == set(SERVICES)
    line = "none at or above high, below it 1 negligible, 1 unknown, 2 suppressed by vex.json"
    assert [each for each in machine.said if "grype" in each] == [
        f"grype: {name}: {line}" for name in SERVICES
    ]


def test_what_a_registry_holds_is_scanned_by_its_own_sbom(machine: Played, tmp_path: Path) -> None:
    install(tmp_path, "grype", GRYPE, only="two", empty=NOTHING)
    digest = machine.has("two")
    repository = ImageRepository(f"{machine.server.name}/two")
    kind, content = machine.server.manifests[digest]
    subject = Descriptor(kind, digest, len(content))
    repository.attach(subject, MEDIA_TYPE, "two.cdx.json", b"as released", {})
    with pytest.raises(CheckError, match="two: critical CVE-2099-0002"):
        run(machine, missing=True)
    assert machine.built == ["one"]
    assert machine.tagged("v2") == []
    assert "two.cdx.json: as released" in (tmp_path / "given").read_text().splitlines()
    done = run(machine, missing=True, keep_going=True)
    assert (set(done.names), machine.tagged("v2")) == ({"one"}, ["one"])


def test_an_sbom_of_other_bytes_is_no_sbom(machine: Played, tmp_path: Path) -> None:
    install(tmp_path, "grype", NOTHING)
    digest = machine.has("two")
    repository = ImageRepository(f"{machine.server.name}/two")
    kind, content = machine.server.manifests[digest]
    repository.attach(Descriptor(kind, digest, len(content)), MEDIA_TYPE, "x", b"SBOM", {})
    blobs = machine.server.blobs
    blobs.update({name: b"CHANGED" for name, value in blobs.items() if value == b"SBOM"})
    with pytest.raises(RegistryError, match="gives other bytes"):
        run(machine, missing=True)
    assert machine.tagged("v2") == []


def test_no_scan_is_said(machine: Played) -> None:
    done = run(machine, push=False, unscanned=True)
    assert set(done.names) == set(SERVICES)
    assert done.checks["one"][0] == ("start", "inventory")
    assert "--no-scan: these images are not scanned" in machine.said


def test_bases_are_not_scanned(machine: Played) -> None:
    run(machine, targets=("runtime",))
    assert machine.built == ["runtime"]
    assert not os.path.lexists(os.environ["PATH"])
