"""What `slimbake run` says of a program that an image cannot start."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest
from tests.unit.fleets import fleet, service

from slimbake.deploy.containers import cannot_run
from slimbake.errors import SetupError
from slimbake.plan import plan

[API] = plan(fleet(service("api"))).services


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image whose working directory is a folder of this machine."""

    def output(*words: str) -> str:
        ran = words[words.index("-ISBc") :]
        done = subprocess.run(
            [sys.executable, *ran], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout

    found = types.SimpleNamespace(entrypoint=())
    monkeypatch.setattr("slimbake.docker.engine_image", lambda _: found)
    monkeypatch.setattr("slimbake.docker.container_output", output)
    (tmp_path / "manage.py").write_text("#!/no/env python\n")
    (tmp_path / "manage.py").chmod(0o755)
    (tmp_path / "plain.py").write_text("")
    (tmp_path / "tool").write_text("#!/no/sh\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("./manage.py", "check", "a b"),
            "the image has no `/no/env`, which `./manage.py` names in its first line: "
            "run `slimbake run api python ./manage.py check 'a b'`",
        ),
        (("plain.py",), "`plain.py` is not executable: run `slimbake run api python plain.py`"),
        (
            ("./tool",),
            "the image has no `/no/sh`, which `./tool` names in its first line: "
            "`slimbake debug api` opens a shell with the usual programs",
        ),
        (
            ("no-such-program",),
            "the image has no `no-such-program`: "
            "`slimbake debug api` opens a shell with the usual programs",
        ),
        (("env", "x"), ""),
    ],
)
def test_a_program_that_does_not_start_is_named_with_what_does(
    image: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert cannot_run(API, "image", arguments) == said


def test_nothing_is_said_of_an_image_in_which_nothing_can_look(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: str) -> str:
        raise SetupError("docker run failed")

    monkeypatch.setattr("slimbake.docker.container_output", refused)
    assert cannot_run(API, "image", ("sh",)) == ""


def test_arguments_of_an_entrypoint_are_no_program(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = types.SimpleNamespace(entrypoint=("tool",))
    monkeypatch.setattr("slimbake.docker.engine_image", lambda _: found)
    assert cannot_run(API, "image", ("sh",)) == ""
