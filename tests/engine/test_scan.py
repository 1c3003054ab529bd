"""Scans by the real trivy, with a database of made-up vulnerabilities: what it finds in our SBOMs, and
in an image of the user's own Dockerfile, keeps tags where they are.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tests.engine.conftest import Toy, docker
from tests.engine.toys import code, entry
from tests.engine.trivy_db import write_trivy_db

SCAN = (
    "scan: {with: trivy, arguments: [--quiet, --scanners, vuln, --severity, 'HIGH,CRITICAL',"
    " --exit-code, '1'%s]}\n"
)
SERVICES = (
    "bases: {small: {requirements: [six]}}\nservices:\n"
    + entry("one", "    base: small\n")
    + "  own: {context: own, base: small, smoke: smoke.py, dockerfile: own/Dockerfile}\n"
)


def tagged(toy: Toy, service: str) -> bool:
    return bool(docker("image", "ls", "--quiet", toy.image(service)))


@pytest.mark.slow
def test_what_trivy_finds_keeps_tags_where_they_are(toy: Toy, tmp_path: Path) -> None:
    cache = tmp_path / "trivy"
    write_trivy_db(cache, {"six": "HIGH"}, {"zlib": "CRITICAL", "openssl": "LOW"})
    env = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TRIVY_CACHE_DIR": str(cache),
        "TRIVY_SKIP_DB_UPDATE": "true",
        "TRIVY_OFFLINE_SCAN": "true",
    }
    own = {"own/Dockerfile": "FROM base\nCOPY app.py /app/\n"}
    toy.write(SCAN % "" + SERVICES, code(toy, "one", "own") | own)

    done = toy.slimbake("bake", env=env)
    assert done.code == 6, done.stderr
    lines = done.stderr.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("slimbake: "))
    found = "\n".join(lines[at:])
    assert "one: trivy ended with 1" in found
    assert "own: trivy ended with 1" in found
    assert "CVE-2099-zlib" in found
    assert "CVE-2099-six" in found
    assert not tagged(toy, "one")
    assert not tagged(toy, "own")

    toy.file(".trivyignore", "CVE-2099-zlib\nCVE-2099-six\n")
    toy.write(SCAN % ", --ignorefile, .trivyignore" + SERVICES)
    done = toy.done("bake", "--json", env=env)
    assert "trivy: one: passed" in done.stderr
    assert "scan" in done.json()["images"]["one"]["checks"]
    assert tagged(toy, "own")
