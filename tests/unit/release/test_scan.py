"""Scans: a release waits for a scanner of this machine, and its exit code decides."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fleets import asks, fleet, service, unlocked
from tests.unit.registries import registry
from tests.unit.release.played import Played, play_here

from slimbake.config.model import Scan
from slimbake.errors import CHECK_FAILED, SETUP, CheckError, SetupError
from slimbake.fleet.model import Fleet
from slimbake.registry import ImageRepository
from slimbake.registry.documents import Descriptor
from slimbake.registry.errors import RegistryError
from slimbake.release.place import BakeRequest
from slimbake.release.release import Released, release
from slimbake.release.sbom import MEDIA_TYPE

SERVICES = ("one", "two")
GRYPE = Scan("grype", ("--fail-on", "high"))
TRIVY = Scan("trivy", ("--exit-code", "1", "--severity", "HIGH,CRITICAL"))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    """A release of two services that grype scans, on a machine with no scanner yet."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with registry(referrers=True) as server:
        yield play_here(monkeypatch, tmp_path, unlocked(scanned(GRYPE, tmp_path)), server)


def scanned(scan: Scan, root: Path) -> Fleet:
    services = (service(name, requirements=asks("six")) for name in SERVICES)
    return fleet(*services, scan=scan, file=root / "services.yaml")


def install(folder: Path, name: str, *, only: str = "", code: int = 0) -> None:
    """A scanner on PATH that keeps what it was asked, and ends with a code.

    `only`: the service that it ends so for, for any other with 0.
    """
    (folder / "bin").mkdir(exist_ok=True)
    program = folder / "bin" / name
    program.write_text(
        "#!/bin/bash\n"
        f'echo "$PWD ${{0##*/}} $*" >> {folder}/asked\n'
        f'for word; do file="${{word#*:}}"; [ ! -f "$file" ] || echo "${{file##*/}}:'
        f' $(< "$file")" >> {folder}/given; done\n'
        f'case "$*" in *{only}*) echo "idna 3.20 CVE-2099-0001 high"; exit {code};; esac\n'
    )
    program.chmod(0o755)


def holds(machine: Played, sbom: bytes) -> None:
    """Have the registry hold the image of `two` with this SBOM."""
    digest = machine.has("two")
    kind, content = machine.server.manifests[digest]
    subject = Descriptor(kind, digest, len(content))
    repository = ImageRepository(f"{machine.server.name}/two")
    repository.attach(subject, MEDIA_TYPE, "two.cdx.json", sbom, {})


def run(machine: Played, **asked: Any) -> Released:
    request = BakeRequest(targets=SERVICES, registry=machine.server.name, tag="v2", push=True)
    return release(machine.project, replace(request, **asked), machine.console)


def test_without_its_scanner_nothing_is_built_to_be_pushed(machine: Played) -> None:
    with pytest.raises(SetupError, match="`scan:` is set, and grype is not on PATH") as caught:
        run(machine)
    assert caught.value.exit_code == SETUP
    assert "install grype" in caught.value.hint
    assert (machine.built, machine.tags, machine.pushed) == ([], [], {})


def test_what_stays_here_needs_no_scanner_and_it_says_so(machine: Played, tmp_path: Path) -> None:
    done = run(machine, push=False)
    assert done.checks["one"].passed == ("start", "inventory")
    assert "not scanned: grype is not on PATH" in machine.said
    install(tmp_path, "grype")
    assert run(machine, push=False).checks["one"].passed == ("start", "inventory", "scan")


@pytest.mark.parametrize("scan", [GRYPE, TRIVY])
def test_a_failed_scan_moves_no_tag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scan: Scan
) -> None:
    install(tmp_path, scan.scanner, only="two", code=2)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    with registry(referrers=True) as server:
        machine = play_here(monkeypatch, tmp_path, unlocked(scanned(scan, tmp_path)), server)
        with pytest.raises(CheckError) as caught:
            run(machine)
    assert caught.value.exit_code == CHECK_FAILED
    assert caught.value.message.splitlines() == [
        "the scan stops the release; no tag has moved",
        f"  two: {scan.scanner} ended with 2",
        "    idna 3.20 CVE-2099-0001 high",
    ]
    assert machine.built == list(SERVICES)
    assert (machine.tags, machine.tagged("v2"), machine.pushed) == ([], [], {})
    assert f"{scan.scanner}: one: passed" in machine.said


def test_a_scanner_reads_the_sbom_beside_the_manifest(machine: Played, tmp_path: Path) -> None:
    install(tmp_path, "grype")
    done = run(machine)
    assert set(done.names) == set(SERVICES)
    assert done.checks["one"].passed == ("start", "inventory", "scan")
    asked = [line.split(" ", 1) for line in (tmp_path / "asked").read_text().splitlines()]
    assert {where for where, _ in asked} == {str(machine.project.root)}
    assert [re.sub(r"sbom:/\S+/", "sbom:", words) for _, words in asked] == [
        f"grype sbom:{name}.cdx.json --fail-on high" for name in SERVICES
    ]
    assert (tmp_path / "given").read_text().splitlines() == [
        f"{name}.cdx.json: of {name}" for name in SERVICES
    ]


def test_with_keep_going_the_others_are_released(machine: Played, tmp_path: Path) -> None:
    install(tmp_path, "grype", only="two", code=2)
    done = run(machine, keep_going=True)
    assert (set(done.names), [*done.failures]) == ({"one"}, ["two"])
    assert machine.tagged("v2") == ["one"]
    with pytest.raises(CheckError, match="two: grype ended with 2"):
        done.expect_all()


def test_what_a_registry_holds_is_scanned_by_its_own_sbom(machine: Played, tmp_path: Path) -> None:
    install(tmp_path, "grype", only="two", code=2)
    holds(machine, b"as released")
    with pytest.raises(CheckError, match="two: grype ended with 2"):
        run(machine, missing=True)
    assert machine.built == ["one"]
    assert machine.tagged("v2") == []
    assert "two.cdx.json: as released" in (tmp_path / "given").read_text().splitlines()
    done = run(machine, missing=True, keep_going=True)
    assert (set(done.names), machine.tagged("v2")) == ({"one"}, ["one"])


def test_an_sbom_of_other_bytes_is_no_sbom(machine: Played, tmp_path: Path) -> None:
    install(tmp_path, "grype")
    holds(machine, b"SBOM")
    blobs = machine.server.blobs
    blobs.update({name: b"CHANGED" for name, value in blobs.items() if value == b"SBOM"})
    with pytest.raises(RegistryError, match="gives other bytes"):
        run(machine, missing=True)
    assert machine.tagged("v2") == []


def test_bases_are_not_scanned(machine: Played) -> None:
    run(machine, targets=("runtime",))
    assert machine.built == ["runtime"]
    assert not os.path.lexists(os.environ["PATH"])
