"""Scans by the real trivy, with a database of made-up vulnerabilities: what it finds in our SBOMs, and
in an image of the user's own Dockerfile, keeps tags where they are.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tests.engine.conftest import Toy
from tests.engine.toys import code, entry, held
from tests.engine.trivy_db import write_trivy_db

SCAN = (
    "scan: {with: trivy, arguments: [--quiet, --scanners, vuln, --severity, 'HIGH,CRITICAL',"
    " --exit-code, '1'%s]}\n"
)
NAMES = ("one", "own")
SERVICES = (
    "bases: {small: {requirements: [six]}}\nservices:\n"
    + entry("one", "    base: small\n")
    + "  own: {context: own, base: small, smoke: smoke.py, dockerfile: own/Dockerfile}\n"
)


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
    toy.write(SCAN % "" + SERVICES, code(toy, *NAMES) | own)

    done = toy.slimbake("bake", env=env)
    assert done.code == 6, done.stderr
    found = "\n".join(done.reported)
    for words in (
        *(f"{name}: trivy ended with 1" for name in NAMES),
        "CVE-2099-zlib",
        "CVE-2099-six",
    ):
        assert words in found
    assert [held(toy.image(name)) for name in NAMES] == ["", ""]

    toy.file(".trivyignore", "CVE-2099-zlib\nCVE-2099-six\n")
    toy.write(SCAN % ", --ignorefile, .trivyignore" + SERVICES)
    done = toy.done("bake", "--json", env=env)
    assert "trivy: one: passed" in done.stderr
    assert "scan" in done.json()["images"]["one"]["checks"]
    assert held(toy.image("own"))
