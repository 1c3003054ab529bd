"""The buildx that prints bake files: no engine is needed for that."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.ran import ran

Print = Callable[[Path, Sequence[str], Mapping[str, str]], dict[str, Any]]


@pytest.fixture(scope="session")
def print_bake() -> Print:
    """`docker buildx bake --print` in a folder; where there is none, the test is skipped, but never
    in CI.
    """
    has = (
        shutil.which("docker")
        and subprocess.run(["docker", "buildx", "version"], capture_output=True).returncode == 0
    )
    if not has and os.environ.get("CI") != "true":
        pytest.skip("docker buildx is not installed: `make bare` installs it")

    def run(folder: Path, names: Sequence[str], variables: Mapping[str, str]) -> dict[str, Any]:
        done = ran(
            ["docker", "buildx", "bake", "--print", "--file", "docker-bake.hcl", *names],
            cwd=folder,
            env={**os.environ, **variables},
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    return run


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    """Every variable of the bake file, with files that exist: buildx looks for them when it prints."""
    ca, settings = tmp_path / "the ca.pem", tmp_path / "uv.toml"
    ca.touch()
    settings.touch()
    return {
        "REGISTRY": "127.0.0.1:5000/elsewhere",
        "TAG": "1.2-rc3",
        "PLATFORMS": "linux/arm64,linux/amd64",
        "CACHE_FROM": "type=registry,ref=127.0.0.1:5000/cache:{target}",
        "CACHE_TO": "type=registry,ref=127.0.0.1:5000/cache:{target},mode=max",
        "COMPRESSION": "gzip",
        "COMPRESSION_LEVEL": "1",
        "CA_BUNDLE": str(ca),
        "UV_SETTINGS": str(settings),
    }
