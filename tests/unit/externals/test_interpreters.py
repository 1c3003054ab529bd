"""What is found of the Python of an image of `from`."""

import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.unit.machines import debian

from slimbake.errors import SetupError
from slimbake.externals import interpreters
from slimbake.externals.interpreters import UnfitError, find_interpreter
from slimbake.fleet.model import External

IMAGE = External("from_x", "x:1", version="3.13")
PYTHON = External("python", "python:3.13-slim-trixie")
LINKED = "/opt/slimbake/python/bin/python3.13"
WORDS = ["/usr/bin/python3.13", "3.13.5", "glibc-2.41", "x86_64", "0:0", "-", "-", "cpython"]
ABSENT = SetupError('exec: "python3.13": executable file not found in $PATH')


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What each program of the image answers; others are not there."""
    found: dict[str, Any] = {}

    def build(dockerfile: str, contexts: Mapping[str, str], output: str, **_: Any) -> None:
        program = dockerfile.rpartition('["')[2].partition('"')[0]
        answer = found.get(program, ABSENT)
        if isinstance(answer, SetupError):
            raise answer
        Path(output.partition("dest=")[2], "words").write_text("\n".join(answer))

    monkeypatch.setattr(interpreters, "context_of", lambda each: f"docker-image://{each.image}")
    monkeypatch.setattr("slimbake.docker.build", build)
    return found


def found() -> Any:
    return find_interpreter(IMAGE, PYTHON, "python3.13", ("linux/amd64",), debian())


@pytest.mark.parametrize("program", ["python3.13", "python3", "python"])
def test_it_is_looked_for_under_three_names(program: str, answers: dict[str, Any]) -> None:
    answers[program] = WORDS
    assert found().words() == tuple(WORDS[:-1])


def test_another_version_under_one_name_is_no_matter_where_the_right_one_has_another(
    answers: dict[str, Any],
) -> None:
    answers["python3"] = ["/usr/bin/python3.11", "3.11.2", *WORDS[2:]]
    answers["python"] = WORDS
    assert found().version == "3.13.5"


@pytest.mark.parametrize(
    ("place", "word", "message"),
    [
        (1, "3.12.1", "'x:1' has Python 3.12.1 (/usr/bin/python3.13), and 3.13 is wanted"),
        (2, "none", "the Python of 'x:1' has another C library than glibc"),
        (3, "aarch64", "'x:1' is for aarch64, not for linux/amd64"),
        (7, "cpythont", "the Python of 'x:1' is cpythont: /usr/bin/python3.13"),
        (0, "/usr/my bin/python", "the Python of 'x:1' says of itself what slimbake cannot take"),
    ],
)
def test_what_packages_do_not_run_on_is_refused(
    place: int, word: str, message: str, answers: dict[str, Any]
) -> None:
    words = [*WORDS]
    words[place] = word
    answers["python3"] = words
    with pytest.raises(UnfitError) as refused:
        found()
    assert refused.value.message.startswith(message)


def test_in_an_image_without_python_slimbake_s_own_is_run(answers: dict[str, Any]) -> None:
    answers[LINKED] = [LINKED, *WORDS[1:]]
    assert found().path == LINKED
    assert found().is_linked


NEWER = SetupError("python3.13: /lib/libc.so.6: version `GLIBC_2.38' not found (required by")
OTHER = SetupError("exec /usr/bin/python3.13: exec format error")


@pytest.mark.parametrize(
    ("program", "failure", "message"),
    [
        (LINKED, NEWER, "'x:1' has no Python, and slimbake's own needs glibc 2.38, which is newer"),
        (LINKED, ABSENT, "'x:1' has no Python, and no glibc, which slimbake's own needs"),
        ("python3.13", OTHER, "'x:1' is not for linux/amd64"),
    ],
)
def test_an_image_in_which_it_does_not_run_is_refused(
    program: str, failure: SetupError, message: str, answers: dict[str, Any]
) -> None:
    answers[program] = failure
    with pytest.raises(UnfitError) as refused:
        found()
    assert refused.value.message.startswith(message)


def test_other_failures_of_the_engine_are_its_own(answers: dict[str, Any]) -> None:
    answers["python3.13"] = SetupError("no space left on device")
    with pytest.raises(SetupError, match="no space left"):
        found()


def test_the_program_says_of_this_python_what_a_lock_takes(tmp_path: Path) -> None:
    file = tmp_path / "find.py"
    file.write_text(interpreters._PROGRAM)
    runpy.run_path(str(file))
    words = (tmp_path / "words").read_text().split("\n")
    assert words[1].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert words[2].startswith("glibc-")
    assert (len(words), words[-1]) == (len(WORDS), "cpython")
