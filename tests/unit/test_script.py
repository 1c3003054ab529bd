"""tools/slimbake, which runs slimbake's image: what it asks Docker for."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools/slimbake"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder of a repository whose path has a space, beside a `docker` that prints its words."""
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    (tmp_path / "my shop/.git").mkdir(parents=True)
    (tmp_path / "my shop/web").mkdir()
    return tmp_path / "my shop"


def called(folder: Path, host: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A call of the script in a folder, with these variables and no others."""
    top = folder.parents[1]
    environment = {
        "PATH": f"{top}/bin:{os.environ['PATH']}",
        "HOME": str(top),
        "DOCKER_HOST": f"unix://{host}",
        **variables,
    }
    return subprocess.run(
        [SCRIPT, "bake", "a b"],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_repository_the_socket_and_the_settings_are_passed(repository: Path) -> None:
    top = repository.parent
    certificate = top / "ca file.pem"
    certificate.touch()
    (top / ".docker").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(top / "docker.sock"))
        done = called(
            repository / "web",
            top / "docker.sock",
            PIP_CERT=str(certificate),
            UV_INDEX="https://user:password@a.example",
            https_proxy="http://proxy.example",
            SLIMBAKE_IMAGE="mine:1",
            SLIMBAKE_RUN="--env TOKEN",
            OTHER="1",
        )
    words = done.stdout.splitlines()
    assert words[-3:] == ["mine:1", "bake", "a b"]
    assert f"{repository}:{repository}" in words
    assert words[words.index("--workdir") + 1] == f"{repository}/web"
    assert words[words.index("--user") + 1] == "0:0"  # who owns the socket is root inside
    assert f"{top}/docker.sock:/var/run/docker.sock" in words
    assert f"{certificate}:{certificate}" in words
    assert f"{top}/.docker:/tmp/.docker" in words
    assert {"PIP_CERT", "UV_INDEX", "https_proxy", "TOKEN"} <= {*words}
    assert "OTHER" not in words
    assert "password" not in done.stdout  # Docker takes values from the environment


def test_without_a_socket_it_says_where_it_looked(repository: Path) -> None:
    done = called(repository, repository / "docker.sock")
    assert done.returncode == 7
    assert done.stderr == (
        f"slimbake: no socket of Docker at {repository}/docker.sock: is Docker running?\n"
    )
