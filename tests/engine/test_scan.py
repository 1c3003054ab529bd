"""Scans by the real trivy, with a database of made-up vulnerabilities: what it finds in our SBOMs, and
in an image of the user's own Dockerfile, keeps tags where they are.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import Toy, docker
from tests.engine.toys import code, entry
from tests.engine.trivy_db import write_trivy_db

MANIFEST = (
    "scan: {gate: high, ignore: vex.json}\n"
    "bases: {small: {requirements: [six]}}\nservices:\n"
    + entry("one", "    base: small\n")
    + "  own: {context: own, base: small, smoke: smoke.py, dockerfile: own/Dockerfile}\n"
)


def vex(*statements: dict[str, Any]) -> str:
    return json.dumps(
        {
            "@context": "https://openvex.dev/ns/v0.2.0",
            "@id": "https://example.com/vex/1",
            "author": "tests",
            "timestamp": "2026-11-27T12:00:00Z",
            "version": 1,
            "statements": list(statements),
        }
    )


def answered(vulnerability: str, product: str) -> dict[str, Any]:
    return {
        "vulnerability": {"name": vulnerability},
        "products": [{"@id": product}],
        "status": "not_affected",
        "justification": "vulnerable_code_not_in_execute_path",
    }


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
    other = answered("CVE-2099-other", "pkg:pypi/six")
    own = {"own/Dockerfile": "FROM base\nCOPY app.py /app/\n", "vex.json": vex(other)}
    toy.write(MANIFEST, code(toy, "one", "own") | own)

    done = toy.slimbake("bake", env=env)
    assert done.code == 6, done.stderr
    lines = done.stderr.splitlines()
    at = lines.index("slimbake: vulnerabilities stop the release; no tag has moved")
    found = "\n".join(lines[at:])
    assert "one: critical CVE-2099-zlib: zlib1g " in found
    assert "fixed in 99:1; files: 2 warm" in found
    assert "one: high CVE-2099-six: six " in found
    assert "own: high CVE-2099-six: six " in found
    assert "own: critical CVE-2099-zlib: zlib1g " in found
    assert "`slimbake lock --upgrade --only six`" in found
    assert any(line.startswith("trivy: one: 2 at or above high, below it ") for line in lines)
    assert not tagged(toy, "one")
    assert not tagged(toy, "own")

    zlib = answered("CVE-2099-zlib", "pkg:deb/debian/zlib1g")
    toy.file("vex.json", vex(answered("CVE-2099-six", "pkg:oci/one"), zlib))
    done = toy.slimbake("bake", "--keep-going", env=env)
    assert done.code == 6, done.stderr
    assert "trivy: one: none at or above high, below it" in done.stderr
    assert "2 suppressed by vex.json" in done.stderr
    assert tagged(toy, "one")
    assert not tagged(toy, "own")

    toy.file("vex.json", vex(answered("CVE-2099-six", "pkg:pypi/six"), zlib))
    done = toy.slimbake("bake", "--json", env=env)
    assert done.code == 0, done.stderr
    assert "scan" in done.json()["images"]["one"]["checks"]
    assert tagged(toy, "own")
